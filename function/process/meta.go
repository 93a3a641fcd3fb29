package process

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/sluicehq/sluice"
)

func deadlineMs(ctx context.Context) int64 {
	t, ok := ctx.Deadline()
	if !ok {
		t = time.Now().Add(24 * time.Hour)
	}
	return t.UnixMilli()
}

// httpMeta is the head of an HTTP call in INVOKE's meta.
type httpMeta struct {
	Method  string              `json:"method"`
	Path    string              `json:"path"`
	Query   string              `json:"query,omitempty"`
	Host    string              `json:"host"`
	Headers map[string][]string `json:"headers"`
	Remote  string              `json:"remote"`
	URI     string              `json:"uri,omitempty"`
}

// resultHead reads RESULT's meta; nil is none.
func resultHead(b []byte) (*sluice.HTTPResponse, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var meta struct {
		Status  int
		Headers map[string][]string
	}
	err := json.Unmarshal(b, &meta)
	if err != nil || meta.Status == 0 && len(meta.Headers) == 0 {
		return nil, err
	}
	return &sluice.HTTPResponse{Status: meta.Status, Header: meta.Headers}, nil
}

// invokeMeta writes INVOKE's meta, to b, which is empty, where there is room; by hand in the common case, which is a
// request id, a deadline and texts.
func invokeMeta(ctx context.Context, b []byte, inv *sluice.Invocation) ([]byte, error) {
	if inv.Kind == sluice.InvokeEvent && inv.Stream == nil && plainText(inv.RequestID) && plainTexts(inv.Attrs) {
		b = append(append(b, `{"rid":"`...), inv.RequestID...)
		b = append(b, `","deadline":`...)
		b = strconv.AppendInt(b, deadlineMs(ctx), 10)
		if len(inv.Attrs) > 0 {
			b = append(b, `,"attrs":`...)
			sep := byte('{')
			for name, v := range inv.Attrs {
				b = append(append(append(b, sep, '"'), name...), `":"`...)
				b = append(append(b, v...), '"')
				sep = ','
			}
			b = append(b, '}')
		}
		if b = append(b, '}'); len(b) <= maxMeta {
			return b, nil
		}
	}
	meta := struct {
		RID      string            `json:"rid"`
		Deadline int64             `json:"deadline"`
		Kind     string            `json:"kind,omitempty"`
		HTTP     *httpMeta         `json:"http,omitempty"`
		Attrs    map[string]string `json:"attrs,omitempty"`
		Stream   bool              `json:"stream,omitempty"` // the answer is wanted as it comes
	}{RID: inv.RequestID, Deadline: deadlineMs(ctx), Attrs: inv.Attrs, Stream: inv.Stream != nil}
	if h := inv.HTTP; inv.Kind == sluice.InvokeHTTP && h != nil {
		meta.Kind = "http"
		meta.HTTP = &httpMeta{Method: h.Method, Path: h.Path, Query: h.RawQuery, Host: h.Host, Headers: h.Header, Remote: h.Remote, URI: h.URI}
	}
	b, err := json.Marshal(meta)
	if err == nil && len(b) > maxMeta {
		err = sluice.Errorf(sluice.TooMuch, "the head of the call has %d bytes, more than %d", len(b), maxMeta)
	}
	return b, err
}

func plainTexts(attrs map[string]string) bool {
	for name, v := range attrs {
		if !plainText(name) || !plainText(v) {
			return false
		}
	}
	return true
}

// plainText reports whether s needs no escaping in JSON.
func plainText(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// hookMeta writes HOOK's meta; deadline is in unix milliseconds.
func hookMeta(deadline int64, which string) []byte {
	b := append([]byte(`{"which":"`), which...)
	b = append(b, `","rid":"`...)
	b = append(b, sluice.NewRequestID()...)
	b = append(b, `","deadline":`...)
	return append(strconv.AppendInt(b, deadline, 10), '}')
}
