package telemetry

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

func TestLogsKeepTheNewestLinesInOrder(t *testing.T) {
	l := NewLogs(4)
	for i := range 6 {
		l.Log(sluice.LogLine{App: "a", Text: fmt.Sprint(i)})
	}
	var got string
	for _, line := range l.Recent(Filter{App: "a"}) {
		got += line.Text
	}
	if got != "2345" {
		t.Fatalf("kept %q, want 2345", got)
	}
	if n := len(l.Recent(Filter{App: "b"})); n != 0 {
		t.Fatalf("another app's filter chose %d lines", n)
	}
	if n := len(l.Recent(Filter{Since: time.Now()})); n != 0 {
		t.Fatalf("lines before Since: %d", n)
	}
}

func TestFollowerThatIsNotReadLearnsWhatItMissed(t *testing.T) {
	l := NewLogs(8)
	l.Log(sluice.LogLine{Text: "old"})
	old, f := l.Follow(Filter{})
	if len(old) != 1 {
		t.Fatalf("follow returned %d kept lines, want 1", len(old))
	}
	for range 1030 {
		l.Log(sluice.LogLine{Text: "new"})
	}
	if n := l.Missed(f); n != 6 {
		t.Fatalf("missed %d, want 6", n)
	}
	if line := <-f.Lines(); line.Text != "new" {
		t.Fatalf("got %q", line.Text)
	}
	l.Unfollow(f)
	l.Log(sluice.LogLine{})
	if n := len(f.Lines()); n != 1023 {
		t.Fatalf("%d lines wait after Unfollow, want 1023", n)
	}
}
