package wall

import (
	"sync"
	"time"
)

// Limiter keeps a token bucket per name: so many calls at once, so many per minute in the long
// run. A name that has been quiet until its bucket was full again costs nothing.
type Limiter struct {
	now func() time.Time

	mu    sync.Mutex           // guards what follows
	full  map[string]time.Time // when each name's bucket is full again
	swept time.Time
}

// NewLimiter returns a limiter on that clock.
func NewLimiter(now func() time.Time) *Limiter {
	return &Limiter{now: now, full: map[string]time.Time{}}
}

// Take takes a token of name's bucket. When there is none it takes nothing and returns how long
// to wait for one. perMinute 0 means no limit.
func (l *Limiter) Take(name string, perMinute, burst int64) time.Duration {
	if perMinute <= 0 {
		return 0
	}
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
	l.full[name] = full
	return 0
}

// Return gives back a token that was taken.
func (l *Limiter) Return(name string, perMinute int64) {
	if perMinute <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, ok := l.full[name]; ok {
		l.full[name] = full.Add(-time.Minute / time.Duration(perMinute))
	}
}
