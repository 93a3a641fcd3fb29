package s3

import (
	"bufio"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The tests of this file are the sentences of aws.md section 6 that no test beside shows.

func TestSettingsThatABucketHasNotAreMissing(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "")
	for sub, want := range map[string]string{
		"cors": "NoSuchCORSConfiguration", "policy": "NoSuchBucketPolicy", "policyStatus": "NoSuchBucketPolicy", "lifecycle": "NoSuchLifecycleConfiguration",
		"encryption": "ServerSideEncryptionConfigurationNotFoundError", "tagging": "NoSuchTagSet", "website": "NoSuchWebsiteConfiguration",
		"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "ownershipControls": "OwnershipControlsNotFoundError",
		"replication": "ReplicationConfigurationNotFoundError", "object-lock": "ObjectLockConfigurationNotFoundError",
		"analytics&id=x": "NoSuchConfiguration", "metrics&id=x": "NoSuchConfiguration",
	} {
		if got := code(g.do(t, "app", "GET", "/box?"+sub, "")); got != "404 "+want {
			t.Errorf("GET ?%s: %s, want %s", sub, got, want)
		}
	}
	for _, c := range [][3]string{
		{"PUT", "/box?replication", "501 NotImplemented"}, {"PUT", "/box?inventory&id=x", "501 NotImplemented"},
		{"POST", "/box/k?select&select-type=2", "501 NotImplemented"}, {"POST", "/box/k?restore", "501 NotImplemented"}, {"GET", "/box/k?torrent", "501 NotImplemented"},
		{"GET", "/box?inventory", "200"}, {"DELETE", "/box?replication", "204"}, {"POST", "/box?versioning", "405 MethodNotAllowed"},
	} {
		if got := code(g.do(t, "app", c[0], c[1], "")); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
	for body, want := range map[string]string{
		"<NotificationConfiguration/>": "200",
		"<NotificationConfiguration><QueueConfiguration><Queue>q</Queue></QueueConfiguration></NotificationConfiguration>": "501 NotImplemented",
	} {
		if got := code(g.do(t, "app", "PUT", "/box?notification", body)); got != want {
			t.Errorf("notifications %s: %s, want %s", body, got, want)
		}
	}
}

func TestABucketMadeAgainIsSaidToBeTheOwners(t *testing.T) {
	g := newRig(t)
	where := "<CreateBucketConfiguration><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>"
	for _, c := range []struct{ region, who, body, want string }{
		{"us-west-2", "app", where, "200"}, {"us-west-2", "app", where, "409 BucketAlreadyOwnedByYou"},
		{"us-east-1", "app", "", "200"}, {"us-east-1", "other", "", "409 BucketAlreadyExists"},
	} {
		if got := code(g.doIn(t, c.region, c.who, "PUT", "/box", c.body)); got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.who, c.region, got, c.want)
		}
	}
}

func TestListingsAreInByteOrderAndEncodedWhenAsked(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for _, key := range []string{"b", "B", "%C3%A4/x", "a%20b%0A+c"} {
		g.ok(t, "app", "PUT", "/box/"+key, "")
	}
	if got := keys(t, g, "/box?list-type=2&encoding-type=url"); got != "B a%20b%0A%2Bc b %C3%A4/x" {
		t.Errorf("keys are %s", got)
	}
	if got := g.ok(t, "app", "GET", "/box?delimiter=/&prefix=%C3%A4&encoding-type=url", "").Body.String(); !strings.Contains(got, "<Prefix>%C3%A4/</Prefix>") || !strings.Contains(got, "<EncodingType>url</EncodingType>") {
		t.Errorf("the listing is %s", got)
	}
	if got := g.ok(t, "app", "GET", "/box", "").Body.String(); strings.Count(got, "<LastModified>2026-01-01T00:00:00.000Z</LastModified>") != 4 {
		t.Errorf("the listing is %s", got)
	}
}

func TestObjectsOfPartsHaveTheETagOfTheirs(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	var up struct{ UploadId string }
	if err := xml.Unmarshal(g.ok(t, "app", "POST", "/box/k?uploads", "").Body.Bytes(), &up); err != nil {
		t.Fatal(err)
	}
	parts := []string{strings.Repeat("a", 5<<20), "tail"}
	var all []byte
	var list []string
	for i, p := range parts {
		sum := md5.Sum([]byte(p))
		all = append(all, sum[:]...)
		w := g.ok(t, "app", "PUT", fmt.Sprintf("/box/k?partNumber=%d&uploadId=%s", i+1, up.UploadId), p)
		if etag := w.Header()["ETag"][0]; etag != `"`+hex.EncodeToString(sum[:])+`"` {
			t.Errorf("the ETag of part %d is %s", i+1, etag)
		}
		list = append(list, fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%x</ETag></Part>", i+1, sum))
	}
	complete := func(parts string) *httptest.ResponseRecorder {
		return g.do(t, "app", "POST", "/box/k?uploadId="+up.UploadId, "<CompleteMultipartUpload>"+parts+"</CompleteMultipartUpload>")
	}
	if got := code(complete(list[1] + list[0])); got != "400 InvalidPartOrder" {
		t.Error(got)
	}
	if got := code(complete(strings.Replace(list[0], "1", "7", 1))); got != "400 InvalidPart" {
		t.Error(got)
	}
	sum := md5.Sum(all)
	if w := complete(list[0] + list[1]); w.Code != 200 || !strings.Contains(w.Body.String(), fmt.Sprintf(`<ETag>"%x-2"</ETag>`, sum)) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := g.do(t, "app", "GET", "/box/k", "", "Range: bytes=9999999-"); code(w) != "416 InvalidRange" || w.Header().Get("Content-Range") != "bytes */5242884" {
		t.Errorf("%s %v", code(w), w.Header())
	}
	if w := g.do(t, "app", "HEAD", "/box/none", ""); w.Code != 404 || w.Body.Len() != 0 {
		t.Errorf("HEAD of no object: %d %q", w.Code, w.Body)
	}
}

func TestChecksumsOfAllKindsAreCheckedAndTold(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	for name, sum := range map[string]string{ // of "hello world"
		"crc32": "DUoRhQ==", "crc32c": "yZRlqg==", "crc64nvme": "jSnVw/bqjr4=", "sha1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
		"sha256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=",
	} {
		header := checksum + name
		g.ok(t, "app", "PUT", "/box/k", "hello world", header+": "+sum, "x-amz-sdk-checksum-algorithm: "+strings.ToUpper(name))
		if h := g.ok(t, "app", "GET", "/box/k", "", "x-amz-checksum-mode: ENABLED").Header(); len(h[header]) == 0 || h[header][0] != sum {
			t.Errorf("%s is told as %v", name, h[header])
		}
		if h := g.ok(t, "app", "GET", "/box/k", "").Header(); h[header] != nil {
			t.Errorf("%s is told unasked", name)
		}
		if got := code(g.do(t, "app", "PUT", "/box/k", "hello", header+": "+sum)); got != "400 BadDigest" {
			t.Errorf("%s of other bytes: %s", name, got)
		}
	}
}

func TestWebsitesRedirect(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box?policy", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::box/*"}}`)
	g.ok(t, "app", "PUT", "/box/moved", "", "x-amz-website-redirect-location: /there")
	g.ok(t, "app", "PUT", "/box/dir/index.html", "")
	website := func(doc string) {
		t.Helper()
		g.ok(t, "app", "PUT", "/box?website", "<WebsiteConfiguration>"+doc+"</WebsiteConfiguration>")
	}
	get := func(path string) string {
		w := g.do(t, "", "GET", path, "", "Host: box.s3-website.localhost")
		return strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("Location")))
	}
	website("<IndexDocument><Suffix>index.html</Suffix></IndexDocument><RoutingRules>" +
		"<RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule>" +
		"<RoutingRule><Condition><KeyPrefixEquals>one</KeyPrefixEquals></Condition><Redirect><ReplaceKeyWith>other</ReplaceKeyWith><Protocol>https</Protocol><HostName>a.example</HostName><HttpRedirectCode>307</HttpRedirectCode></Redirect></RoutingRule></RoutingRules>")
	for path, want := range map[string]string{
		"/moved": "301 /there", "/dir": "302 /dir/", "/dir/": "200", "/old/a": "301 http://box.s3-website.localhost/new/a", "/one/b": "307 https://a.example/other", "/none": "404",
	} {
		if got := get(path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	website("<RedirectAllRequestsTo><HostName>b.example</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>")
	if got := get("/x"); got != "301 https://b.example/x" {
		t.Errorf("all: %s", got)
	}
}

func TestClientsThatWaitAreToldToGoOn(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-amz-acl: public-read-write")
	srv := httptest.NewServer(g.Handler)
	defer srv.Close()
	conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "PUT /box/k HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
	r := bufio.NewReader(conn)
	if line, err := r.ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 100 ") {
		t.Fatalf("%q %v", line, err)
	}
	io.WriteString(conn, "ok")
	if all, err := io.ReadAll(r); !strings.Contains(string(all), "HTTP/1.1 200 ") {
		t.Errorf("%q %v", all, err)
	}
}
