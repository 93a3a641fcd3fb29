package lambda

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/httpapi"
)

// streamedHTTP is the type of a response that begins with the head of an HTTP answer.
const streamedHTTP = "application/vnd.awslambda.http-integration-response"

// unstream turns such a response into the object of a buffered one; what has no head stays as it is.
func unstream(body []byte) []byte {
	head, rest, ok := bytes.Cut(body, make([]byte, 8))
	var o map[string]json.RawMessage
	if !ok || json.Unmarshal(head, &o) != nil || o == nil {
		return body
	}
	text, _ := json.Marshal(base64.StdEncoding.EncodeToString(rest)) // texts always marshal
	o["body"], o["isBase64Encoded"] = text, json.RawMessage("true")
	if o["statusCode"] == nil {
		o["statusCode"] = json.RawMessage("200")
	}
	b, err := json.Marshal(o)
	if err != nil {
		return body
	}
	return b
}

// maxHead is how long the head of a streamed answer may be.
const maxHead = 64 << 10

// relay hands on what a program streams, and says how that ended.
func relay(r *http.Request, t *task) sluice.Result {
	body := bufio.NewReaderSize(r.Body, maxHead)
	var head *sluice.HTTPResponse
	switch kind := r.Header.Get("Content-Type"); kind {
	case streamedHTTP:
		head = readHead(body)
	case "":
	default:
		head = &sluice.HTTPResponse{Header: http.Header{"Content-Type": {kind}}}
	}
	to := t.inv.Stream
	to.Begin(head)
	buf := make([]byte, 32<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			to.Write(t.ctx, buf[:n]) // after an error the program runs on, unheard
		}
		switch {
		case err == nil:
		case err != io.EOF:
			return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Type: exitError, Message: "its response broke off"}}
		default:
			return sluice.Result{Failure: trailed(r)}
		}
	}
}

// readHead takes the head off a body, an object and eight NULs; nil, and nothing taken, when there is none.
func readHead(body *bufio.Reader) *sluice.HTTPResponse {
	n := bytes.IndexByte(peekTo(body, 0), 0)
	if n < 0 {
		return nil
	}
	b, err := body.Peek(n + 8)
	var o struct {
		Status  int            `json:"statusCode"`
		Headers map[string]any `json:"headers"`
		Cookies []string       `json:"cookies"`
	}
	if err != nil || !bytes.Equal(b[n:], make([]byte, 8)) || json.Unmarshal(b[:n], &o) != nil {
		return nil
	}
	body.Discard(n + 8)
	return httpapi.Head(cmp.Or(o.Status, http.StatusOK), o.Headers, o.Cookies)
}

// peekTo is what a reader holds up to a byte, or as much as it can hold.
func peekTo(r *bufio.Reader, end byte) []byte {
	for {
		_, err := r.Peek(r.Buffered() + 1)
		b, _ := r.Peek(r.Buffered())
		if err != nil || bytes.IndexByte(b, end) >= 0 {
			return b
		}
	}
}

// trailed is the failure that a program tells of when it has begun to stream; nil when there is none.
func trailed(r *http.Request) *sluice.Failure {
	kind := r.Trailer.Get("Lambda-Runtime-Function-Error-Type")
	if kind == "" {
		return nil
	}
	said, _ := base64.StdEncoding.DecodeString(r.Trailer.Get("Lambda-Runtime-Function-Error-Body"))
	return failureOf(sluice.Handled, kind, said)
}
