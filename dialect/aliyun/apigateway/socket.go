package apigateway

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// Handle answers a request that came in the socket, or tells the backend of a device's end.
func (g *Group) Handle(ctx context.Context, ev *sluice.Event) sluice.Reply {
	switch ev.Kind {
	case sluice.Message:
		return g.message(ctx, ev)
	case sluice.Close:
		g.lost(ctx, ev)
	}
	return sluice.Reply{}
}

// message serves one JSON request.
func (g *Group) message(ctx context.Context, ev *sluice.Event) sluice.Reply {
	host := g.host()
	if ev.Conn.Handshake != nil {
		host = ev.Conn.Handshake.Host
	}
	c, err := parseEnvelope(ev.Frame.Data, host)
	c.id = ev.ID
	if c.id == "" {
		c.id = sluice.NewRequestID()
	}
	if ev.Conn.Remote.IsValid() {
		c.remote = ev.Conn.Remote.Addr().String()
		c.r.RemoteAddr = ev.Conn.Remote.String()
	}
	seq := c.r.Header[headerSeq]
	var rec *recorder
	var api *apigroup.API
	switch {
	case err != nil:
	case ev.Conn.Alias != nil:
		c.device = ev.Conn.Alias.Name
		rec, api = g.record(ctx, c)
	case c.kind() == apigroup.Notify: // a backend that notifies over a socket of its own
		rec, api = g.record(ctx, c)
	default:
		err = faultf(I400MH, "Device not registered")
	}
	if err != nil {
		rec = &recorder{header: http.Header{"X-Ca-Request-Id": {c.id}}}
		g.refuse(rec, c, err)
	}
	reply := sluice.Reply{Send: []sluice.Frame{{Data: encodeAnswer(seq, rec.status, rec.header, rec.body.Bytes())}}}
	switch {
	case api == nil:
	case api.WebSocketType == apigroup.Register && rec.status == http.StatusOK:
		g.join(ctx, ev, rec.header.Values(headerGroup))
		reply.Idle = idle
		reply.Alias = g.move(c.device, g.scope)
		if g.unregister != nil {
			reply.Duty = sluice.OweClose
		}
	case api.WebSocketType == apigroup.Unregister: // clients stop their heartbeats now
		reply.Idle = g.o.Group.Settings.UnregisteredIdle
		reply.Alias = g.move(c.device, g.newcomers)
		reply.Duty = sluice.NoClose
	}
	return reply
}

// move is how a device is known from now on; nil when it is anyhow.
func (g *Group) move(device, scope string) *sluice.Alias {
	if g.newcomers == g.scope {
		return nil
	}
	return &sluice.Alias{Scope: scope, Name: device}
}

// join puts a connection into the groups that the backend chose.
func (g *Group) join(ctx context.Context, ev *sluice.Event, lists []string) {
	for _, list := range lists {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if o := g.o.Sockets.Join(ctx, ev.Conn.ID, g.crowd(name)); o != sluice.Queued {
				g.o.Log.Warn("join a group", "app", g.o.App, "conn", ev.Conn.ID, "group", name, "outcome", o)
			}
		}
	}
}

// retryAfter are the pauses before an UNREGISTER is tried again (section 1.6).
var retryAfter = [...]time.Duration{time.Second, 5 * time.Second}

// lost tells the backend that a registered device is gone: the call that the device itself did not
// make. The gateway room sees to it that this happens only when it is owed, and not when the device
// is back.
func (g *Group) lost(ctx context.Context, ev *sluice.Event) {
	if g.unregister == nil || ev.Conn.Alias == nil {
		return
	}
	api := g.unregister.api
	log := g.o.Log.With("app", g.o.App, "conn", ev.Conn.ID, "request", ev.ID)
	for try := 0; ; try++ {
		rec := &recorder{header: http.Header{}}
		c := g.farewell(ctx, ev)
		err := g.backend(rec, c, match{route: g.unregister, bare: true})
		if err != nil {
			g.refuse(rec, c, err)
		}
		if rec.status < 500 {
			return
		}
		if try == len(retryAfter) {
			log.Warn("tell the backend that a device is gone", "api", api.Name, "status", rec.status, "err", err)
			return
		}
		select {
		case <-time.After(retryAfter[try]):
		case <-ctx.Done():
			log.Warn("tell the backend that a device is gone", "api", api.Name, "err", ctx.Err())
			return
		}
	}
}

// farewell makes the request that tells of a device's end.
func (g *Group) farewell(ctx context.Context, ev *sluice.Event) *call {
	method := g.unregister.api.Method
	if method == anyMethod {
		method = http.MethodPost
	}
	path := g.unregister.prefix
	if path == "" {
		path = "/"
	}
	c := &call{id: ev.ID, proto: protoWS, device: ev.Conn.Alias.Name, r: &http.Request{
		Method: method, URL: &url.URL{Path: path}, RequestURI: path, Host: g.host(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
		Header: http.Header{
			headerDevice:             {ev.Conn.Alias.Name},
			headerType:               {apigroup.Unregister},
			"X-Ca-Unregister-Reason": {farewellReason(ev.Cause)},
		},
	}}
	c.names = map[string]string{headerDevice: "x-ca-deviceid", headerType: "x-ca-websocket_api_type", "X-Ca-Unregister-Reason": "x-ca-unregister-reason"}
	c.r = c.r.WithContext(ctx)
	if ev.Conn.Remote.IsValid() {
		c.remote = ev.Conn.Remote.Addr().String()
	}
	return c
}

// farewellReason is the cause of a connection's end in the words of section 1.6.
func farewellReason(c sluice.Cause) string {
	switch c {
	case sluice.ClientClose:
		return "client-close"
	case sluice.Idle, sluice.MaxLife:
		return "timeout"
	case sluice.Drain:
		return "server-shutdown"
	}
	return "error"
}
