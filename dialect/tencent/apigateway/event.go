package apigateway

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
)

// The actions of WebSocket events and pushes (section 1).
const (
	actionConnecting = "connecting"
	actionClosing    = "closing"
	actionSend       = apispec.DataSend
	actionRecv       = apispec.DataRecv
)

// requestContext tells of the API that was called.
type requestContext struct {
	ServiceID   string            `json:"serviceId"`
	ServiceName string            `json:"serviceName,omitempty"`
	Path        string            `json:"path"`
	Method      string            `json:"httpMethod"`
	RequestID   string            `json:"requestId"`
	Identity    map[string]string `json:"identity"`
	SourceIP    string            `json:"sourceIp"`
	Stage       string            `json:"stage"`
	WebSocket   bool              `json:"websocketEnable,omitempty"`
}

// request is what an event tells of an HTTP request (section 2.7).
type request struct {
	Context      requestContext    `json:"requestContext"`
	WebSocket    *connecting       `json:"websocket,omitempty"` // of a handshake
	Headers      map[string]string `json:"headers"`
	Body         string            `json:"body"`
	PathParams   map[string]string `json:"pathParameters"`
	QueryParams  map[string]string `json:"queryStringParameters"`
	HeaderParams map[string]string `json:"headerParameters"`
	StageVars    map[string]string `json:"stageVariables"`
	Path         string            `json:"path"`
	Query        map[string]any    `json:"queryString"`
	Method       string            `json:"httpMethod"`
	Base64       bool              `json:"isBase64Encoded"`
}

// connecting is what the register function gets besides (section 1.3).
type connecting struct {
	Action     string `json:"action"`
	ID         string `json:"secConnectionID"`
	Protocol   string `json:"secWebSocketProtocol,omitempty"`
	Extensions string `json:"secWebSocketExtensions,omitempty"`
}

// event is that of a request to an API.
func (t *target) event(id, method, host, rawQuery, remote string, header http.Header) *request {
	s := t.svc
	e := &request{
		Context: requestContext{
			ServiceID: s.ID, Path: strings.TrimPrefix(t.call.Path, "="), Method: t.call.Method, RequestID: id,
			Identity: map[string]string{}, SourceIP: remote, Stage: s.Environment,
		},
		Headers: map[string]string{"host": host}, PathParams: map[string]string{}, QueryParams: map[string]string{},
		HeaderParams: map[string]string{}, StageVars: map[string]string{"stage": s.Environment},
		Path: t.path, Query: queryOf(rawQuery), Method: method,
	}
	for name, vs := range header {
		e.Headers[strings.ToLower(name)] = strings.Join(vs, ",")
	}
	for name, v := range t.vars {
		e.PathParams[name] = v
	}
	for _, p := range t.call.Params {
		switch strings.ToUpper(p.Position) {
		case "PATH":
			declare(e.PathParams, p, t.vars[p.Name])
		case "QUERY":
			v, _ := first(e.Query[p.Name]).(string)
			declare(e.QueryParams, p, v)
		case "HEADER":
			declare(e.HeaderParams, p, strings.Join(header.Values(p.Name), ","))
		}
	}
	return e
}

// declare lists a declared parameter that has a value.
func declare(in map[string]string, p apispec.Param, v string) {
	if v == "" {
		v = p.Default
	}
	if v != "" {
		in[p.Name] = v
	}
}

func first(v any) any {
	if list, ok := v.([]string); ok {
		return list[0]
	}
	return v
}

// queryOf reads a query: a text, several when a name is repeated, true for a bare name.
func queryOf(raw string) map[string]any {
	out := map[string]any{}
	for _, pair := range strings.Split(raw, "&") {
		name, v, valued := strings.Cut(pair, "=")
		if name = unescape(name); name == "" {
			continue
		}
		v = unescape(v)
		switch old := out[name].(type) {
		case nil:
			if out[name] = v; !valued {
				out[name] = true
			}
		case bool:
			out[name] = []string{"", v}
		case string:
			out[name] = []string{old, v}
		case []string:
			out[name] = append(old, v)
		}
	}
	return out
}

// unescape decodes a part of a query; what cannot be decoded stays.
func unescape(s string) string {
	if u, err := url.QueryUnescape(s); err == nil {
		return u
	}
	return s
}

// register is the event of a handshake (section 1.3): all that is documented, and the fields of HTTP
// events, since published functions look for those.
func (s *socket) register(ev *sluice.Event) []byte {
	h := ev.Conn.Handshake
	t := s.svc.app.find(h.Host, h.Path, func(c *call) bool { return c == s.call }, true)
	if t.call == nil { // the app has changed since it was routed
		t = target{svc: s.svc, call: s.call, path: h.Path}
	}
	e := t.event(strings.ToLower(ev.ID), h.Method, h.Host, h.RawQuery, h.Remote.Addr().String(), h.Header)
	e.Context.ServiceName, e.Context.WebSocket = s.svc.Name, true
	e.WebSocket = &connecting{
		Action: actionConnecting, ID: s.id(ev),
		Protocol:   strings.Join(h.Header.Values("Sec-Websocket-Protocol"), ","),
		Extensions: strings.Join(h.Header.Values("Sec-Websocket-Extensions"), ","),
	}
	return plain(e)
}

// upload is the event of a message (section 1.5). Every member is text: functions print them in a loop.
func (s *socket) upload(ev *sluice.Event) []byte {
	type body struct {
		Action string `json:"action"`
		ID     string `json:"secConnectionID"`
		Type   string `json:"dataType"`
		Data   string `json:"data"`
	}
	b := body{s.uplinkAction(), s.id(ev), "text", string(ev.Frame.Data)}
	if ev.Frame.Binary {
		b.Type, b.Data = "binary", base64.StdEncoding.EncodeToString(ev.Frame.Data)
	}
	return plain(struct {
		WebSocket body `json:"websocket"`
	}{b})
}

// closing is the event of a connection's end (section 1.6).
func (s *socket) closing(ev *sluice.Event) []byte {
	type body struct {
		Action string `json:"action"`
		ID     string `json:"secConnectionID"`
	}
	return plain(struct {
		WebSocket body `json:"websocket"`
	}{body{actionClosing, s.id(ev)}})
}
