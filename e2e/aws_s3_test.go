package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	s3api "github.com/sluicehq/sluice/dialect/aws/s3"
	"github.com/sluicehq/sluice/e2e/live"
	"github.com/sluicehq/sluice/function/egress"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// s3Server starts the protocol over a store in memory and bodies on disk, on http or https.
func s3Server(t *testing.T, tls bool) (*httptest.Server, access.Credentials) {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	bodies, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bodies.Close() })
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	objects, err := object.Open(t.Context(), store, bodies, object.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := access.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := keys.AppKey(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewUnstartedServer(s3api.New(s3api.Options{Objects: objects, Keys: keys, Log: log}))
	srv.Start()
	if tls {
		srv.Close()
		srv = httptest.NewTLSServer(s3api.New(s3api.Options{Objects: objects, Keys: keys, Log: log}))
	}
	t.Cleanup(srv.Close)
	return srv, cred
}

// s3Forms are the ways in which the SDK can reach us.
var s3Forms = map[string]func(t *testing.T) (*s3.Client, *http.Client){
	"path style over http": func(t *testing.T) (*s3.Client, *http.Client) {
		srv, cred := s3Server(t, false)
		return s3Client(srv, cred, func(o *s3.Options) {
			o.BaseEndpoint, o.UsePathStyle, o.HTTPClient = aws.String(srv.URL), true, live.Patient{}
		}), srv.Client()
	},
	"hosts of AWS over https": func(t *testing.T) (*s3.Client, *http.Client) {
		srv, cred := s3Server(t, true)
		browser := srv.Client()
		tr := browser.Transport.(*http.Transport)
		tr.DialContext = ossDialer(srv.Listener.Addr().String()).Transport.(*http.Transport).DialContext
		tr.TLSClientConfig.InsecureSkipVerify = true
		return s3Client(srv, cred, func(o *s3.Options) { o.HTTPClient = live.Patient{Client: browser} }), browser
	},
}

func s3Client(_ *httptest.Server, cred access.Credentials, form func(o *s3.Options)) *s3.Client {
	return s3.New(s3.Options{Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider(cred.ID, cred.Secret, cred.Token),
		Retryer: aws.NopRetryer{}, RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenSupported}, form)
}

func TestS3GoSDK(t *testing.T) {
	t.Parallel()
	for name, form := range s3Forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, browser := form(t)
			if _, err := c.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("box")}); err != nil {
				t.Fatal(err)
			}
			s3Objects(t, c)
			s3Listings(t, c)
			s3BigObjects(t, c)
			s3Presigned(t, c, browser)
			s3Settings(t, c)
			s3Faults(t, c)
		})
	}
}

func s3Objects(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx, box, key := t.Context(), aws.String("box"), aws.String("dir/a b+c=ü.txt")
	put, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: strings.NewReader("hello world"), ContentType: aws.String("text/plain"),
		Metadata: map[string]string{"who": "ann"}, Tagging: aws.String("a=b")})
	if err != nil {
		t.Fatal(err)
	}
	if *put.ETag != `"5eb63bbbe01eeed093cb22bb8f5acdc3"` || put.ChecksumCRC32 == nil {
		t.Errorf("ETag %s, CRC-32 %v", *put.ETag, put.ChecksumCRC32)
	}
	for _, algorithm := range types.ChecksumAlgorithm("").Values() {
		in := &s3.PutObjectInput{Bucket: box, Key: aws.String("sums/" + string(algorithm)), Body: strings.NewReader("hello world"), ChecksumAlgorithm: algorithm}
		if _, err := c.PutObject(ctx, in); err != nil && !strings.Contains(err.Error(), "not supported") && !strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, ChecksumMode: types.ChecksumModeEnabled})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(got.Body)
	if err != nil || string(body) != "hello world" || *got.ContentType != "text/plain" || got.Metadata["who"] != "ann" || aws.ToString(got.ChecksumCRC32) != *put.ChecksumCRC32 {
		t.Errorf("got %q, %+v, %v", body, got, err)
	}
	part, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: box, Key: key, Range: aws.String("bytes=-5")})
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(part.Body); string(body) != "world" || *part.ContentRange != "bytes 6-10/11" {
		t.Errorf("range %q, %s", body, *part.ContentRange)
	}
	if _, err := c.CopyObject(ctx, &s3.CopyObjectInput{Bucket: box, Key: aws.String("copy"), CopySource: aws.String("box/dir/a%20b%2Bc%3D%C3%BC.txt")}); err != nil {
		t.Error(err)
	}
	tags, err := c.GetObjectTagging(ctx, &s3.GetObjectTaggingInput{Bucket: box, Key: aws.String("copy")})
	if err != nil || len(tags.TagSet) != 1 || *tags.TagSet[0].Value != "b" {
		t.Errorf("tags %+v, %v", tags, err)
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
	if s3Code(err) != "PreconditionFailed" {
		t.Errorf("a put over it: %v", err)
	}
	_, err = c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: key, Body: strings.NewReader("hello world"), IfMatch: put.ETag})
	if err != nil {
		t.Error(err)
	}
	deleted, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: box, Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: key}, {Key: aws.String("copy")}, {Key: aws.String("none")}}}})
	if err != nil || len(deleted.Deleted) != 3 || *deleted.Deleted[0].Key != *key {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	_, err = c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: box, Key: key})
	if missing := new(types.NotFound); !errors.As(err, &missing) {
		t.Errorf("head of nothing: %v", err)
	}
}

func s3Listings(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx, box := t.Context(), aws.String("box")
	for _, k := range []string{"l/a&b", "l/b/1", "l/b/2", "l/c ü"} {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: aws.String(k), Body: strings.NewReader(k)}); err != nil {
			t.Fatal(err)
		}
	}
	var keys []string
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: box, Prefix: aws.String("l/"), Delimiter: aws.String("/"), MaxKeys: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
		for _, p := range page.CommonPrefixes {
			keys = append(keys, *p.Prefix)
		}
	}
	if diff := cmp.Diff([]string{"l/a&b", "l/b/", "l/c ü"}, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	v1, err := c.ListObjects(ctx, &s3.ListObjectsInput{Bucket: box, Prefix: aws.String("l/"), Marker: aws.String("l/b/1"), EncodingType: types.EncodingTypeUrl})
	if err != nil || len(v1.Contents) != 2 {
		t.Errorf("version 1: %+v, %v", v1, err)
	}
	all, err := c.ListBuckets(ctx, &s3.ListBucketsInput{})
	if err != nil || len(all.Buckets) != 1 || *all.Buckets[0].Name != "box" {
		t.Errorf("buckets %+v, %v", all, err)
	}
}

func s3BigObjects(t *testing.T, c *s3.Client) {
	t.Helper()
	data := make([]byte, 20<<20)
	rand.Read(data)
	m := transfermanager.New(c, func(o *transfermanager.Options) { o.PartSizeBytes = 5 << 20 })
	if _, err := m.UploadObject(t.Context(), &transfermanager.UploadObjectInput{Bucket: aws.String("box"), Key: aws.String("big"), Body: bytes.NewReader(data)}); err != nil {
		t.Fatal(err)
	}
	head, err := c.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("box"), Key: aws.String("big")})
	if err != nil || *head.ContentLength != int64(len(data)) || !strings.HasSuffix(*head.ETag, `-4"`) {
		t.Errorf("head %+v, %v", head, err)
	}
	got, err := m.GetObject(t.Context(), &transfermanager.GetObjectInput{Bucket: aws.String("box"), Key: aws.String("big")})
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(body, data) {
		t.Errorf("%d bytes came back, %v", len(body), err)
	}
	// An upload of which a part is copied, and one that is given up.
	up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("half")})
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: aws.String("box"), Key: aws.String("half"), UploadId: up.UploadId,
		PartNumber: aws.Int32(1), CopySource: aws.String("box/big"), CopySourceRange: aws.String("bytes=0-9")})
	if err != nil {
		t.Fatal(err)
	}
	parts, err := c.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("box"), Key: aws.String("half"), UploadId: up.UploadId})
	if err != nil || len(parts.Parts) != 1 || *parts.Parts[0].Size != 10 {
		t.Errorf("parts %+v, %v", parts, err)
	}
	_, err = c.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("half"), UploadId: up.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: p.CopyPartResult.ETag}}}})
	if err != nil {
		t.Fatal(err)
	}
	if up, err = c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("none")}); err != nil {
		t.Fatal(err)
	}
	if list, err := c.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("box")}); err != nil || len(list.Uploads) != 1 {
		t.Errorf("uploads %+v, %v", list, err)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("box"), Key: aws.String("none"), UploadId: up.UploadId}); err != nil {
		t.Error(err)
	}
}

func s3Presigned(t *testing.T, c *s3.Client, browser *http.Client) {
	t.Helper()
	sign := s3.NewPresignClient(c)
	in := &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("pre signed"), ContentType: aws.String("text/plain")}
	put, err := sign.PresignPutObject(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, url, body string, header http.Header) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for name, v := range header {
			r.Header[name] = v
		}
		res, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		got, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(got)
	}
	if status, body := send("PUT", put.URL, "by url", put.SignedHeader); status != 200 {
		t.Errorf("presigned PUT: %d %s", status, body)
	}
	get, err := sign.PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: in.Bucket, Key: in.Key}, s3.WithPresignExpires(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := send("GET", get.URL, "", get.SignedHeader); status != 200 || body != "by url" {
		t.Errorf("presigned GET: %d %s", status, body)
	}
	if status, body := send("GET", strings.Replace(get.URL, "pre%20signed", "big", 1), "", get.SignedHeader); status != 403 || !strings.Contains(body, "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("another key: %d %s", status, body)
	}
}

func s3Settings(t *testing.T, c *s3.Client) {
	t.Helper()
	ctx, box := t.Context(), aws.String("box")
	if _, err := c.PutBucketCors(ctx, &s3.PutBucketCorsInput{Bucket: box, CORSConfiguration: &types.CORSConfiguration{CORSRules: []types.CORSRule{
		{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET"}, ID: aws.String("one")}}}}); err != nil {
		t.Error(err)
	}
	if cors, err := c.GetBucketCors(ctx, &s3.GetBucketCorsInput{Bucket: box}); err != nil || *cors.CORSRules[0].ID != "one" {
		t.Errorf("CORS %+v, %v", cors, err)
	}
	if _, err := c.PutBucketAcl(ctx, &s3.PutBucketAclInput{Bucket: box, ACL: types.BucketCannedACLPublicRead}); err != nil {
		t.Error(err)
	}
	if acl, err := c.GetBucketAcl(ctx, &s3.GetBucketAclInput{Bucket: box}); err != nil || len(acl.Grants) != 2 || acl.Grants[1].Grantee.Type != types.TypeGroup {
		t.Errorf("ACL %+v, %v", acl, err)
	}
	if v, err := c.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: box}); err != nil || v.Status != "" {
		t.Errorf("versioning %+v, %v", v, err)
	}
	if at, err := c.GetBucketLocation(ctx, &s3.GetBucketLocationInput{Bucket: box}); err != nil || at.LocationConstraint != "" {
		t.Errorf("location %+v, %v", at, err)
	}
	for want, err := range map[string]error{
		"NoSuchBucketPolicy":                             second(c.GetBucketPolicy(ctx, &s3.GetBucketPolicyInput{Bucket: box})),
		"NoSuchTagSet":                                   second(c.GetBucketTagging(ctx, &s3.GetBucketTaggingInput{Bucket: box})),
		"NoSuchLifecycleConfiguration":                   second(c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: box})),
		"NoSuchWebsiteConfiguration":                     second(c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: box})),
		"NotImplemented":                                 second(c.GetObjectTorrent(ctx, &s3.GetObjectTorrentInput{Bucket: box, Key: box})),
		"ServerSideEncryptionConfigurationNotFoundError": second(c.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: box})),
	} {
		if s3Code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := c.GetBucketNotificationConfiguration(ctx, &s3.GetBucketNotificationConfigurationInput{Bucket: box}); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func s3Code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func s3Faults(t *testing.T, c *s3.Client) {
	t.Helper()
	who, err := c.Options().Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// A client of its own: the SDK remembers what it has derived from a secret.
	as := func(id, secret string) *s3.Client {
		o := c.Options()
		o.HTTPSignerV4, o.AuthSchemes = nil, nil
		o.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
		return s3.New(o)
	}
	get := func(c *s3.Client, bucket, key string) error {
		return second(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key}))
	}
	for want, err := range map[string]error{
		"SignatureDoesNotMatch": get(as(who.AccessKeyID, "wrong"), "box", "big"),
		"InvalidAccessKeyId":    get(as("AKIANOBODY", "wrong"), "box", "big"),
		"NoSuchBucket":          get(c, "nowhere", "big"),
		"NoSuchKey":             get(c, "box", "nothing"),
		"BucketNotEmpty":        second(c.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String("box")})),
		"BadDigest": second(c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("box"), Key: aws.String("x"),
			Body: strings.NewReader("x"), ContentMD5: aws.String("XrY7u+Ae7tCTyyK7j1rNww==")})),
	} {
		if s3Code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestS3Website shows a bucket as browsers see it, under its host of AWS.
func TestS3Website(t *testing.T) {
	t.Parallel()
	c, browser := s3Forms["hosts of AWS over https"](t)
	ctx, box := t.Context(), aws.String("site")
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: box}); err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{"index.html": "home", "docs/index.html": "docs", "error.html": "lost", "docs/a.css": "css"} {
		if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: aws.String(key), Body: strings.NewReader(text), ContentType: aws.String("text/html")}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: box, Key: aws.String("moved"), WebsiteRedirectLocation: aws.String("/docs/")}); err != nil {
		t.Fatal(err)
	}
	_, err := c.PutBucketWebsite(ctx, &s3.PutBucketWebsiteInput{Bucket: box, WebsiteConfiguration: &types.WebsiteConfiguration{
		IndexDocument: &types.IndexDocument{Suffix: aws.String("index.html")}, ErrorDocument: &types.ErrorDocument{Key: aws.String("error.html")},
		RoutingRules: []types.RoutingRule{
			{Condition: &types.Condition{KeyPrefixEquals: aws.String("old/")}, Redirect: &types.Redirect{ReplaceKeyPrefixWith: aws.String("docs/"), HttpRedirectCode: aws.String("302")}},
			{Condition: &types.Condition{KeyPrefixEquals: aws.String("gone/"), HttpErrorCodeReturnedEquals: aws.String("404")}, Redirect: &types.Redirect{HostName: aws.String("example.com"), Protocol: types.ProtocolHttp}},
		}}})
	if err != nil {
		t.Fatal(err)
	}
	stay := *browser
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	const host = "https://site.s3-website-us-east-1.amazonaws.com"
	get := func(path string) (int, string) {
		t.Helper()
		res, err := stay.Get(host + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if to := res.Header.Get("Location"); to != "" {
			body = []byte(to)
		}
		return res.StatusCode, string(body)
	}
	if status, body := get("/"); status != 403 || !strings.Contains(body, "<title>403 Forbidden</title>") || !strings.Contains(body, "<li>Code: AccessDenied</li>") {
		t.Errorf("before everybody may read it: %d %s", status, body)
	}
	_, err = c.PutBucketPolicy(ctx, &s3.PutBucketPolicyInput{Bucket: box, Policy: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::site/*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		status int
		body   string
	}{
		"/": {200, "home"}, "/docs": {302, "/docs/"}, "/docs/": {200, "docs"}, "/docs/a.css": {200, "css"}, "/none": {404, "lost"}, "/docs/none/": {404, "lost"},
		"/old/a.css?x=1": {302, host + "/docs/a.css?x=1"}, "/gone/a": {301, "http://example.com/gone/a"}, "/moved": {301, "/docs/"},
	} {
		if status, body := get(path); status != want.status || body != want.body {
			t.Errorf("%s: %d %s, want %v", path, status, body, want)
		}
	}
	got, err := c.GetBucketWebsite(ctx, &s3.GetBucketWebsiteInput{Bucket: box})
	if err != nil || len(got.RoutingRules) != 2 || *got.ErrorDocument.Key != "error.html" {
		t.Errorf("website %+v, %v", got, err)
	}
}

// s3Tools are the ways in which tools and SDKs are told of us by their environment.
var s3Tools = map[string]func(t *testing.T) []string{
	"http": func(t *testing.T) []string {
		srv, cred := s3Server(t, false)
		return s3Env(cred, "AWS_ENDPOINT_URL_S3="+srv.URL)
	},
	"https": func(t *testing.T) []string {
		srv, cred := s3Server(t, true)
		file := filepath.Join(t.TempDir(), "ca.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
		return s3Env(cred, "AWS_ENDPOINT_URL_S3="+srv.URL, "AWS_CA_BUNDLE="+file, "NODE_EXTRA_CA_CERTS="+file)
	},
	"egress": func(t *testing.T) []string { // the tools go to AWS's own hosts, through our proxy
		srv, cred := s3Server(t, false)
		e, err := egress.Open(egress.Options{Dir: t.TempDir(), Vendors: []string{"*.amazonaws.com"}, Handler: srv.Config.Handler})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- e.Serve(ctx) }()
		t.Cleanup(func() {
			stop()
			<-done
		})
		env := s3Env(cred)
		for name, v := range e.Environment(nil, true) {
			env = append(env, name+"="+v)
		}
		return env
	},
}

func s3Env(cred access.Credentials, more ...string) []string {
	return append(more, "AWS_ACCESS_KEY_ID="+cred.ID, "AWS_SECRET_ACCESS_KEY="+cred.Secret, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1")
}

func TestS3Boto3(t *testing.T) {
	t.Parallel()
	for name, env := range s3Tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runPython(t, "s3_objects", env(t)...)
		})
	}
}

// TestS3NodeSDK runs testdata/node-aws, where the SDK has to be installed: npm ci.
func TestS3NodeSDK(t *testing.T) {
	t.Parallel()
	const dir = "testdata/node-aws"
	if _, err := os.Stat(filepath.Join(dir, "node_modules/@aws-sdk/client-s3")); err != nil {
		t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
	}
	for _, name := range []string{"http", "https"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "node", "--test", "s3.test.js")
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), s3Tools[name](t)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
		})
	}
}

// TestS3CommandLine syncs a folder up and down, moves a big file and makes a website with the aws tool.
func TestS3CommandLine(t *testing.T) {
	t.Parallel()
	tool := filepath.Join(filepath.Dir(python(t)), "aws")
	for name, env := range s3Tools {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vars := append(os.Environ(), env(t)...)
			run := func(args ...string) string {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), tool, args...)
				cmd.Env = vars
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
				}
				return string(out)
			}
			from, to := t.TempDir(), filepath.Join(t.TempDir(), "back")
			big := make([]byte, 20<<20)
			rand.Read(big)
			files := map[string][]byte{"index.html": []byte("<h1>hi</h1>"), "sub/a b+ü.txt": []byte("text"), "empty": nil, "big": big}
			for path, data := range files {
				path = filepath.Join(from, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				old := time.Now().Add(-time.Minute) // the tool takes a file of the second in which it was sent for newer
				if err := os.Chtimes(path, old, old); err != nil {
					t.Fatal(err)
				}
			}
			run("s3", "mb", "s3://cli-box")
			run("s3", "sync", from, "s3://cli-box/up", "--no-progress")
			if again := run("s3", "sync", from, "s3://cli-box/up", "--no-progress"); again != "" {
				t.Errorf("a second sync has something to do: %s", again)
			}
			run("s3", "sync", "s3://cli-box/up", to, "--no-progress")
			for path, want := range files {
				if got, err := os.ReadFile(filepath.Join(to, path)); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s came back as %d bytes, %v", path, len(got), err)
				}
			}
			run("s3", "mv", "s3://cli-box/up/big", "s3://cli-box/moved")
			if err := os.Remove(filepath.Join(from, "empty")); err != nil {
				t.Fatal(err)
			}
			run("s3", "sync", from, "s3://cli-box/up", "--no-progress", "--delete", "--exclude", "big")
			listed := run("s3", "ls", "s3://cli-box", "--recursive")
			var keys []string
			for line := range strings.Lines(listed) {
				keys = append(keys, strings.TrimSpace(line[min(len(line), 31):]))
			}
			if diff := cmp.Diff([]string{"moved", "up/index.html", "up/sub/a b+ü.txt"}, keys); diff != "" {
				t.Errorf("keys (-want +got):\n%s", diff)
			}
			for want, pair := range map[string][]string{
				"SignatureDoesNotMatch": {"AWS_SECRET_ACCESS_KEY=wrong"},
				"InvalidAccessKeyId":    {"AWS_ACCESS_KEY_ID=AKIANOBODY", "AWS_SECRET_ACCESS_KEY=wrong"},
			} {
				cmd := exec.CommandContext(t.Context(), tool, "s3", "ls", "s3://cli-box")
				cmd.Env = append(slices.Clone(vars), pair...)
				if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
					t.Errorf("%v lists the bucket: %s, %v; want %s", pair, out, err, want)
				}
			}
			run("s3", "website", "s3://cli-box", "--index-document", "index.html")
			run("s3", "rb", "s3://cli-box", "--force")
		})
	}
}
