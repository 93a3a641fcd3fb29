package websocket

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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

// event is what a function gets (aws.md 1.7). encoded says that the body is base64.
func (c *call) event(encoded bool) []byte {
	size := 608 + len(c.attrs[attrAgent]) + len(c.attrs[attrAuthorizer]) + len(c.data)*9/8
	if c.ev.Kind == sluice.Open {
		size = 4 << 10
	}
	b := append(make([]byte, 0, size), '{')
	switch c.ev.Kind {
	case sluice.Open:
		b = appendValues(b, "headers", "multiValueHeaders", headers(c.ev, c.domain()))
		if query := queryOf(c.ev); len(query) > 0 {
			b = appendValues(b, "queryStringParameters", "multiValueQueryStringParameters", query)
		}
	case sluice.Close: // the same four, always
		b = appendValues(b, "headers", "multiValueHeaders", map[string][]string{"Host": {c.domain()}, "x-api-key": {""}, "X-Forwarded-For": {""}, "x-restapi": {""}})
	}
	b = append(b, c.st.shown...)
	b = c.appendContext(append(b, `"requestContext":`...))
	if c.ev.Kind == sluice.Message {
		b = append(b, `,"body":`...)
		if c.encoded {
			b = document.AppendText(b, c.base64)
		} else {
			b = document.AppendText(b, c.data)
		}
	}
	return append(strconv.AppendBool(append(b, `,"isBase64Encoded":`...), encoded), '}')
}

// authorizerEvent is what a REQUEST authorizer gets (aws.md 1.8).
func (c *call) authorizerEvent(arn string) []byte {
	h := headers(c.ev, c.domain())
	h["Connection"], h["Upgrade"], h["content-length"] = []string{"upgrade"}, []string{"websocket"}, []string{"0"}
	b := append(make([]byte, 0, 4<<10), `{"type":"REQUEST","methodArn":`...)
	b = append(document.AppendText(b, arn), ',')
	b = appendValues(b, "headers", "multiValueHeaders", h)
	b = appendValues(b, "queryStringParameters", "multiValueQueryStringParameters", queryOf(c.ev))
	if c.st.shown != nil {
		b = append(b, c.st.shown...)
	} else {
		b = append(b, `"stageVariables":{},`...)
	}
	return append(c.appendContext(append(b, `"requestContext":`...)), '}')
}

// appendValues writes names with their last values, and then with all, each with a comma behind it.
func appendValues(b []byte, one, all string, values map[string][]string) []byte {
	names := slices.AppendSeq(make([]string, 0, len(values)), maps.Keys(values))
	slices.Sort(names)
	b = append(document.AppendText(b, one), `:{`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(document.AppendText(b, name), ':')
		b = document.AppendText(b, values[name][len(values[name])-1])
	}
	b = append(document.AppendText(append(b, `},`...), all), `:{`...)
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(document.AppendText(b, name), `:[`...)
		for j, v := range values[name] {
			if j > 0 {
				b = append(b, ',')
			}
			b = document.AppendText(b, v)
		}
		b = append(b, ']')
	}
	return append(b, `},`...)
}

// appendContext writes the part of an event that says what happened where.
func (c *call) appendContext(b []byte) []byte {
	ev, conn := c.ev, &c.ev.Conn
	var room [64]byte
	b = document.AppendText(append(b, `{"routeKey":`...), c.route)
	if said := c.attrs[attrAuthorizer]; said != "" {
		b = append(append(b, `,"authorizer":`...), said...)
	}
	kind, code, reason := "MESSAGE", 0, ""
	switch ev.Kind {
	case sluice.Open:
		kind = "CONNECT"
	case sluice.Message:
		b = append(appendID(append(b, `,"messageId":"`...), ev.ID, "message"), '"')
	case sluice.Close:
		kind = "DISCONNECT"
		code, reason = farewell(ev)
		b = strconv.AppendInt(append(b, `,"disconnectStatusCode":`...), int64(code), 10)
	}
	b = append(append(b, `,"eventType":"`...), kind...)
	id := appendID(room[:0], ev.ID, "")
	b = append(append(b, `","extendedRequestId":"`...), id...)
	b = ev.At.UTC().AppendFormat(append(b, `","requestTime":"`...), "02/Jan/2006:15:04:05 -0700")
	b = append(b, `","messageDirection":"IN"`...)
	if ev.Kind == sluice.Close {
		b = document.AppendText(append(b, `,"disconnectReason":`...), reason)
	}
	b = document.AppendText(append(b, `,"stage":`...), c.st.spec.Name)
	b = strconv.AppendInt(append(b, `,"connectedAt":`...), conn.ConnectedAt.UnixMilli(), 10)
	b = strconv.AppendInt(append(b, `,"requestTimeEpoch":`...), ev.At.UnixMilli(), 10)
	b = c.appendIdentity(append(b, `,"identity":`...))
	b = append(append(b, `,"requestId":"`...), id...)
	b = document.AppendText(append(b, `","domainName":`...), c.domain())
	b = append(append(b, `,"connectionId":"`...), conn.ID.String()...)
	b = document.AppendText(append(b, `","apiId":`...), c.st.api.spec.ID)
	return append(b, '}')
}

// appendIdentity writes who the client is.
func (c *call) appendIdentity(b []byte) []byte {
	id := identityOf(c.attrs[attrIdentity])
	b = append(b, '{')
	for _, m := range [...]struct{ name, value string }{
		{"accessKey", id.AccessKey}, {"accountId", id.AccountID}, {"apiKey", id.APIKey}, {"apiKeyId", id.APIKeyID}, {"caller", id.Caller},
		{"user", id.User}, {"userAgent", c.attrs[attrAgent]}, {"userArn", id.UserARN},
	} {
		if m.value != "" {
			b = document.AppendText(append(append(append(b, '"'), m.name...), `":`...), m.value)
			b = append(b, ',')
		}
	}
	return append(document.AppendText(append(b, `"sourceIp":`...), sourceIP(c.ev.Conn)), '}')
}

// identityOf reads what a connection's attributes hold of it.
func identityOf(text string) identity {
	if text == "" {
		return identity{}
	}
	var id identity
	json.Unmarshal([]byte(text), &id) // we wrote it
	return id
}

// identity is who the client is, besides its address and agent.
type identity struct {
	AccessKey string `json:"accessKey,omitempty"`
	AccountID string `json:"accountId,omitempty"`
	APIKey    string `json:"apiKey,omitempty"`
	APIKeyID  string `json:"apiKeyId,omitempty"`
	Caller    string `json:"caller,omitempty"`
	User      string `json:"user,omitempty"`
	UserARN   string `json:"userArn,omitempty"`
}

func sourceIP(c sluice.Conn) string {
	if !c.Remote.IsValid() {
		return ""
	}
	return c.Remote.Addr().String()
}

// domain is the name by which the connection's client came.
func (c *call) domain() string { return cmp.Or(c.attrs[attrDomain], c.st.api.domain) }

// domain is the name by which a client came, as events have it: a custom domain, or else the API's own
// name, at which functions call back.
func (st *Stage) domain(host string) string {
	host = bareHost(host)
	for _, m := range st.api.spec.Mappings {
		if strings.EqualFold(m.Domain, host) {
			return host
		}
	}
	return st.api.domain
}

// headers are the client's headers as a $connect event has them, names as the client wrote them. The
// connection is TLS to port 443 for functions, as on AWS, whatever it is between the client and us.
func headers(ev *sluice.Event, domain string) http.Header {
	hs := ev.Conn.Handshake
	out := make(http.Header, len(hs.Header)+8) // with what an authorizer is told besides
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

// queryOf is the client's query, decoded; what is malformed is left out.
func queryOf(ev *sluice.Event) map[string][]string {
	vals, _ := url.ParseQuery(ev.Conn.Handshake.RawQuery)
	return vals
}

// encode writes anything else as JSON.
func encode(v any) []byte { return document.Marshal(v) }

// isoTime is a time as SDKs read it.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
