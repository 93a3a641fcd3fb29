package websocket

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/selection"
	"github.com/sluicehq/sluice/gateway"
)

// The routes that events choose, not expressions.
const (
	routeConnect    = "$connect"
	routeDisconnect = "$disconnect"
	routeDefault    = "$default"
)

// Stage is one stage of an API: the gateway.Handler of its endpoint.
type Stage struct {
	apis     *APIs
	api      *api
	spec     *apispec.Stage
	endpoint *gateway.Endpoint
	selector *selection.Expression
	routes   map[string]*route
	shown    []byte     // its variables, as events have them
	access   *accessLog // nil: it keeps none
	log      *slog.Logger
	full     atomic.Int32 // how many of its integrations are
}

// route is a route of the snapshot that the stage serves.
type route struct {
	spec        *apispec.Route
	integration *integration // nil: it has no target
	authorizer  *authorizer
	model       *model
	bucket      *bucket
}

// newStage compiles a stage.
func newStage(one *api, spec *apispec.Stage) (*Stage, error) {
	a := one.app.apis
	st := &Stage{apis: a, api: one, spec: spec, routes: map[string]*route{}, log: a.o.Log.With("app", one.app.name, "api", one.spec.ID, "stage", spec.Name)}
	served := one.spec.Served(spec)
	var err error
	if st.selector, err = selection.Parse(one.spec.RouteSelectionExpression); err != nil {
		return nil, err
	}
	for _, name := range st.selector.Names() {
		if !strings.HasPrefix(name, "request.body") {
			return nil, fmt.Errorf("route selection expression %q: only $request.body can be used", one.spec.RouteSelectionExpression)
		}
	}
	if variablesShown(spec.Variables) {
		st.shown = append(append([]byte(`"stageVariables":`), encode(spec.Variables)...), ',')
	}
	if st.access, err = newAccessLog(spec.Access); err != nil {
		return nil, err
	}
	longest := time.Second
	for i := range served.Routes {
		r := &route{spec: &served.Routes[i]}
		if err := st.compile(r, served); err != nil {
			return nil, fmt.Errorf("route %s: %w", r.spec.Key, err)
		}
		st.routes[r.spec.Key] = r
		if r.integration != nil {
			longest = max(longest, r.integration.timeout)
		}
	}
	st.endpoint = &gateway.Endpoint{App: one.app.name, Name: one.spec.ID + "/" + spec.Name, Handler: st, Policy: a.policy(longest)}
	return st, nil
}

// compile makes what a route needs.
func (st *Stage) compile(r *route, served *apispec.Snapshot) (err error) {
	if id := r.spec.Integration; id != "" {
		spec := served.Integration(id)
		if spec == nil {
			return fmt.Errorf("there is no integration %q", id)
		}
		if r.integration, err = st.newIntegration(spec); err != nil {
			return err
		}
	}
	if r.spec.Key == routeConnect && r.spec.AuthorizationType == "CUSTOM" {
		spec := served.Authorizer(r.spec.Authorizer)
		if spec == nil {
			return fmt.Errorf("there is no authorizer %q", r.spec.Authorizer)
		}
		if r.authorizer, err = st.newAuthorizer(spec); err != nil {
			return err
		}
	}
	if !st.api.spec.DisableSchemaValidation {
		if r.model, err = newModel(r.spec, served.Models); err != nil {
			return err
		}
	}
	set := st.spec.Default
	if own, ok := st.spec.Settings[r.spec.Key]; ok {
		set = &own
	}
	if set != nil {
		r.bucket = newBucket(set.Rate, set.Burst, st.apis.o.Now())
	}
	if r.integration != nil {
		r.integration.refusals.soon = st.refusable(r)
	}
	return nil
}

// Handle answers one event.
func (st *Stage) Handle(ctx context.Context, ev *sluice.Event) sluice.Reply {
	switch ev.Kind {
	case sluice.Open:
		return st.open(ctx, ev)
	case sluice.Message:
		return st.message(ctx, ev)
	case sluice.Close:
		st.close(ctx, ev)
	}
	return sluice.Reply{}
}

// duty says whether the end of a connection has to be told, as the API is now.
func (st *Stage) duty() sluice.Duty {
	if r := st.routes[routeDisconnect]; r != nil && r.integration != nil {
		return sluice.OweClose
	}
	return sluice.KeepDuty
}

// open answers a handshake (aws.md 1.3).
func (st *Stage) open(ctx context.Context, ev *sluice.Event) sluice.Reply {
	c := &call{st: st, ev: ev, attrs: map[string]string{attrDomain: st.domain(ev.Conn.Handshake.Host)}}
	if agent := ev.Conn.Handshake.Header.Get("User-Agent"); agent != "" {
		c.attrs[attrAgent] = strings.ToValidUTF8(agent[:min(len(agent), maxAgent)], "")
	}
	c.enter(routeConnect)
	a, err := st.connect(ctx, c)
	f := st.told(ev, err)
	st.record(c, f)
	if f != nil {
		return sluice.Reply{Refuse: f.refusal(ev.Conn.ID, ev.ID)}
	}
	if c.attrs[attrDomain] == st.api.domain {
		delete(c.attrs, attrDomain)
	}
	return sluice.Reply{Attrs: c.attrs, Duty: st.duty(), Subprotocol: a.subprotocol}
}

// connect authorizes a handshake and asks the $connect route.
func (st *Stage) connect(ctx context.Context, c *call) (answer, error) {
	now := st.apis.o.Now()
	r := st.routes[routeConnect]
	if !st.apis.connects.take(now) || r != nil && !r.bucket.take(now) {
		return answer{}, throttled()
	}
	if r == nil {
		return answer{}, nil
	}
	if err := st.authorize(ctx, c, r); err != nil {
		return answer{}, err
	}
	c.enter(routeConnect)
	if err := c.required(r.spec); err != nil {
		return answer{}, err
	}
	if r.integration == nil {
		return answer{}, nil
	}
	a, err := r.integration.run(ctx, c, false)
	if err != nil {
		return a, err
	}
	if a.status < 200 || a.status >= 300 {
		return a, refused(a.status)
	}
	return a, nil
}

// message routes a client's message and calls what the route says.
func (st *Stage) message(ctx context.Context, ev *sluice.Event) sluice.Reply {
	reply := sluice.Reply{Duty: st.duty()}
	c := &call{st: st, ev: ev, attrs: ev.Conn.Attrs, data: ev.Frame.Data}
	if c.encoded = ev.Frame.Binary || !utf8.Valid(c.data); c.encoded {
		c.base64 = base64.StdEncoding.EncodeToString(c.data)
	}
	send, err := st.serve(ctx, c)
	f := st.told(ev, err)
	st.record(c, f)
	if f != nil {
		if text := f.frame(ev); text != nil {
			send = []sluice.Frame{{Data: text}}
		}
	}
	reply.Send = send
	return reply
}

// serve answers a message; nil is no answer.
func (st *Stage) serve(ctx context.Context, c *call) ([]sluice.Frame, error) {
	now := st.apis.o.Now()
	if !st.apis.requests.take(now) {
		return nil, throttled()
	}
	r := st.choose(c)
	if r == nil {
		return nil, forbidden()
	}
	c.enter(r.spec.Key)
	if !r.bucket.take(now) {
		return nil, throttled()
	}
	if err := r.model.check(c); err != nil {
		return nil, err
	}
	if r.integration == nil {
		return nil, failed(500, errors.New("the route has no integration"))
	}
	twoWay := r.spec.TwoWay()
	a, err := r.integration.run(ctx, c, twoWay)
	if err != nil || !twoWay || len(a.body) == 0 {
		return nil, err
	}
	if len(a.body) > st.apis.o.MaxMessage {
		return nil, failed(500, fmt.Errorf("the answer has %d bytes", len(a.body)))
	}
	return []sluice.Frame{{Data: a.body, Binary: a.binary}}, nil
}

// choose picks the route of a message (aws.md 1.5); nil is none.
func (st *Stage) choose(c *call) *route {
	if !c.ev.Frame.Binary {
		key, ok := st.selector.Eval(c)
		if r := st.routes[key]; ok && r != nil && !strings.HasPrefix(key, "$") {
			return r
		}
	}
	return st.routes[routeDefault]
}

// retries are the pauses before $disconnect is tried again when it reached nobody.
var retries = [...]time.Duration{time.Second, 4 * time.Second}

// close tells the $disconnect route. Its answer does not matter, and its failure is its own; but when no
// function could be reached it is tried again.
func (st *Stage) close(ctx context.Context, ev *sluice.Event) {
	r := st.routes[routeDisconnect]
	if r == nil || r.integration == nil {
		return
	}
	c := &call{st: st, ev: ev, attrs: ev.Conn.Attrs}
	c.enter(routeDisconnect)
	for try := 0; ; try++ {
		_, err := r.integration.run(ctx, c, false)
		f := st.told(ev, err)
		// A function that was too slow may have been reached, and runs on.
		if !errors.Is(err, errUnreached) || f.status == statusTimeout || try == len(retries) {
			st.record(c, f)
			return
		}
		select {
		case <-time.After(retries[try]):
		case <-ctx.Done():
			return
		}
	}
}

// told logs why an event failed, and returns what the client is told of it; nil when it did not fail.
func (st *Stage) told(ev *sluice.Event, err error) *fault {
	if err == nil {
		return nil
	}
	var f *fault
	if !errors.As(err, &f) {
		f = failed(500, err)
	}
	log := st.log.Debug
	if f.err != nil && !f.counted {
		log = st.log.Warn
	}
	log("event failed", "event", ev.Kind.String(), "conn", ev.Conn.ID.String(), "request", ev.ID, "status", f.status, "err", err)
	return f
}
