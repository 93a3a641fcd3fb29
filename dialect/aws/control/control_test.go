package control

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/dialect/aws/websocket"
	"github.com/sluicehq/sluice/kv/memory"
)

// deployed is a deploy room that keeps apps, and refuses what the data plane would refuse.
type deployed struct {
	mu   sync.Mutex
	apps map[sluice.AppName]*sluice.App
	apis *websocket.APIs
}

func (d *deployed) List(context.Context) ([]*sluice.App, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []*sluice.App
	for _, a := range d.apps {
		list = append(list, a)
	}
	return list, nil
}

func (d *deployed) Deploy(_ context.Context, app *sluice.App) error {
	if _, err := d.apis.App(app); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.apps[app.Name] = app
	return nil
}

func (d *deployed) Remove(_ context.Context, name sluice.AppName) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.apps, name)
	return nil
}

type world struct {
	*testing.T
	control  *Control
	apps     *deployed
	operator access.Credentials
	app      access.Credentials
	other    access.Credentials // of another app
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	keys, err := access.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, apps: &deployed{apps: map[sluice.AppName]*sluice.App{}, apis: websocket.New(websocket.Options{})}}
	if w.operator, err = keys.AppKey(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if w.app, err = keys.AppKey(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	if w.other, err = keys.AppKey(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	w.control = New(Options{Apps: w.apps, Dir: t.TempDir(), Keys: keys})
	return w
}

// as sends a signed request.
func (w *world) as(c access.Credentials, service, method, path, body string) *httptest.ResponseRecorder {
	w.Helper()
	return w.send(c, service, "", method, path, body)
}

// target sends a signed request of a service whose operations are named in a header.
func (w *world) target(c access.Credentials, service, op, body string) *httptest.ResponseRecorder {
	w.Helper()
	return w.send(c, service, op, "POST", "/", body)
}

func (w *world) send(c access.Credentials, service, op, method, path, body string) *httptest.ResponseRecorder {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), method, "http://"+service+".eu-west-1.amazonaws.com"+path, strings.NewReader(body))
	if op != "" {
		r.Header.Set("X-Amz-Target", op)
	}
	sigv4.Sign(r, []byte(body), c, "eu-west-1", service, time.Now())
	if !Claims(r) {
		w.Errorf("%s %s is not claimed", method, path)
	}
	rec := httptest.NewRecorder()
	w.control.ServeHTTP(rec, r)
	return rec
}

// do sends a request of the operator and wants a status. It returns the answer's JSON.
func (w *world) do(want int, method, path, body string) record {
	w.Helper()
	rec := w.as(w.operator, "apigateway", method, path, body)
	out := record{}
	if rec.Body.Len() > 0 {
		if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
			w.Fatalf("%s %s: %v\n%s", method, path, err, rec.Body)
		}
	}
	if rec.Code != want {
		w.Fatalf("%s %s: status %d, want %d\n%s", method, path, rec.Code, want, rec.Body)
	}
	if want >= 400 {
		out["type"] = rec.Header().Get("X-Amzn-Errortype")
	}
	return out
}

// spec is an API as the data plane has it.
func (w *world) spec(id string) *apispec.API {
	w.Helper()
	app := w.apps.apps[sluice.AppName("api-"+id)]
	if app == nil {
		w.Fatal("the API is not deployed")
	}
	a, err := apispec.Parse(&app.Endpoints[0])
	if err != nil {
		w.Fatal(err)
	}
	return a
}

const uri = "arn:aws:apigateway:eu-west-1:lambda:path/2015-03-31/functions/arn:aws:lambda:eu-west-1:000000000000:function:f/invocations"

// chat makes a WebSocket API with an integration and the route $default.
func (w *world) chat() (base, id, integration string) {
	w.Helper()
	id = w.do(201, "POST", "/v2/apis", `{"name":"chat","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}`).text("apiId")
	base = "/v2/apis/" + id
	integration = w.do(201, "POST", base+"/integrations", `{"integrationType":"AWS_PROXY","integrationUri":"`+uri+`"}`).text("integrationId")
	w.do(201, "POST", base+"/routes", `{"routeKey":"$default","target":"integrations/`+integration+`"}`)
	return base, id, integration
}

func keysOf(s *apispec.Snapshot) []string {
	keys := []string{}
	for _, r := range s.Routes {
		keys = append(keys, r.Key)
	}
	return keys
}

func TestAStageServesTheDeploymentThatItNames(t *testing.T) {
	w := newWorld(t)
	base, id, in := w.chat()
	served := func(want ...string) {
		t.Helper()
		a := w.spec(id)
		if got := keysOf(a.Served(a.Stage("prod"))); !slices.Equal(got, want) {
			t.Errorf("prod serves %q, want %q", got, want)
		}
	}
	w.do(201, "POST", base+"/stages", `{"stageName":"prod"}`)
	served()
	first := w.do(201, "POST", base+"/deployments", `{"stageName":"prod","description":"one"}`)
	served("$default")
	w.do(201, "POST", base+"/routes", `{"routeKey":"late","target":"integrations/`+in+`"}`)
	served("$default")
	w.do(201, "POST", base+"/deployments", `{"stageName":"prod"}`)
	served("$default", "late")
	w.do(200, "PATCH", base+"/stages/prod", `{"deploymentId":"`+first.text("deploymentId")+`","stageVariables":{"a":"b"}}`)
	served("$default")
	if v := w.spec(id).Stage("prod").Variables["a"]; v != "b" {
		t.Errorf("variable %q", v)
	}
	w.do(200, "PATCH", base+"/stages/prod", `{"autoDeploy":true}`)
	served("$default", "late")
	w.do(201, "POST", base+"/routes", `{"routeKey":"later","target":"integrations/`+in+`"}`)
	served("$default", "late", "later")
	auto := 0
	for _, d := range w.do(200, "GET", base+"/deployments", "")["items"].([]any) {
		if record(d.(map[string]any)).truth("autoDeployed") {
			auto++
		}
	}
	if auto != 1 {
		t.Errorf("%d automatic deployments are kept", auto)
	}
}

func TestWhatIsMadeReachesTheDataPlane(t *testing.T) {
	w := newWorld(t)
	base, id, in := w.chat()
	z := w.do(201, "POST", base+"/authorizers", `{"name":"who","authorizerType":"REQUEST","authorizerUri":"`+uri+`","identitySource":["route.request.header.Auth"]}`)
	rt := w.do(201, "POST", base+"/routes", `{"routeKey":"$connect","target":"integrations/`+in+`","authorizationType":"CUSTOM","authorizerId":"`+z.text("authorizerId")+`"}`)
	w.do(201, "POST", base+"/routes/"+rt.text("routeId")+"/routeresponses", `{"routeResponseKey":"$default"}`)
	mock := w.do(201, "POST", base+"/integrations", `{"integrationType":"MOCK","requestTemplates":{"$default":"{}"},"templateSelectionExpression":"\\$default"}`).text("integrationId")
	resp := w.do(201, "POST", base+"/integrations/"+mock+"/integrationresponses", `{"integrationResponseKey":"$default","responseTemplates":{"$default":"x"}}`)
	w.do(201, "POST", base+"/models", `{"name":"M","schema":"{}","contentType":"application/json"}`)
	w.do(200, "PATCH", base+"/integrations/"+in, `{"timeoutInMillis":500,"description":"short"}`)
	a := w.spec(id)
	got := a.Current.Route("$connect")
	if got == nil || got.Authorizer != z.text("authorizerId") || got.Integration != in || !got.TwoWay() {
		t.Errorf("route %+v", got)
	}
	if i := a.Current.Integration(in); i.TimeoutMS != 500 || i.URI != uri {
		t.Errorf("integration %+v", i)
	}
	if i := a.Current.Integration(mock); len(i.Responses) != 1 || i.Responses[0].Templates["$default"] != "x" || i.Responses[0].ID != resp.text("integrationResponseId") {
		t.Errorf("integration %+v", i)
	}
	if len(a.Current.Models) != 1 || len(a.Current.Authorizers) != 1 {
		t.Errorf("%+v", a.Current)
	}
	w.do(204, "DELETE", base+"/routes/"+rt.text("routeId"), "")
	w.do(204, "DELETE", base+"/integrations/"+mock, "")
	if a := w.spec(id); a.Current.Route("$connect") != nil || a.Current.Integration(mock) != nil {
		t.Errorf("still there: %+v", a.Current)
	}
	w.do(204, "DELETE", base, "")
	if len(w.apps.apps) != 0 {
		t.Errorf("apps are left: %v", w.apps.apps)
	}
}

func TestErrorsOfTheControlPlane(t *testing.T) {
	w := newWorld(t)
	base, _, in := w.chat()
	d := w.do(201, "POST", base+"/deployments", "{}").text("deploymentId")
	w.do(201, "POST", base+"/stages", `{"stageName":"prod","deploymentId":"`+d+`"}`)
	for name, c := range map[string]struct {
		status             int
		kind               string
		method, path, body string
	}{
		"an API without a name":              {400, "BadRequestException", "POST", "/v2/apis", `{"protocolType":"HTTP"}`},
		"a protocol that is none":            {400, "BadRequestException", "POST", "/v2/apis", `{"name":"a","protocolType":"TCP"}`},
		"a WebSocket API without expression": {400, "BadRequestException", "POST", "/v2/apis", `{"name":"a","protocolType":"WEBSOCKET"}`},
		"no such API":                        {404, "NotFoundException", "GET", "/v2/apis/nope", ""},
		"no such route":                      {404, "NotFoundException", "GET", base + "/routes/nope", ""},
		"a key that is there":                {409, "ConflictException", "POST", base + "/routes", `{"routeKey":"$default"}`},
		"a key that is none":                 {400, "BadRequestException", "POST", base + "/routes", `{"routeKey":"$other"}`},
		"a target that is none":              {404, "NotFoundException", "POST", base + "/routes", `{"routeKey":"x","target":"integrations/nope"}`},
		"authorization of a message":         {400, "BadRequestException", "POST", base + "/routes", `{"routeKey":"x","authorizationType":"AWS_IAM"}`},
		"an authorizer that is none":         {404, "NotFoundException", "POST", base + "/routes", `{"routeKey":"$connect","authorizationType":"CUSTOM","authorizerId":"x"}`},
		"an integration that is used":        {409, "ConflictException", "DELETE", base + "/integrations/" + in, ""},
		"an integration without URI":         {400, "BadRequestException", "POST", base + "/integrations", `{"integrationType":"AWS_PROXY"}`},
		"a timeout that is too long":         {400, "BadRequestException", "POST", base + "/integrations", `{"integrationType":"MOCK","timeoutInMillis":30000}`},
		"a deployment that is served":        {400, "BadRequestException", "DELETE", base + "/deployments/" + d, ""},
		"a stage that is there":              {409, "ConflictException", "POST", base + "/stages", `{"stageName":"prod"}`},
		"the stage $default":                 {400, "BadRequestException", "POST", base + "/stages", `{"stageName":"$default"}`},
		"a deployment that is none":          {404, "NotFoundException", "PATCH", base + "/stages/prod", `{"deploymentId":"nope"}`},
		"a field of another type":            {400, "SerializationException", "POST", base + "/routes", `{"routeKey":7}`},
		"no JSON":                            {400, "BadRequestException", "POST", base + "/routes", `{`},
		"another key of a route response":    {404, "NotFoundException", "POST", base + "/routes/nope/routeresponses", `{"routeResponseKey":"x"}`},
		"a page that is none":                {400, "BadRequestException", "GET", base + "/routes?nextToken=x", ""},
		"an operation that is none":          {404, "NotFoundException", "GET", base + "/nothing", ""},
		"a domain that is none":              {404, "NotFoundException", "GET", "/v2/domainnames/nope", ""},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.spec(strings.TrimPrefix(base, "/v2/apis/"))
			out := (&world{t, w.control, w.apps, w.operator, w.app, w.other}).do(c.status, c.method, c.path, c.body)
			if out.text("type") != c.kind || out.text("message") == "" {
				t.Errorf("%v, want %s", out, c.kind)
			}
			if d := cmp.Diff(before, w.spec(before.ID)); d != "" {
				t.Errorf("it changed something:\n%s", d)
			}
		})
	}
}

func TestListsComeInPages(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c"} {
		w.do(201, "POST", "/v2/apis", `{"name":"`+name+`","protocolType":"HTTP"}`)
	}
	seen, token := 0, ""
	for range 3 {
		out := w.do(200, "GET", "/v2/apis?maxResults=2&nextToken="+token, "")
		seen += len(out["items"].([]any))
		if token = out.text("nextToken"); token == "" {
			break
		}
	}
	if seen != 3 || token != "" {
		t.Errorf("%d APIs, token %q", seen, token)
	}
}

func TestDomainsShowStages(t *testing.T) {
	w := newWorld(t)
	base, id, _ := w.chat()
	w.do(201, "POST", base+"/deployments", "{}")
	w.do(201, "POST", base+"/stages", `{"stageName":"prod"}`)
	w.do(201, "POST", "/v2/domainnames", `{"domainName":"WS.example.com"}`)
	w.do(409, "POST", "/v2/domainnames", `{"domainName":"ws.example.com"}`)
	m := w.do(201, "POST", "/v2/domainnames/ws.example.com/apimappings", `{"apiId":"`+id+`","stage":"prod","apiMappingKey":"/live/"}`)
	want := []apispec.Mapping{{Domain: "ws.example.com", Path: "live", Stage: "prod"}}
	if d := cmp.Diff(want, w.spec(id).Mappings); d != "" {
		t.Error(d)
	}
	path := "/v2/domainnames/ws.example.com/apimappings/" + m.text("apiMappingId")
	if got := w.do(200, "PATCH", path, `{"apiMappingKey":"now"}`); got.text("apiMappingKey") != "now" {
		t.Errorf("%v", got)
	}
	w.do(409, "POST", "/v2/domainnames/ws.example.com/apimappings", `{"apiId":"`+id+`","stage":"prod","apiMappingKey":"now"}`)
	w.do(409, "DELETE", base+"/stages/prod", "")
	w.do(400, "DELETE", base, "")
	w.do(400, "DELETE", "/v2/domainnames/ws.example.com", "")
	w.do(204, "DELETE", path, "")
	w.do(204, "DELETE", "/v2/domainnames/ws.example.com", "")
	w.do(204, "DELETE", base, "")
	if len(w.apps.apps) != 0 {
		t.Errorf("apps are left: %v", w.apps.apps)
	}
}

func TestTagsOfAPIsAndStages(t *testing.T) {
	w := newWorld(t)
	base, id, _ := w.chat()
	w.do(201, "POST", base+"/stages", `{"stageName":"prod"}`)
	for _, arn := range []string{"arn:aws:apigateway:eu-west-1::/apis/" + id, "arn:aws:apigateway:eu-west-1::/apis/" + id + "/stages/prod"} {
		path := "/v2/tags/" + strings.NewReplacer("/", "%2F", ":", "%3A").Replace(arn)
		w.do(201, "POST", path, `{"tags":{"a":"1","b":"2"}}`)
		w.do(204, "DELETE", path+"?tagKeys=a", "")
		if d := cmp.Diff(record{"tags": map[string]any{"b": "2"}}, w.do(200, "GET", path, "")); d != "" {
			t.Errorf("%s: %s", arn, d)
		}
	}
}

func TestAnAPIOfATemplateIsReadOnly(t *testing.T) {
	w := newWorld(t)
	spec, err := json.Marshal(apispec.API{ID: "abcdefghij", Logical: "Api", Name: "chat", Protocol: apispec.WebSocket, RouteSelectionExpression: "$request.body.action",
		Stages: []apispec.Stage{{Name: "Prod", Deployment: "dep1234"}},
		Current: apispec.Snapshot{Routes: []apispec.Route{{ID: "route12", Key: "$default", Integration: "integ12", Responses: []string{"$default"}}},
			Integrations: []apispec.Integration{{ID: "integ12", Type: "AWS_PROXY", URI: uri}}}})
	if err != nil {
		t.Fatal(err)
	}
	w.apps.apps["chat"] = &sluice.App{Name: "chat", Dialect: "aws", Region: "eu-west-1", Endpoints: []sluice.Endpoint{{Name: "Api", Spec: spec}}}
	base := "/v2/apis/abcdefghij"
	if a := w.do(200, "GET", base, ""); a.text("apiEndpoint") != "wss://abcdefghij.execute-api.eu-west-1.amazonaws.com" || a["current"] != nil {
		t.Errorf("%v", a)
	}
	if r := w.do(200, "GET", base+"/routes/route12", ""); r.text("target") != "integrations/integ12" || r.text("authorizationType") != "NONE" {
		t.Errorf("%v", r)
	}
	for _, path := range []string{"/integrations/integ12", "/stages/Prod", "/deployments/dep1234"} {
		w.do(200, "GET", base+path, "")
	}
	if n := len(w.do(200, "GET", base+"/routes/route12/routeresponses", "")["items"].([]any)); n != 1 {
		t.Errorf("%d route responses", n)
	}
	w.do(409, "POST", base+"/routes", `{"routeKey":"x"}`)
	w.do(409, "DELETE", base, "")

	// The app's own key reads it, and changes nothing.
	if rec := w.as(w.app, "apigateway", "GET", base, ""); rec.Code != 200 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := w.as(w.app, "apigateway", "POST", "/v2/apis", `{"name":"a","protocolType":"HTTP"}`); rec.Code != 403 || rec.Header().Get("X-Amzn-Errortype") != "AccessDeniedException" {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

func TestAnHTTPAPICanComeWithItsTarget(t *testing.T) {
	w := newWorld(t)
	id := w.do(201, "POST", "/v2/apis", `{"name":"q","protocolType":"HTTP","target":"https://backend.example","routeKey":"GET /a","corsConfiguration":{"allowOrigins":["*"],"maxAge":5}}`).text("apiId")
	a := w.spec(id)
	if rt := a.Current.Route("GET /a"); rt == nil || a.Current.Integration(rt.Integration).Type != "HTTP_PROXY" || a.Stage("$default") == nil || *a.CORS.MaxAge != 5 {
		t.Errorf("%+v", a)
	}
	w.do(204, "DELETE", "/v2/apis/"+id+"/cors", "")
	if w.spec(id).CORS != nil {
		t.Error("CORS is still there")
	}
}

func TestUnsignedRequestsAreRefused(t *testing.T) {
	w := newWorld(t)
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/v2/apis", nil)
	rec := httptest.NewRecorder()
	if w.control.ServeHTTP(rec, r); !Claims(r) || rec.Code != 403 || rec.Header().Get("X-Amzn-Errortype") != "MissingAuthenticationTokenException" {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	wrong := w.operator
	wrong.Secret += "x"
	if rec := w.as(wrong, "apigateway", "GET", "/v2/apis", ""); rec.Code != 403 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	for _, path := range []string{"/bucket/v2/apis", "/v2/apisx", "/"} {
		if Claims(httptest.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)) {
			t.Errorf("%s is claimed", path)
		}
	}
}

func TestGetCallerIdentity(t *testing.T) {
	w := newWorld(t)
	const form = "Action=GetCallerIdentity&Version=2011-06-15"
	if rec := w.as(w.operator, "sts", "POST", "/", form); rec.Code != 200 || !bytes.Contains(rec.Body.Bytes(), []byte("<Arn>arn:aws:iam::000000000000:root</Arn>")) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := w.as(w.app, "sts", "POST", "/", form); rec.Code != 200 || !bytes.Contains(rec.Body.Bytes(), []byte(":assumed-role/chat/")) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	if rec := w.as(w.operator, "sts", "POST", "/", "Action=AssumeRole"); rec.Code != 400 || !bytes.Contains(rec.Body.Bytes(), []byte("<Code>InvalidAction</Code>")) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
	wrong := w.operator
	wrong.Secret += "x"
	if rec := w.as(wrong, "sts", "POST", "/", form); rec.Code != 403 || !bytes.Contains(rec.Body.Bytes(), []byte("<Code>SignatureDoesNotMatch</Code>")) {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}

// Whatever a client says, the control plane's own failure is never the answer.
func TestThereAreNoRepositoriesOfImages(t *testing.T) {
	w := newWorld(t)
	for target, want := range map[string]string{"DescribeRepositories": "RepositoryNotFoundException", "CreateRepository": "UnknownOperationException"} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://api.ecr.us-east-1.amazonaws.com/", strings.NewReader("{}"))
		r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+target)
		sigv4.Sign(r, []byte("{}"), w.operator, "us-east-1", "ecr", time.Now())
		rec := httptest.NewRecorder()
		if w.control.ServeHTTP(rec, r); !Claims(r) || rec.Code != 400 || rec.Header().Get("X-Amzn-Errortype") != want {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
	}
}

func FuzzRequests(f *testing.F) {
	f.Add("POST", "routes", `{"routeKey":"x","target":"integrations/a"}`)
	f.Add("POST", "integrations", `{"integrationType":"MOCK","requestTemplates":{"a":"b"},"timeoutInMillis":50.5}`)
	f.Add("POST", "authorizers", `{"name":"a","authorizerType":"REQUEST","authorizerUri":"x","identitySource":[1,{}]}`)
	f.Add("POST", "stages", `{"stageName":"a","routeSettings":{"a":1},"autoDeploy":true,"defaultRouteSettings":{"throttlingRateLimit":"x"}}`)
	f.Add("PATCH", "", `{"name":"","corsConfiguration":{"allowOrigins":[1]},"tags":{"a":1}}`)
	f.Add("POST", "deployments", `{"stageName":"nope"}`)
	f.Add("DELETE", "routes/%zz", ``)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		w := newWorld(t)
		base, _, _ := w.chat()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://apigateway.us-east-1.amazonaws.com"+base+"/"+path, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		sigv4.Sign(r, []byte(body), w.operator, "us-east-1", "apigateway", time.Now())
		rec := httptest.NewRecorder()
		w.control.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Errorf("status %d: %s", rec.Code, rec.Body)
		}
		if rec := w.as(w.operator, "apigateway", "GET", "/v2/apis", ""); rec.Code != 200 {
			t.Errorf("afterwards: status %d: %s", rec.Code, rec.Body)
		}
	})
}
