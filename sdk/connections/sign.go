package connections

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// sign signs a request with Signature Version 4 for the service execute-api.
func (c *Client) sign(r *http.Request, body []byte, now time.Time) {
	region := cmp.Or(c.Region, "us-east-1")
	stamp, hash := now.Format("20060102T150405Z"), hexSum(body)
	r.Header.Set("X-Amz-Date", stamp)
	r.Header.Set("X-Amz-Content-Sha256", hash)
	headers, names := "host:"+r.URL.Host+"\nx-amz-content-sha256:"+hash+"\nx-amz-date:"+stamp+"\n", "host;x-amz-content-sha256;x-amz-date"
	if c.Token != "" {
		r.Header.Set("X-Amz-Security-Token", c.Token)
		headers, names = headers+"x-amz-security-token:"+c.Token+"\n", names+";x-amz-security-token"
	}
	// The path is escaped once more than on the wire.
	segments := strings.Split(r.URL.EscapedPath(), "/")
	for i, s := range segments {
		segments[i] = escape(s)
	}
	path := cmp.Or(strings.Join(segments, "/"), "/")
	canonical := r.Method + "\n" + path + "\n\n" + headers + "\n" + names + "\n" + hash
	scope := stamp[:8] + "/" + region + "/execute-api/aws4_request"
	key := []byte("AWS4" + c.Secret)
	for _, part := range strings.Split(scope, "/") {
		key = mac(key, part)
	}
	signature := hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hexSum([]byte(canonical))))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.KeyID+"/"+scope+", SignedHeaders="+names+", Signature="+signature)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// escape writes a segment of a path as the signature wants it: all but letters, digits and -_.~ as %XX.
func escape(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.~", c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
