package oss

import (
	"crypto/hmac"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
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
		err = refuse(403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.").
			with("OSSAccessKeyId", s.id)
	case errors.Is(err, access.ErrExpired):
		err = refuse(403, "SecurityTokenExpired", "The security token you provided has expired.")
	case errors.Is(err, access.ErrBadToken):
		err = refuse(403, "InvalidSecurityToken", "The security token you provided is invalid.")
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
	f := refuse(403, "SignatureDoesNotMatch",
		"The request signature we calculated does not match the signature you provided. Check your key and signing method.").
		with("OSSAccessKeyId", s.id).with("SignatureProvided", s.signature).
		with("StringToSign", text).with("StringToSignBytes", spaced(text))
	if canonical != "" {
		f.with("CanonicalRequest", canonical)
	}
	return nil, at[0], f
}

func spaced(text string) string { return strings.TrimSpace(fmt.Sprintf("% X", text)) }

// checkTime refuses signatures that are too old, too new, or past their end.
func (s *signature) checkTime(now time.Time, q map[string][]string) error {
	if s.query {
		end, err := s.expires(q)
		if err != nil {
			return invalid("Expires", s.date, "The expiry of the signature is invalid.")
		}
		if now.After(end) {
			return refuse(403, "AccessDenied", "Request has expired.").
				with("Expires", stamp(end)).with("ServerTime", stamp(now))
		}
		if !s.v4 {
			return nil
		}
	}
	t, err := s.time()
	if err != nil {
		return refuse(403, "AccessDenied", "OSS authentication requires a valid Date.")
	}
	if d := now.Sub(t); d < -maxSkew || d > maxSkew && !s.query {
		return refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
			with("MaxAllowedSkewMilliseconds", fmt.Sprint(maxSkew.Milliseconds())).
			with("RequestTime", stamp(t)).with("ServerTime", stamp(now))
	}
	return nil
}

// right is what an operation takes.
type right uint8

const (
	owner   right = iota // the bucket is one's own
	reader               // or the object may be read by all
	writer               // or it may be written by all
	creator              // any signature, the bucket need not be there
	signed               // any signature
)

// allow refuses what the caller may not do. The operator may do everything; an app and its functions
// may do everything with the app's buckets; everybody may do what an access rule opens.
func (c *call) allow(need right) error {
	switch {
	case need == signed || need == creator:
		if c.signer == nil {
			return denied("Anonymous access is forbidden for this operation.")
		}
		return nil
	case c.owns(c.b):
		return nil
	case need == owner && c.signer == nil:
		return denied("Anonymous access is forbidden for this operation.")
	case need == owner:
		return denied("The bucket you access does not belong to you.")
	}
	return c.open(c.b, c.key, need)
}

func (c *call) owns(b *object.Bucket) bool {
	return c.signer != nil && (c.signer.Admin() || c.signer.App == b.App)
}

// open says whether an access rule lets everybody read or write an object. The object's own rule goes
// before its bucket's.
func (c *call) open(b *object.Bucket, key string, need right) error {
	acl, whose := b.ACL, "bucket"
	if key != "" {
		o, err := c.h.Objects.Head(c.ctx, b.Name, key)
		if err != nil && object.ReasonOf(err) != object.NoSuchKey {
			return err
		}
		if o.ACL != "" {
			acl, whose = o.ACL, "object"
		}
	}
	if acl == object.PublicReadWrite || acl == object.PublicRead && need == reader {
		return nil
	}
	return denied("You have no right to access this object because of " + whose + " acl.")
}

func denied(message string) error { return refuse(403, "AccessDenied", message) }
