package apigateway

import (
	"sync"
	"time"
)

// Meter counts requests by the second. The zero value is ready.
type Meter struct {
	mu     sync.Mutex // guards the rest
	second int64
	n      int
}

// take counts a request, unless limit of them have been counted in this second; 0 is without limit.
func (m *Meter) take(now time.Time, limit int) bool {
	if limit <= 0 {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := now.Unix(); s != m.second {
		m.second, m.n = s, 0
	}
	if m.n >= limit {
		return false
	}
	m.n++
	return true
}

// throttle refuses a request that is one too many in this second (T429xx of section 2.9).
func (g *Group) throttle(rt *route) error {
	now, limit := g.o.Now(), &g.o.Group.Settings.Throttle
	switch {
	case !g.o.Instance.take(now, limit.Instance):
		return faultf(T429IN, "Throttled by INSTANCE flow control")
	case !g.meter.take(now, limit.Group):
		return faultf(T429GR, "Throttled by GROUP flow control")
	case !rt.meter.take(now, limit.API):
		return faultf(T429PA, "Throttled by API flow control")
	}
	return nil
}
