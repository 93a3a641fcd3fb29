package aws

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
	"github.com/sluicehq/sluice/table"
)

// sockets fakes the gateway room: nobody is there.
type sockets struct{ dialect.Sockets }

func (sockets) Owner(context.Context, sluice.ConnID) (sluice.AppName, string, sluice.Outcome) {
	return "", "", sluice.Gone
}

// echoes start functions that answer with their names and what they were called with.
type echoes struct{ heard chan string }

func (echoes) Runs(string, string) bool { return true }
func (s echoes) Start(_ context.Context, v *function.Version, _ function.Spawner, _ function.LogSink) (function.Instance, error) {
	return &echo{v: v, heard: s.heard, done: make(chan struct{})}, nil
}

type echo struct {
	v     *function.Version
	heard chan string // what it is called with
	done  chan struct{}
}

func (*echo) ID() string              { return "echo" }
func (e *echo) Done() <-chan struct{} { return e.done }
func (*echo) Stop(context.Context)    {}
func (e *echo) Invoke(_ context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	e.heard <- string(inv.Payload)
	var in struct{ RawPath string }
	json.Unmarshal(inv.Payload, &in)
	b, err := json.Marshal(map[string]any{"statusCode": 200, "body": string(e.v.Spec.Name) + " " + in.RawPath})
	return sluice.Result{Payload: b}, err
}

// lines are logs.
type lines chan sluice.LogLine

func (l lines) Log(one sluice.LogLine) { l <- one }

type world struct {
	dialect.Dialect
	rooms dialect.Rooms
	logs  lines
	heard chan string
}

// newWorld is the dialect on rooms in memory.
func newWorld(t *testing.T) *world {
	t.Helper()
	store, logs := memory.New(), make(lines, 100)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &world{logs: logs, heard: make(chan string, 100)}
	w.rooms = dialect.Rooms{
		Store: store, Sockets: sockets{}, Admin: "http://127.0.0.1:4566", Logs: logs,
		Functions: function.New(function.Options{Starters: []function.Starter{echoes{w.heard}}, NoPrewarm: true}),
		Public:    func(sluice.AppName) string { return "127.0.0.1:8080" },
	}
	var err error
	w.rooms.Keys, err = access.Open(t.Context(), store)
	must(err)
	w.rooms.Tables, err = table.Open(t.Context(), store, table.Options{})
	must(err)
	bodies, err := disk.Open(t.TempDir())
	must(err)
	w.rooms.Objects, err = object.Open(t.Context(), store, bodies, object.Options{})
	must(err)
	w.Dialect, err = New(w.rooms, Options{})
	must(err)
	t.Cleanup(func() { w.rooms.Functions.Stop(context.Background()) })
	return w
}

// deploy puts an app's functions into service and returns its front.
func (w *world) deploy(t *testing.T, app *sluice.App) *dialect.Front {
	t.Helper()
	for _, f := range app.Functions {
		if err := w.rooms.Functions.Deploy(t.Context(), &function.Version{App: app.Name, Dialect: Name, Spec: f, Env: map[string]string{"AWS_REGION": "us-east-1"}}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Front(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func endpoint(t *testing.T, spec *apispec.API) sluice.Endpoint {
	t.Helper()
	b, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	return sluice.Endpoint{Name: spec.Name, Spec: b}
}

// chat is a WebSocket API whose only route writes an access log.
func chat(id string) *apispec.API {
	return &apispec.API{ID: id, Name: id, Protocol: apispec.WebSocket, RouteSelectionExpression: "$request.body.action",
		Stages: []apispec.Stage{{Name: "prod", Access: &apispec.AccessLog{Destination: "arn:aws:logs:us-east-1:0:log-group:chat", Format: "$context.routeKey $context.status"}}},
		Current: apispec.Snapshot{
			Integrations: []apispec.Integration{{ID: "fn", Type: "AWS", URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:echo/invocations",
				RequestParameters: map[string]string{"integration.request.header.X-Amz-Invocation-Type": "'Event'"}}},
			Routes: []apispec.Route{{ID: "r", Key: "$default", Integration: "fn"}},
		}}
}

// rest is an HTTP API that calls a function for everything.
func rest(id string) *apispec.API {
	return &apispec.API{ID: id, Name: id, Logical: "Rest", Protocol: apispec.HTTP, Stages: []apispec.Stage{{Name: "$default"}}, Mappings: []apispec.Mapping{{Domain: "www.example.com", Stage: "$default"}},
		Current: apispec.Snapshot{
			Integrations: []apispec.Integration{{ID: "fn", Type: "AWS_PROXY", PayloadFormat: "2.0", URI: "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:000000000000:function:echo/invocations"}},
			Routes:       []apispec.Route{{ID: "r", Key: "$default", Integration: "fn"}},
		}}
}

func TestRequestsFindTheirService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.deploy(t, &sluice.App{Name: "chat", Endpoints: []sluice.Endpoint{endpoint(t, chat("abcd123456"))}})
	now := time.Now().UTC().Format("20060102T150405Z")
	signed := func(service string) string {
		return "AWS4-HMAC-SHA256 Credential=a/" + now[:8] + "/us-east-1/" + service + "/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64)
	}
	for _, c := range []struct {
		host, path, auth, target string
		want                     string // of the refusal; "" is not ours
	}{
		{host: "127.0.0.1:4566", path: "/", target: "DynamoDB_20120810.ListTables", want: "MissingAuthenticationTokenException"},
		{host: "dynamodb.us-east-1.amazonaws.com", path: "/", want: "healthy: dynamodb"},
		{host: "127.0.0.1:4566", path: "/2015-03-31/functions/echo/invocations", auth: signed("lambda"), want: "UnrecognizedClientException"},
		{host: "lambda.us-east-1.amazonaws.com", path: "/2015-03-31/functions", want: "MissingAuthenticationTokenException"},
		{host: "127.0.0.1:4566", path: "/_aws/execute-api/abcd123456/prod/@connections/AAEAAAABnjd7USY=", want: "MissingAuthenticationTokenException"},
		{host: "127.0.0.1:4566", path: "/prod/@connections/AAEAAAABnjd7USY=", auth: signed("execute-api"), want: "UnrecognizedClientException"},
		{host: "abcd123456.execute-api.us-east-1.amazonaws.com", path: "/prod/@connections/AAEAAAABnjd7USY=", want: "MissingAuthenticationTokenException"},
		{host: "apigateway.us-east-1.amazonaws.com", path: "/v2/apis", want: "MissingAuthenticationToken"},
		{host: "127.0.0.1:4566", path: "/v2/apis", auth: signed("apigateway"), want: "UnrecognizedClientException"},
		{host: "127.0.0.1:4566", path: "/", auth: signed("sts"), want: "InvalidClientTokenId"},
		{host: "s3.us-east-1.amazonaws.com", path: "/bucket/key", want: "NoSuchBucket"},
		{host: "127.0.0.1:4566", path: "/bucket/prod/@connections", auth: signed("s3"), want: "InvalidAccessKeyId"},
		{host: "zzzz999999.execute-api.us-east-1.amazonaws.com", path: "/prod"},
		{host: "127.0.0.1:4566", path: "/_sluice/api/apps"},
		{host: "bucket.oss-cn-hangzhou.aliyuncs.com", path: "/a"},
	} {
		r := httptest.NewRequest("GET", "http://"+c.host+c.path, nil)
		if c.target != "" {
			r.Method = "POST"
			r.Header.Set("X-Amz-Target", c.target)
		}
		if c.auth != "" {
			r.Header.Set("Authorization", c.auth)
			r.Header.Set("X-Amz-Date", now)
		}
		h := w.APIs.For(r)
		if (h != nil) != (c.want != "") {
			t.Errorf("%s%s is ours: %v", c.host, c.path, h != nil)
		}
		if h == nil {
			continue
		}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if said := rec.Body.String() + rec.Header().Get("X-Amzn-Errortype") + strings.Join(rec.Header()["x-amzn-ErrorType"], ""); !strings.Contains(said, c.want) {
			t.Errorf("%s%s: %d %s, want %s", c.host, c.path, rec.Code, said, c.want)
		}
	}
}

// An app shows its APIs, the addresses of its functions and its websites, each at its names and none at the
// other's.
func TestWhatAnAppShows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	site := sluice.Bucket{Name: "pages", ACL: "public-read", Hosts: []string{"Pages.example.com"}, Website: &sluice.Website{Index: "index.html"}}
	if err := w.rooms.Objects.EnsureBucket(t.Context(), "chat", &site); err != nil {
		t.Fatal(err)
	}
	if _, err := w.rooms.Objects.Put(t.Context(), site.Name, object.PutInput{Key: "index.html", ACL: object.PublicRead, Body: strings.NewReader("<p>page"), Size: -1}); err != nil {
		t.Fatal(err)
	}
	app := &sluice.App{Name: "chat", Endpoints: []sluice.Endpoint{endpoint(t, chat("abcd123456")), endpoint(t, rest("rest123456"))}, Buckets: []sluice.Bucket{site},
		Functions: []sluice.Function{{Name: "echo", Runtime: "nodejs20.x", HTTP: &sluice.HTTPTrigger{Auth: "anonymous"}}}}
	f := w.deploy(t, app)
	url := lambda.URLOf(app.Name, &app.Functions[0]).ID
	for _, c := range []struct {
		url, want string
		status    int
	}{
		{"http://rest123456.execute-api.us-east-1.amazonaws.com/a", "echo /a", 200},
		{"http://rest123456.execute-api.localhost:8080/a", "echo /a", 200},
		{"http://WWW.example.com/a", "echo /a", 200},
		{"http://127.0.0.1:8080/_aws/execute-api/rest123456/a", "echo /a", 200},
		{"http://" + url + ".lambda-url.us-east-1.on.aws/b", "echo /b", 200},
		{"http://" + url + ".lambda-url.localhost/b", "echo /b", 200},
		{"http://pages.s3-website-us-east-1.amazonaws.com/", "<p>page", 200},
		{"http://pages.web.localhost:8080/", "<p>page", 200},
		{"http://pages.example.com/", "<p>page", 200},
		{"http://abcd123456.execute-api.us-east-1.amazonaws.com/prod", `{"message":"Upgrade Required"}`, 426},
		{"http://chat.localhost/_aws/ws/abcd123456/prod", `{"message":"Upgrade Required"}`, 426},
		{"http://chat.localhost/", `{"message":"Upgrade Required"}`, 426}, // either API or the function could be meant
	} {
		rec := httptest.NewRecorder()
		if f.HTTP.ServeHTTP(rec, httptest.NewRequest("GET", c.url, nil)); rec.Code != c.status || rec.Body.String() != c.want {
			t.Errorf("%s: %d %s", c.url, rec.Code, rec.Body)
		}
	}
	if diff := cmp.Diff([]string{"/_aws/execute-api/rest123456", "/_aws/ws/abcd123456", "/_aws/execute-api/abcd123456"}, f.Paths); diff != "" {
		t.Error(diff)
	}
	for _, host := range []string{"abcd123456.execute-api.localhost", "rest123456.execute-api.localhost", "www.example.com", "pages.web.localhost", url + ".lambda-url.localhost"} {
		if !slices.Contains(f.Hosts, host) {
			t.Errorf("it does not answer %s, but %v", host, f.Hosts)
		}
	}
	told := map[string]string{}
	for _, a := range f.Addresses {
		told[a.Name] = a.Value
	}
	if told["websocket prod"] != "ws://abcd123456.execute-api.localhost:8080/prod" || told["website pages"] != "http://pages.web.localhost:8080/" || told["Rest"] != "/" {
		t.Error(told)
	}
	f.Removed()
	if w.APIs.For(httptest.NewRequest("GET", "http://abcd123456.execute-api.us-east-1.amazonaws.com/prod", nil)) != nil {
		t.Error("an app that is removed is still known")
	}
}

func TestAnAppOfOneAPIAnswersWithItEverywhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fn := sluice.Function{Name: "echo", Runtime: "nodejs20.x"}
	f := w.deploy(t, &sluice.App{Name: "rest", Endpoints: []sluice.Endpoint{endpoint(t, rest("rest123456"))}, Functions: []sluice.Function{fn}})
	rec := httptest.NewRecorder()
	if f.HTTP.ServeHTTP(rec, httptest.NewRequest("GET", "http://any.example/x", nil)); rec.Body.String() != "echo /x" || f.Socket != nil {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	broken := chat("abcd123456")
	broken.Current.Routes[0].Integration = "none"
	for _, bad := range []sluice.Endpoint{{Name: "x", Spec: []byte("{")}, endpoint(t, broken)} {
		if _, err := w.Front(t.Context(), &sluice.App{Name: "bad", Endpoints: []sluice.Endpoint{bad}}); err == nil {
			t.Errorf("%s is shown", bad.Spec)
		}
	}
}

// A message comes to a function that is called later, and to the access log.
func TestMessagesReachFunctionsAndLogs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	f := w.deploy(t, &sluice.App{Name: "chat", Endpoints: []sluice.Endpoint{endpoint(t, chat("abcd123456"))}, Functions: []sluice.Function{{Name: "echo", Runtime: "nodejs20.x"}}})
	ep, refused := f.Socket(&sluice.Handshake{Host: "x", Path: "/_aws/ws/abcd123456/prod"})
	if refused != nil {
		t.Fatalf("%+v", refused)
	}
	r := ep.Handler.Handle(t.Context(), &sluice.Event{Kind: sluice.Message, ID: sluice.NewRequestID(), At: time.Now(), Frame: sluice.Frame{Data: []byte("hello")}})
	if len(r.Send) != 0 {
		t.Errorf("%s", r.Send[0].Data)
	}
	if l := <-w.logs; l.App != "chat" || l.Function != "chat" || l.Text != "$default 202" {
		t.Errorf("%+v", l)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	if got := <-w.heard; got != "hello" {
		t.Errorf("the function is called with %s", got)
	}
	stop()
	<-done
}

func TestWhatFunctionsAndToolsFindInTheirEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	env, err := w.Environment(t.Context(), &sluice.App{Name: "chat"}, &sluice.Function{Name: "echo", Runtime: "nodejs20.x", Env: map[string]string{"AWS_ENDPOINT_URL_S3": "https://my.own"}})
	if err != nil || env["AWS_ENDPOINT_URL"] != "http://127.0.0.1:4566" || env["AWS_ENDPOINT_URL_S3"] != "" || env["AWS_REGION"] != "us-east-1" || env["AWS_ACCESS_KEY_ID"] == "" || env["AWS_SESSION_TOKEN"] == "" {
		t.Errorf("%v, %v", env, err)
	}
	// What they find is a key that the APIs take.
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", strings.NewReader("{}"))
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	sigv4.Sign(r, []byte("{}"), access.Credentials{ID: env["AWS_ACCESS_KEY_ID"], Secret: env["AWS_SECRET_ACCESS_KEY"], Token: env["AWS_SESSION_TOKEN"]}, "us-east-1", "dynamodb", time.Now())
	rec := httptest.NewRecorder()
	if w.APIs.For(r).ServeHTTP(rec, r); rec.Code != http.StatusOK {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	out := w.Exports(access.Credentials{ID: "K", Secret: "S"}, "http://127.0.0.1:4566")
	want := map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4566", "AWS_ACCESS_KEY_ID": "K", "AWS_SECRET_ACCESS_KEY": "S", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"}
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	if token := w.Exports(access.Credentials{Token: "T"}, "")["AWS_SESSION_TOKEN"]; token != "T" {
		t.Error(token)
	}
	for name, want := range map[string]string{"aws-sdk": "aws-sdk@2", "@aws-sdk/client-sqs": "@aws-sdk/client-sqs@3", "@smithy/types": "@smithy/types", "left-pad": ""} {
		if got := nodeSDK(name); got != want {
			t.Errorf("%s is asked for as %q", name, got)
		}
	}
}

func TestEachKindOfTemplateHasItsReader(t *testing.T) {
	t.Parallel()
	const (
		sam = "Transform: AWS::Serverless-2016-10-31\nResources: {T: {Type: AWS::Serverless::SimpleTable}}\n"
		sls = "service: svc\nprovider: {name: aws, runtime: nodejs20.x}\nresources: {Resources: {U: {Type: AWS::DynamoDB::Table, Properties: {TableName: u, BillingMode: PAY_PER_REQUEST, AttributeDefinitions: [{AttributeName: id, AttributeType: S}], KeySchema: [{AttributeName: id, KeyType: HASH}]}}}}\n"
	)
	for _, c := range []struct {
		name       string
		files      map[string]string
		file       string // asked for
		recognized string
		tables     int
		title      string
	}{
		{"SAM", map[string]string{"template.yaml": sam}, "", "template.yaml", 1, ""},
		{"the Serverless Framework", map[string]string{"serverless.yml": sls}, "", "serverless.yml", 1, "svc"},
		{"both: SAM's", map[string]string{"template.yaml": sam, "serverless.yml": sls}, "", "template.yaml", 1, ""},
		{"both, but one is asked for", map[string]string{"template.yaml": sam, "serverless.yml": sls}, "serverless.yml", "template.yaml", 1, "svc"},
		{"none", map[string]string{"README.md": ""}, "", "", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.Reader.Recognize(dir); got != c.recognized {
				t.Errorf("recognized %q", got)
			}
			app, err := w.Reader.Read(t.Context(), deploy.Input{Dir: dir, File: c.file, Env: func(string) (string, bool) { return "", false }, Export: func(string) (string, bool) { return "", false }})
			if c.tables == 0 {
				if err == nil {
					t.Error("nothing is read without error")
				}
				return
			}
			if err != nil || len(app.Tables) != c.tables || c.title != "" && !strings.HasPrefix(string(app.Name), c.title) {
				t.Errorf("%+v, %v", app, err)
			}
		})
	}
}
