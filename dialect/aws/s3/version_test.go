package s3

import (
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

const enabled = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

func TestVersionsOnTheWire(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "zero")
	if body := g.ok(t, "app", "GET", "/box?versioning", "").Body.String(); strings.Contains(body, "Status") {
		t.Errorf("versioning is %s", body)
	}
	g.ok(t, "app", "PUT", "/box?versioning", enabled)
	one := told(g.ok(t, "app", "PUT", "/box/k", "one")).Get("x-amz-version-id")
	del := told(g.ok(t, "app", "DELETE", "/box/k", ""))
	if one == "" || del.Get("x-amz-delete-marker") != "true" || del.Get("x-amz-version-id") == "" {
		t.Fatalf("version %q, deletion %v", one, del)
	}
	if w := g.do(t, "app", "GET", "/box/k", ""); code(w) != "404 NoSuchKey" || told(w).Get("x-amz-delete-marker") != "true" {
		t.Errorf("after the deletion: %s, %v", code(w), w.Header())
	}
	for path, want := range map[string]string{
		"/box/k?versionId=" + one: "one", "/box/k?versionId=null": "zero",
	} {
		if got := g.ok(t, "app", "GET", path, "").Body.String(); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	if got := code(g.do(t, "app", "GET", "/box/k?versionId="+del.Get("x-amz-version-id"), "")); got != "405 MethodNotAllowed" {
		t.Errorf("the mark: %s", got)
	}
	copied := told(g.ok(t, "app", "PUT", "/box/copy", "", "x-amz-copy-source: /box/k?versionId="+one))
	if got := g.ok(t, "app", "GET", "/box/copy", "").Body.String(); got != "one" || copied.Get("x-amz-copy-source-version-id") != one {
		t.Errorf("copy is %q of %q", got, copied.Get("x-amz-copy-source-version-id"))
	}
	g.ok(t, "app", "PUT", "/box/k?tagging&versionId="+one, "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>")
	if body := g.ok(t, "app", "GET", "/box/k?tagging&versionId=null", "").Body.String(); strings.Contains(body, "<Key>") {
		t.Errorf("another version has the tags: %s", body)
	}
	list := g.ok(t, "app", "GET", "/box?versions", "").Body.String()
	if strings.Count(list, "<Version>") != 3 || strings.Count(list, "<DeleteMarker>") != 1 || strings.Count(list, "<IsLatest>true") != 2 {
		t.Errorf("listing is %s", list)
	}
	if got := code(g.do(t, "app", "DELETE", "/box", "")); got != "409 BucketNotEmpty" {
		t.Errorf("the bucket is removed: %s", got)
	}
	out := g.ok(t, "app", "POST", "/box?delete", "<Delete><Object><Key>k</Key><VersionId>"+one+"</VersionId></Object><Object><Key>k</Key><VersionId>null</VersionId></Object><Object><Key>k</Key><VersionId>"+
		del.Get("x-amz-version-id")+"</VersionId></Object><Object><Key>copy</Key><VersionId>"+copied.Get("x-amz-version-id")+"</VersionId></Object></Delete>").Body.String()
	if strings.Count(out, "<Deleted>") != 4 || strings.Count(out, "<DeleteMarker>true") != 1 {
		t.Errorf("deletion of all: %s", out)
	}
	g.ok(t, "app", "DELETE", "/box", "")
}

func TestLockedVersionsStay(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/plain", "")
	g.ok(t, "app", "PUT", "/box", "", "x-amz-bucket-object-lock-enabled: true")
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	id := told(g.ok(t, "app", "PUT", "/box/k", "x", "x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-retain-until-date: "+until)).Get("x-amz-version-id")
	one := "/box/k?versionId=" + id
	retention := func(mode, at string) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + at + "</RetainUntilDate></Retention>"
	}
	lock := func(rule string) string {
		return "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>" + rule + "</DefaultRetention></Rule></ObjectLockConfiguration>"
	}
	later := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	for _, c := range []struct{ method, url, body, header, want string }{
		{"PUT", "/box?versioning", "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>", "", "409 InvalidBucketState"},
		{"PUT", "/plain?object-lock", lock("<Mode>GOVERNANCE</Mode><Days>1</Days>"), "", "409 InvalidBucketState"},
		{"PUT", "/box?object-lock", lock("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), "", "400 MalformedXML"},
		{"PUT", "/box?object-lock", lock("<Mode>GOVERNANCE</Mode><Days>0</Days>"), "", "400 InvalidRetentionPeriod"},
		{"PUT", "/plain/k?retention", retention("GOVERNANCE", later), "", "400 InvalidRequest"},
		{"PUT", "/box/k?retention", retention("governance", later), "", "400 MalformedXML"},
		{"PUT", "/box/k?legal-hold", "<LegalHold><Status>Maybe</Status></LegalHold>", "", "400 MalformedXML"},
		{"GET", "/box/k?legal-hold", "", "", "404 NoSuchObjectLockConfiguration"},
		{"PUT", "/box/k?retention", retention("GOVERNANCE", time.Now().Add(time.Minute).UTC().Format(time.RFC3339)), "", "403 AccessDenied"},
		{"DELETE", one, "", "", "403 AccessDenied"},
		{"PUT", "/box/k?retention", retention("GOVERNANCE", later), "", "200"},
		{"PUT", "/box/k?legal-hold", "<LegalHold><Status>ON</Status></LegalHold>", "", "200"},
		{"DELETE", one, "", "x-amz-bypass-governance-retention: true", "403 AccessDenied"},
		{"PUT", "/box/k?legal-hold", "<LegalHold><Status>OFF</Status></LegalHold>", "", "200"},
		{"DELETE", "/box/k", "", "", "204"}, // leaves a mark
		{"DELETE", one, "", "x-amz-bypass-governance-retention: true", "204"},
		{"PUT", "/box?object-lock", lock("<Mode>COMPLIANCE</Mode><Days>1</Days>"), "", "200"},
	} {
		if got := code(g.do(t, "app", c.method, c.url, c.body, cmp.Or(c.header, "X-Not: x"))); got != c.want {
			t.Errorf("%s %s %s: %s, want %s", c.method, c.url, c.header, got, c.want)
		}
	}
	id = told(g.ok(t, "app", "PUT", "/box/by%20rule", "x")).Get("x-amz-version-id")
	if got := code(g.do(t, "app", "DELETE", "/box/by%20rule?versionId="+id, "", "x-amz-bypass-governance-retention: true")); got != "403 AccessDenied" {
		t.Errorf("a version that the bucket's rule holds: %s", got)
	}
}

// told is an answer's headers under their canonical names.
func told(w *httptest.ResponseRecorder) http.Header {
	h := http.Header{}
	for name, v := range w.Header() {
		h[http.CanonicalHeaderKey(name)] = v
	}
	return h
}

func hmacSHA1(key, text string) string {
	h := hmac.New(sha1.New, []byte(key))
	h.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

// upload sends a form with a file, its fields as "name=value".
func (g *rig) upload(t *testing.T, file string, fields ...string) *httptest.ResponseRecorder {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		form.WriteField(name, value)
	}
	part, err := form.CreateFormFile("file", `C:\pictures\cat.png`)
	if err != nil {
		t.Fatal(err)
	}
	part.Write([]byte(file))
	form.Close()
	r := httptest.NewRequest(http.MethodPost, "/box", &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	return w
}

func TestFormsUploadWhatTheirPolicyAllows(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	policy := func(text string) string {
		return "policy=" + base64.StdEncoding.EncodeToString([]byte(text))
	}
	sign := func(policy string) string {
		return "signature=" + hmacSHA1("app", strings.TrimPrefix(policy, "policy="))
	}
	good := policy(`{"expiration": "2026-01-01T00:10:00Z", "conditions": [{"bucket": "box"}, ["starts-with", "$key", "up/"], ["content-length-range", 2, 5], {"success_action_status": "201"}, ["starts-with", "$x-amz-meta-who", ""]]}`)
	none := policy(`{"expiration": "2026-01-01T00:10:00Z", "conditions": [{"bucket": "box"}, ["starts-with", "$key", ""], ["content-length-range", 0, 0]]}`)
	all := []string{"AWSAccessKeyId=app", good, sign(good), "success_action_status=201", "x-amz-meta-who=ann"}
	with := func(more ...string) []string { return append(append([]string{}, all...), more...) }
	w := g.upload(t, "bytes", with("key=up/${filename}")...)
	if w.Code != 201 || !regexp.MustCompile(`<Key>up/cat.png</Key>\s*<ETag>"`).MatchString(w.Body.String()) {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	if got := g.ok(t, "app", "GET", "/box/up/cat.png", ""); got.Body.String() != "bytes" || told(got).Get("x-amz-meta-who") != "ann" {
		t.Errorf("got %q, %v", got.Body, got.Header())
	}
	for name, c := range map[string]struct {
		file, want string
		fields     []string
	}{
		"another key":         {"bytes", "403 AccessDenied", with("key=down/a")},
		"too many bytes":      {"too many", "400 EntityTooLarge", with("key=up/a")},
		"more than no bytes":  {"x", "400 EntityTooLarge", []string{"AWSAccessKeyId=app", none, sign(none), "key=a"}},
		"too few bytes":       {"1", "400 EntityTooSmall", with("key=up/a")},
		"a field it lacks":    {"bytes", "403 AccessDenied", with("key=up/a", "acl=public-read")},
		"no key":              {"bytes", "400 InvalidArgument", all},
		"another signature":   {"bytes", "403 SignatureDoesNotMatch", []string{"AWSAccessKeyId=app", good, "signature=AAAA", "key=up/a"}},
		"an unknown signer":   {"bytes", "403 InvalidAccessKeyId", []string{"AWSAccessKeyId=nobody", good, sign(good), "key=up/a"}},
		"another app":         {"bytes", "403 AccessDenied", []string{"AWSAccessKeyId=other", good, "signature=" + hmacSHA1("other", strings.TrimPrefix(good, "policy=")), "key=up/a", "success_action_status=201", "x-amz-meta-who=a"}},
		"nobody":              {"bytes", "403 AccessDenied", []string{"key=up/a"}},
		"no policy":           {"bytes", "400 InvalidArgument", []string{"AWSAccessKeyId=app", "signature=AAAA", "key=up/a"}},
		"an unfinished V4":    {"bytes", "400 AuthorizationQueryParametersError", []string{"x-amz-credential=app/20260101/us-east-1/s3/aws4_request", good, "key=up/a"}},
		"a wrong checksum":    {"bytes", "403 AccessDenied", with("key=up/a", "x-amz-checksum-crc32=AAAAAA==")}, // not in its policy
		"a policy of no JSON": {"bytes", "400 InvalidPolicyDocument", []string{"AWSAccessKeyId=app", policy("{"), sign(policy("{")), "key=up/a"}},
	} {
		if got := code(g.upload(t, c.file, c.fields...)); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	for text, want := range map[string]string{
		`{"conditions": []}`: "400 InvalidPolicyDocument", `{"expiration": "2026-01-01T00:10:00Z"}`: "400 InvalidPolicyDocument",
		`{"expiration": "soon", "conditions": []}`:                                         "400 InvalidPolicyDocument",
		`{"expiration": "2025-01-01T00:10:00Z", "conditions": []}`:                         "403 AccessDenied",
		`{"expiration": "2026-01-01T00:10:00Z", "conditions": [{}]}`:                       "400 InvalidPolicyDocument",
		`{"expiration": "2026-01-01T00:10:00Z", "conditions": [["content-length-range"]]}`: "400 InvalidPolicyDocument",
		`{"expiration": "2026-01-01T00:10:00Z", "conditions": [["eq", "key", "a"]]}`:       "400 InvalidPolicyDocument",
		`{"Expiration": "2026-01-01T00:10:00Z", "conditions": []}`:                         "400 InvalidPolicyDocument",
	} {
		p := policy(text)
		if got := code(g.upload(t, "bytes", "AWSAccessKeyId=app", p, sign(p), "key=a")); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestChecksumsOfPartsMakeThatOfTheObject(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	parts := []string{strings.Repeat("a", 5<<20), "tail"}
	crc := func(s string) string {
		n := crc32.ChecksumIEEE([]byte(s))
		return base64.StdEncoding.EncodeToString([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	}
	begin := g.ok(t, "app", "POST", "/box/k?uploads", "", "x-amz-checksum-algorithm: CRC32", "x-amz-checksum-type: FULL_OBJECT").Body.String()
	id := regexp.MustCompile(`<UploadId>(.*)</UploadId>`).FindStringSubmatch(begin)[1]
	list := ""
	for i, p := range parts {
		w := g.ok(t, "app", "PUT", fmt.Sprintf("/box/k?partNumber=%d&uploadId=%s", i+1, id), p, "x-amz-checksum-crc32: "+crc(p))
		list += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag><ChecksumCRC32>%s</ChecksumCRC32></Part>", i+1, told(w).Get("ETag"), crc(p))
	}
	finish := func(body, sum string) *httptest.ResponseRecorder {
		return g.do(t, "app", "POST", "/box/k?uploadId="+id, "<CompleteMultipartUpload>"+body+"</CompleteMultipartUpload>", "x-amz-checksum-crc32: "+sum)
	}
	if got := code(finish(list, crc("other"))); got != "400 BadDigest" {
		t.Errorf("another checksum: %s", got)
	}
	if got := code(finish(strings.ReplaceAll(list, crc("tail"), crc("other")), crc(strings.Join(parts, "")))); got != "400 InvalidPart" {
		t.Errorf("another checksum of a part: %s", got)
	}
	if w := finish(list, crc(strings.Join(parts, ""))); w.Code != 200 || !strings.Contains(w.Body.String(), "<ChecksumType>FULL_OBJECT") {
		t.Fatalf("%d\n%s", w.Code, w.Body)
	}
	head := told(g.ok(t, "app", "HEAD", "/box/k", "", "x-amz-checksum-mode: ENABLED"))
	part := told(g.ok(t, "app", "GET", "/box/k?partNumber=2", "", "x-amz-checksum-mode: ENABLED"))
	if head.Get("x-amz-checksum-crc32") != crc(strings.Join(parts, "")) || part.Get("x-amz-checksum-crc32") != crc("tail") {
		t.Errorf("checksums are %v and %v", head, part)
	}
	about := g.ok(t, "app", "GET", "/box/k?attributes", "", "x-amz-object-attributes: ETag,Checksum,ObjectParts,ObjectSize", "x-amz-max-parts: 1").Body.String()
	for _, want := range []string{"<PartsCount>2<", "<IsTruncated>true<", "<NextPartNumberMarker>1<", "<ObjectSize>5242884<", "<ChecksumCRC32>" + crc(parts[0]) + "<"} {
		if !strings.Contains(about, want) {
			t.Errorf("attributes lack %s: %s", want, about)
		}
	}
}

func TestABlockOfPublicAccessHolds(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-amz-acl: public-read")
	g.ok(t, "app", "PUT", "/box/k", "x")
	everybody := `{"Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:GetObjectTagging"], "Resource": "arn:aws:s3:::box/*"}]}`
	g.ok(t, "app", "PUT", "/box?policy", everybody)
	g.ok(t, "", "GET", "/box/k?tagging", "")
	if got := code(g.do(t, "", "GET", "/box/k?acl", "")); got != "403 AccessDenied" {
		t.Errorf("what the policy does not name: %s", got)
	}
	g.ok(t, "app", "PUT", "/box?publicAccessBlock", "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls><IgnorePublicAcls>true</IgnorePublicAcls><BlockPublicPolicy>true</BlockPublicPolicy></PublicAccessBlockConfiguration>")
	g.ok(t, "", "GET", "/box/k", "") // by the policy, which was there
	for _, c := range [][4]string{
		{"app", "PUT", "/box?policy", everybody}, {"app", "PUT", "/box?acl", "x-amz-acl: public-read"}, {"app", "PUT", "/box/k", "x-amz-acl: public-read"}, {"", "GET", "/box", ""},
	} {
		body, header := c[3], "X-Not: x"
		if strings.HasPrefix(body, "x-amz") {
			body, header = "", body
		}
		if got := code(g.do(t, c[0], c[1], c[2], body, header)); got != "403 AccessDenied" {
			t.Errorf("%s %s %s: %s", c[1], c[2], c[3], got)
		}
	}
	g.ok(t, "app", "PUT", "/box?publicAccessBlock", "<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>")
	if got := code(g.do(t, "", "GET", "/box/k", "")); got != "403 AccessDenied" {
		t.Errorf("a restricted bucket: %s", got)
	}
}

func TestLifecyclesAreKept(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	put := func(rules string) string {
		return code(g.do(t, "app", "PUT", "/box?lifecycle", "<LifecycleConfiguration>"+rules+"</LifecycleConfiguration>"))
	}
	for rules, want := range map[string]string{
		"": "400 MalformedXML",
		"<Rule><ID>a</ID><Status>On</Status><Prefix/></Rule>":                                                                 "400 MalformedXML",
		"<Rule><ID>a</ID><Status>Enabled</Status><Prefix/><Expiration><Days>0</Days></Expiration></Rule>":                     "400 InvalidArgument",
		"<Rule><ID>a</ID><Status>Enabled</Status><Prefix/><Expiration><Date>2027-01-02</Date></Expiration></Rule>":            "400 MalformedXML",
		strings.Repeat("<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>a</Prefix></Filter></Rule>", 2):               "400 InvalidArgument",
		"<Rule><Status>Enabled</Status><Filter><Prefix>logs/</Prefix></Filter><Expiration><Days>3</Days></Expiration></Rule>": "200",
	} {
		if got := put(rules); got != want {
			t.Errorf("%s: %s, want %s", rules, got, want)
		}
	}
	body := g.ok(t, "app", "GET", "/box?lifecycle", "").Body.String()
	if !strings.Contains(body, "<Days>3</Days>") || !regexp.MustCompile(`<ID>.+</ID>`).MatchString(body) {
		t.Errorf("lifecycle is %s", body)
	}
}

func TestEncryptionIsToldAgain(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	const sse = "x-amz-server-side-encryption"
	if got := told(g.ok(t, "app", "PUT", "/box/a", "x", sse+": aws:kms", sse+"-aws-kms-key-id: mine")); got.Get(sse) != "aws:kms" || got.Get(sse+"-aws-kms-key-id") != "mine" {
		t.Errorf("told %v", got)
	}
	g.ok(t, "app", "PUT", "/box?encryption", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>")
	g.ok(t, "app", "PUT", "/box/b", "x")
	if got := told(g.ok(t, "app", "HEAD", "/box/b", "")).Get(sse); got != "AES256" {
		t.Errorf("by the bucket's rule: %q", got)
	}
	for _, header := range []string{sse + ": ROT13", sse + "-aws-kms-key-id: mine"} {
		if got := code(g.do(t, "app", "PUT", "/box/c", "x", header)); got != "400 InvalidArgument" {
			t.Errorf("%s: %s", header, got)
		}
	}
}

func TestTagsOfAWSCannotBeSet(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	tags := func(pairs ...string) string {
		var b strings.Builder
		for i := 0; i < len(pairs); i += 2 {
			b.WriteString("<Tag><Key>" + pairs[i] + "</Key><Value>" + pairs[i+1] + "</Value></Tag>")
		}
		return "<Tagging><TagSet>" + b.String() + "</TagSet></Tagging>"
	}
	g.ok(t, "app", "PUT", "/box/k", "x")
	for what, w := range map[string]*httptest.ResponseRecorder{
		"Your TagKey cannot be prefixed with aws:":         g.do(t, "app", "PUT", "/box/k", "x", "x-amz-tagging: aws:a=b"),
		"Your TagKey cannot be prefixed with aws:</":       g.do(t, "app", "PUT", "/box/k?tagging", tags("aws:a", "b")),
		"System tags cannot be added/updated by requester": g.do(t, "app", "PUT", "/box?tagging", tags("aws:a", "b")),
		"Cannot provide multiple Tags with the same key":   g.do(t, "app", "PUT", "/box?tagging", tags("a", "b", "a", "c")),
	} {
		if code(w) != "400 InvalidTag" || !strings.Contains(w.Body.String(), what) {
			t.Errorf("%s: %s", what, w.Body)
		}
	}
	g.ok(t, "app", "PUT", "/box?tagging", tags("a", "b"))
	g.ok(t, "app", "PUT", "/box?tagging", tags())
	if got := code(g.do(t, "app", "GET", "/box?tagging", "")); got != "404 NoSuchTagSet" {
		t.Errorf("after no tags: %s", got)
	}
}

func TestCopiesHaveTheChecksumsThatTheyAskFor(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/k", "some value")
	g.ok(t, "app", "PUT", "/box/copy", "", "x-amz-copy-source: /box/k", "x-amz-checksum-algorithm: SHA256")
	const want = "qz0H8xacy9DtbEtF3iFRn5+TjHLSQSSZiquUnOg7tRs="
	if got := told(g.ok(t, "app", "HEAD", "/box/copy", "", "x-amz-checksum-mode: ENABLED")).Get("x-amz-checksum-sha256"); got != want {
		t.Errorf("%q", got)
	}
	g.ok(t, "app", "PUT", "/box/again", "", "x-amz-copy-source: /box/copy")
	if got := told(g.ok(t, "app", "HEAD", "/box/again", "", "x-amz-checksum-mode: ENABLED")).Get("x-amz-checksum-sha256"); got != want {
		t.Errorf("a copy of it: %q", got)
	}
	if got := code(g.do(t, "app", "PUT", "/box/k", "", "x-amz-copy-source: /box/k")); got != "400 InvalidRequest" {
		t.Errorf("onto itself: %s", got)
	}
	g.ok(t, "app", "PUT", "/box/k", "", "x-amz-copy-source: /box/k", "x-amz-storage-class: STANDARD")
	if w := g.do(t, "app", "PUT", "/box/k", "x", "If-None-Match: *"); code(w) != "412 PreconditionFailed" || !strings.Contains(w.Body.String(), "<Condition>If-None-Match<") {
		t.Errorf("a condition that does not hold: %s", w.Body)
	}
}

func TestCopiedPartsHaveTheChecksumOfTheirUpload(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box/from", "some value")
	var up struct{ UploadId string }
	if err := xml.Unmarshal(g.ok(t, "app", "POST", "/box/k?uploads", "", "x-amz-checksum-algorithm: SHA256").Body.Bytes(), &up); err != nil {
		t.Fatal(err)
	}
	url := "/box/k?partNumber=1&uploadId=" + up.UploadId
	if got := code(g.do(t, "app", "PUT", url, "x", "x-amz-checksum-crc32: jNzh0w==")); got != "400 InvalidRequest" {
		t.Errorf("a part with another checksum: %s", got)
	}
	var part struct{ ETag, ChecksumSHA256 string }
	if err := xml.Unmarshal(g.ok(t, "app", "PUT", url, "", "x-amz-copy-source: /box/from").Body.Bytes(), &part); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("some value"))
	if want := base64.StdEncoding.EncodeToString(sum[:]); part.ChecksumSHA256 != want {
		t.Errorf("the part's checksum is %q, want %q", part.ChecksumSHA256, want)
	}
	g.ok(t, "app", "POST", "/box/k?uploadId="+up.UploadId, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"+part.ETag+"</ETag></Part></CompleteMultipartUpload>")
	all := sha256.Sum256(sum[:])
	body := g.ok(t, "app", "GET", "/box/k?attributes", "", "x-amz-object-attributes: Checksum").Body.String()
	if want := "<ChecksumSHA256>" + base64.StdEncoding.EncodeToString(all[:]) + "</ChecksumSHA256>"; !strings.Contains(body, want) {
		t.Errorf("attributes are %s, want %s", body, want)
	}
	if got := code(g.do(t, "app", "DELETE", "/box/none", "", "If-Match: x")); got != "404 NoSuchKey" {
		t.Errorf("a conditional deletion of nothing: %s", got)
	}
}
