package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	ossapi "github.com/sluicehq/sluice/dialect/aliyun/oss"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// ossServer starts the protocol over a store in memory and bodies on disk.
func ossServer(t *testing.T) (endpoint string, keys *access.Keys) {
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
	if keys, err = access.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(ossapi.New(ossapi.Options{Objects: objects, Keys: keys, Log: log, Region: "cn-hongkong"}))
	t.Cleanup(srv.Close)
	return srv.URL, keys
}

// ossForms are the ways in which the Go SDK can address and sign.
var ossForms = map[string]func(c *oss.Config, addr string){
	"V4, path style": func(c *oss.Config, addr string) { c.WithUsePathStyle(true) },
	"V1, path style": func(c *oss.Config, addr string) {
		c.WithUsePathStyle(true).WithSignatureVersion(oss.SignatureVersionV1)
	},
	"V4, host and token": func(c *oss.Config, addr string) { ossByHost(c, addr) },
	"V1, host and token": func(c *oss.Config, addr string) { ossByHost(c, addr).WithSignatureVersion(oss.SignatureVersionV1) },
}

// ossDialer sends requests for every name to addr, as a function's resolver does.
func ossDialer(addr string) *http.Client {
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

func ossByHost(c *oss.Config, addr string) *oss.Config {
	return c.WithEndpoint("http://oss-cn-hongkong.aliyuncs.com").WithHttpClient(ossDialer(addr))
}

func ossClient(t *testing.T, form func(c *oss.Config, addr string), token bool) (*oss.Client, *http.Client) {
	t.Helper()
	endpoint, keys := ossServer(t)
	cred, err := keys.AppKey(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if token {
		cred = keys.Temporary("STS.", access.Principal{App: "app", Function: "f"}, time.Hour)
	}
	cfg := oss.LoadDefaultConfig().WithRegion("cn-hongkong").WithEndpoint(endpoint).WithRetryMaxAttempts(1).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(cred.ID, cred.Secret, cred.Token))
	addr := strings.TrimPrefix(endpoint, "http://")
	form(cfg, addr)
	return oss.NewClient(cfg), ossDialer(addr)
}

func TestOSSGoSDK(t *testing.T) {
	t.Parallel()
	for name, form := range ossForms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, browser := ossClient(t, form, strings.Contains(name, "token"))
			ok := func(_ any, err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			ok(c.PutBucket(t.Context(), &oss.PutBucketRequest{Bucket: new("box"), Acl: oss.BucketACLPrivate}))
			ossBuckets(t, c)
			ossObjects(t, c)
			ossListings(t, c)
			ossBigObjects(t, c)
			ossPresigned(t, c, browser)
			ossFaults(t, c)
		})
	}
}

func ossBuckets(t *testing.T, c *oss.Client) {
	ctx, box := t.Context(), new("box")
	info, err := c.GetBucketInfo(ctx, &oss.GetBucketInfoRequest{Bucket: box})
	if err != nil || *info.BucketInfo.Name != "box" || *info.BucketInfo.Location != "oss-cn-hongkong" || *info.BucketInfo.ACL != "private" ||
		time.Since(*info.BucketInfo.CreationDate) > time.Minute {
		t.Errorf("bucket info: %+v, %v", info, err)
	}
	if _, err := c.PutBucketAcl(ctx, &oss.PutBucketAclRequest{Bucket: box, Acl: oss.BucketACLPublicRead}); err != nil {
		t.Error(err)
	}
	acl, err := c.GetBucketAcl(ctx, &oss.GetBucketAclRequest{Bucket: box})
	if err != nil || *acl.ACL != "public-read" || *acl.Owner.ID != "app" {
		t.Errorf("acl: %+v, %v", acl, err)
	}
	where, err := c.GetBucketLocation(ctx, &oss.GetBucketLocationRequest{Bucket: box})
	if err != nil || *where.LocationConstraint != "oss-cn-hongkong" {
		t.Errorf("location: %+v, %v", where, err)
	}
	all, err := c.ListBuckets(ctx, &oss.ListBucketsRequest{})
	if err != nil || len(all.Buckets) != 1 || *all.Buckets[0].Name != "box" {
		t.Errorf("buckets: %+v, %v", all, err)
	}
	if ok, err := c.IsBucketExist(ctx, "nothere"); ok || err != nil {
		t.Errorf("a bucket that is not there: %v, %v", ok, err)
	}

	cors := &oss.CORSConfiguration{CORSRules: []oss.CORSRule{{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"PUT", "GET"},
		AllowedHeaders: []string{"*"}, ExposeHeaders: []string{"ETag"}, MaxAgeSeconds: new(int64(9))}}}
	if _, err := c.PutBucketCors(ctx, &oss.PutBucketCorsRequest{Bucket: box, CORSConfiguration: cors}); err != nil {
		t.Error(err)
	}
	gotCORS, err := c.GetBucketCors(ctx, &oss.GetBucketCorsRequest{Bucket: box})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(cors, gotCORS.CORSConfiguration); diff != "" {
		t.Errorf("cors (-want +got):\n%s", diff)
	}
	if _, err := c.DeleteBucketCors(ctx, &oss.DeleteBucketCorsRequest{Bucket: box}); err != nil {
		t.Error(err)
	}

	site := &oss.WebsiteConfiguration{IndexDocument: &oss.IndexDocument{Suffix: new("index.html"), SupportSubDir: new(true), Type: new(int64(2))},
		ErrorDocument: &oss.ErrorDocument{Key: new("404.html"), HttpStatus: new(int64(404))}}
	if _, err := c.PutBucketWebsite(ctx, &oss.PutBucketWebsiteRequest{Bucket: box, WebsiteConfiguration: site}); err != nil {
		t.Error(err)
	}
	gotSite, err := c.GetBucketWebsite(ctx, &oss.GetBucketWebsiteRequest{Bucket: box})
	if err != nil {
		t.Fatal(err)
	}
	gotSite.WebsiteConfiguration.RoutingRules = nil
	if diff := cmp.Diff(site, gotSite.WebsiteConfiguration); diff != "" {
		t.Errorf("website (-want +got):\n%s", diff)
	}
	if _, err := c.DeleteBucketWebsite(ctx, &oss.DeleteBucketWebsiteRequest{Bucket: box}); err != nil {
		t.Error(err)
	}
	referer := &oss.RefererConfiguration{AllowEmptyReferer: new(false), RefererList: &oss.RefererList{Referers: []string{"http://a"}}}
	if _, err := c.PutBucketReferer(ctx, &oss.PutBucketRefererRequest{Bucket: box, RefererConfiguration: referer}); err != nil {
		t.Error(err)
	}
	gotReferer, err := c.GetBucketReferer(ctx, &oss.GetBucketRefererRequest{Bucket: box})
	if err != nil || len(gotReferer.RefererConfiguration.RefererList.Referers) != 1 {
		t.Errorf("referer: %+v, %v", gotReferer, err)
	}
}

func ossObjects(t *testing.T, c *oss.Client) {
	ctx, box := t.Context(), new("box")
	key := new("dir/ein Schlüssel+=&?#%.txt")
	put, err := c.PutObject(ctx, &oss.PutObjectRequest{Bucket: box, Key: key, Body: strings.NewReader("hello world"),
		Metadata: map[string]string{"who": "me"}, CacheControl: new("no-cache"), ContentMD5: new("XrY7u+Ae7tCTyyK7j1rNww==")})
	if err != nil || *put.ETag != `"5EB63BBBE01EEED093CB22BB8F5ACDC3"` || *put.HashCRC64 != "5981764153023615706" {
		t.Fatalf("put: %+v, %v", put, err)
	}
	got, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: box, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(got.Body)
	got.Body.Close()
	if err != nil || string(data) != "hello world" || got.Metadata["who"] != "me" || got.Headers.Get("Cache-Control") != "no-cache" ||
		*got.ObjectType != "Normal" || *got.ContentMD5 != "XrY7u+Ae7tCTyyK7j1rNww==" {
		t.Errorf("get: %q %+v, %v", data, got, err)
	}
	part, err := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: box, Key: key, Range: new("bytes=6-"), RangeBehavior: new("standard")})
	if err != nil {
		t.Fatal(err)
	}
	data, _ = io.ReadAll(part.Body)
	part.Body.Close()
	if string(data) != "world" || *part.ContentRange != "bytes 6-10/11" {
		t.Errorf("range: %q %v", data, *part.ContentRange)
	}
	head, err := c.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: box, Key: key})
	if err != nil || head.ContentLength != 11 || *head.StorageClass != "Standard" {
		t.Errorf("head: %+v, %v", head, err)
	}
	meta, err := c.GetObjectMeta(ctx, &oss.GetObjectMetaRequest{Bucket: box, Key: key})
	if err != nil || meta.ContentLength != 11 || *meta.ETag != *put.ETag {
		t.Errorf("meta: %+v, %v", meta, err)
	}
	copied, err := c.CopyObject(ctx, &oss.CopyObjectRequest{Bucket: box, Key: new("copy"), SourceKey: key})
	if err != nil || *copied.ETag != *put.ETag || *copied.HashCRC64 != *put.HashCRC64 {
		t.Errorf("copy: %+v, %v", copied, err)
	}
	if _, err := c.PutObjectAcl(ctx, &oss.PutObjectAclRequest{Bucket: box, Key: new("copy"), Acl: oss.ObjectACLPrivate}); err != nil {
		t.Error(err)
	}
	acl, err := c.GetObjectAcl(ctx, &oss.GetObjectAclRequest{Bucket: box, Key: new("copy")})
	if err != nil || *acl.ACL != "private" {
		t.Errorf("acl: %+v, %v", acl, err)
	}

	log, err := c.AppendFile(ctx, "box", "log")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := fmt.Fprintf(log, "line %d\n", i); err != nil {
			t.Error(err)
		}
	}
	log.Close()
	file, err := c.OpenFile(ctx, "box", "log")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(7, io.SeekStart); err != nil {
		t.Error(err)
	}
	if data, err := io.ReadAll(file); err != nil || string(data) != "line 1\nline 2\n" {
		t.Errorf("appended: %q, %v", data, err)
	}
	if _, err := c.DeleteObject(ctx, &oss.DeleteObjectRequest{Bucket: box, Key: key}); err != nil {
		t.Error(err)
	}
	if ok, err := c.IsObjectExist(ctx, "box", *key); ok || err != nil {
		t.Errorf("a deleted object is there: %v, %v", ok, err)
	}
	many, err := c.DeleteMultipleObjects(ctx, &oss.DeleteMultipleObjectsRequest{Bucket: box,
		Objects: []oss.DeleteObject{{Key: new("copy")}, {Key: new("log")}, {Key: new("nie da")}}})
	if err != nil || len(many.DeletedObjects) != 3 || *many.DeletedObjects[2].Key != "nie da" {
		t.Errorf("delete many: %+v, %v", many, err)
	}
}

func ossListings(t *testing.T, c *oss.Client) {
	var want, keys []string
	for i := range 7 {
		want = append(want, fmt.Sprintf("list/ä %d", i))
		if _, err := c.PutObject(t.Context(), &oss.PutObjectRequest{Bucket: new("box"), Key: &want[i], Body: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
	v1 := c.NewListObjectsPaginator(&oss.ListObjectsRequest{Bucket: new("box"), Prefix: new("list/"), MaxKeys: 3})
	for v1.HasNext() {
		page, err := v1.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
	keys = nil
	v2 := c.NewListObjectsV2Paginator(&oss.ListObjectsV2Request{Bucket: new("box"), Prefix: new("list/"), MaxKeys: 3})
	for v2.HasNext() {
		page, err := v2.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			keys = append(keys, *o.Key)
		}
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("listing, version 2 (-want +got):\n%s", diff)
	}
	root, err := c.ListObjectsV2(t.Context(), &oss.ListObjectsV2Request{Bucket: new("box"), Delimiter: new("/")})
	if err != nil || len(root.CommonPrefixes) != 1 || *root.CommonPrefixes[0].Prefix != "list/" {
		t.Errorf("listing by folders: %+v, %v", root, err)
	}
}

func ossBigObjects(t *testing.T, c *oss.Client) {
	ctx := t.Context()
	data := make([]byte, 6<<20+17)
	rand.Read(data)
	up, err := c.NewUploader(func(o *oss.UploaderOptions) { o.PartSize = 1 << 20; o.ParallelNum = 3 }).
		UploadFrom(ctx, &oss.PutObjectRequest{Bucket: new("box"), Key: new("big")}, bytes.NewReader(data))
	if err != nil || up.UploadId == nil || !strings.HasSuffix(*up.ETag, `-7"`) {
		t.Fatalf("upload: %+v, %v", up, err)
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "big")
	for _, key := range []string{"big", "bigger"} {
		if key == "bigger" {
			_, err := c.NewCopier(func(o *oss.CopierOptions) {
				o.PartSize = 1 << 20
				o.MultipartCopyThreshold = 1 << 20
				o.DisableShallowCopy = true
			}).
				Copy(ctx, &oss.CopyObjectRequest{Bucket: new("box"), Key: new("bigger"), SourceKey: new("big")})
			if err != nil {
				t.Fatal(err)
			}
		}
		_, err := c.NewDownloader(func(o *oss.DownloaderOptions) { o.PartSize = 1 << 20; o.UseTempFile = true }).
			DownloadFile(ctx, &oss.GetObjectRequest{Bucket: new("box"), Key: &key}, name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes came back, %v", key, len(got), err)
		}
	}
	begun, err := c.InitiateMultipartUpload(ctx, &oss.InitiateMultipartUploadRequest{Bucket: new("box"), Key: new("never done")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UploadPart(ctx, &oss.UploadPartRequest{Bucket: new("box"), Key: begun.Key, UploadId: begun.UploadId, PartNumber: 4,
		Body: strings.NewReader("part")}); err != nil {
		t.Error(err)
	}
	parts, err := c.ListParts(ctx, &oss.ListPartsRequest{Bucket: new("box"), Key: begun.Key, UploadId: begun.UploadId})
	if err != nil || len(parts.Parts) != 1 || parts.Parts[0].PartNumber != 4 || parts.Parts[0].Size != 4 {
		t.Errorf("parts: %+v, %v", parts, err)
	}
	list, err := c.ListMultipartUploads(ctx, &oss.ListMultipartUploadsRequest{Bucket: new("box")})
	if err != nil || len(list.Uploads) != 1 || *list.Uploads[0].UploadId != *begun.UploadId || *list.Uploads[0].Key != "never done" {
		t.Errorf("uploads: %+v, %v", list, err)
	}
	if _, err := c.AbortMultipartUpload(ctx, &oss.AbortMultipartUploadRequest{Bucket: new("box"), Key: begun.Key, UploadId: begun.UploadId}); err != nil {
		t.Error(err)
	}
}

func ossPresigned(t *testing.T, c *oss.Client, browser *http.Client) {
	key := new("pre signed+ä")
	send := func(p *oss.PresignResult, err error, body string) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequest(p.Method, p.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range p.SignedHeaders {
			r.Header.Set(k, v)
		}
		resp, err := browser.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != 200 {
			t.Errorf("%s %s: %d %s", p.Method, p.URL, resp.StatusCode, got)
		}
		return string(got)
	}
	p, err := c.Presign(t.Context(), &oss.PutObjectRequest{Bucket: new("box"), Key: key, ContentType: new("text/plain")}, oss.PresignExpires(time.Minute))
	send(p, err, "by URL")
	p, err = c.Presign(t.Context(), &oss.GetObjectRequest{Bucket: new("box"), Key: key, ResponseContentType: new("a/b; c=d")}, oss.PresignExpires(time.Minute))
	if got := send(p, err, ""); got != "by URL" {
		t.Errorf("get by URL: %q", got)
	}
}

func ossFaults(t *testing.T, c *oss.Client) {
	ctx := t.Context()
	_, noKey := c.GetObject(ctx, &oss.GetObjectRequest{Bucket: new("box"), Key: new("none")})
	_, noKeyHead := c.HeadObject(ctx, &oss.HeadObjectRequest{Bucket: new("box"), Key: new("none")})
	_, noBucket := c.GetBucketAcl(ctx, &oss.GetBucketAclRequest{Bucket: new("nothere")})
	_, notEmpty := c.DeleteBucket(ctx, &oss.DeleteBucketRequest{Bucket: new("box")})
	_, noSite := c.GetBucketWebsite(ctx, &oss.GetBucketWebsiteRequest{Bucket: new("box")})
	_, again := c.PutObject(ctx, &oss.PutObjectRequest{Bucket: new("box"), Key: new("big"), ForbidOverwrite: new("true"), Body: strings.NewReader("x")})
	for want, err := range map[string]error{"404 NoSuchKey": noKey, "404 NoSuchKey ": noKeyHead, "404 NoSuchBucket": noBucket,
		"409 BucketNotEmpty": notEmpty, "404 NoSuchWebsiteConfiguration": noSite, "409 FileAlreadyExists": again} {
		var e *oss.ServiceError
		if !errors.As(err, &e) || fmt.Sprint(e.StatusCode, " ", e.Code) != strings.TrimSpace(want) || len(e.RequestID) != 24 {
			t.Errorf("error is %v, want %s", err, want)
		}
	}
}

// TestOSSNodeSDK runs the scripts of testdata/oss, each against a server of its own. The Node SDK has to
// be installed there: npm ci.
func TestOSSNodeSDK(t *testing.T) {
	t.Parallel()
	const dir = "testdata/oss"
	if _, err := os.Stat(filepath.Join(dir, "node_modules/ali-oss")); err != nil {
		t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
	}
	for name, env := range map[string]string{
		"V1, address, path style":        "OSS_HOST=127.0.0.1 OSS_PATH=1",
		"V1, address":                    "OSS_HOST=127.0.0.1",
		"V1, name, path style":           "OSS_HOST=localhost OSS_PATH=1",
		"V4, address, path style":        "OSS_HOST=127.0.0.1 OSS_PATH=1 OSS_V4=1",
		"V4, name, path style":           "OSS_HOST=localhost OSS_PATH=1 OSS_V4=1",
		"V1, name, path style, token":    "OSS_HOST=localhost OSS_PATH=1 token",
		"V4, address, path style, token": "OSS_HOST=127.0.0.1 OSS_PATH=1 OSS_V4=1 token",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, keys := ossServer(t)
			cred, err := keys.AppKey(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "token") {
				cred = keys.Temporary("STS.", access.Principal{App: "app"}, time.Hour)
			}
			_, port, err := net.SplitHostPort(strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "node", "--test", "oss.test.js")
			cmd.Dir = dir
			cmd.Env = append(append(os.Environ(), strings.Fields(env)...), "OSS_PORT="+port,
				"OSS_ID="+cred.ID, "OSS_SECRET="+cred.Secret, "OSS_TOKEN="+cred.Token)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
			}
		})
	}
}
