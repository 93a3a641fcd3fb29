package apigateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
	"github.com/sluicehq/sluice/gateway"
)

// The limits of section 1.8.
const (
	defaultMessage = 1 << 20 // bytes
	maxQueue       = 4 << 20 // bytes that wait for one client
	pingEvery      = 60 * time.Second
	slowCode       = 1013
	failedCode     = 1011
	// reach is how long an event may take to get to its function, besides its run.
	reach = 2 * time.Minute
	// again is the pause before a call is made again that no instance has taken.
	again = 100 * time.Millisecond
	// What functions have when their template is not at hand.
	longestRun  = 900 * time.Second
	longestInit = 300 * time.Second
	defaultInit = 60 * time.Second
)

// socket is a WebSocket API: the gateway.Handler of its endpoint.
type socket struct {
	*call
	apis     *APIs
	log      *slog.Logger
	endpoint *gateway.Endpoint
	starts   struct{ register, transport, cleanup time.Duration } // how long instances may take to start
}

func newSocket(c *call, app *sluice.App) *socket {
	s := &socket{call: c, apis: c.svc.app.apis}
	s.log = s.apis.o.Log.With("app", app.Name, "api", c.ID)
	set := c.Settings
	message := set.MaxMessage
	if message <= 0 {
		message = defaultMessage
	}
	var open, run, last time.Duration
	open, s.starts.register = limits(app, c.Roles.Register)
	run, s.starts.transport = limits(app, c.Roles.Transport)
	last, s.starts.cleanup = limits(app, c.Roles.Cleanup)
	s.endpoint = &gateway.Endpoint{App: app.Name, Name: c.ID, Handler: s, Policy: gateway.Policy{
		OpenTimeout:  min(open+time.Second, seconds(c.Timeout)) + s.starts.register, // a second, so that the function's own timeout is told first
		EventTimeout: max(run+s.starts.transport, last+s.starts.cleanup) + reach,
		Idle:         seconds(c.Timeout),
		Activity:     gateway.Messages,
		Ping:         pingEvery,
		MaxPings:     2,
		MaxFrame:     message,
		MaxMessage:   message,
		MaxPush:      message,
		MaxQueue:     max(maxQueue, 2*message),
		SlowCode:     slowCode,
		Uplink:       max(set.Uplink, 1),
		Deflate:      true, // where the register function says so
	}}
	return s
}

// limits are how long a function may run and start.
func limits(app *sluice.App, f apispec.Function) (run, init time.Duration) {
	if fn := functionOf(app, f); fn != nil {
		return fn.Timeout, cmp.Or(fn.InitTimeout, defaultInit)
	}
	if f.Name == "" {
		return 0, 0
	}
	return longestRun, longestInit
}

func (s *socket) id(ev *sluice.Event) string { return s.apis.o.IDs.String(ev.Conn.ID) }

func (s *socket) uplinkAction() string {
	if s.Settings.UplinkAction != "" {
		return s.Settings.UplinkAction
	}
	return actionRecv
}

// Control consumes nothing: every message is the transport function's.
func (s *socket) Control(gateway.ControlConn, []byte, bool) gateway.Control { return gateway.Control{} }

// Handle answers one event.
func (s *socket) Handle(ctx context.Context, ev *sluice.Event) sluice.Reply {
	switch ev.Kind {
	case sluice.Open:
		return s.open(ctx, ev)
	case sluice.Message:
		return s.message(ctx, ev)
	case sluice.Close:
		s.close(ctx, ev)
	}
	return sluice.Reply{}
}

// duty says whether the end of a connection has to be told, as the API is now.
func (s *socket) duty() sluice.Duty {
	if s.Roles.Cleanup.Name != "" {
		return sluice.OweClose
	}
	return sluice.KeepDuty
}

// invoke calls the function of a role. While no instance takes the call it is made again, for so long as an
// instance may need to start, which is not the function's own time (section 1.8).
func (s *socket) invoke(ctx context.Context, ev *sluice.Event, f apispec.Function, patience time.Duration, payload []byte) (scf.Outcome, error) {
	for end := time.Now().Add(patience); ; {
		out, err := s.apis.o.Functions.Invoke(ctx, scf.Call{
			App: s.svc.app.name, Namespace: f.Namespace, Name: f.Name, Qualifier: f.Qualifier,
			RequestID: strings.ToLower(ev.ID), Payload: payload, Conn: ev.Conn.ID,
		})
		if err == nil && out.Status != scf.StatusBusy || time.Now().After(end) {
			return out, err
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return out, errors.Join(err, ctx.Err())
		}
	}
}

// open answers a handshake (section 1.4).
func (s *socket) open(ctx context.Context, ev *sluice.Event) sluice.Reply {
	h := ev.Conn.Handshake
	if o := s.Settings.Origins; len(o) > 0 && !slices.Contains(o, h.Header.Get("Origin")) {
		return s.refuse(ev, &fault{http.StatusForbidden, errno{http.StatusForbidden, "origin not allowed"}}, nil)
	}
	if s.Roles.Register.Name == "" {
		return sluice.Reply{Duty: s.duty(), NoDeflate: true}
	}
	out, err := s.invoke(ctx, ev, s.Roles.Register, s.starts.register, s.register(ev))
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded), err == nil && out.Status == scf.StatusTimeout:
		return s.refuse(ev, &fault{http.StatusGatewayTimeout, errno{http.StatusGatewayTimeout, "register function timeout"}}, err)
	case err != nil || !out.OK():
		return s.refuse(ev, failedRegister(), errors.Join(err, failure(out)))
	}
	v := readRegister(out.Payload)
	switch {
	case v.errNo == nil:
		return s.refuse(ev, failedRegister(), errors.New("the reply has no errNo"))
	case !v.accepted():
		return s.refuse(ev, &fault{http.StatusForbidden, errno{v.errNo, v.errMsg}}, nil)
	}
	return sluice.Reply{Duty: s.duty(), Subprotocol: choose(v.protocol, h.Subprotocols), NoDeflate: !v.deflates()}
}

func failedRegister() *fault {
	return &fault{http.StatusBadGateway, errno{http.StatusBadGateway, "register function failed"}}
}

func (s *socket) refuse(ev *sluice.Event, f *fault, err error) sluice.Reply {
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
	}
	s.log.Log(context.Background(), level, "handshake refused", "conn", ev.Conn.ID.String(), "request", ev.ID, "status", f.status, "err", err)
	return sluice.Reply{Refuse: f.refusal(strings.ToLower(ev.ID))}
}

// failure is what an outcome says went wrong; nil when nothing did.
func failure(out scf.Outcome) error {
	if out.Status == 0 || out.OK() {
		return nil
	}
	return sluice.Errorf(sluice.Internal, "function status %d: %s", out.Status, out.ErrMsg)
}

// message calls the transport function, whose answer does not matter but for its success (section 1.5).
func (s *socket) message(ctx context.Context, ev *sluice.Event) sluice.Reply {
	reply := sluice.Reply{Duty: s.duty()}
	if s.Roles.Transport.Name == "" {
		return reply
	}
	out, err := s.invoke(ctx, ev, s.Roles.Transport, s.starts.transport, s.upload(ev))
	if errors.Is(ctx.Err(), context.Canceled) { // this server stops
		return reply
	}
	if err = errors.Join(err, failure(out)); err != nil {
		s.log.Warn("transport function failed", "conn", ev.Conn.ID.String(), "request", ev.ID, "err", err)
		if !s.Settings.IgnoreFailures {
			reply.Close = &sluice.CloseSpec{Code: failedCode}
		}
	}
	return reply
}

// close calls the cleanup function (section 1.6). Its failure is its own.
func (s *socket) close(ctx context.Context, ev *sluice.Event) {
	if s.Roles.Cleanup.Name == "" || s.Settings.CleanupOnClient && ev.Cause != sluice.ClientClose {
		return
	}
	out, err := s.invoke(ctx, ev, s.Roles.Cleanup, reach/2+s.starts.cleanup, s.closing(ev))
	if err = errors.Join(err, failure(out)); err != nil {
		s.log.Warn("cleanup function failed", "conn", ev.Conn.ID.String(), "request", ev.ID, "err", err)
	}
}
