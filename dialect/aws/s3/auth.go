package s3

import (
	"errors"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/object/rest"
)

// identify finds out who asks, and puts the request's body as it was meant in place of the one on the
// wire.
func (h *Handler) identify(c *rest.Call) error {
	if err := h.expected(c); err != nil {
		return err
	}
	auth, query := c.R.Header.Get("Authorization"), c.R.URL.Query()
	if strings.HasPrefix(auth, "AWS ") || query.Has("AWSAccessKeyId") && !query.Has("X-Amz-Signature") {
		if err := h.identifyV2(c, query); err != nil {
			return err
		}
		return frame(c, nil)
	}
	s, fail := h.verify.Verify(c.R, nil)
	switch {
	case fail == nil:
		c.Who = &rest.Who{App: s.App, Region: s.Region}
	case fail.Reason == sigv4.Missing && auth == "":
	default:
		return fault(c, fail, query.Has("X-Amz-Signature"))
	}
	return frame(c, s)
}

// expected refuses a request that takes the bucket, or the source of its copy, for another account's.
func (h *Handler) expected(c *rest.Call) error {
	for header, name := range map[string]string{"expected-bucket-owner": c.Bucket, "source-expected-bucket-owner": sourceBucket(c)} {
		want := c.Header(header)
		if want == "" || want == account {
			continue
		}
		b, err := h.Objects.Bucket(c.Ctx, name)
		if err == nil && rest.OwnerOf(b).ID != want {
			return rest.Denied("Access Denied")
		}
	}
	return nil
}

func sourceBucket(c *rest.Call) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(c.Header("copy-source"), "/"), "/")
	return name
}

// fault is what S3 calls the reasons to refuse a signature.
func fault(c *rest.Call, e *sigv4.Error, presigned bool) error {
	malformed := "AuthorizationHeaderMalformed"
	if presigned {
		malformed = "AuthorizationQueryParametersError"
	}
	switch e.Reason {
	case sigv4.Missing:
		return rest.Refuse(400, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
	case sigv4.Incomplete, sigv4.WrongScope:
		return rest.Refuse(400, malformed, e.Message)
	case sigv4.Skewed:
		return rest.Refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
			With("MaxAllowedSkewMilliseconds", "900000")
	case sigv4.Expired:
		return expired
	case sigv4.UnknownKey:
		return unknownKey
	case sigv4.BadToken:
		return badToken
	case sigv4.TokenExpired:
		return tokenExpired
	case sigv4.Mismatch:
		return mismatch
	}
	return errors.New(e.Message)
}

// What a signature is refused with, in either version.
var (
	expired      = rest.Denied("Request has expired")
	unknownKey   = rest.Refuse(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")
	badToken     = rest.Refuse(400, "InvalidToken", "The provided token is malformed or otherwise invalid.")
	tokenExpired = rest.Refuse(400, "ExpiredToken", "The provided token has expired.")
	mismatch     = rest.Refuse(403, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
)
