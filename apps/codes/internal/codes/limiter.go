package codes

import (
	"sync"
	"time"
)

// limiter keeps a token bucket per name: so many at once, so many per minute in the long run. A name that
// has been quiet until its bucket was full again costs nothing.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex           // guards what follows
	full  map[string]time.Time // when each name's bucket is full again
	swept time.Time
}

func newLimiter(now func() time.Time) *limiter {
	return &limiter{now: now, full: map[string]time.Time{}}
}

// wait is how long until name's bucket has a token; take takes it when it has.
func (l *limiter) wait(name string, perMinute, burst int64, take bool) time.Duration {
	step := time.Minute / time.Duration(perMinute)
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.swept) > time.Minute {
		l.swept = now
		for name, full := range l.full {
			if !full.After(now) {
				delete(l.full, name)
			}
		}
	}
	full := l.full[name]
	if full.Before(now) {
		full = now
	}
	full = full.Add(step)
	if wait := full.Sub(now) - time.Duration(burst)*step; wait > 0 {
		return wait
	}
	if take {
		l.full[name] = full
	}
	return 0
}
