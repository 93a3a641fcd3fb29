package rest

import (
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
)

// This file is HTTP and XML alone: no cloud's header and no error code is in it.

// Stamp is how XML writes times: in whole seconds, whose fraction some SDKs compare with .000 by the letter.
func Stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05") + ".000Z" }

var errMalformed = errors.New("malformed XML")

// plain undoes the escapes that only attributes need, for readers that look for the quotes of an ETag.
// The attributes of our documents have none of them.
var plain = strings.NewReplacer("&#34;", `"`, "&#39;", "'", "&#xA;", "\n", "&#x9;", "\t")

// marshal writes an XML document whose root is in a namespace, unless that is "".
func marshal(v any, namespace string) ([]byte, error) {
	body, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	text := plain.Replace(string(body))
	if namespace != "" {
		text = strings.Replace(text, ">", ` xmlns="`+namespace+`">`, 1)
	}
	return []byte(xml.Header + text + "\n"), nil
}

// unmarshal reads an XML document of at most limit bytes: errMalformed when it is not one, or longer.
func unmarshal(r io.Reader, limit int64, v any) error {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(body)) > limit || xml.Unmarshal(body, v) != nil {
		return errMalformed
	}
	return nil
}

// verdict is what a request's conditions say about an object.
type verdict uint8

const (
	proceed verdict = iota
	notModified
	failed
)

// conditions are those of RFC 9110 section 13; empty ones are not asked.
type conditions struct{ match, unmodified, noneMatch, modified string }

// requestConditions are a request's, under names that begin with prefix ("" for a GET).
func requestConditions(h http.Header, prefix string) conditions {
	return conditions{h.Get(prefix + "If-Match"), h.Get(prefix + "If-Unmodified-Since"),
		h.Get(prefix + "If-None-Match"), h.Get(prefix + "If-Modified-Since")}
}

// check evaluates in the RFC's order: an ETag goes before a date of the same sense.
func (c conditions) check(o *object.Object) verdict {
	changed := func(since string) (after, ok bool) {
		t, err := http.ParseTime(since)
		return o.Modified.Truncate(time.Second).After(t), err == nil
	}
	if c.match != "" {
		if !matches(c.match, o.ETag) {
			return failed
		}
	} else if after, ok := changed(c.unmodified); ok && after {
		return failed
	}
	if c.noneMatch != "" {
		if matches(c.noneMatch, o.ETag) {
			return notModified
		}
	} else if after, ok := changed(c.modified); ok && !after {
		return notModified
	}
	return proceed
}

// matches finds an ETag in a list of them; "*" is any, quotes and case do not matter.
func matches(list, etag string) bool {
	for e := range strings.SplitSeq(list, ",") {
		e = strings.Trim(strings.TrimPrefix(strings.TrimSpace(e), "W/"), `"`)
		if e == "*" || strings.EqualFold(e, etag) {
			return true
		}
	}
	return false
}

// span is the part of an object that a Range header asks for.
type span struct{ from, to int64 } // to is exclusive

type rangeKind uint8

const (
	noRange     rangeKind = iota // none, or not of a form that we know: all is sent
	inside                       // wholly within the object
	overlapping                  // its end is past the object's; span is cut
	outside                      // no byte of it is in the object
)

// parseRange reads the first range of a header.
func parseRange(header string, size int64) (span, rangeKind) {
	set, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return span{}, noRange
	}
	first, _, _ := strings.Cut(set, ",")
	lo, hi, ok := strings.Cut(strings.TrimSpace(first), "-")
	if !ok || !digits(lo) || !digits(hi) || lo == "" && hi == "" {
		return span{}, noRange
	}
	from, errFrom := strconv.ParseInt(lo, 10, 64)
	to, errTo := strconv.ParseInt(hi, 10, 64)
	switch {
	case lo == "": // the last so many bytes
		if errTo != nil || to > size {
			return span{0, size}, overlapping
		}
		if to == 0 {
			return span{}, outside
		}
		return span{size - to, size}, inside
	case errFrom != nil || from >= size:
		return span{}, outside
	case hi == "":
		return span{from, size}, inside
	case errTo != nil || to >= size:
		return span{from, size}, overlapping
	case to < from:
		return span{}, noRange
	}
	return span{from, to + 1}, inside
}

func digits(s string) bool { return strings.Trim(s, "0123456789") == "" }

// kept are the headers that are stored with an object and come back with it.
var kept = []string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

// objectHeaders takes from a request what is stored with an object: headers and, by their prefix (in
// lower case), the user's metadata.
func objectHeaders(h http.Header, metaPrefix string) (header, meta map[string]string) {
	header, meta = map[string]string{}, map[string]string{}
	for _, name := range kept {
		if v := h.Get(name); v != "" {
			header[name] = v
		}
	}
	for name, v := range h {
		if m, ok := strings.CutPrefix(strings.ToLower(name), metaPrefix); ok && m != "" {
			meta[m] = strings.Join(v, ",")
		}
	}
	return header, meta
}

// Escape percent-encodes all but RFC 3986's unreserved characters, and slashes when they are kept.
func Escape(s string, slashes bool) string {
	const hexDigits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-_.~", c) >= 0, c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', hexDigits[c>>4], hexDigits[c&15]})
		}
	}
	return b.String()
}
