package websocket

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// fault is why a handshake, a message or a call of @connections fails, as the client sees it.
type fault struct {
	status  int
	text    string // of the message; "" with no body is nothing at all
	kind    string // for x-amzn-ErrorType; "" leaves it away
	body    string // in place of the usual one
	ids     bool   // the body names connection and request
	empty   bool   // no body
	silent  bool   // a message's client is told nothing: the answer of a one-way route is malformed
	err     error  // the cause, for logs
	detail  string // what is wrong with a body that its model does not describe
	named   bool   // the frame names the message, not the request
	counted bool   // a line of the log tells of many such
}

// Error is the text, and the cause where there is one.
func (f *fault) Error() string {
	if f.err != nil {
		return f.text + ": " + f.err.Error()
	}
	return f.text
}

// Unwrap is the cause.
func (f *fault) Unwrap() error { return f.err }

// failed is the fault of an integration that did not do what it should.
func failed(status int, err error) *fault {
	return &fault{status: status, text: "Internal server error", ids: true, err: err}
}

func throttled() *fault {
	return &fault{status: http.StatusTooManyRequests, text: textThrottled}
}

func forbidden() *fault {
	return &fault{status: http.StatusForbidden, text: "Forbidden", kind: "ForbiddenException"}
}

// gatewayID is an id as API Gateway writes them: 11 bytes that the name of an event decides, so that
// logs of both can be matched. part tells several ids of one event apart.
func gatewayID(event, part string) string {
	var room [16]byte
	return string(appendID(room[:0], event, part))
}

func appendID(b []byte, event, part string) []byte {
	var room [64]byte
	sum := sha256.Sum256(append(append(room[:0], part...), event...))
	return base64.URLEncoding.AppendEncode(b, sum[:11])
}

// errorText is the JSON of an error (aws.md 1.10), byte for byte as the gateway writes it.
func errorText(message, connection, other, id string) []byte {
	b := document.AppendText([]byte(`{"message": `), message)
	b = document.AppendText(append(b, `, "connectionId":`...), connection)
	b = document.AppendText(append(b, `, "`+other+`":`...), id)
	return append(b, '}')
}

// quote writes a text as JSON.
func quote(s string) []byte { return document.AppendText(nil, s) }

// frame is the text that a client is sent when its message failed; nil is none.
func (f *fault) frame(ev *sluice.Event) []byte {
	if f.silent {
		return nil
	}
	if f.named {
		return errorText(f.text, ev.Conn.ID.String(), "messageId", gatewayID(ev.ID, "message"))
	}
	return errorText(f.text, ev.Conn.ID.String(), "requestId", gatewayID(ev.ID, ""))
}

// answer is status, headers and body of the fault for the request that an event id names.
func (f *fault) answer(connection, event string) (http.Header, []byte) {
	h := http.Header{}
	answerTo(h, event)
	if f.kind != "" {
		h["x-amzn-ErrorType"] = []string{f.kind}
	}
	switch {
	case f.empty:
		return h, []byte{}
	case f.body != "":
		return h, []byte(f.body)
	case f.ids:
		return h, errorText(f.text, connection, "requestId", gatewayID(event, ""))
	}
	return h, append(append([]byte(`{"message":`), quote(f.text)...), '}')
}

// answerTo sets what all answers have.
func answerTo(h http.Header, event string) {
	v := []string{"application/json", strings.ToLower(event), gatewayID(event, "")}
	h["Content-Type"], h["x-amzn-RequestId"], h["x-amz-apigw-id"] = v[:1:1], v[1:2:2], v[2:]
}

// refusal is the fault as the answer to a handshake.
func (f *fault) refusal(id sluice.ConnID, event string) *sluice.Refusal {
	h, body := f.answer(id.String(), event)
	return &sluice.Refusal{Status: f.status, Header: h, Body: body}
}
