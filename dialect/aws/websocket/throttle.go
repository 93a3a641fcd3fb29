package websocket

import (
	"cmp"
	"math"
	"sync"
	"time"
)

// bucket lets rate things a second through, and burst at once. A nil bucket lets everything through.
type bucket struct {
	rate, burst float64

	mu     sync.Mutex // guards the rest
	tokens float64
	last   time.Time
}

// newBucket makes a full bucket; nil when there is no rate. burst 0 is the rate.
func newBucket(rate float64, burst int, now time.Time) *bucket {
	if rate <= 0 {
		return nil
	}
	full := cmp.Or(float64(burst), math.Max(1, math.Ceil(rate)))
	return &bucket{rate: rate, burst: full, tokens: full, last: now}
}

// take reports whether one more may pass.
func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.last); passed > 0 {
		b.tokens = min(b.burst, b.tokens+passed.Seconds()*b.rate)
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
