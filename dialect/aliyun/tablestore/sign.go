package tablestore

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"net/http"
	"slices"
	"strings"
)

// The headers of the protocol, in the form of http.Header's keys.
const (
	headPrefix    = "X-Ots-"
	headDate      = "X-Ots-Date"
	headVersion   = "X-Ots-Apiversion"
	headKey       = "X-Ots-Accesskeyid"
	headMD5       = "X-Ots-Contentmd5"
	headInstance  = "X-Ots-Instancename"
	headSign      = "X-Ots-Signature"
	headSignV4    = "X-Ots-Signaturev4"
	headSignDay   = "X-Ots-Signdate"
	headRegion    = "X-Ots-Signregion"
	headToken     = "X-Ots-Ststoken"
	headRequest   = "X-Ots-Requestid"
	headType      = "X-Ots-Contenttype"
	headDeflate   = "X-Ots-Request-Compress-Type"
	headInflated  = "X-Ots-Request-Compress-Size"
	contentType   = "protocol buffer"
	v4Salt        = "ots"
	deflateMethod = "deflate"
)

// canonicalHeaders lists all x-ots headers but the signatures, sorted, one a line.
func canonicalHeaders(h http.Header) string {
	type header struct{ name, value string }
	list := make([]header, 0, 8)
	for name, values := range h {
		if strings.HasPrefix(name, headPrefix) && name != headSign && name != headSignV4 {
			list = append(list, header{strings.ToLower(name), strings.TrimSpace(values[0])})
		}
	}
	slices.SortFunc(list, func(a, b header) int { return strings.Compare(a.name, b.name) })
	b := make([]byte, 0, 256)
	for _, one := range list {
		b = append(append(append(append(b, one.name...), ':'), one.value...), '\n')
	}
	return string(b)
}

// stringToSign is what a client signs (V2).
func stringToSign(operation string, h http.Header) string {
	return "/" + operation + "\nPOST\n\n" + canonicalHeaders(h)
}

// v4Key derives the key of the V4 signature; its text takes the place of the secret.
func v4Key(secret, day, region string) string {
	k := []byte("aliyun_v4" + secret)
	for _, part := range []string{day, region, "ots", "aliyun_v4_request"} {
		k = mac(sha256.New, k, part)
	}
	return base64.StdEncoding.EncodeToString(k)
}

func signatureV2(operation string, h http.Header, secret string) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(secret), stringToSign(operation, h)))
}

// signatureV4 takes what v4Key makes of the secret.
func signatureV4(operation string, h http.Header, key string) string {
	return base64.StdEncoding.EncodeToString(mac(sha256.New, []byte(key), stringToSign(operation, h)+v4Salt))
}

// verify reports whether the request is signed with secret, and returns the key for the answer.
func verify(operation string, h http.Header, secret string) (key string, ok bool) {
	if got := h.Get(headSignV4); got != "" {
		key = v4Key(secret, h.Get(headSignDay), h.Get(headRegion))
		return key, hmac.Equal([]byte(got), []byte(signatureV4(operation, h, key)))
	}
	return secret, hmac.Equal([]byte(h.Get(headSign)), []byte(signatureV2(operation, h, secret)))
}

// signAnswer is the signature of a response's headers.
func signAnswer(operation string, h http.Header, key string) string {
	return base64.StdEncoding.EncodeToString(mac(sha1.New, []byte(key), canonicalHeaders(h)+"/"+operation))
}

func mac(algorithm func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(algorithm, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

func contentMD5(b []byte) string {
	sum := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}
