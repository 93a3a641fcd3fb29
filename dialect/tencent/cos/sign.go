package cos

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object/rest"
)

// signature is what a request says about its signature (section 3.2).
type signature struct {
	id, time, keyTime, given string
	headers, params          []string // the names that are signed, lower case and percent-encoded
}

// parseSignature reads a signature of the header, of the query's own parameters, or of its parameter
// "sign"; nil when there is none.
func parseSignature(r *http.Request, q url.Values) (*signature, error) {
	text := strings.TrimSpace(r.Header.Get("Authorization"))
	if text == "" {
		text = q.Get("sign")
	}
	v := q
	if text != "" {
		v = parseQuery(text)
	}
	if !v.Has("q-sign-algorithm") && text == "" {
		return nil, nil
	}
	s := &signature{id: v.Get("q-ak"), time: v.Get("q-sign-time"), keyTime: v.Get("q-key-time"), given: v.Get("q-signature"),
		headers: names(v.Get("q-header-list")), params: names(v.Get("q-url-param-list"))}
	if v.Get("q-sign-algorithm") != "sha1" || s.id == "" || s.time == "" || s.keyTime == "" || s.given == "" {
		return nil, rest.Invalid("Authorization", text, "The authorization is invalid.")
	}
	return s, nil
}

func names(list string) []string {
	var out []string
	for name := range strings.SplitSeq(list, ";") {
		if name != "" {
			out = append(out, strings.ToLower(name))
		}
	}
	slices.Sort(out)
	return out
}

// format is the text that the hash is made of; host is the one that was signed.
func (s *signature) format(r *http.Request, q url.Values, host string) string {
	params := map[string][]string{}
	for name, values := range q {
		encoded := strings.ToLower(rest.Escape(name, false))
		params[encoded] = append(params[encoded], values...)
	}
	header := func(name string) []string {
		name = strings.ToLower(unescape(name))
		switch {
		case name == "host":
			return []string{host}
		case name == "content-length" && r.Header.Get(name) == "" && r.ContentLength >= 0:
			return []string{strconv.FormatInt(r.ContentLength, 10)} // net/http takes it out
		}
		return r.Header.Values(name)
	}
	return strings.ToLower(r.Method) + "\n" + r.URL.Path + "\n" +
		signed(s.params, func(name string) []string { return params[name] }) + "\n" + signed(s.headers, header) + "\n"
}

func signed(names []string, values func(name string) []string) string {
	var pairs []string
	for _, name := range names {
		list := slices.Clone(values(name))
		slices.Sort(list)
		for _, v := range list {
			pairs = append(pairs, name+"="+rest.Escape(v, false))
		}
	}
	return strings.Join(pairs, "&")
}

// sign returns the signature that the request should have, and the text that is signed.
func (s *signature) sign(secret, format string) (want, text string) {
	sum := sha1.Sum([]byte(format))
	text = "sha1\n" + s.time + "\n" + hex.EncodeToString(sum[:]) + "\n"
	return mac(mac(secret, s.keyTime), text), text
}

func mac(key, text string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// identify finds out who asks.
func (h *Handler) identify(c *rest.Call) error {
	c.Query = parseQuery(c.R.URL.RawQuery)
	s, err := parseSignature(c.R, c.Query)
	if s == nil || err != nil {
		return err
	}
	if err := s.checkTime(h.Now()); err != nil {
		return err
	}
	token := c.R.Header.Get("X-Cos-Security-Token")
	if token == "" {
		token = c.Query.Get("x-cos-security-token")
	}
	secret, who, err := h.Keys.Lookup(c.Ctx, s.id, token)
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		return rest.Refuse(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records.")
	case errors.Is(err, access.ErrBadToken):
		return rest.Refuse(403, "InvalidToken", "The security token you provided is invalid.")
	case errors.Is(err, access.ErrExpired):
		return rest.Refuse(403, "InvalidToken", "The security token you provided has expired.")
	case err != nil:
		return err
	}
	c.Who = &rest.Who{App: who.App, Region: h.parse(c.R.Host).region}
	format := s.format(c.R, c.Query, c.R.Host)
	want, text := s.sign(secret, format)
	if hmac.Equal([]byte(want), []byte(s.given)) {
		return nil
	}
	if name, _, err := net.SplitHostPort(c.R.Host); err == nil { // some SDKs sign the host without its port
		if want, _ := s.sign(secret, s.format(c.R, c.Query, name)); hmac.Equal([]byte(want), []byte(s.given)) {
			return nil
		}
	}
	c.Who = nil
	return rest.Refuse(403, "SignatureDoesNotMatch", "The Signature you specified is invalid.").With("StringToSign", text).With("FormatString", format)
}

// checkTime refuses a signature before and after its time.
func (s *signature) checkTime(now time.Time) error {
	begin, end, _ := strings.Cut(s.time, ";")
	from, err := strconv.ParseInt(begin, 10, 64)
	to, err2 := strconv.ParseInt(end, 10, 64)
	if err != nil || err2 != nil {
		return rest.Invalid("q-sign-time", s.time, "The time of the signature is invalid.")
	}
	if t := now.Unix(); t < from || t > to {
		return rest.Denied("Request has expired").With("ServerTime", now.UTC().Format("2006-01-02T15:04:05Z"))
	}
	return nil
}
