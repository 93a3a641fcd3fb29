package gateway

import (
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// rate is a connection's token bucket, and what is known of its excess.
type rate struct {
	tokens float64
	last   int64 // unix milliseconds of the last message
	since  int64 // when the present excess began; 0 when there is none
	latest int64 // when the rate was last exceeded
}

// admits reports whether a message is within the endpoint's rate. The first beyond it is answered by
// the notice; it and all others of that second are dropped. An excess that goes on for RateGrace ends
// the connection.
func (s *shard) admits(c *conn, p *Policy) bool {
	now := s.time().UnixMilli()
	burst := float64(orDefault(p.FrameBurst, max(int(2*p.FrameRate), 1)))
	x := c.more()
	if x.rate == nil {
		x.rate = &rate{tokens: burst, last: now}
	}
	r := x.rate
	r.tokens = min(burst, r.tokens+float64(now-r.last)/1000*p.FrameRate)
	r.last = now
	calm := now-r.latest >= time.Second.Milliseconds()
	if r.since != 0 && calm {
		r.since = 0
	}
	if r.since == 0 && r.tokens >= 1 {
		r.tokens--
		return true
	}
	if r.since == 0 {
		r.since = now
		r.latest = now
		if p.RateNotice != nil {
			s.own(c, wire.Text, p.RateNotice)
		}
		return false
	}
	if r.tokens < 1 {
		r.latest = now
	} else {
		r.tokens-- // it would have been within the rate, but this second's messages are dropped
	}
	if now-r.since >= orDefault(p.RateGrace, 10*time.Second).Milliseconds() {
		s.count.violations.Add(1)
		s.shut(c, sluice.Violation, sluice.CloseSpec{Code: wire.CodePolicy, Reason: "too many messages"})
	}
	return false
}
