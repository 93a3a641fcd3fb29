package oss

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object/rest"
)

// signer is who signed a request.
type signer struct {
	access.Principal
	region string // of the signature, "" when it names none
}

const maxSkew = 15 * time.Minute

// authenticate checks a request's signature, and says which of its addresses was signed. The signer of
// an anonymous request is nil.
func (h *Handler) authenticate(r *http.Request) (*signer, address, error) {
	q, at := r.URL.Query(), h.addresses(r)
	s, err := parseSignature(r, q)
	if s == nil || err != nil {
		return nil, at[0], err
	}
	if err := s.checkTime(h.Now(), q); err != nil {
		return nil, at[0], err
	}
	secret, who, err := h.Keys.Lookup(r.Context(), s.id, s.token)
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		err = rest.Refuse(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.").
			With("OSSAccessKeyId", s.id)
	case errors.Is(err, access.ErrExpired):
		err = rest.Refuse(403, "SecurityTokenExpired", "The security token you provided has expired.")
	case errors.Is(err, access.ErrBadToken):
		err = rest.Refuse(403, "InvalidSecurityToken", "The security token you provided is invalid.")
	}
	if err != nil {
		return nil, at[0], err
	}
	for _, a := range at {
		if want, _, _ := s.sign(secret, r, a); hmac.Equal([]byte(want), []byte(s.signature)) {
			return &signer{Principal: who, region: s.region}, a, nil
		}
	}
	_, text, canonical := s.sign(secret, r, at[0])
	f := rest.Refuse(403, "SignatureDoesNotMatch",
		"The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		With("OSSAccessKeyId", s.id).With("SignatureProvided", s.signature).
		With("StringToSign", text).With("StringToSignBytes", spaced(text))
	if canonical != "" {
		f.With("CanonicalRequest", canonical)
	}
	return nil, at[0], f
}

func spaced(text string) string { return strings.TrimSpace(fmt.Sprintf("% X", text)) }

// checkTime refuses signatures that are too old, too new, or past their end.
func (s *signature) checkTime(now time.Time, q map[string][]string) error {
	if s.query {
		end, err := s.expires(q)
		if err != nil {
			return rest.Invalid("Expires", s.date, "The expiry of the signature is invalid.")
		}
		if now.After(end) {
			return rest.Refuse(403, "AccessDenied", "Request has expired.").
				With("Expires", rest.Stamp(end)).With("ServerTime", rest.Stamp(now))
		}
		if !s.v4 {
			return nil
		}
	}
	t, err := s.time()
	if err != nil {
		return rest.Refuse(403, "AccessDenied", "OSS authentication requires a valid Date.")
	}
	if d := now.Sub(t); d < -maxSkew || d > maxSkew && !s.query {
		return rest.Refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
			With("MaxAllowedSkewMilliseconds", fmt.Sprint(maxSkew.Milliseconds())).
			With("RequestTime", rest.Stamp(t)).With("ServerTime", rest.Stamp(now))
	}
	return nil
}
