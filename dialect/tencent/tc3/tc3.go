// Package tc3 checks and makes the signatures of Tencent Cloud's API 3.0, TC3-HMAC-SHA256
// (tencent.md 2.9).
package tc3

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
)

const (
	algorithm = "TC3-HMAC-SHA256"
	terminal  = "tc3_request"
	skew      = 5 * time.Minute
	unsigned  = "UNSIGNED-PAYLOAD"
)

// The codes of errors, as answers have them.
const (
	CodeAuthorization = "AuthFailure.InvalidAuthorization"
	CodeUnknownKey    = "AuthFailure.SecretIdNotFound"
	CodeSignature     = "AuthFailure.SignatureFailure"
	CodeExpired       = "AuthFailure.SignatureExpire"
	CodeToken         = "AuthFailure.TokenFailure"
	CodeMissing       = "MissingParameter"
	CodeInternal      = "InternalError"
)

// Error is why a request is refused.
type Error struct {
	Code    string
	Message string
	Err     error // the cause of CodeInternal
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func refuse(code, format string, a ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// Keys finds the secret of an access key: access.Keys does.
type Keys interface {
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Verifier checks signatures for one service. It is safe for concurrent use.
type Verifier struct {
	keys    Keys
	service string
	now     func() time.Time
}

// New makes a Verifier that takes signatures for a service: "scf".
func New(keys Keys, service string) *Verifier { return &Verifier{keys, service, time.Now} }

// At sets the clock, for tests.
func (v *Verifier) At(now func() time.Time) *Verifier {
	v.now = now
	return v
}

// Verify checks the signature of a request whose body has been read, and says who made it.
func (v *Verifier) Verify(r *http.Request, body []byte) (access.Principal, *Error) {
	var nobody access.Principal
	auth := r.Header.Get("Authorization")
	rest, ok := strings.CutPrefix(auth, algorithm)
	if !ok {
		return nobody, refuse(CodeAuthorization, "The Authorization header is not of the form %q.", algorithm+" Credential=…, SignedHeaders=…, Signature=…")
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 4 || fields["SignedHeaders"] == "" || fields["Signature"] == "" || scope[3] != terminal {
		return nobody, refuse(CodeAuthorization, "The Authorization header is incomplete or malformed.")
	}
	stamp := r.Header.Get("X-TC-Timestamp")
	if stamp == "" {
		return nobody, refuse(CodeMissing, "The request header X-TC-Timestamp is missing.")
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return nobody, refuse(CodeAuthorization, "X-TC-Timestamp is not a number of seconds.")
	}
	at, now := time.Unix(seconds, 0), v.now()
	if at.Before(now.Add(-skew)) || at.After(now.Add(skew)) {
		return nobody, refuse(CodeExpired, "The provided credentials could not be validated: the request's time is more than %v from the server's, which is %d.", skew, now.Unix())
	}
	id, date, service := scope[0], scope[1], scope[2]
	if date != dateOf(at) {
		return nobody, refuse(CodeSignature, "The date of the credential scope is not that of X-TC-Timestamp.")
	}
	if service != v.service && service != firstLabel(r.Host) {
		return nobody, refuse(CodeSignature, "The credential scope is for the service %q; this is %q.", service, v.service)
	}
	signed := strings.Split(strings.ToLower(fields["SignedHeaders"]), ";")
	if !slices.Contains(signed, "host") || !slices.Contains(signed, "content-type") {
		return nobody, refuse(CodeSignature, "The headers content-type and host have to be signed.")
	}
	secret, who, err := v.keys.Lookup(r.Context(), id, r.Header.Get("X-TC-Token"))
	if err != nil {
		return nobody, lookupError(err)
	}
	key := signingKey(secret, date, service)
	for _, canonical := range candidates(r, signed, hashOf(r, body)) {
		want := sign(key, seconds, date, service, canonical)
		if subtle.ConstantTimeCompare([]byte(want), []byte(fields["Signature"])) == 1 {
			return who, nil
		}
	}
	return nobody, refuse(CodeSignature, "The provided credentials could not be validated. Please check your signature is correct.")
}

// lookupError words why a key is not known.
func lookupError(err error) *Error {
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		return refuse(CodeUnknownKey, "The SecretId is not found, please ensure that your SecretId is correct.")
	case errors.Is(err, access.ErrExpired):
		return refuse(CodeToken, "The token has expired.")
	case errors.Is(err, access.ErrBadToken):
		return refuse(CodeToken, "The token is not valid, or not that of the SecretId.")
	}
	return &Error{Code: CodeInternal, Message: "An internal error has occurred. Retry your request.", Err: err}
}

// firstLabel is what the SDK for Node takes for the service's name, whatever the host is.
func firstLabel(host string) string {
	first, _, _ := strings.Cut(host, ".")
	return first
}

// hashOf is what a canonical request ends with.
func hashOf(r *http.Request, body []byte) string {
	if r.Header.Get("X-TC-Content-SHA256") == unsigned {
		body = []byte(unsigned)
	}
	return hash(body)
}

// candidates are the canonical requests that a client may have signed: SDKs sign the host with the port or
// without, and a content type in lower case or as it is.
func candidates(r *http.Request, signed []string, hash string) []string {
	hosts := []string{r.Host}
	if i := strings.LastIndexByte(r.Host, ':'); i > strings.LastIndexByte(r.Host, ']') {
		hosts = append(hosts, r.Host[:i])
	}
	var list []string
	for _, host := range hosts {
		lower := canonical(r, host, signed, hash, strings.ToLower)
		list = append(list, lower)
		if asIs := canonical(r, host, signed, hash, func(s string) string { return s }); asIs != lower {
			list = append(list, asIs)
		}
	}
	return list
}

// canonical is the text whose hash is signed.
func canonical(r *http.Request, host string, signed []string, hash string, spell func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n/\n%s\n", r.Method, r.URL.RawQuery)
	for _, name := range signed {
		value := strings.Join(r.Header.Values(name), ",")
		if name == "host" {
			value = host
		}
		fmt.Fprintf(&b, "%s:%s\n", name, spell(strings.TrimSpace(value)))
	}
	fmt.Fprintf(&b, "\n%s\n%s", strings.Join(signed, ";"), hash)
	return b.String()
}

// Sign signs a request for a service, with the token of temporary credentials if there is one. Its
// Content-Type must be set.
func Sign(r *http.Request, body []byte, c access.Credentials, service string, at time.Time) {
	r.Header.Set("X-TC-Timestamp", strconv.FormatInt(at.Unix(), 10))
	if c.Token != "" {
		r.Header.Set("X-TC-Token", c.Token)
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	signed := []string{"content-type", "host"}
	text := canonical(r, host, signed, hashOf(r, body), strings.ToLower)
	date := dateOf(at)
	r.Header.Set("Authorization", fmt.Sprintf("%s Credential=%s/%s/%s/%s, SignedHeaders=%s, Signature=%s", algorithm, c.ID, date, service, terminal,
		strings.Join(signed, ";"), sign(signingKey(c.Secret, date, service), at.Unix(), date, service, text)))
}

func dateOf(at time.Time) string { return at.UTC().Format(time.DateOnly) }

func signingKey(secret, date, service string) []byte {
	return mac(mac(mac([]byte("TC3"+secret), date), service), terminal)
}

func sign(key []byte, seconds int64, date, service, canonical string) string {
	return hex.EncodeToString(mac(key, fmt.Sprintf("%s\n%d\n%s/%s/%s\n%s", algorithm, seconds, date, service, terminal, hash([]byte(canonical)))))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
