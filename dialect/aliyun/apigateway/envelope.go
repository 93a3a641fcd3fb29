package apigateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// envelope is a request as clients write it into the socket (section 1.4). Every leniency here was
// seen in a real client.
type envelope struct {
	Method   values            `json:"method"`
	Host     values            `json:"host"`
	Path     values            `json:"path"`
	Querys   map[string]values `json:"querys"`
	Headers  map[string]values `json:"headers"`
	IsBase64 values            `json:"isBase64"`
	Body     json.RawMessage   `json:"body"`
}

// values is a scalar, or an array of scalars, as texts. null is none.
type values []string

// UnmarshalJSON reads strings, numbers, booleans and arrays of them.
func (v *values) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	*v = nil
	if len(b) > 0 && b[0] == '[' {
		var items []json.RawMessage
		if err := json.Unmarshal(b, &items); err != nil {
			return err
		}
		for _, it := range items {
			s, ok, err := scalar(it)
			if err != nil {
				return err
			}
			if ok {
				*v = append(*v, s)
			}
		}
		return nil
	}
	s, ok, err := scalar(b)
	if ok {
		*v = values{s}
	}
	return err
}

// first is the first value, "" when there is none.
func (v values) first() string {
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// scalar reads one JSON value as text; objects and arrays keep their JSON text. ok is false for null.
func scalar(b json.RawMessage) (s string, ok bool, err error) {
	b = bytes.TrimSpace(b)
	switch {
	case len(b) == 0 || string(b) == "null":
		return "", false, nil
	case b[0] == '"':
		err = json.Unmarshal(b, &s)
		return s, err == nil, err
	}
	return string(b), true, nil
}

// parseEnvelope reads a request out of a message. The call is not nil even with an error, so that the
// answer can carry the client's x-ca-seq; seq is set as far as it could be read.
func parseEnvelope(data []byte, host string) (c *call, err error) {
	c = &call{proto: protoWS, names: map[string]string{}, r: &http.Request{
		Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Host: host, URL: &url.URL{Path: "/"},
	}}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return c, faultf(I400BD, "Invalid Body: not a command and not JSON")
	}
	if err := c.setHeaders(e.Headers); err != nil {
		return c, err
	}
	if h := e.Host.first(); h != "" {
		c.r.Host = h
	}
	if m := e.Method.first(); m != "" {
		c.r.Method = strings.ToUpper(m)
	}
	if err := c.setURL(e.Path.first(), e.Querys); err != nil {
		return c, err
	}
	text, _, err := scalar(e.Body)
	if err != nil {
		return c, faultf(I400BD, "Invalid Body: not a string")
	}
	c.body = []byte(text)
	if on, _ := strconv.ParseBool(e.IsBase64.first()); on {
		if c.body, err = base64.StdEncoding.DecodeString(text); err != nil {
			return c, faultf(I400BD, "Invalid Body: not base64")
		}
	}
	return c, nil
}

// setHeaders takes the envelope's headers, whose names may be in any case.
func (c *call) setHeaders(headers map[string]values) error {
	size := 0
	var bad error
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key := textproto.CanonicalMIMEHeaderKey(name)
		for _, v := range headers[name] {
			if size += len(name) + len(v); size > maxHeaders {
				return faultf(I400HD, "Invalid Header `%s` headers exceed %d bytes", name, maxHeaders)
			}
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				bad = faultf(I400HD, "Invalid Header `%s` illegal characters", name)
				continue
			}
			c.r.Header.Add(key, v)
			c.names[key] = name
		}
	}
	return bad
}

// setURL takes the envelope's path, which may carry a query, and its querys.
func (c *call) setURL(path string, querys map[string]values) error {
	if path == "" {
		path = "/"
	}
	if len(path) > maxURL {
		return faultf(I413UL, "Request URL too Large")
	}
	u, err := url.ParseRequestURI(path)
	if err != nil || path[0] != '/' || strings.HasPrefix(path, "//") {
		return faultf(I400RU, "Invalid Request Uri")
	}
	q := url.Values{}
	for k, vs := range querys {
		q[k] = vs
	}
	if enc := q.Encode(); enc != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += enc
	}
	if len(u.Path)+len(u.RawQuery) > maxURL {
		return faultf(I413UL, "Request URL too Large")
	}
	c.r.URL, c.r.RequestURI = u, u.RequestURI()
	return nil
}

// notSent are response headers that mean nothing inside a socket.
var notSent = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Transfer-Encoding": true, "Trailer": true, "Upgrade": true,
	"Proxy-Connection": true, "Content-Length": true, headerSeq: true, "X-Ca-Request-Id": true,
}

// encodeAnswer writes the answer to a request in the socket (section 1.5): keys in this order, header
// values plain strings unless repeated, the body always a string.
func encodeAnswer(seq []string, status int, h http.Header, body []byte) []byte {
	b := make([]byte, 0, 256+len(body)+len(body)/8)
	b = append(b, `{"status":`...)
	b = strconv.AppendInt(b, int64(status), 10)
	b = append(b, `,"header":{`...)
	n := 0
	field := func(name string, vals []string) {
		if len(vals) == 0 {
			return
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(appendString(b, strings.ToLower(name)), ':')
		if len(vals) == 1 {
			b = appendString(b, vals[0])
			return
		}
		for i, v := range vals {
			b = append(b, "[,"[min(i, 1)])
			b = appendString(b, v)
		}
		b = append(b, ']')
	}
	if len(seq) > 0 {
		field(headerSeq, seq[:1])
	}
	field("X-Ca-Request-Id", h["X-Ca-Request-Id"])
	for _, name := range slices.Sorted(maps.Keys(h)) {
		if !notSent[name] {
			field(name, h[name])
		}
	}
	text := utf8.Valid(body)
	if !text {
		field("X-Ca-Body-Base64", []string{"1"})
	}
	b = append(b, `},"body":`...)
	if text {
		b = appendString(b, string(body))
	} else {
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, body)
		b = append(b, '"')
	}
	return append(b, '}')
}

// appendString writes a JSON string without escaping more than JSON asks for.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, `\n`...)
		case c == '\r':
			b = append(b, `\r`...)
		case c == '\t':
			b = append(b, `\t`...)
		case c < ' ':
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			b = append(b, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // a byte that is not UTF-8 becomes U+FFFD
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}
