// Package telemetry keeps what operators look at: recent log lines of functions, in a ring, and the
// counters under /metrics.
package telemetry

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice"
)

// Logs keeps the newest lines of all apps in a ring and hands new ones to followers. The zero value
// is not usable; see NewLogs. It is safe for concurrent use.
type Logs struct {
	mu        sync.Mutex // guards all below; never held while a follower is served
	ring      []sluice.LogLine
	next      int
	full      bool
	followers map[*Follower]struct{}
}

// NewLogs makes a ring of size lines.
func NewLogs(size int) *Logs {
	return &Logs{ring: make([]sluice.LogLine, size), followers: map[*Follower]struct{}{}}
}

// Filter chooses lines; zero fields choose all.
type Filter struct {
	App      sluice.AppName
	Function sluice.FunctionName
	Request  string
	Since    time.Time
}

func (f Filter) takes(l *sluice.LogLine) bool {
	return (f.App == "" || f.App == l.App) && (f.Function == "" || f.Function == l.Function) &&
		(f.Request == "" || f.Request == l.Request) && !l.Time.Before(f.Since)
}

// Log adds one line.
func (l *Logs) Log(line sluice.LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring[l.next] = line
	l.next++
	if l.next == len(l.ring) {
		l.next, l.full = 0, true
	}
	for f := range l.followers {
		if !f.filter.takes(&line) {
			continue
		}
		select {
		case f.lines <- line:
		default:
			f.missed++
		}
	}
}

// Recent returns the kept lines that the filter chooses, oldest first.
func (l *Logs) Recent(f Filter) []sluice.LogLine {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.recent(f)
}

func (l *Logs) recent(f Filter) []sluice.LogLine {
	parts := [][]sluice.LogLine{l.ring[:l.next]}
	if l.full {
		parts = [][]sluice.LogLine{l.ring[l.next:], l.ring[:l.next]}
	}
	var out []sluice.LogLine
	for _, p := range parts {
		for i := range p {
			if f.takes(&p[i]) {
				out = append(out, p[i])
			}
		}
	}
	return out
}

// Follower receives lines as they come.
type Follower struct {
	filter Filter
	lines  chan sluice.LogLine
	missed int // lines dropped because nobody read; guarded by Logs.mu
}

// Follow returns the kept lines and a follower for those that come next, with none between lost or
// told twice. A follower that is not read for 1,024 lines misses lines, and Missed says how many.
func (l *Logs) Follow(f Filter) ([]sluice.LogLine, *Follower) {
	fo := &Follower{filter: f, lines: make(chan sluice.LogLine, 1024)}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers[fo] = struct{}{}
	return l.recent(f), fo
}

// Lines is where the follower's lines come out.
func (f *Follower) Lines() <-chan sluice.LogLine { return f.lines }

// Missed returns how many lines the follower lost since it was last asked.
func (l *Logs) Missed(f *Follower) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := f.missed
	f.missed = 0
	return n
}

// Unfollow ends a follower.
func (l *Logs) Unfollow(f *Follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.followers, f)
}
