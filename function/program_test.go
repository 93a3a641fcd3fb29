package function

import (
	"context"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sluicehq/sluice"
)

// still is a process that ends when it is killed, and prints what a test writes.
type still struct {
	Process
	exited chan struct{}
	cmd    Command
}

func (s *still) Spawn(_ context.Context, c Command) (Process, error) { s.cmd = c; return s, nil }
func (s *still) Exited() <-chan struct{}                             { return s.exited }
func (s *still) Terminate()                                          { close(s.exited) }
func (s *still) Kill()                                               {}
func (s *still) PeakMB() int                                         { return 7 }

type kept struct{ lines []LogLine }

func (k *kept) Log(l LogLine) { k.lines = append(k.lines, l) }

func TestOutputOfAProgramBelongsToItsCalls(t *testing.T) {
	s, log := &still{exited: make(chan struct{})}, &kept{}
	v := &Version{App: "app", Spec: sluice.Function{Name: "f"}, Env: map[string]string{"A": "1", "B": "2"}}
	p, err := RunProgram(t.Context(), s, v, log, "i1", "/bin/f", nil, v.Environ(map[string]string{"B": "3"}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"A=1", "B=3"}, s.cmd.Env); diff != "" {
		t.Error(diff)
	}
	say := func(text string) { s.cmd.Out.Write([]byte(text + "\n")) }
	say("before")
	p.Begin("r1")
	say("alone")
	p.Begin("r2")
	say("of r1")
	say("of r2")
	say("of neither")
	if left := p.End("r2"); left != 1 {
		t.Errorf("%d calls are left, want 1", left)
	}
	say("alone again")
	p.End("r1")
	say("after")
	s.cmd.Out.Write([]byte("unfinished"))
	p.Stop(t.Context())

	var got [][2]string
	for _, l := range log.lines {
		got = append(got, [2]string{l.Request, l.Text})
	}
	want := [][2]string{{"", "before"}, {"r1", "alone"}, {"r1", "of r1"}, {"r2", "of r2"}, {"", "of neither"},
		{"r1", "alone again"}, {"r1", "after"}, {"r1", "unfinished"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if slices.ContainsFunc(log.lines, func(l LogLine) bool { return l.App != "app" || l.Function != "f" || l.Instance != "i1" }) {
		t.Errorf("lines name their app, function and instance: %+v", log.lines)
	}
	if p.Said() != "before" {
		t.Errorf("before its first call it said %q", p.Said())
	}
}

func TestAStoppedProgramTakesNothingMore(t *testing.T) {
	s := &still{exited: make(chan struct{})}
	p, err := RunProgram(t.Context(), s, &Version{}, &kept{}, "i1", "/bin/f", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	if !p.Go(func() { <-s.exited; close(ended) }) {
		t.Fatal("a program that runs takes tasks")
	}
	p.Stop(t.Context())
	<-ended // Stop has waited for it
	<-p.Done()
	if p.Begin("r") {
		t.Error("it takes no calls")
	}
	if p.Go(func() { t.Error("and runs nothing") }) {
		t.Error("and no tasks")
	}
	if res := p.Finish(sluice.Result{}, p.wrote); res.Instance != "i1" || res.MemoryMB != 7 {
		t.Errorf("a result says where it comes from: %+v", res)
	}
}
