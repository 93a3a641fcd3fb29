package dynamodb

import (
	"bytes"
	"compress/gzip"
	"context"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// oneKey knows the access key AKIDTEST.
type oneKey struct{}

func (oneKey) Lookup(_ context.Context, id, _ string) (string, access.Principal, error) {
	if id != "AKIDTEST" {
		return "", access.Principal{}, access.ErrUnknownKey
	}
	return "secret", access.Principal{}, nil
}

// serve makes the world's handler an HTTP server that checks signatures.
func (w *world) serve() *httptest.Server {
	w.h.opt.Keys = sigv4.New(oneKey{}, "dynamodb")
	s := httptest.NewServer(w.h)
	w.t.Cleanup(s.Close)
	return s
}

// send makes a request of headers "Name: value" and returns the answer with its body.
func send(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return exchange(t, req)
}

func exchange(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^[A-Z0-9]{52}$`).MatchString(res.Header.Get("X-Amzn-Requestid")) {
		t.Errorf("the request id is %q", res.Header.Get("X-Amzn-Requestid"))
	}
	if sum := strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10); res.StatusCode != http.StatusRequestEntityTooLarge && res.Header.Get("X-Amz-Crc32") != sum {
		t.Errorf("the checksum is %s, not %s", res.Header.Get("X-Amz-Crc32"), sum)
	}
	return res, string(b)
}

func TestChecksComeInAWSOrder(t *testing.T) {
	t.Parallel()
	s := newWorld(t).serve()
	const (
		json   = "Content-Type: application/x-amz-json-1.0"
		op     = "X-Amz-Target: DynamoDB_20120810.ListTables"
		signed = "Authorization: AWS4-HMAC-SHA256 Credential=AKIDTEST/20260102/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00"
	)
	coral := func(name, message string) string {
		return `{"__type":"com.amazon.coral.service#` + name + `"` + message + `}`
	}
	for _, tc := range []struct {
		name, method, body string
		headers            []string
		status             int
		want               string
	}{
		{"health", "GET", "", nil, 200, "healthy: dynamodb.us-east-1.amazonaws.com "},
		{"another method", "PUT", "{}", []string{json}, 404, "<UnknownOperationException/>\n"},
		{"a body of another type", "POST", "{}", []string{"Content-Type: text/json"}, 404, "<UnknownOperationException/>\n"},
		{"no JSON", "POST", "{]", []string{json, op}, 400, coral("SerializationException", "")},
		{"no UTF-8", "POST", "{\"a\":\"\xff\"}", []string{json, op}, 400, coral("SerializationException", "")},
		{"no target", "POST", "{}", []string{json}, 400, coral("UnknownOperationException", "")},
		{"an unknown operation", "POST", "{}", []string{json, op + "s"}, 400, coral("UnknownOperationException", "")},
		{"an operation of AWS alone", "POST", "{}", []string{json, "X-Amz-Target: DynamoDB_20120810.ImportTable"}, 400, coral("UnknownOperationException", `,"message":"ImportTable is not supported"`)},
		{"no signature", "POST", "{}", []string{json, op}, 400, coral("MissingAuthenticationTokenException", `,"message":"Request is missing Authentication Token"`)},
		{"half a signature", "POST", "{}", []string{json, op, "Authorization: AWS4-HMAC-SHA256 Credential=a"}, 400, coral("IncompleteSignatureException",
			`,"message":"Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256 Credential=a"`)},
		{"an old signature", "POST", "{}", []string{json, op, signed, "X-Amz-Date: 20100102T000000Z"}, 400, "InvalidSignatureException"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			res, body := send(t, tc.method, s.URL, tc.body, tc.headers...)
			if res.StatusCode != tc.status || !strings.Contains(body, tc.want) {
				t.Errorf("the answer is %d %s", res.StatusCode, body)
			}
		})
	}
	if _, body := send(t, "POST", s.URL+"/?X-Amz-Credential=a&X-Amz-Signature=b", "{}", json, op); !strings.Contains(body, "MissingAuthenticationTokenException") {
		t.Errorf("a signature without an algorithm is answered %s", body)
	}
}

func TestSignedRequestsAreDone(t *testing.T) {
	t.Parallel()
	s := newWorld(t).serve()
	call := func(keyID, secret, body string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", target+"ListTables")
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
		sigv4.Sign(req, []byte(body), access.Credentials{ID: keyID, Secret: secret}, "eu-north-1", "dynamodb", time.Now())
		return exchange(t, req)
	}
	res, body := call("AKIDTEST", "secret", "{}")
	if res.StatusCode != 200 || body != `{"TableNames":[]}` || res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the answer is %d %s %v", res.StatusCode, body, res.Header)
	}
	for _, tc := range []struct{ id, secret, want string }{
		{"AKIDTEST", "wrong", "#InvalidSignatureException"},
		{"AKIDOTHER", "secret", "#UnrecognizedClientException"},
	} {
		if res, body := call(tc.id, tc.secret, "{}"); res.StatusCode != 400 || !strings.Contains(body, tc.want) {
			t.Errorf("%s with %s: %d %s", tc.id, tc.secret, res.StatusCode, body)
		}
	}
	if res, body := call("AKIDTEST", "secret", ""); res.StatusCode != 400 || !strings.Contains(body, "SerializationException") {
		t.Errorf("without a body: %d %s", res.StatusCode, body)
	}
}

func TestCompressedRequestsAreRead(t *testing.T) {
	t.Parallel()
	s := newWorld(t).serve()
	call := func(body []byte) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Amz-Target", target+"DescribeEndpoints")
		req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		req.Header.Set("Content-Encoding", "gzip")
		sigv4.Sign(req, body, access.Credentials{ID: "AKIDTEST", Secret: "secret"}, "us-east-1", "dynamodb", time.Now())
		return exchange(t, req)
	}
	pack := func(text string) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		z.Close()
		return b.Bytes()
	}
	// The endpoint is the one that was called.
	if res, body := call(pack("{}")); res.StatusCode != 200 || !strings.Contains(body, strings.TrimPrefix(s.URL, "http://")) {
		t.Errorf("the answer is %d %s", res.StatusCode, body)
	}
	if res, out := call([]byte("{}")); res.StatusCode != 500 || !strings.Contains(out, "InternalServerError") {
		t.Errorf("no gzip: %d %s", res.StatusCode, out)
	}
	if res, out := call(pack(strings.Repeat(" ", maxBody) + "{}")); res.StatusCode != 413 {
		t.Errorf("a bomb: %d %s", res.StatusCode, out)
	}
}

func TestBrowsersMayCall(t *testing.T) {
	t.Parallel()
	s := newWorld(t).serve()
	res, body := send(t, "OPTIONS", s.URL, "", "Origin: https://example.com", "Access-Control-Request-Headers: a, b", "Access-Control-Request-Method: POST")
	got := map[string]string{"": body}
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age"} {
		got[name] = res.Header.Get(name)
	}
	want := map[string]string{"": "", "Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "a, b", "Access-Control-Allow-Methods": "POST", "Access-Control-Max-Age": "172800"}
	if diff := cmp.Diff(want, got); res.StatusCode != 200 || diff != "" {
		t.Errorf("%d (-want +got):\n%s", res.StatusCode, diff)
	}
	if res, _ := send(t, "POST", s.URL, "{}", "Origin: x", "Content-Type: application/json"); res.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("an error has no Access-Control-Allow-Origin")
	}
}

func TestLongBodyIsRefused(t *testing.T) {
	t.Parallel()
	s := newWorld(t).serve()
	if res, body := send(t, "POST", s.URL, strings.Repeat(" ", maxBody+1), "Content-Type: application/json"); res.StatusCode != 413 || body != "" {
		t.Errorf("the answer is %d %q", res.StatusCode, body)
	}
}

func TestClaimsWhatIsForDynamoDB(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		host, target string
		want         bool
	}{
		{"127.0.0.1:4566", "DynamoDB_20120810.GetItem", true},
		{"127.0.0.1:4566", "DynamoDBStreams_20120810.GetRecords", true},
		{"127.0.0.1:4566", "AWSLambda.Invoke", false},
		{"dynamodb.eu-west-1.amazonaws.com", "", true},
		{"streams.dynamodb.eu-west-1.amazonaws.com:443", "", true},
		{"dynamo.example.com", "", false},
		{"127.0.0.1:4566", "", true},
		{"localhost:4566", "DynamoDB_20120810", true},
		{"box.localhost:4566", "", false},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = tc.host
		r.Header.Set("X-Amz-Target", tc.target)
		if Claims(r) != tc.want {
			t.Errorf("%s with %q: %t", tc.host, tc.target, !tc.want)
		}
	}
}

func TestClaimsNothingOfOthers(t *testing.T) {
	t.Parallel()
	for _, tc := range [][3]string{
		{"GET", "/", "Accept: text/html,*/*"},
		{"POST", "/", "Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
		{"POST", "/", "Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/us-east-1/sqs/aws4_request"},
		{"POST", "/", "Authorization: TC3-HMAC-SHA256 Credential=A/2026-01-01/scf/tc3_request"},
		{"GET", "/box", "Accept: */*"},
		{"GET", "/?Action=ListUsers", "Accept: */*"},
	} {
		r := httptest.NewRequest(tc[0], tc[1], nil)
		r.Host = "127.0.0.1:4566"
		name, v, _ := strings.Cut(tc[2], ": ")
		if r.Header.Set(name, v); Claims(r) {
			t.Errorf("%v is claimed", tc)
		}
	}
}

func TestNewTableIsNotThereUntilItIsDescribed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	call := func(op, body string) string {
		_, out, err := w.h.Do(t.Context(), op, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	call("CreateTable", `{"TableName":"Tab","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`)
	const put = `{"TableName":"Tab","Item":{"p":{"S":"a"}}}`
	if out := call("PutItem", put); !strings.Contains(out, "ResourceNotFound") {
		t.Errorf("before: %s", out)
	}
	if out := call("DeleteTable", `{"TableName":"Tab"}`); !strings.Contains(out, "Table is being created: Tab") {
		t.Errorf("before: %s", out)
	}
	if out := call("DescribeTable", `{"TableName":"Tab"}`); !strings.Contains(out, `"TableStatus":"ACTIVE"`) {
		t.Errorf("the description: %s", out)
	}
	if out := call("PutItem", put); out != "{}" {
		t.Errorf("after: %s", out)
	}
}
