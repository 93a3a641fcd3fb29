package tencent

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// sockets fakes the gateway room: nobody is there.
type sockets struct{ dialect.Sockets }

func (sockets) Owner(context.Context, sluice.ConnID) (sluice.AppName, string, sluice.Outcome) {
	return "", "", sluice.Gone
}

// world is the dialect on rooms in memory.
func world(t *testing.T) (dialect.Dialect, dialect.Rooms) {
	t.Helper()
	store := memory.New()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r := dialect.Rooms{
		Store: store, Sockets: sockets{}, Admin: "http://127.0.0.1:4566", Log: slog.New(slog.DiscardHandler),
		Functions: function.New(function.Options{NoPrewarm: true}),
		Public:    func(app sluice.AppName) string { return string(app) + ".localhost:8080" },
	}
	var err error
	r.Keys, err = access.Open(t.Context(), store)
	must(err)
	bodies, err := disk.Open(t.TempDir())
	must(err)
	r.Objects, err = object.Open(t.Context(), store, bodies, object.Options{})
	must(err)
	d, err := New(r, Options{})
	must(err)
	t.Cleanup(func() { r.Functions.Stop(context.Background()) })
	return d, r
}

func TestTheCloudsNamesAreClaimed(t *testing.T) {
	t.Parallel()
	d, _ := world(t)
	for _, c := range []struct {
		host, path, header string
		want               bool
	}{
		{host: "chat-1250000000.cos.ap-guangzhou.myqcloud.com", path: "/a", want: true},
		{host: "chat-1250000000.cos.ap-guangzhou.tencentcos.cn", path: "/a", want: true},
		{host: "scf.tencentcloudapi.com", path: "/", want: true},
		{host: "cvm.tencentcloudapi.com", path: "/", want: true},
		{host: "set-a.cb-b.apigateway.tencentyun.com", path: "/api-etj7lhtw", want: true},
		{host: "service-01era6ni-1250000000.gz.apigw.tencentcs.com:80", path: "/release/", want: true},
		{host: "127.0.0.1:4566", path: "/_tencent/push/api-etj7lhtw", want: true},
		{host: "127.0.0.1:4566", path: "/", header: "TC3-HMAC-SHA256 Credential=a/2020-01-01/scf/tc3_request", want: true},
		{host: "127.0.0.1:4566", path: "/", header: "q-sign-algorithm=sha1&q-ak=a", want: true},
		{host: "127.0.0.1:4566", path: "/_sluice/api/apps"},
		{host: "127.0.0.1:4566", path: "/"},
		{host: "bucket.oss-cn-hangzhou.aliyuncs.com", path: "/a"},
		{host: "dynamodb.us-east-1.amazonaws.com", path: "/", header: "AWS4-HMAC-SHA256 Credential=a/20200101/us-east-1/dynamodb/aws4_request"},
	} {
		r := httptest.NewRequest("POST", c.path, nil)
		r.Host = c.host
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		if got := d.APIs.For(r) != nil; got != c.want {
			t.Errorf("%s%s %s: %v", c.host, c.path, c.header, got)
		}
	}
	r := httptest.NewRequest("POST", "/", nil)
	r.Host = "cvm.tencentcloudapi.com"
	w := httptest.NewRecorder()
	if d.APIs.For(r).ServeHTTP(w, r); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), `"Code":"UnsupportedOperation"`) {
		t.Errorf("what is not served says so: %d %s", w.Code, w.Body)
	}
}

func TestAnAppShowsItsServicesAndItsPage(t *testing.T) {
	t.Parallel()
	d, rooms := world(t)
	page := sluice.Bucket{Name: "page-1250000000", Hosts: []string{"Chat.example.com"}, ACL: "public-read", Website: &sluice.Website{Index: "index.html"}}
	if err := rooms.Objects.EnsureBucket(t.Context(), "chat", &page); err != nil {
		t.Fatal(err)
	}
	if _, err := rooms.Objects.Put(t.Context(), page.Name, object.PutInput{Key: "index.html", Body: strings.NewReader("<p>page"), Size: -1}); err != nil {
		t.Fatal(err)
	}
	s := apispec.Service{ID: "service-01era6ni", Name: "Chat", Region: "ap-guangzhou", Environment: "release", SubDomain: apispec.SubDomain("service-01era6ni", "1250000000", "ap-guangzhou"),
		APIs: []apispec.API{
			{ID: "api-etj7lhtw", Path: "/", Method: "GET", Protocol: apispec.WebSocket, Type: apispec.SCF, Timeout: 15},
			{ID: "api-mocked00", Path: "/mock", Method: "GET", Protocol: apispec.HTTP, Type: apispec.Mock, Mock: "mocked", Timeout: 15},
		}}
	ep, err := s.Endpoint(sluice.Place{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := d.Front(t.Context(), &sluice.App{Name: "chat", Endpoints: []sluice.Endpoint{ep}, Buckets: []sluice.Bucket{page}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, want string
		status    int
	}{
		{"http://chat.localhost/", "<p>page", 200},
		{"http://chat.localhost/release/mock", "mocked", 200},
		{"http://chat.localhost/_tencent/service-01era6ni/release/mock", "mocked", 200},
		{"http://service-01era6ni-1250000000.gz.apigw.tencentcs.com/release/mock", "mocked", 200},
		{"http://chat.example.com/", "<p>page", 200},
		{"http://page-1250000000.cos-website.ap-guangzhou.myqcloud.com/index.html", "<p>page", 200},
	} {
		w := httptest.NewRecorder()
		if f.HTTP.ServeHTTP(w, httptest.NewRequest("GET", c.url, nil)); w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s: %d %s", c.url, w.Code, w.Body)
		}
	}
	push := httptest.NewRequest("POST", "http://chat.localhost/_tencent/push/api-etj7lhtw", strings.NewReader(`{"websocket":{"action":"closing","secConnectionID":"x"}}`))
	w := httptest.NewRecorder()
	if f.HTTP.ServeHTTP(w, push); strings.Contains(w.Body.String(), "errNo") {
		t.Errorf("pushes are not for the public: %s", w.Body)
	}
	if !slices.Contains(f.Hosts, "service-01era6ni-1250000000.gz.apigw.tencentcs.com") || !slices.Contains(f.Hosts, "Chat.example.com") {
		t.Errorf("hosts: %v", f.Hosts)
	}
	if got := f.Addresses[0]; got != (sluice.Output{Name: "Chat", Value: "ws://chat.localhost:8080/release/"}) {
		t.Errorf("addresses: %v", f.Addresses)
	}
	f.Removed()
	r := httptest.NewRequest("GET", "/release/mock", nil)
	r.Host, w = "service-01era6ni-1250000000.gz.apigw.tencentcs.com", httptest.NewRecorder()
	if d.APIs.For(r).ServeHTTP(w, r); w.Code != 404 {
		t.Errorf("a service of an app that is gone: %d %s", w.Code, w.Body)
	}
}

func TestExportsAreThoseOfToolsAndTemplates(t *testing.T) {
	t.Parallel()
	d, _ := world(t)
	got := d.Exports(access.Credentials{ID: "id", Secret: "secret", Token: "token"}, "http://127.0.0.1:4566")
	want := []string{"TENCENTCLOUD_REGION", "TENCENTCLOUD_SECRETID", "TENCENTCLOUD_SECRETKEY", "TENCENTCLOUD_SECRET_ID", "TENCENTCLOUD_SECRET_KEY",
		"TENCENTCLOUD_SESSIONTOKEN", "TENCENT_APP_ID", "TENCENT_SECRET_ID", "TENCENT_SECRET_KEY"}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, want) || got["TENCENTCLOUD_SECRETID"] != "id" {
		t.Fatal(got)
	}
}
