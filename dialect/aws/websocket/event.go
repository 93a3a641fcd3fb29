package websocket

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// What a connection's attributes hold for later events.
const (
	attrDomain     = "domain"     // the host that the client came by
	attrAgent      = "agent"      // its User-Agent
	attrAuthorizer = "authorizer" // JSON: what the authorizer said
	attrIdentity   = "identity"   // JSON: identity, when it is more than address and agent
)

// event is what a function gets (aws.md 1.7).
type event struct {
	Headers     map[string]string   `json:"headers,omitempty"`
	MultiHeader map[string][]string `json:"multiValueHeaders,omitempty"`
	Query       map[string]string   `json:"queryStringParameters,omitempty"`
	MultiQuery  map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	Variables   map[string]string   `json:"stageVariables,omitempty"`
	Context     requestContext      `json:"requestContext"`
	Body        *string             `json:"body,omitempty"`
	Base64      bool                `json:"isBase64Encoded"`
}

// requestContext is the part that all events have.
type requestContext struct {
	RouteKey          string          `json:"routeKey"`
	Authorizer        json.RawMessage `json:"authorizer,omitempty"`
	MessageID         string          `json:"messageId,omitempty"`
	DisconnectCode    *int            `json:"disconnectStatusCode,omitempty"`
	EventType         string          `json:"eventType"`
	ExtendedRequestID string          `json:"extendedRequestId"`
	RequestTime       string          `json:"requestTime"`
	Direction         string          `json:"messageDirection"`
	DisconnectReason  *string         `json:"disconnectReason,omitempty"`
	Stage             string          `json:"stage"`
	ConnectedAt       int64           `json:"connectedAt"`
	RequestTimeEpoch  int64           `json:"requestTimeEpoch"`
	Identity          identity        `json:"identity"`
	RequestID         string          `json:"requestId"`
	DomainName        string          `json:"domainName"`
	ConnectionID      string          `json:"connectionId"`
	APIID             string          `json:"apiId"`
}

// identity is who the client is.
type identity struct {
	AccessKey string `json:"accessKey,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	APIKey    string `json:"apiKey,omitempty"`
	APIKeyID  string `json:"apiKeyId,omitempty"`
	Caller    string `json:"caller,omitempty"`
	User      string `json:"user,omitempty"`
	UserAgent string `json:"userAgent,omitempty"`
	UserARN   string `json:"userArn,omitempty"`
	SourceIP  string `json:"sourceIp"`
}

// context makes the part of an event that says what happened where. attrs are the connection's.
func (st *Stage) context(ev *sluice.Event, routeKey string, attrs map[string]string) requestContext {
	id := gatewayID(ev.ID, "")
	rc := requestContext{
		RouteKey: routeKey, EventType: "MESSAGE", ExtendedRequestID: id, RequestID: id, Direction: "IN",
		RequestTime: ev.At.UTC().Format("02/Jan/2006:15:04:05 -0700"), RequestTimeEpoch: ev.At.UnixMilli(),
		Stage: st.spec.Name, ConnectedAt: ev.Conn.ConnectedAt.UnixMilli(),
		DomainName: attrs[attrDomain], ConnectionID: ev.Conn.ID.String(), APIID: st.api.spec.ID,
	}
	if rc.DomainName == "" {
		rc.DomainName = st.api.domain()
	}
	if text := attrs[attrIdentity]; text != "" {
		json.Unmarshal([]byte(text), &rc.Identity) // we wrote it
	}
	rc.Identity.UserAgent = attrs[attrAgent]
	rc.Identity.SourceIP = sourceIP(ev.Conn)
	if text := attrs[attrAuthorizer]; text != "" {
		rc.Authorizer = json.RawMessage(text)
	}
	switch ev.Kind {
	case sluice.Open:
		rc.EventType = "CONNECT"
	case sluice.Message:
		rc.MessageID = gatewayID(ev.ID, "message")
	case sluice.Close:
		rc.EventType = "DISCONNECT"
		code, reason := farewell(ev)
		rc.DisconnectCode, rc.DisconnectReason = &code, &reason
	}
	return rc
}

func sourceIP(c sluice.Conn) string {
	if !c.Remote.IsValid() {
		return ""
	}
	return c.Remote.Addr().String()
}

// domain is the name by which a client came, as events have it: a custom domain, or else the API's own
// name, at which functions call back.
func (st *Stage) domain(host string) string {
	host = bareHost(host)
	for _, m := range st.api.spec.Mappings {
		if strings.EqualFold(m.Domain, host) {
			return host
		}
	}
	return st.api.domain()
}

// headers are the client's headers as a $connect event has them, names as the client wrote them. The
// connection is TLS to port 443 for functions, as on AWS, whatever it is between the client and us.
func headers(ev *sluice.Event, domain string) http.Header {
	hs := ev.Conn.Handshake
	out := http.Header{}
	for name, vals := range hs.Header {
		switch name {
		case "Connection", "Upgrade", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto", "X-Amzn-Trace-Id":
			continue
		}
		if as := hs.Spelling[name]; as != "" {
			name = as
		}
		out[name] = vals
	}
	forwarded := append(slices.Clone(hs.Header["X-Forwarded-For"]), sourceIP(ev.Conn))
	sum := sha256.Sum256([]byte("trace" + ev.ID))
	trace := fmt.Sprintf("Root=1-%08x-%x", uint32(ev.At.Unix()), sum[:12])
	if own := hs.Header.Get("X-Amzn-Trace-Id"); own != "" {
		trace = own
	}
	out["Host"] = []string{domain}
	out["X-Amzn-Trace-Id"] = []string{trace}
	out["X-Forwarded-For"] = []string{strings.Join(forwarded, ", ")}
	out["X-Forwarded-Port"] = []string{"443"}
	out["X-Forwarded-Proto"] = []string{"https"}
	return out
}

// last is the last of each name's values.
func last(multi map[string][]string) map[string]string {
	if len(multi) == 0 {
		return nil
	}
	one := make(map[string]string, len(multi))
	for name, vals := range multi {
		one[name] = vals[len(vals)-1]
	}
	return one
}

// queryOf is the client's query, decoded; what is malformed is left out.
func queryOf(ev *sluice.Event) map[string][]string {
	vals, _ := url.ParseQuery(ev.Conn.Handshake.RawQuery)
	return vals
}

// connectEvent is the event of $connect.
func (st *Stage) connectEvent(ev *sluice.Event, rc requestContext) event {
	h, q := headers(ev, rc.DomainName), queryOf(ev)
	return event{
		Headers: last(h), MultiHeader: h, Query: last(q), MultiQuery: q,
		Variables: st.variables(), Context: rc,
	}
}

// messageEvent is the event of a message. encoded says that body is base64.
func (st *Stage) messageEvent(rc requestContext, body string, encoded bool) event {
	return event{Variables: st.variables(), Context: rc, Body: &body, Base64: encoded}
}

// disconnectEvent is the event of $disconnect; its headers are always these four.
func (st *Stage) disconnectEvent(rc requestContext) event {
	h := map[string][]string{"Host": {rc.DomainName}, "x-api-key": {""}, "X-Forwarded-For": {""}, "x-restapi": {""}}
	return event{Headers: last(h), MultiHeader: h, Variables: st.variables(), Context: rc}
}

func (st *Stage) variables() map[string]string {
	if !variablesShown(st.spec.Variables) {
		return nil
	}
	return st.spec.Variables
}

// encode writes an event as JSON.
func encode(v any) []byte { return document.Marshal(v) }

// authorizerEvent is what a REQUEST authorizer gets (aws.md 1.8).
type authorizerEvent struct {
	Type        string              `json:"type"`
	MethodARN   string              `json:"methodArn"`
	Headers     map[string]string   `json:"headers"`
	MultiHeader map[string][]string `json:"multiValueHeaders"`
	Query       map[string]string   `json:"queryStringParameters"`
	MultiQuery  map[string][]string `json:"multiValueQueryStringParameters"`
	Variables   map[string]string   `json:"stageVariables"`
	Context     requestContext      `json:"requestContext"`
}

func (st *Stage) authorizerEvent(ev *sluice.Event, rc requestContext, arn string) authorizerEvent {
	h, q := headers(ev, rc.DomainName), queryOf(ev)
	h["Connection"], h["Upgrade"], h["content-length"] = []string{"upgrade"}, []string{"websocket"}, []string{"0"}
	e := authorizerEvent{
		Type: "REQUEST", MethodARN: arn, Headers: last(h), MultiHeader: h,
		Query: last(q), MultiQuery: q, Variables: maps.Clone(st.spec.Variables), Context: rc,
	}
	if e.Query == nil {
		e.Query, e.MultiQuery = map[string]string{}, map[string][]string{}
	}
	if e.Variables == nil {
		e.Variables = map[string]string{}
	}
	return e
}

// payload is a message's body for a function: text as it is, bytes as base64.
func payload(data []byte, binary bool) (body string, encoded bool) {
	if binary || !utf8.Valid(data) {
		return base64.StdEncoding.EncodeToString(data), true
	}
	return string(data), false
}

// isoTime is a time as SDKs read it.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
