package sigv4

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// canonical writes the text whose hash is signed behind b.
func canonical(b []byte, r *http.Request, service, signed, payload string) []byte {
	path, query := target(r)
	b = append(append(b, r.Method...), '\n')
	b = append(appendPath(b, path, service), '\n')
	b = append(appendQuery(b, query), '\n')
	for name := range strings.SplitSeq(signed, ";") {
		b = append(append(b, name...), ':')
		b = append(appendHeader(b, r, name), '\n')
	}
	b = append(append(b, '\n'), signed...)
	return append(append(b, '\n'), payload...)
}

// target is the path and query of a request as its client wrote them.
func target(r *http.Request) (path, query string) {
	uri := r.RequestURI
	if uri == "" {
		return r.URL.EscapedPath(), r.URL.RawQuery
	}
	if !strings.HasPrefix(uri, "/") { // as proxies are asked
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				uri = rest[i:]
			} else {
				uri = "/"
			}
		}
	}
	path, query, _ = strings.Cut(uri, "?")
	return path, query
}

// appendPath writes S3's path as it came, and every other service's escaped once more, its dots resolved.
func appendPath(b []byte, path, service string) []byte {
	switch {
	case path == "":
		return append(b, '/')
	case service == "s3":
		return append(b, path...)
	case strings.Contains(path, "/.") || strings.Contains(path, "//"):
		path = clean(path)
	}
	return appendEscaped(b, path, true)
}

// clean resolves . and .. and drops empty segments, as RFC 3986 section 5.2.4 has it; a final slash stays.
func clean(path string) string {
	var out []string
	parts := strings.Split(path, "/")
	for _, s := range parts {
		switch s {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
		}
	}
	p := "/" + strings.Join(out, "/")
	if last := parts[len(parts)-1]; len(out) > 0 && (last == "" || last == "." || last == "..") {
		p += "/"
	}
	return p
}

func appendQuery(b []byte, raw string) []byte {
	if raw == "" {
		return b
	}
	type pair struct{ name, value string }
	var pairs []pair
	for field := range strings.SplitSeq(raw, "&") {
		if field == "" {
			continue
		}
		name, value, _ := strings.Cut(field, "=")
		name, value = unescape(name), unescape(value)
		if name == "X-Amz-Signature" {
			continue
		}
		pairs = append(pairs, pair{string(appendEscaped(nil, name, false)), string(appendEscaped(nil, value, false))})
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range pairs {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(append(append(b, p.name...), '='), p.value...)
	}
	return b
}

// unescape undoes percent-encoding; malformed text stays as it is.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

const hexDigits = "0123456789ABCDEF"

// appendEscaped writes s with all but the unreserved characters as %XX.
func appendEscaped(b []byte, s string, slashes bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.' || c == '~' || slashes && c == '/':
			b = append(b, c)
		default:
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return b
}

// appendHeader writes the values of a signed header. net/http takes some headers out of the map.
func appendHeader(b []byte, r *http.Request, name string) []byte {
	switch name {
	case "host":
		return append(b, r.Host...)
	case "content-length":
		if r.Header.Get("Content-Length") == "" {
			return strconv.AppendInt(b, r.ContentLength, 10)
		}
	case "transfer-encoding":
		if len(r.TransferEncoding) > 0 {
			return append(b, strings.Join(r.TransferEncoding, ",")...)
		}
	}
	for i, v := range values(r.Header, name) {
		if i > 0 {
			b = append(b, ',')
		}
		v = strings.TrimSpace(v)
		if strings.Contains(v, "  ") {
			v = strings.Join(strings.Fields(v), " ")
		}
		b = append(b, v...)
	}
	return b
}

// values finds a header by its name in lower case, as signatures list it, without making a string of what
// net/http calls it.
func values(h http.Header, name string) []string {
	key := append(make([]byte, 0, 64), name...)
	for i, c := range key {
		if 'a' <= c && c <= 'z' && (i == 0 || key[i-1] == '-') {
			key[i] = c - 'a' + 'A'
		}
	}
	return h[string(key)]
}
