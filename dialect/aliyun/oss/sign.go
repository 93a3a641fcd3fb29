package oss

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object/rest"
)

// signature is what a request says about its signature, in any of OSS's four forms.
type signature struct {
	v4        bool
	query     bool
	id        string // access key id
	token     string // security token, "" when none
	signature string
	date      string   // as it is signed
	scope     string   // V4: date/region/oss/aliyun_v4_request
	region    string   // V4
	extra     []string // V4: additional headers, lower case, sorted
}

const (
	algorithmV4 = "OSS4-HMAC-SHA256"
	dateV4      = "20060102T150405Z"
)

// parseSignature reads a request's signature; nil when it has none.
func parseSignature(r *http.Request, q url.Values) (*signature, error) {
	auth := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(auth, algorithmV4+" "):
		return parseV4(r, strings.TrimPrefix(auth, algorithmV4+" "))
	case strings.HasPrefix(auth, "OSS "):
		id, sig, ok := strings.Cut(strings.TrimPrefix(auth, "OSS "), ":")
		if !ok || id == "" || sig == "" {
			return nil, rest.Invalid("Authorization", auth, "Authorization header is invalid.")
		}
		date := r.Header.Get("x-oss-date")
		if date == "" {
			date = r.Header.Get("Date")
		}
		return &signature{id: id, signature: sig, token: r.Header.Get("x-oss-security-token"), date: date}, nil
	case auth != "":
		return nil, rest.Invalid("Authorization", auth, "Authorization header is invalid.")
	case q.Get("x-oss-signature-version") == algorithmV4:
		s := &signature{v4: true, query: true, token: q.Get("x-oss-security-token"),
			signature: q.Get("x-oss-signature"), date: q.Get("x-oss-date")}
		s.setExtra(q.Get("x-oss-additional-headers"))
		if err := s.setCredential(q.Get("x-oss-credential")); err != nil {
			return nil, err
		}
		for _, name := range []string{"x-oss-signature", "x-oss-date", "x-oss-expires"} {
			if q.Get(name) == "" {
				return nil, rest.Invalid(name, "", "Query-string authentication requires the "+name+" parameter.")
			}
		}
		return s, nil
	case q.Has("OSSAccessKeyId") || q.Has("Signature"):
		// A plus sign that a client did not escape came through as a space.
		s := &signature{query: true, id: q.Get("OSSAccessKeyId"), token: q.Get("security-token"),
			signature: strings.ReplaceAll(q.Get("Signature"), " ", "+"), date: q.Get("Expires")}
		if s.id == "" || s.signature == "" || s.date == "" {
			return nil, rest.Refuse(403, "AccessDenied",
				"Query-string authentication requires the Signature, Expires and OSSAccessKeyId parameters")
		}
		return s, nil
	}
	return nil, nil
}

func parseV4(r *http.Request, auth string) (*signature, error) {
	s := &signature{v4: true, token: r.Header.Get("x-oss-security-token"), date: r.Header.Get("x-oss-date")}
	var credential string
	for part := range strings.SplitSeq(auth, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			credential = value
		case "AdditionalHeaders":
			s.setExtra(value)
		case "Signature":
			s.signature = value
		}
	}
	if s.signature == "" {
		return nil, rest.Invalid("Authorization", algorithmV4+" "+auth, "Authorization header is invalid.")
	}
	return s, s.setCredential(credential)
}

func (s *signature) setExtra(list string) {
	for name := range strings.SplitSeq(strings.ToLower(list), ";") {
		if name = strings.TrimSpace(name); name != "" {
			s.extra = append(s.extra, name)
		}
	}
	slices.Sort(s.extra)
}

// setCredential reads {ak}/{yyyymmdd}/{region}/oss/aliyun_v4_request.
func (s *signature) setCredential(credential string) error {
	id, scope, _ := strings.Cut(credential, "/")
	part := strings.Split(scope, "/")
	if id == "" || len(part) != 4 || part[2] != "oss" || part[3] != "aliyun_v4_request" {
		return rest.Invalid("Credential", credential, "The credential scope is invalid.")
	}
	if !strings.HasPrefix(s.date, part[0]) || len(part[0]) != 8 {
		return rest.Invalid("Credential", credential, "The date of the credential scope is not that of x-oss-date.")
	}
	s.id, s.scope, s.region = id, scope, part[1]
	return nil
}

// time is when the request was signed; for V1 in the query it is not told.
func (s *signature) time() (time.Time, error) {
	if s.v4 {
		return time.Parse(dateV4, s.date)
	}
	t, err := http.ParseTime(s.date)
	if err != nil {
		t, err = time.Parse(dateV4, s.date)
	}
	return t, err
}

// expires is when a signature in the query ends.
func (s *signature) expires(q url.Values) (time.Time, error) {
	if !s.v4 {
		sec, err := strconv.ParseInt(s.date, 10, 64)
		return time.Unix(sec, 0), err
	}
	from, err := s.time()
	if err != nil {
		return from, err
	}
	sec, err := strconv.ParseInt(q.Get("x-oss-expires"), 10, 64)
	if err == nil && (sec < 1 || sec > 7*24*3600) {
		err = fmt.Errorf("%d seconds", sec)
	}
	return from.Add(time.Duration(sec) * time.Second), err
}

// sign returns the signature that the request should have, the text that is signed, and for V4 the
// canonical request in it.
func (s *signature) sign(secret string, r *http.Request, a address) (want, text, canonical string) {
	if !s.v4 {
		text = s.stringToSignV1(r, a)
		h := hmac.New(sha1.New, []byte(secret))
		h.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(h.Sum(nil)), text, ""
	}
	canonical = s.canonicalV4(r, a)
	sum := sha256.Sum256([]byte(canonical))
	text = strings.Join([]string{algorithmV4, s.date, s.scope, hex.EncodeToString(sum[:])}, "\n")
	k := []byte("aliyun_v4" + secret)
	for part := range strings.SplitSeq(s.scope, "/") {
		k = hmac256(k, part)
	}
	return hex.EncodeToString(hmac256(k, text)), text, canonical
}

func hmac256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// resource is /bucket/key, /bucket/ or /.
func (a address) resource() string {
	if a.bucket == "" {
		return "/"
	}
	return "/" + a.bucket + "/" + a.key
}

func (s *signature) stringToSignV1(r *http.Request, a address) string {
	var b strings.Builder
	for _, v := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), s.date} {
		b.WriteString(v)
		b.WriteByte('\n')
	}
	writeHeaders(&b, r, func(name string) bool { return strings.HasPrefix(name, "x-oss-") })
	b.WriteString(a.resource())
	q := r.URL.Query()
	names := make([]string, 0, len(q))
	for name := range q {
		if signedV1[name] || strings.HasPrefix(name, "response-") || strings.HasPrefix(name, "x-oss-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	sep := byte('?')
	for _, name := range names {
		b.WriteByte(sep)
		b.WriteString(name)
		if v := q.Get(name); v != "" {
			b.WriteString("=" + v)
		}
		sep = '&'
	}
	return b.String()
}

// writeHeaders writes "name:value\n" for the headers that are signed, in the order of their names.
func writeHeaders(b *strings.Builder, r *http.Request, signed func(lower string) bool) {
	lines := make([][2]string, 0, len(r.Header))
	add := func(name string, values ...string) {
		if name = strings.ToLower(name); signed(name) {
			trimmed := make([]string, len(values))
			for i, v := range values {
				trimmed[i] = strings.TrimSpace(v)
			}
			lines = append(lines, [2]string{name, strings.Join(trimmed, ",")})
		}
	}
	for name, values := range r.Header {
		add(name, values...)
	}
	add("host", r.Host) // net/http takes these two out of Header
	if r.ContentLength >= 0 && r.Header.Get("Content-Length") == "" {
		add("content-length", strconv.FormatInt(r.ContentLength, 10))
	}
	slices.SortFunc(lines, func(x, y [2]string) int { return strings.Compare(x[0], y[0]) })
	for _, l := range lines {
		b.WriteString(l[0] + ":" + l[1] + "\n")
	}
}

func (s *signature) canonicalV4(r *http.Request, a address) string {
	var b strings.Builder
	b.WriteString(r.Method + "\n" + rest.Escape(a.resource(), true) + "\n")
	var params []string
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name = unescape(name); name == "" || name == "x-oss-signature" {
			continue
		}
		if p := rest.Escape(name, false); value != "" {
			params = append(params, p+"="+rest.Escape(unescape(value), false))
		} else {
			params = append(params, p)
		}
	}
	slices.SortStableFunc(params, func(x, y string) int {
		xn, _, _ := strings.Cut(x, "=")
		yn, _, _ := strings.Cut(y, "=")
		return strings.Compare(xn, yn)
	})
	b.WriteString(strings.Join(params, "&") + "\n")
	writeHeaders(&b, r, func(name string) bool {
		return name == "content-type" || name == "content-md5" || strings.HasPrefix(name, "x-oss-") || slices.Contains(s.extra, name)
	})
	b.WriteString("\n" + strings.Join(s.extra, ";") + "\n")
	if sum := r.Header.Get("x-oss-content-sha256"); sum != "" && !s.query {
		b.WriteString(sum)
	} else {
		b.WriteString("UNSIGNED-PAYLOAD")
	}
	return b.String()
}

func unescape(s string) string {
	if t, err := url.QueryUnescape(s); err == nil {
		return t
	}
	return s
}

// signedV1 are the parameters that V1 signs, besides response-* and x-oss-*.
var signedV1 = setOf(
	"accessmonitor", "acl", "append", "asyncFetch", "bucketInfo", "callback", "callback-var", "cname", "comp",
	"continuation-token", "cors", "delete", "encryption", "endTime", "httpsConfig", "img", "inventory", "inventoryId",
	"lifecycle", "live", "location", "logging", "metaQuery", "objectMeta", "partNumber", "policy", "position",
	"publicAccessBlock", "qos", "qosInfo", "referer", "replication", "requestPayment", "resourceGroup", "restore",
	"security-token", "sequential", "startTime", "stat", "status", "style", "styleName", "symlink", "tagging", "torrent",
	"transferAcceleration", "uploadId", "uploads", "versionId", "versioning", "versions", "vod", "website", "worm", "wormId",
)

func setOf(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
