package websocket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// What the path of a management call has behind the stage.
const (
	verbConnections = "@connections"
	verbGroups      = "@groups"
)

func isVerb(segment string) bool { return segment == verbConnections || segment == verbGroups }

// Claims reports whether a plain request to a host of the app is for its WebSocket APIs: it comes to one
// of their names, or it is a management call.
func (x *App) Claims(r *http.Request) bool {
	path := trim(segments(r))
	t := x.find(r.Host, path)
	if t.api == nil {
		return false
	}
	_, byName := apiHost(bareHost(r.Host))
	return byName || len(t.rest) > 0 && isVerb(t.rest[0]) || x.mapped(bareHost(r.Host), path).api != nil || len(path) > 0 && path[0] == "_aws"
}

// ServeHTTP serves what is no upgrade on the app's hosts: management calls. Anything else is told that
// an upgrade is needed.
func (x *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := segments(r)
	t := x.find(r.Host, path)
	if t.stage == nil && !hasVerb(path) || t.stage != nil && (len(t.rest) == 0 || !isVerb(t.rest[0])) {
		f := upgradeRequired()
		w.Header()["Upgrade"] = []string{"websocket"}
		f.write(w, "", sluice.NewRequestID())
		return
	}
	m := management{apis: x.apis, w: w, r: r, stage: t.stage, rest: t.rest, request: sluice.NewRequestID()}
	if t.stage == nil || t.disabled {
		m.rest = trim(path)
		m.fail(denied())
		return
	}
	m.serve()
}

// Claims reports whether a request on the listener that all apps share is for a WebSocket API: it comes
// to the name of one, or it is a management call.
func (a *APIs) Claims(r *http.Request) bool {
	path := trim(segments(r))
	if id, ok := apiHost(bareHost(r.Host)); ok {
		return a.byID(id) != nil
	}
	if len(path) > 2 && path[0] == "_aws" && (path[1] == "execute-api" || path[1] == "ws") {
		return a.byID(path[2]) != nil
	}
	return isCall(r, path)
}

// isCall reports whether a request that names no API is a management call nevertheless: /@connections or
// /{stage}/@connections and so on, and not an object of S3 that is called so.
func isCall(r *http.Request, path []string) bool {
	if len(path) == 0 || !isVerb(path[0]) && (len(path) == 1 || !isVerb(path[1])) || len(path) > 4 {
		return false
	}
	return !strings.Contains(r.Header.Get("Authorization"), "/s3/aws4_request") && !strings.Contains(r.URL.Query().Get("X-Amz-Credential"), "/s3/aws4_request")
}

// hasVerb reports whether a path may be that of a management call: @connections or @groups behind a stage
// or a domain's base path.
func hasVerb(path []string) bool { return slices.ContainsFunc(path, isVerb) }

// ServeHTTP serves management calls on the listener that all apps share. A call whose host names no API
// is for the API of the connection that it names; one that names none is for the only API that has
// such a stage and that the caller may use.
func (a *APIs) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := segments(r)
	for _, x := range a.all() {
		if t := x.find(r.Host, path); t.api != nil && x.named(r.Host, trim(path)) {
			x.ServeHTTP(w, r)
			return
		}
	}
	m := management{apis: a, w: w, r: r, request: sluice.NewRequestID()}
	path = trim(path)
	_, byName := apiHost(bareHost(r.Host))
	switch {
	case !byName && len(path) > 0 && isVerb(path[0]):
		m.rest = path
	case !byName && len(path) > 1 && isVerb(path[1]):
		m.name, m.rest = path[0], path[1:]
	default:
		m.rest = path
		m.fail(denied())
		return
	}
	m.serve()
}

// named reports whether host or path name one of the app's APIs.
func (x *App) named(host string, path []string) bool {
	if len(path) > 2 && path[0] == "_aws" {
		return x.byID(path[2]) != nil
	}
	if id, ok := apiHost(bareHost(host)); ok {
		return x.byID(id) != nil
	}
	t := x.mapped(bareHost(host), path)
	return t.api != nil
}

func (a *APIs) all() []*App {
	a.mu.RLock()
	defer a.mu.RUnlock()
	out := make([]*App, 0, len(a.apps))
	for _, x := range a.apps {
		out = append(out, x)
	}
	return out
}

func (a *APIs) byID(id string) *api {
	for _, x := range a.all() {
		if one := x.byID(id); one != nil {
			return one
		}
	}
	return nil
}

// called are the stages of a name ("" is any) that somebody may use.
func (a *APIs) called(p access.Principal, name string) []*Stage {
	var found []*Stage
	for _, x := range a.all() {
		for _, one := range x.list {
			for _, st := range one.stages {
				if st.may(p) && (name == "" || st.spec.Name == name) {
					found = append(found, st)
				}
			}
		}
	}
	return found
}

// stageOf finds a stage by its endpoint.
func (a *APIs) stageOf(app sluice.AppName, endpoint string) *Stage {
	a.mu.RLock()
	x := a.apps[app]
	a.mu.RUnlock()
	if x == nil {
		return nil
	}
	id, name, _ := strings.Cut(endpoint, "/")
	if one := x.byID(id); one != nil {
		return one.stage(name)
	}
	return nil
}

// management is one call of the management API (aws.md 2).
type management struct {
	apis    *APIs
	w       http.ResponseWriter
	r       *http.Request
	stage   *Stage // nil: what is named has to be found by a connection, or by who calls
	name    string // of the stage, when stage is nil; "" is any
	rest    []string
	request string
	body    []byte
	caller  access.Principal
}

// serve checks who calls, and does what is asked.
func (m *management) serve() {
	if f := m.admit(); f != nil {
		m.fail(f)
		return
	}
	var f *fault
	switch {
	case m.rest[0] == verbConnections && len(m.rest) == 2:
		f = m.connection(m.rest[1])
	case m.rest[0] == verbConnections && len(m.rest) == 1 && m.r.Method == http.MethodPost:
		f = m.batch()
	case m.rest[0] == verbGroups && len(m.rest) == 2:
		f = m.group(m.rest[1])
	case m.rest[0] == verbGroups && len(m.rest) == 3:
		f = m.member(m.rest[1], m.rest[2])
	default:
		f = noSuchCall()
	}
	if f != nil {
		m.fail(f)
	}
}

// maxBatch is the most that the body of a batched push may have: its ids, and its data as base64.
func (m *management) maxBatch() int { return maxIDs*24 + 2*m.apis.o.MaxMessage }

// admit reads the body and checks signature and quota.
func (m *management) admit() *fault {
	limit := m.apis.o.MaxMessage
	if m.rest[0] == verbConnections && len(m.rest) == 1 {
		limit = m.maxBatch()
	}
	var b bytes.Buffer
	b.Grow(int(min(max(m.r.ContentLength, 0), int64(limit))) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(m.r.Body, int64(limit)+1)); err != nil {
		return &fault{status: http.StatusBadRequest, kind: "BadRequestException", text: "The body cannot be read", err: err}
	}
	body := b.Bytes()
	if len(body) > limit {
		return &fault{status: http.StatusRequestEntityTooLarge, kind: "PayloadTooLargeException", text: textTooLong, ids: true}
	}
	m.body = body
	signed, fail := m.apis.o.Verifier.Verify(m.r, body)
	if fail != nil {
		return signatureFault(fail)
	}
	m.caller = signed.Principal
	if m.stage == nil {
		one := len(m.rest) == 2 && m.rest[0] == verbConnections // its id leads to its stage
		switch found := m.apis.called(m.caller, m.name); {
		case len(found) == 0, !one && len(found) > 1:
			return denied()
		case !one:
			m.stage = found[0]
		}
	}
	if m.stage != nil && !m.stage.may(m.caller) {
		return denied()
	}
	if !m.apis.requests.take(m.apis.o.Now()) {
		return slow()
	}
	return nil
}

// denied refuses a call for an API or a stage that is not there, or is not the caller's.
func denied() *fault {
	f := forbidden()
	f.ids = true
	return f
}

func slow() *fault {
	return &fault{status: http.StatusTooManyRequests, kind: "LimitExceededException", text: textThrottled, ids: true}
}

func gone() *fault {
	return &fault{status: http.StatusGone, kind: "GoneException", empty: true}
}

// find looks a connection up.
func (m *management) find(text string) (sluice.ConnID, *fault) {
	id, err := sluice.ParseConnID(text)
	if err != nil {
		return id, &fault{status: http.StatusBadRequest, kind: "BadRequestException", text: fmt.Sprintf(textInvalidID, text), ids: true}
	}
	return id, m.reach(id)
}

// reach says what stands between the call and a connection. One that belongs to another API or stage is as good
// as none.
func (m *management) reach(id sluice.ConnID) *fault {
	app, endpoint, out := m.apis.o.Sockets.Owner(m.r.Context(), id)
	if out != sluice.Queued {
		return outcome(out)
	}
	st := m.stage
	if st == nil {
		st = m.apis.stageOf(app, endpoint)
	}
	if st == nil || st.endpoint.Name != endpoint || st.api.app.name != app || m.name != "" && m.name != st.spec.Name || !st.may(m.caller) {
		return gone()
	}
	return nil
}

// description is what GetConnection answers. SDKs need all of it.
type description struct {
	ConnectedAt  string `json:"connectedAt"`
	Identity     client `json:"identity"`
	LastActiveAt string `json:"lastActiveAt"`
}

type client struct {
	SourceIP  string `json:"sourceIp"`
	UserAgent string `json:"userAgent"`
}

// connection pushes to one connection, tells of it, or closes it.
func (m *management) connection(text string) *fault {
	id, f := m.find(text)
	if f != nil {
		return f
	}
	switch m.r.Method {
	case http.MethodPost:
		if f := outcome(m.apis.o.Sockets.Push(m.r.Context(), id, sluice.Frame{Data: m.body})); f != nil {
			return f
		}
		m.answer(http.StatusOK, nil)
	case http.MethodGet:
		conn, o := m.apis.o.Sockets.Get(m.r.Context(), id)
		if f := outcome(o); f != nil {
			return f
		}
		m.answer(http.StatusOK, encode(description{
			isoTime(conn.ConnectedAt), client{sourceIP(conn), conn.Attrs[attrAgent]}, isoTime(conn.LastActive),
		}))
	case http.MethodDelete:
		if f := outcome(m.apis.o.Sockets.Close(m.r.Context(), id, deleted)); f != nil {
			return f
		}
		m.answer(http.StatusNoContent, nil)
	default:
		return noSuchCall()
	}
	return nil
}

// outcome is what became of a call, as AWS says it; nil is success.
func outcome(o sluice.Outcome) *fault {
	switch o {
	case sluice.Queued:
		return nil
	case sluice.Gone, sluice.NotFound, sluice.Pending, sluice.Forbidden:
		return gone()
	case sluice.Overflow:
		return slow()
	case sluice.TooLarge:
		return &fault{status: http.StatusRequestEntityTooLarge, kind: "PayloadTooLargeException", text: textTooLong, ids: true}
	}
	return &fault{status: http.StatusInternalServerError, kind: "InternalServerErrorException", text: "Internal server error", ids: true, err: errors.New("connection's node does not answer")}
}

// answer writes a success; SDKs want no body where there is none.
func (m *management) answer(status int, body []byte) {
	answerTo(m.w.Header(), m.request)
	m.w.WriteHeader(status)
	m.w.Write(body) // a client that is gone is no error of ours
}

func (m *management) fail(f *fault) {
	if f.err != nil && m.r.Context().Err() != context.Canceled {
		m.apis.o.Log.Warn("management call failed", "request", m.request, "path", m.r.URL.Path, "status", f.status, "err", f)
	}
	connection := ""
	if len(m.rest) > 1 {
		connection = m.rest[len(m.rest)-1]
	}
	f.write(m.w, connection, m.request)
}

// write answers a plain request with the fault.
func (f *fault) write(w http.ResponseWriter, connection, request string) {
	h, body := f.answer(connection, request)
	maps.Copy(w.Header(), h)
	w.WriteHeader(f.status)
	w.Write(body) // a client that is gone is no error of ours
}
