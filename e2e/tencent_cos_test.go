package e2e

import (
	"bytes"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/tencentyun/cos-go-sdk-v5"

	"github.com/sluicehq/sluice/access"
	cosapi "github.com/sluicehq/sluice/dialect/tencent/cos"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// cosServer starts the protocol over a store in memory and bodies on disk.
func cosServer(t *testing.T) (addr string, keys *access.Keys) {
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
	srv := httptest.NewServer(cosapi.New(cosapi.Options{Objects: objects, Keys: keys, AppID: "1250000000", Log: log}))
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), keys
}

func TestCOSGoSDK(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]bool{"key": false, "token": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, keys := cosServer(t)
			cred, err := keys.AppKey(t.Context(), "app")
			if err != nil {
				t.Fatal(err)
			}
			if token {
				cred = keys.Temporary("AKID", access.Principal{App: "app"}, time.Hour)
			}
			// The vendor's own host names lead to us, as in functions.
			via := ossDialer(addr)
			bucket, _ := url.Parse("http://chat-1250000000.cos.ap-guangzhou.myqcloud.com")
			service, _ := url.Parse("http://service.cos.myqcloud.com")
			c := cos.NewClient(&cos.BaseURL{BucketURL: bucket, ServiceURL: service}, &http.Client{Transport: &cos.AuthorizationTransport{
				SecretID: cred.ID, SecretKey: cred.Secret, SessionToken: cred.Token, Transport: via.Transport}})
			c.Conf.RetryOpt.Count = 1
			if _, err := c.Bucket.Put(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			cosObjects(t, c, via, cred)
			cosBig(t, c)
			cosSettings(t, c)
		})
	}
}

func cosObjects(t *testing.T, c *cos.Client, browser *http.Client, cred access.Credentials) {
	t.Helper()
	ctx := t.Context()
	const key = "dir/a b+c=中~!*().txt"
	put := &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{ContentType: "text/plain", XCosMetaXXX: &http.Header{"x-cos-meta-who": {"ann"}}}}
	if _, err := c.Object.Put(ctx, key, strings.NewReader("websocket"), put); err != nil {
		t.Fatal(err)
	}
	got, err := c.Object.Get(ctx, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || string(body) != "websocket" || got.Header.Get("X-Cos-Meta-Who") != "ann" || got.Header.Get("X-Cos-Hash-Crc64ecma") != "18410209663207647565" {
		t.Errorf("got %q, %v, %v", body, got.Header, err)
	}
	if _, _, err := c.Object.Copy(ctx, "copy", c.BaseURL.BucketURL.Host+"/"+key, nil); err != nil {
		t.Error(err)
	}
	if at, _, err := c.Object.Append(ctx, "log", 0, strings.NewReader("one"), nil); err != nil || at != 3 {
		t.Errorf("appended to %d, %v", at, err)
	}
	list, _, err := c.Bucket.Get(ctx, &cos.BucketGetOptions{Delimiter: "/", MaxKeys: 2})
	if err != nil || !list.IsTruncated || len(list.Contents) != 1 || len(list.CommonPrefixes) != 1 {
		t.Errorf("list %+v, %v", list, err)
	}
	sign, err := c.Object.GetPresignedURL(ctx, http.MethodGet, key, cred.ID, cred.Secret, time.Minute, &cos.PresignedURLOptions{Query: &url.Values{"x-cos-security-token": {cred.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := browser.Get(sign.String())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); string(body) != "websocket" {
		t.Errorf("presigned: %d %s", res.StatusCode, body)
	}
	deleted, _, err := c.Object.DeleteMulti(ctx, &cos.ObjectDeleteMultiOptions{Objects: []cos.Object{{Key: key}, {Key: "copy"}, {Key: "none"}}})
	if err != nil || len(deleted.DeletedObjects) != 3 || len(deleted.Errors) != 0 {
		t.Errorf("deleted %+v, %v", deleted, err)
	}
	_, err = c.Object.Head(ctx, key, nil)
	if !cos.IsNotFoundError(err) {
		t.Errorf("head of nothing: %v", err)
	}
	_, err = c.Object.Get(ctx, key, nil)
	if e, ok := cos.IsCOSError(err); !ok || e.Code != "NoSuchKey" || e.RequestID == "" {
		t.Errorf("get of nothing: %v", err)
	}
}

func cosBig(t *testing.T, c *cos.Client) {
	t.Helper()
	data := make([]byte, 5<<20)
	rand.Read(data)
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	done, _, err := c.Object.Upload(t.Context(), "big", file, &cos.MultiUploadOptions{PartSize: 1, ThreadPoolSize: 2})
	if err != nil || !strings.HasSuffix(done.ETag, `-5"`) {
		t.Fatalf("%+v, %v", done, err)
	}
	got, err := c.Object.Get(t.Context(), "big", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	if body, err := io.ReadAll(got.Body); err != nil || !bytes.Equal(body, data) {
		t.Errorf("%d bytes came back, %v", len(body), err)
	}
}

func cosSettings(t *testing.T, c *cos.Client) {
	t.Helper()
	ctx := t.Context()
	site := &cos.BucketPutWebsiteOptions{Index: "index.html", Error: &cos.ErrorDocument{Key: "error.html"}}
	if _, err := c.Bucket.PutWebsite(ctx, site); err != nil {
		t.Error(err)
	}
	if got, _, err := c.Bucket.GetWebsite(ctx); err != nil || got.Index != "index.html" || got.Error.Key != "error.html" {
		t.Errorf("website %+v, %v", got, err)
	}
	if _, err := c.Bucket.PutACL(ctx, &cos.BucketPutACLOptions{Header: &cos.ACLHeaderOptions{XCosACL: "public-read"}}); err != nil {
		t.Error(err)
	}
	if acl, _, err := c.Bucket.GetACL(ctx); err != nil || len(acl.AccessControlList) != 2 {
		t.Errorf("ACL %+v, %v", acl, err)
	}
	rules := []cos.BucketCORSRule{{AllowedOrigins: []string{"*"}, AllowedMethods: []string{"GET"}}}
	if _, err := c.Bucket.PutCORS(ctx, &cos.BucketPutCORSOptions{Rules: rules}); err != nil {
		t.Error(err)
	}
	if got, _, err := c.Bucket.GetCORS(ctx); err != nil || cmp.Diff(rules, got.Rules) != "" {
		t.Errorf("CORS %+v, %v", got, err)
	}
	if all, _, err := c.Service.Get(ctx); err != nil || len(all.Buckets) != 1 || all.Buckets[0].Name != "chat-1250000000" {
		t.Errorf("buckets %+v, %v", all, err)
	}
}

// TestCOSNodeSDK runs testdata/node-cos, where the SDK has to be installed: npm ci.
func TestCOSNodeSDK(t *testing.T) {
	t.Parallel()
	const dir = "testdata/node-cos"
	if _, err := os.Stat(filepath.Join(dir, "node_modules/cos-nodejs-sdk-v5")); err != nil {
		t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
	}
	cmd := exec.CommandContext(t.Context(), "node", "--test", "cos.test.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), cosEnv(t)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
	}
}

func TestCOSPythonSDK(t *testing.T) {
	t.Parallel()
	runPython(t, "cos_objects", cosEnv(t)...)
}

func cosEnv(t *testing.T) []string {
	t.Helper()
	addr, keys := cosServer(t)
	cred, err := keys.AppKey(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"COS_ADDR=" + addr, "COS_ID=" + cred.ID, "COS_SECRET=" + cred.Secret}
}
