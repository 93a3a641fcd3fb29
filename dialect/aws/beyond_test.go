package aws

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/object"
)

const bedrock = "bedrock-runtime.us-east-1.amazonaws.com"

// ask sends a signed request to a host of AWS, or to the admin listener.
func (w *world) ask(t *testing.T, host, service, contentType string, by access.Credentials) *httptest.ResponseRecorder {
	t.Helper()
	body := []byte("Action=Publish")
	r := httptest.NewRequest("POST", "https://"+host+"/model/a%3Ab/invoke", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if by.ID != "" {
		sigv4.Sign(r, body, by, "us-east-1", service, time.Now())
	}
	h := w.APIs.For(r)
	if h == nil {
		t.Fatalf("nobody claims %s", host)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return rec
}

func (w *world) functionKey() access.Credentials {
	return w.rooms.Keys.Temporary("ASIA", access.Principal{App: "chat", Function: "Talk"}, time.Hour)
}

// far is AWS, as far as it takes what it is sent.
type far struct{ asked []*http.Request }

func (f *far) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	f.asked = append(f.asked, r)
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("from afar")), Request: r}, err
}

func TestARequestToAServiceThatIsNotServedFailsAtOnceAndSaysWhatToDo(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct{ host, service, kind, named, want string }{
		{bedrock, "bedrock", "application/json", "sluice does not serve " + bedrock + ", which function Talk of app chat asks", "--aws.passthrough=bedrock-runtime "},
		{"127.0.0.1:4566", "ses", "application/json", "sluice does not serve the service ses of AWS, which function Talk of app chat asks", "--aws.passthrough='ses*' "},
		{"sns.us-east-1.amazonaws.com", "sns", "application/x-www-form-urlencoded; charset=utf-8", "<ErrorResponse><Error><Type>Sender</Type><Code>NotServedException</Code><Message>sluice does not serve sns.us-east-1.amazonaws.com", "--aws.passthrough=sns "},
	} {
		rec := w.ask(t, c.host, c.service, c.kind, w.functionKey())
		if got := rec.Body.String(); rec.Code != 400 || !strings.Contains(got, c.named) || !strings.Contains(got, c.want) {
			t.Errorf("%s: %d %s, want %s and %s", c.host, rec.Code, got, c.named, c.want)
		}
		if line := <-w.logs; line.App != "chat" || line.Function != "Talk" || !strings.Contains(line.Text, c.want) {
			t.Errorf("%s: the function's log has %+v", c.host, line)
		}
	}
}

func TestAPIsAndFunctionURLsAreNoServicesOfAWS(t *testing.T) {
	w := newWorld(t)
	for _, host := range []string{"abc.execute-api.us-east-1.amazonaws.com", "abc.lambda-url.us-east-1.on.aws"} {
		if w.APIs.For(httptest.NewRequest("GET", "https://"+host+"/", nil)) != nil {
			t.Errorf("%s is claimed, and its app should answer", host)
		}
	}
}

func TestARequestThatIsLetThroughIsSignedWithTheOperatorsCredentials(t *testing.T) {
	w, aws := newWorld(t), &far{}
	own := access.Credentials{ID: "AKIAREAL", Secret: "real", Token: "session"}
	var err error
	if w.Dialect, err = New(w.rooms, Options{Beyond: Beyond{Hosts: []string{"bedrock-runtime"}, Credentials: own, Transport: aws}}); err != nil {
		t.Fatal(err)
	}
	if rec := w.ask(t, bedrock, "bedrock", "application/json", w.functionKey()); rec.Code != 200 || rec.Body.String() != "from afar" {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	got := aws.asked[0]
	if got.URL.String() != "https://"+bedrock+"/model/a%3Ab/invoke" || got.Host != bedrock {
		t.Errorf("it went to %s at %s", got.URL, got.Host)
	}
	if s, bad := sigv4.New(realKeys{own}, "bedrock").Verify(got, []byte("Action=Publish")); bad != nil || s.KeyID != own.ID {
		t.Errorf("AWS would refuse it: %v %v", s, bad)
	}
	if rec := w.ask(t, bedrock, "bedrock", "application/json", access.Credentials{ID: "AKIAUSER", Secret: "user"}); rec.Code != 200 || !strings.Contains(aws.asked[1].Header.Get("Authorization"), "AKIAUSER/") {
		t.Errorf("a function's own credentials: %d %s", rec.Code, aws.asked[1].Header)
	}
	forged := w.functionKey()
	forged.Secret = "wrong"
	if rec := w.ask(t, bedrock, "bedrock", "application/json", forged); rec.Code != 403 || len(aws.asked) != 2 {
		t.Errorf("a forged signature: %d %s, %d requests at AWS", rec.Code, rec.Body, len(aws.asked))
	}
	if rec := w.ask(t, "ses.us-east-1.amazonaws.com", "ses", "application/json", w.functionKey()); rec.Code != 400 || len(aws.asked) != 2 {
		t.Errorf("another host: %d %s", rec.Code, rec.Body)
	}
	env, err := w.Environment(t.Context(), &sluice.App{Name: "chat"}, &sluice.Function{Name: "Talk", Runtime: "provided"})
	if err != nil || env["AWS_ENDPOINT_URL"] != "" || env["AWS_ENDPOINT_URL_DYNAMODB"] != w.rooms.Admin {
		t.Errorf("SDKs would not find AWS: %v %v", env, err)
	}
}

func TestWithoutCredentialsOfTheOperatorNothingOfAFunctionIsLetThrough(t *testing.T) {
	w, aws := newWorld(t), &far{}
	var err error
	if w.Dialect, err = New(w.rooms, Options{Beyond: Beyond{Hosts: []string{"*"}, Transport: aws}}); err != nil {
		t.Fatal(err)
	}
	if rec := w.ask(t, bedrock, "bedrock", "application/json", w.functionKey()); rec.Code != 403 || len(aws.asked) != 0 || !strings.Contains(rec.Body.String(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("%d %s, %d requests at AWS", rec.Code, rec.Body, len(aws.asked))
	}
	if rec := w.ask(t, "cognito-idp.us-east-1.amazonaws.com", "", "", access.Credentials{}); rec.Code != 200 {
		t.Errorf("a request without a signature: %d %s", rec.Code, rec.Body)
	}
}

func TestHostsThatAreLetThroughAreBeginningsOrPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    bool
	}{{"bedrock-runtime", true}, {"bedrock", false}, {"*", true}, {"*.us-east-1.amazonaws.com", true}, {"*.eu-west-1.amazonaws.com", false}, {bedrock, true}, {"Bedrock*", true}, {" bedrock-runtime ", true}, {"", false}, {"[", false}} {
		b := Beyond{Hosts: []string{c.pattern}}
		if got := b.allows(bedrock); got != c.want {
			t.Errorf("%s allows %s: %v", c.pattern, bedrock, got)
		}
	}
}

func TestRelaxedSignaturesMayBeAnybodys(t *testing.T) {
	w := newWorld(t)
	strict := w.Dialect
	var err error
	if w.Dialect, err = New(w.rooms, Options{Relaxed: true}); err != nil {
		t.Fatal(err)
	}
	for _, by := range []access.Credentials{{ID: "test", Secret: "test"}, {ID: "test", Secret: "test", Token: "test"}} {
		for service, target := range map[string]string{"dynamodb": "DynamoDB_20120810.ListTables", "sts": ""} {
			body := "Action=GetCallerIdentity"
			if target != "" {
				body = "{}"
			}
			for name, want := range map[string]int{"relaxed": 200, "strict": 0} {
				r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader(body))
				if target != "" {
					r.Header.Set("X-Amz-Target", target)
					r.Header.Set("Content-Type", "application/x-amz-json-1.0")
				}
				sigv4.Sign(r, []byte(body), by, "us-east-1", service, time.Now())
				d := w.Dialect
				if name == "strict" {
					d = strict
				}
				rec := httptest.NewRecorder()
				d.APIs.For(r).ServeHTTP(rec, r)
				if (rec.Code == 200) != (want == 200) {
					t.Errorf("%s, %s with %s: %d %s", name, service, by.ID, rec.Code, rec.Body)
				}
			}
		}
	}
}

func TestRelaxedObjectsMayBeSignedByAnybodyInEitherVersion(t *testing.T) {
	w := newWorld(t)
	strict := w.Dialect
	var err error
	if w.Dialect, err = New(w.rooms, Options{Relaxed: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rooms.Objects.CreateBucket(t.Context(), object.Bucket{Name: "box"}); err != nil {
		t.Fatal(err)
	}
	none := strings.Repeat("0", 64)
	now := time.Now().UTC()
	for name, r := range map[string]*http.Request{
		"chunks": httptest.NewRequest("PUT", "http://127.0.0.1/box/a", strings.NewReader("5;chunk-signature="+none+"\r\nhello\r\n0;chunk-signature="+none+"\r\n\r\n")),
		"v2":     httptest.NewRequest("GET", "http://127.0.0.1/box?AWSAccessKeyId=x&Signature=x&Expires="+strconv.FormatInt(now.Unix()+60, 10), nil),
	} {
		if name == "chunks" {
			r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
			r.Header.Set("X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
			r.Header.Set("X-Amz-Decoded-Content-Length", "5")
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/"+now.Format("20060102")+"/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature="+none)
		}
		refused := httptest.NewRecorder()
		strict.APIs.For(r).ServeHTTP(refused, r.Clone(t.Context()))
		taken := httptest.NewRecorder()
		w.APIs.For(r).ServeHTTP(taken, r)
		if refused.Code != 403 || taken.Code != 200 {
			t.Errorf("%s: strict %d, relaxed %d %s", name, refused.Code, taken.Code, taken.Body)
		}
	}
}

// realKeys are those of one account of AWS.
type realKeys struct{ access.Credentials }

func (k realKeys) Lookup(_ context.Context, id, token string) (string, access.Principal, error) {
	if id != k.ID || token != k.Token {
		return "", access.Principal{}, access.ErrUnknownKey
	}
	return k.Secret, access.Principal{}, nil
}
