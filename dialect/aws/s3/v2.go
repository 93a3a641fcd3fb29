package s3

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object/rest"
)

// identifyV2 checks a signature of version 2, which boto3 still makes for presigned URLs in the older
// regions.
func (h *Handler) identifyV2(c *rest.Call, query url.Values) error {
	r := c.R
	id, given, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), "AWS "), ":")
	token, date := r.Header.Get("X-Amz-Security-Token"), r.Header.Get("Date")
	if ok {
		at := r.Header.Get("X-Amz-Date")
		if at == "" {
			at = date
		} else {
			date = "" // is among the headers
		}
		t, err := http.ParseTime(at)
		if err != nil {
			return rest.Denied("AWS authentication requires a valid Date or x-amz-date header")
		}
		if d := h.Now().Sub(t); d > 15*time.Minute || d < -15*time.Minute {
			return rest.Refuse(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large.")
		}
	} else {
		// A plus sign that a client did not escape came through as a space.
		id, given, date = query.Get("AWSAccessKeyId"), strings.ReplaceAll(query.Get("Signature"), " ", "+"), query.Get("Expires")
		token = query.Get("x-amz-security-token")
		end, err := strconv.ParseInt(date, 10, 64)
		if err != nil || given == "" {
			return rest.Denied("Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters")
		}
		if h.Now().Unix() > end {
			return expired
		}
	}
	secret, who, err := h.lookup(c.Ctx, id, token)
	if err != nil {
		return err
	}
	for _, slash := range []string{"", "/"} { // botocore signs /bucket/ for what it sends as /bucket
		mac := hmac.New(sha1.New, []byte(secret))
		mac.Write([]byte(h.toSignV2(r, query, date, slash)))
		if h.verify.Relaxed() || hmac.Equal([]byte(base64.StdEncoding.EncodeToString(mac.Sum(nil))), []byte(given)) {
			c.Who = &rest.Who{App: who.App}
			return nil
		}
	}
	return mismatch
}

// lookup finds a key's secret and whose it is, or says why it is refused.
func (h *Handler) lookup(ctx context.Context, id, token string) (string, access.Principal, error) {
	secret, who, err := h.Keys.Lookup(ctx, id, token)
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		err = unknownKey
	case errors.Is(err, access.ErrBadToken):
		err = badToken
	case errors.Is(err, access.ErrExpired):
		err = tokenExpired
	}
	return secret, who, err
}

// toSignV2 is the text that is signed, the path with slash at its end. Headers of a presigned request are
// in its query.
func (h *Handler) toSignV2(r *http.Request, query url.Values, date, slash string) string {
	amz := map[string]string{}
	var subs []string
	for name, v := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") {
			amz[name] = strings.Join(v, ",")
		}
	}
	for name, v := range query {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, "x-amz-"):
			amz[lower] = strings.Join(v, ",")
		case !slices.Contains(signedV2, name):
		case v[0] == "":
			subs = append(subs, name)
		default:
			subs = append(subs, name+"="+v[0])
		}
	}
	header := func(name string) string {
		if v := r.Header.Get(name); v != "" {
			return v
		}
		return query.Get(strings.ToLower(name))
	}
	var b strings.Builder
	b.WriteString(r.Method + "\n" + header("Content-MD5") + "\n" + header("Content-Type") + "\n" + date + "\n")
	names := make([]string, 0, len(amz))
	for name := range amz {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(name + ":" + strings.TrimSpace(amz[name]) + "\n")
	}
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(path, "/") {
		path = r.URL.EscapedPath()
	}
	if bucket, _ := h.hostBucket(bare(r.Host)); bucket != "" {
		path = "/" + bucket + path
	}
	b.WriteString(path + slash)
	slices.Sort(subs)
	if len(subs) > 0 {
		b.WriteString("?" + strings.Join(subs, "&"))
	}
	return b.String()
}

// signedV2 are the parameters that version 2 signs.
var signedV2 = []string{"accelerate", "acl", "cors", "defaultObjectAcl", "delete", "lifecycle", "location", "logging", "notification",
	"partNumber", "policy", "replication", "requestPayment", "restore", "storageClass", "tagging", "torrent", "uploadId", "uploads",
	"versionId", "versioning", "versions", "website", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires"}
