package s3

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/object/rest"
)

// signer finds out who signed the policy of a form, in either version of signatures; a form without one is
// anonymous.
func (h *Handler) signer(c *rest.Call, f *rest.Form) error {
	v := func(name string) string { return f.Fields[name] }
	v2 := v("awsaccesskeyid") != "" || v("signature") != ""
	switch {
	case !v2 && v("x-amz-signature") == "" && v("x-amz-credential") == "" && v("policy") == "":
		return nil
	case v("policy") == "":
		return rest.Invalid("policy", "", "Bucket POST must contain a field named 'policy'.  If it is specified, please check the order of the fields.")
	case v2:
		if v("awsaccesskeyid") == "" || v("signature") == "" {
			return rest.Invalid("signature", "", "Bucket POST must contain a field named 'Signature'.  If it is specified, please check the order of the fields.")
		}
		secret, who, err := h.lookup(c.Ctx, v("awsaccesskeyid"), v("x-amz-security-token"))
		if err != nil {
			return err
		}
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(v("policy")))
		if !hmac.Equal([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(v("signature"))) {
			return mismatch
		}
		c.Who = &rest.Who{App: who.App}
	default:
		s, fail := h.verify.VerifyPolicy(c.Ctx, sigv4.Policy{Text: v("policy"), Algorithm: v("x-amz-algorithm"), Credential: v("x-amz-credential"),
			Date: v("x-amz-date"), Token: v("x-amz-security-token"), Signature: v("x-amz-signature")})
		if fail != nil {
			return fault(c, fail, true)
		}
		c.Who = &rest.Who{App: s.App, Region: s.Region}
	}
	return f.ReadPolicy(h.Now())
}

// framed puts the checksums that a form promises of its file around it, and reads its tags.
func framed(c *rest.Call, f *rest.Form) error {
	if text := f.Fields["tagging"]; text != "" {
		var in taggingXML
		if xml.Unmarshal([]byte(text), &in) != nil {
			return rest.Malformed()
		}
		c.R.Header.Set("X-Amz-Tagging", in.encode())
	}
	return frame(c, nil)
}
