package fc

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
)

// skew is how far a request's date may be from our clock.
const skew = 15 * time.Minute

// acs3 is the signature method of API version 2023-03-30.
const acs3 = "ACS3-HMAC-SHA256"

// authenticate finds out who signed a request: with a key in "FC id:signature" or in the query
// (section 3.11), or with ACS3 (section 3.12).
func authenticate(ctx context.Context, keys Keys, r *http.Request, body []byte, now time.Time) (access.Principal, error) {
	auth := r.Header.Get("Authorization")
	var id, token string
	var check func(secret string) error
	switch q := r.URL.Query(); {
	case strings.HasPrefix(auth, acs3):
		p := parseACS3(auth)
		id, token = p.key, r.Header.Get("X-Acs-Security-Token")
		check = func(secret string) error { return p.check(r, body, secret, now) }
	case strings.HasPrefix(auth, "FC "):
		var sig string
		id, sig, _ = strings.Cut(strings.TrimPrefix(auth, "FC "), ":")
		token = r.Header.Get("X-Fc-Security-Token")
		check = func(secret string) error { return checkFC(r, secret, sig, r.Header.Get("Date"), now) }
	case q.Get("x-fc-signature") != "":
		id, token = q.Get("x-fc-access-key-id"), q.Get("x-fc-security-token")
		check = func(secret string) error {
			return checkFC(r, secret, q.Get("x-fc-signature"), q.Get("x-fc-expires"), now)
		}
	default:
		return access.Principal{}, faultf("AccessDenied", "authorization is required")
	}
	secret, who, err := keys.Lookup(ctx, id, token)
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		return who, faultf("AccessDenied", "access key id %q is not found", id)
	case errors.Is(err, access.ErrBadToken), errors.Is(err, access.ErrExpired):
		return who, faultf("AccessDenied", "the security token is invalid or expired")
	case err != nil:
		return who, err
	}
	return who, check(secret)
}

// checkFC verifies a signature of API version 2016-08-15. date is the Date header, or the moment when a
// signed address expires, in unix seconds.
func checkFC(r *http.Request, secret, sig, date string, now time.Time) error {
	text := stringToSign(r, date)
	ok := false
	for _, s := range []string{text, strings.TrimSuffix(text, "\n")} { // a path to /proxy without a query, in two SDKs
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(s))
		if subtle.ConstantTimeCompare([]byte(sig), []byte(base64.StdEncoding.EncodeToString(mac.Sum(nil)))) == 1 {
			ok = true
		}
	}
	if !ok {
		return faultf("SignatureNotMatch", "the request signature we calculated does not match the one you provided, the string to sign is %q", text)
	}
	if end, err := strconv.ParseInt(date, 10, 64); err == nil {
		if now.Unix() > end {
			return faultf("AccessDenied", "the signed address has expired")
		}
		return nil
	}
	at, err := http.ParseTime(date)
	if d := now.Sub(at); err != nil || d > skew || d < -skew {
		return faultf("AccessDenied", "the Date of the request is missing or too far from the server's time")
	}
	return nil
}

// stringToSign is the text of the 2016 signature.
func stringToSign(r *http.Request, date string) string {
	var b strings.Builder
	for _, s := range []string{r.Method, r.Header.Get("Content-Md5"), r.Header.Get("Content-Type"), date} {
		b.WriteString(s)
		b.WriteByte('\n')
	}
	var names []string
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-fc-") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ":" + r.Header.Get(name) + "\n")
	}
	b.WriteString(r.URL.Path)
	if strings.HasPrefix(r.URL.Path, proxyPrefix) {
		var params []string
		for k, vs := range r.URL.Query() {
			if k == "x-fc-signature" {
				continue
			}
			for _, v := range vs {
				if v == "" {
					params = append(params, k)
				} else {
					params = append(params, k+"="+v)
				}
			}
		}
		slices.Sort(params)
		b.WriteString("\n" + strings.Join(params, "\n"))
	}
	return b.String()
}

// acs3Auth is an Authorization header of the third method.
type acs3Auth struct {
	key, signature string
	headers        []string
}

func parseACS3(auth string) acs3Auth {
	var p acs3Auth
	for field := range strings.SplitSeq(strings.TrimPrefix(auth, acs3), ",") {
		name, v, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch name {
		case "Credential":
			p.key = v
		case "SignedHeaders":
			p.headers = strings.Split(v, ";")
		case "Signature":
			p.signature = v
		}
	}
	return p
}

func (p *acs3Auth) check(r *http.Request, body []byte, secret string, now time.Time) error {
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if said := r.Header.Get("X-Acs-Content-Sha256"); said != "" && !strings.EqualFold(said, hash) {
		return faultf("SignatureNotMatch", "x-acs-content-sha256 does not match the body")
	}
	for _, must := range []string{"host", "x-acs-date"} {
		if !slices.Contains(p.headers, must) {
			return faultf("SignatureNotMatch", "header %s must be signed", must)
		}
	}
	canonical := sha256.Sum256([]byte(p.canonical(r, hash)))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(acs3 + "\n" + hex.EncodeToString(canonical[:])))
	if subtle.ConstantTimeCompare([]byte(p.signature), []byte(hex.EncodeToString(mac.Sum(nil)))) != 1 {
		return faultf("SignatureNotMatch", "the request signature does not conform to Alibaba Cloud standards")
	}
	at, err := time.Parse(time.RFC3339, r.Header.Get("X-Acs-Date"))
	if d := now.Sub(at); err != nil || d > skew || d < -skew {
		return faultf("AccessDenied", "x-acs-date is missing or too far from the server's time")
	}
	return nil
}

// canonical is the canonical request of the third method.
func (p *acs3Auth) canonical(r *http.Request, hash string) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/"
	}
	var params []string
	for k, vs := range r.URL.Query() {
		for _, v := range vs {
			params = append(params, percent(k)+"="+percent(v))
		}
	}
	slices.Sort(params)
	headers := slices.Clone(p.headers)
	slices.Sort(headers)
	var b strings.Builder
	b.WriteString(r.Method + "\n" + path + "\n" + strings.Join(params, "&") + "\n")
	for _, name := range headers {
		v := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			v = r.Host
		}
		b.WriteString(name + ":" + strings.TrimSpace(v) + "\n")
	}
	b.WriteString("\n" + strings.Join(headers, ";") + "\n" + hash)
	return b.String()
}

// percent encodes the way RFC 3986 has it.
func percent(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(s), "+", "%20"), "%7E", "~")
}
