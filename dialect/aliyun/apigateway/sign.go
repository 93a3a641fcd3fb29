package apigateway

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// skew is how far a request's timestamp may be from our clock.
const skew = 15 * time.Minute

// authorize checks that the caller may use an API (section 1.9).
func (g *Group) authorize(c *call, a *apigroup.API) error {
	h := c.r.Header
	switch strings.ToUpper(a.Auth) {
	case "", "ANONYMOUS":
		if a.ForceNonce {
			return g.fresh(c, "")
		}
		return nil
	case "APP":
	default:
		return faultf(A403PR, "Authorization `%s` is not supported", a.Auth)
	}
	if g.o.Apps == nil {
		return faultf(A403PR, "App authorization needed")
	}
	if code := appCode(c, a); code != "" {
		ok, err := g.o.Apps.Code(c.r.Context(), code)
		if err == nil && !ok {
			err = faultf(A400AC, "Invalid AppCode")
		}
		return err
	}
	key := h.Get("X-Ca-Key")
	if key == "" || h.Get("X-Ca-Signature") == "" {
		return faultf(A400MA, "Need authorization, `X-Ca-Key` or `Authorization: APPCODE ...` is required")
	}
	secret, allowed, err := g.o.Apps.Secret(c.r.Context(), key)
	switch {
	case err != nil:
		return err
	case secret == "":
		return faultf(A400IK, "Invalid AppKey")
	}
	if err := verify(c, secret); err != nil {
		return err
	}
	if at := h.Get("X-Ca-Timestamp"); at != "" {
		ms, err := strconv.ParseInt(at, 10, 64)
		if d := g.o.Now().Sub(time.UnixMilli(ms)); err != nil || d > skew || d < -skew {
			return faultf(S403TE, "X-Ca-Timestamp is expired")
		}
	}
	if a.ForceNonce || h.Get("X-Ca-Nonce") != "" {
		if err := g.fresh(c, key); err != nil {
			return err
		}
	}
	if !allowed {
		return faultf(A403PR, "App `%s` is not authorized", key)
	}
	return nil
}

// appCode finds the code in the places that the API allows.
func appCode(c *call, a *apigroup.API) string {
	mode := strings.ToUpper(a.AppCodeAuth)
	if mode == "DISABLE" {
		return ""
	}
	if kind, code, ok := strings.Cut(c.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(kind, "APPCODE") {
		return strings.TrimSpace(code)
	}
	if code := c.r.Header.Get("X-Ca-Appcode"); code != "" {
		return code
	}
	if mode == "HEADER_QUERY" {
		q := c.r.URL.Query()
		if code := q.Get("AppCode"); code != "" {
			return code
		}
		return q.Get("appcode")
	}
	return ""
}

// verify checks the signature. The path is signed decoded by some SDKs and encoded by others; either
// proves that the secret is known.
func verify(c *call, secret string) error {
	var alg func() hash.Hash
	switch strings.ToLower(c.r.Header.Get("X-Ca-Signature-Method")) {
	case "", "hmacsha256":
		alg = sha256.New
	case "hmacsha1":
		alg = sha1.New
	default:
		return faultf(I400HD, "Invalid Header `X-Ca-Signature-Method` unknown method")
	}
	got := []byte(c.r.Header.Get("X-Ca-Signature"))
	text := stringToSign(c, c.r.URL.Path)
	for _, s := range []string{text, stringToSign(c, c.r.URL.EscapedPath())} {
		mac := hmac.New(alg, []byte(secret))
		mac.Write([]byte(s))
		if subtle.ConstantTimeCompare(got, []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) == 1 {
			return nil
		}
	}
	return &fault{code: A403IS, msg: "Invalid Signature, Server StringToSign:`" + strings.ReplaceAll(text, "\n", "#") + "`"}
}

// neverSigned are headers that stand in the text by themselves.
var neverSigned = []string{"x-ca-signature", "x-ca-signature-headers", "accept", "content-md5", "content-type", "date"}

// stringToSign is the text that the caller must have signed.
func stringToSign(c *call, path string) string {
	h := c.r.Header
	var b strings.Builder
	for _, s := range []string{c.r.Method, h.Get("Accept"), h.Get("Content-Md5"), h.Get("Content-Type"), h.Get("Date")} {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	var names []string
	for name := range strings.SplitSeq(h.Get("X-Ca-Signature-Headers"), ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		if name != "" && !slices.Contains(neverSigned, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name)
		b.WriteByte(':')
		b.WriteString(h.Get(name))
		b.WriteByte('\n')
	}
	b.WriteString(path)
	params := map[string]string{}
	addFirst(params, c.r.URL.Query())
	if isForm(h) {
		form, _ := url.ParseQuery(string(c.body)) // what is malformed cannot have been signed
		addFirst(params, form)
	}
	sep := byte('?')
	for _, k := range slices.Sorted(maps.Keys(params)) {
		b.WriteByte(sep)
		sep = '&'
		b.WriteString(k)
		if v := params[k]; v != "" {
			b.WriteByte('=')
			b.WriteString(v)
		}
	}
	return b.String()
}

func isForm(h http.Header) bool {
	return strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "application/x-www-form-urlencoded")
}

func addFirst(params map[string]string, q url.Values) {
	for k, vs := range q {
		if _, ok := params[k]; !ok && len(vs) > 0 {
			params[k] = vs[0]
		}
	}
}
