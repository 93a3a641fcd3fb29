package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
)

// maxStream is how much a function may stream in one answer.
const maxStream = 200 << 20

// Live is the way to a client whose answer goes out while its function makes it. W is required.
type Live struct {
	W    http.ResponseWriter
	sent int
}

// Send sends bytes at once. It returns when they are on their way, or when ctx has ended: then the
// connection is of no use any more.
func (l *Live) Send(ctx context.Context, p []byte) error {
	if l.sent += len(p); l.sent > maxStream {
		return sluice.Errorf(sluice.TooMuch, "the stream has more than %d bytes", maxStream)
	}
	c := http.NewResponseController(l.W)
	defer context.AfterFunc(ctx, func() { c.SetWriteDeadline(time.Unix(1, 0)) })()
	if _, err := l.W.Write(p); err != nil {
		return err
	}
	return c.Flush()
}

// Head is the head of an answer as functions describe it: values may be numbers, truth values and lists.
func Head(status int, headers map[string]any, cookies []string) *sluice.HTTPResponse {
	h := http.Header{}
	for name, v := range headers {
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, v := range list {
			if v != nil {
				h.Add(name, text(v))
			}
		}
	}
	for _, c := range cookies {
		h.Add("Set-Cookie", c)
	}
	return &sluice.HTTPResponse{Status: status, Header: h}
}

// flow is the answer of a function URL that streams.
type flow struct {
	Live
	begun bool
}

// Begin writes the head.
func (f *flow) Begin(head *sluice.HTTPResponse) {
	f.begun = true
	h := f.W.Header()
	status := http.StatusOK
	if head != nil {
		for name, vals := range head.Header {
			h.Del(name)
			for _, v := range vals {
				add(h, name, v)
			}
		}
		if status = head.Status; status == 0 {
			status = http.StatusOK
		}
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	if status < 200 || status > 599 {
		status = http.StatusBadGateway
	}
	f.W.WriteHeader(status)
}

// Write sends a part of the body.
func (f *flow) Write(ctx context.Context, p []byte) error { return f.Send(ctx, p) }
