package lambda

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/httpapi"
)

// maxChunk is how many bytes of a result go into one event of a response stream.
const maxChunk = 64 << 10

// events tell of a call while it runs, in AWS's event stream.
type events struct {
	httpapi.Live
	version, trace string
	begun          bool
	head           []byte // of an HTTP answer, not yet sent
}

// Begin writes the head of the HTTP answer. What the function says of its own goes before its bytes.
func (e *events) Begin(head *sluice.HTTPResponse) {
	e.begun = true
	h := e.W.Header()
	h.Set("X-Amz-Executed-Version", e.version)
	h.Set("X-Amzn-Trace-Id", e.trace)
	h.Set("Content-Type", "application/vnd.amazon.eventstream")
	e.W.WriteHeader(http.StatusOK)
	if head != nil && head.Status != 0 {
		e.head = prelude(head)
	}
}

// prelude is a head as streaming functions write it (section 3.5).
func prelude(head *sluice.HTTPResponse) []byte {
	o := struct {
		Status  int               `json:"statusCode"`
		Headers map[string]string `json:"headers"`
		Cookies []string          `json:"cookies,omitempty"`
	}{head.Status, map[string]string{}, nil}
	for name, vals := range head.Header {
		if name = strings.ToLower(name); name == "set-cookie" {
			o.Cookies = vals
		} else {
			o.Headers[name] = strings.Join(vals, ",")
		}
	}
	b, _ := json.Marshal(o) // texts and numbers always marshal
	return append(b, make([]byte, 8)...)
}

// Write tells of a part of the result.
func (e *events) Write(ctx context.Context, p []byte) error {
	p, e.head = append(e.head, p...), nil
	for len(p) > 0 {
		n := min(len(p), maxChunk)
		if err := e.Send(ctx, appendEvent(nil, "PayloadChunk", "application/octet-stream", p[:n])); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// stream calls a function and answers with a stream of events (section 3.1).
func (a *API) stream(w http.ResponseWriter, r *http.Request, c Call) error {
	if len(c.Payload) > maxPayload {
		return tooLarge(maxPayload)
	}
	if err := a.context(r, &c); err != nil {
		return err
	}
	if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		return a.dry(w, c)
	}
	f, qualifier, err := a.o.Lambda.resolve(c.App, c.Name, c.Qualifier)
	if err != nil {
		return err
	}
	out := &events{Live: httpapi.Live{W: w}, version: f.version(qualifier), trace: c.Trace}
	c.Stream = out
	_, res, err := a.o.Lambda.Invoke(r.Context(), c)
	switch {
	case err != nil && out.begun:
		panic(http.ErrAbortHandler) // the caller has left
	case err != nil:
		return err
	case !out.begun:
		out.Begin(nil)
		if len(res.Payload) == 0 {
			res.Payload = []byte("null")
		}
	}
	end := struct {
		ErrorCode    string `json:",omitempty"`
		ErrorDetails string `json:",omitempty"`
		LogResult    string `json:",omitempty"`
	}{}
	if res.Failure != nil {
		end.ErrorCode, end.ErrorDetails, res.Payload = "Unhandled", string(FailureBody(res.Failure, c.RequestID, f.Spec.Timeout)), nil
	}
	if c.Tail {
		end.LogResult = base64.StdEncoding.EncodeToString(res.LogTail)
	}
	body, _ := json.Marshal(end) // texts always marshal
	if out.Write(r.Context(), res.Payload) == nil {
		out.Send(r.Context(), appendEvent(nil, "InvokeComplete", "application/json", body))
	}
	return nil
}

// dry answers whether a call would be made.
func (a *API) dry(w http.ResponseWriter, c Call) error {
	if _, err := a.o.Lambda.Resolve(c.App, c.Name, c.Qualifier); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// context reads the headers that go with a call.
func (a *API) context(r *http.Request, c *Call) error {
	if len(c.Payload) > 0 && !json.Valid(c.Payload) {
		return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json")
	}
	c.Trace, c.Tail = cmp.Or(r.Header.Get("X-Amzn-Trace-Id"), newTrace()), r.Header.Get("X-Amz-Log-Type") == "Tail"
	if text := r.Header.Get("X-Amz-Client-Context"); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !json.Valid(raw) || len(text) > maxClient {
			return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
		}
		c.Client = string(raw)
	}
	return nil
}

// appendEvent writes one message of AWS's event stream: lengths, a checksum of them, headers, payload, and
// a checksum of all.
func appendEvent(b []byte, kind, contentType string, payload []byte) []byte {
	var head []byte
	for _, h := range [][2]string{{":event-type", kind}, {":content-type", contentType}, {":message-type", "event"}} {
		head = append(append(head, byte(len(h[0]))), h[0]...)
		head = append(head, 7) // a text
		head = append(binary.BigEndian.AppendUint16(head, uint16(len(h[1]))), h[1]...)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(head)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
	b = append(append(b, head...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}
