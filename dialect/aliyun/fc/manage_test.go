package fc

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash/crc64"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

// room fakes the deploy room: it keeps every revision, newest first, and fails when told to.
type room struct {
	kept map[sluice.AppName][]*sluice.App
	fail error
	f    *functions
}

func (r *room) List(context.Context) ([]*sluice.App, error) {
	var list []*sluice.App
	for _, kept := range r.kept {
		list = append(list, kept[0])
	}
	return list, nil
}

func (r *room) History(_ context.Context, app sluice.AppName) ([]*sluice.App, error) {
	return r.kept[app], nil
}

func (r *room) Deploy(_ context.Context, app *sluice.App) error {
	if r.fail != nil {
		return r.fail
	}
	r.kept[app.Name] = append([]*sluice.App{app}, r.kept[app.Name][:min(len(r.kept[app.Name]), 1)]...)
	r.serve(app.Name)
	return nil
}

func (r *room) Remove(_ context.Context, app sluice.AppName) error {
	delete(r.kept, app)
	r.serve(app)
	return nil
}

// serve puts the functions of an app's newest revision into the function room.
func (r *room) serve(app sluice.AppName) {
	r.f.all = slices.DeleteFunc(r.f.all, func(v function.Version) bool { return v.App == app })
	if len(r.kept[app]) > 0 {
		for _, f := range r.kept[app][0].Functions {
			r.f.all = append(r.f.all, function.Version{App: app, Spec: f})
		}
	}
}

// counter is an API over a fake room and real objects.
type counter struct {
	*testing.T
	*room
	api     *API
	objects *object.Store
	dir     string
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	bodies, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bodies.Close() })
	objects, err := object.Open(t.Context(), store, bodies, object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	f := &functions{invoke: echo}
	r := &room{kept: map[sluice.AppName][]*sluice.App{}, f: f}
	dir := t.TempDir()
	return &counter{t, r, New(Options{Functions: f, Keys: fakeKeys{}, Apps: r, Objects: objects, Dir: dir, Now: func() time.Time { return now }}), objects, dir}
}

// call makes a request as the owner of a key and returns status, code of the error and body.
func (d *counter) call(key, method, path string, body any) (status int, code string, answer map[string]any) {
	d.Helper()
	var b []byte
	if body != nil {
		b, _ = json.Marshal(body)
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(b))
	secret := map[string]string{"admin": "admin's", "mine": "my secret", "other": "other's"}[key]
	res, text := do(d.T, d.api, fcSign(r, key, secret))
	json.Unmarshal([]byte(text), &answer)
	for _, k := range []string{"ErrorCode", "Code"} {
		if s, ok := answer[k].(string); ok {
			code = s
		}
	}
	return res.StatusCode, code, answer
}

func (d *counter) must(key, method, path string, body any) map[string]any {
	d.Helper()
	status, _, answer := d.call(key, method, path, body)
	if status >= 300 {
		d.Fatalf("%s %s: %d %v", method, path, status, answer)
	}
	return answer
}

func (d *counter) refused(want, key, method, path string, body any) {
	d.Helper()
	status, code, answer := d.call(key, method, path, body)
	if strconv.Itoa(status)+" "+code != want {
		d.Errorf("%s %s: %d %v, want %s", method, path, status, answer, want)
	}
}

func archive(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("index.js")
	if err != nil {
		t.Fatal(err)
	}
	w.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type obj = map[string]any

func hello(t testing.TB, more obj) obj {
	o := obj{"functionName": "hello", "runtime": "nodejs20", "handler": "index.handler",
		"code": obj{"zipFile": base64.StdEncoding.EncodeToString(archive(t, "first"))}}
	for k, v := range more {
		o[k] = v
	}
	return o
}

func TestDescribedFunctionIsDeployed(t *testing.T) {
	d := newCounter(t)
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "My_Shop"})
	d.must("admin", "POST", "/2016-08-15/services/My_Shop/functions", hello(t, obj{
		"runtime": "custom", "timeout": 7, "memorySize": 256, "instanceConcurrency": 5, "environmentVariables": obj{"A": "b"}, "caPort": 9001,
		"customRuntimeConfig":     obj{"command": []string{"/code/server"}, "args": []string{"-x"}},
		"customHealthCheckConfig": obj{"httpGetUrl": "/well", "periodSeconds": 5},
		"initializer":             "index.init", "instanceLifecycleConfig": obj{"preStop": obj{"handler": "index.stop"}},
		"somethingOfTheCloud": obj{"kept": true},
	}))
	d.must("admin", "POST", "/2016-08-15/services/My_Shop/functions/hello/triggers", obj{"triggerName": "t", "triggerType": "timer",
		"triggerConfig": obj{"cronExpression": "@every 5m", "payload": "p", "enable": true}})
	d.must("admin", "POST", "/2016-08-15/services/My_Shop/functions/hello/triggers", obj{"triggerName": "web", "triggerType": "http",
		"triggerConfig": obj{"authType": "function", "methods": []string{"GET"}}})
	d.must("admin", "PUT", "/2016-08-15/services/My_Shop/functions/hello/async-invoke-config", obj{"maxAsyncRetryAttempts": 0, "maxAsyncEventAgeInSeconds": 60,
		"destinationConfig": obj{"onFailure": obj{"destination": "acs:fc:::services/My_Shop/functions/hello"}}})
	apps, _ := d.List(t.Context())
	if len(apps) != 1 || !strings.HasPrefix(string(apps[0].Name), "my-shop-") || apps[0].Dialect != "aliyun" {
		t.Fatalf("apps: %+v", apps)
	}
	got := apps[0].Functions[0]
	sum := filepath.Base(got.Code)
	got.Code = ""
	want := sluice.Function{Name: "hello", Group: "My_Shop", Runtime: "custom", Handler: "index.handler", MemoryMB: 256, Timeout: 7 * time.Second,
		Concurrency: 5, Env: map[string]string{"A": "b"}, Port: 9001, Command: []string{"./server", "-x"},
		Initializer: "index.init", InitTimeout: 3 * time.Second, PreStop: "index.stop",
		Timers: []sluice.Timer{{Name: "t", Schedule: "@every 5m", Payload: "p"}},
		HTTP:   &sluice.HTTPTrigger{Name: "web", Auth: "function", Methods: []string{"GET"}},
		Async:  &sluice.AsyncCalls{MaxAge: time.Minute, OnFailure: "acs:fc:::services/My_Shop/functions/hello"},
		Health: &sluice.HealthCheck{Path: "/well", Every: 5 * time.Second}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("function (-want +got):\n%s", diff)
	}
	if b, err := os.ReadFile(filepath.Join(d.dir, "fc", sum)); err != nil || !bytes.Equal(b, archive(t, "first")) {
		t.Errorf("its code: %d bytes, %v", len(b), err)
	}
	if f := d.must("admin", "GET", "/2016-08-15/services/My_Shop/functions/hello", nil); !cmp.Equal(f["somethingOfTheCloud"], any(obj{"kept": true})) {
		t.Errorf("function is %v", f)
	}
}

func TestFailedDeployChangesNothing(t *testing.T) {
	d := newCounter(t)
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "shop"})
	d.must("admin", "POST", "/2016-08-15/services/shop/functions", hello(t, nil))
	d.fail = sluice.Errorf(sluice.Invalid, "it cannot be")
	d.refused("400 InvalidArgument", "admin", "PUT", "/2016-08-15/services/shop/functions/hello", obj{"timeout": 9})
	d.fail = sluice.Errorf(sluice.Conflict, "changed")
	d.refused("409 ConcurrentUpdateError", "admin", "PUT", "/2016-08-15/services/shop/functions/hello", obj{"timeout": 9})
	d.fail = errors.New("the disk is gone")
	d.refused("500 InternalServerError", "admin", "PUT", "/2016-08-15/services/shop/functions/hello", obj{"timeout": 9})
	d.fail = nil
	if f := d.must("admin", "GET", "/2016-08-15/services/shop/functions/hello", nil); f["timeout"] != 3.0 {
		t.Errorf("timeout is %v", f["timeout"])
	}
}

func TestRollbackTakesTheDescriptionBack(t *testing.T) {
	d := newCounter(t)
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "shop"})
	d.must("admin", "POST", "/2016-08-15/services/shop/functions", hello(t, nil))
	d.must("admin", "PUT", "/2016-08-15/services/shop/functions/hello", obj{"timeout": 9,
		"code": obj{"zipFile": base64.StdEncoding.EncodeToString(archive(t, "second"))}})
	if files, _ := os.ReadDir(filepath.Join(d.dir, "fc")); len(files) != 2 {
		t.Errorf("%d code packages are kept, want those of both revisions", len(files))
	}
	d.kept["shop"] = d.kept["shop"][1:]
	d.serve("shop")
	f := d.must("admin", "GET", "/2016-08-15/services/shop/functions/hello", nil)
	if want := strconv.FormatUint(crc64.Checksum(archive(t, "first"), crc64.MakeTable(crc64.ECMA)), 10); f["timeout"] != 3.0 || f["codeChecksum"] != want {
		t.Errorf("after the rollback: %v", f)
	}
	d.must("admin", "DELETE", "/2016-08-15/services/shop/functions/hello", nil)
	d.must("admin", "DELETE", "/2016-08-15/services/shop", nil)
	if files, _ := os.ReadDir(filepath.Join(d.dir, "fc")); len(files) != 0 {
		t.Errorf("%d code packages of nobody are left", len(files))
	}
}

func TestAppsKeyManagesItsOwnAppOnly(t *testing.T) {
	d := newCounter(t)
	for _, s := range []string{"app", "other"} {
		d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": s})
		d.must("admin", "POST", "/2016-08-15/services/"+s+"/functions", hello(t, nil))
	}
	d.must("mine", "PUT", "/2016-08-15/services/app/functions/hello", obj{"timeout": 9})
	d.must("mine", "GET", "/2016-08-15/services/app/functions/hello/code", nil)
	if list := d.must("mine", "GET", "/2016-08-15/services", nil)["services"].([]any); len(list) != 1 {
		t.Errorf("it sees %v", list)
	}
	d.refused("404 ServiceNotFound", "mine", "GET", "/2016-08-15/services/other", nil)
	d.refused("404 ServiceNotFound", "mine", "PUT", "/2016-08-15/services/other/functions/hello", obj{"timeout": 9})
	d.refused("404 ServiceNotFound", "mine", "DELETE", "/2016-08-15/services/other/functions/hello", nil)
	d.refused("403 AccessDenied", "mine", "POST", "/2016-08-15/services", obj{"serviceName": "more"})
	d.refused("403 AccessDenied", "mine", "POST", "/2023-03-30/functions", hello(t, nil))
	d.refused("403 AccessDenied", "nobody", "GET", "/2016-08-15/services", nil)
}

func TestFunctionsOfTemplatesCanOnlyBeRead(t *testing.T) {
	d := newCounter(t)
	d.f.all = append(d.f.all, deployed("wall", "svc", "f", "nodejs20", open), deployed("wall", "", "three", "custom", nil))
	d.kept["wall"] = []*sluice.App{{Name: "wall", Dialect: "aliyun"}}
	if f := d.must("admin", "GET", "/2016-08-15/services/svc/functions/f", nil); f["runtime"] != "nodejs20" {
		t.Errorf("function is %v", f)
	}
	if l := d.must("admin", "GET", "/2016-08-15/services/svc/functions/f/triggers", nil)["triggers"].([]any); len(l) != 1 {
		t.Errorf("triggers are %v", l)
	}
	d.must("admin", "GET", "/2023-03-30/functions/three", nil)
	d.must("admin", "GET", "/2023-03-30/functions/svc$f", nil)
	d.refused("403 AccessDenied", "admin", "DELETE", "/2023-03-30/functions/three", nil)
	d.refused("403 AccessDenied", "admin", "PUT", "/2016-08-15/services/svc", obj{"description": "x"})
	d.refused("403 AccessDenied", "admin", "POST", "/2016-08-15/services/svc/functions", hello(t, nil))
	d.refused("409 ServiceAlreadyExists", "admin", "POST", "/2016-08-15/services", obj{"serviceName": "svc"})
	d.refused("409 FunctionAlreadyExists", "admin", "POST", "/2023-03-30/functions", hello(t, obj{"functionName": "three"}))
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "wall"}) // an app of that name is there already
	if len(d.kept["wall"][0].Spec) != 0 {
		t.Error("the service took the place of the template's app")
	}
}

func TestCodeFromObjects(t *testing.T) {
	d := newCounter(t)
	ctx := t.Context()
	put := func(bucket, key string, data []byte) {
		if _, err := d.objects.Put(ctx, bucket, object.PutInput{Key: key, Body: bytes.NewReader(data), Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, app := range []sluice.AppName{"fc", "app", "other"} {
		if _, err := d.objects.CreateBucket(ctx, object.Bucket{Name: "box-" + string(app), App: app}); err != nil {
			t.Fatal(err)
		}
		put("box-"+string(app), "code.zip", archive(t, "first"))
	}
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "app"})
	from := func(bucket, key string) obj {
		return hello(t, obj{"code": obj{"ossBucketName": bucket, "ossObjectName": key}})
	}
	d.refused("403 AccessDenied", "mine", "POST", "/2016-08-15/services/app/functions", from("box-other", "code.zip"))
	d.refused("400 InvalidArgument", "mine", "POST", "/2016-08-15/services/app/functions", from("box-none", "code.zip"))
	d.refused("400 InvalidArgument", "mine", "POST", "/2016-08-15/services/app/functions", from("box-app", "none"))
	d.must("mine", "POST", "/2016-08-15/services/app/functions", from("box-app", "code.zip"))

	token := d.must("admin", "GET", "/2016-08-15/tempBucketToken", nil)
	bucket, key := token["ossBucket"].(string), Account+"/"+token["objectName"].(string)
	put(bucket, key, archive(t, "second"))
	d.must("admin", "POST", "/2023-03-30/functions", from(bucket, key))
	if _, err := d.objects.Head(ctx, bucket, key); object.ReasonOf(err) != object.NoSuchKey {
		t.Errorf("what was uploaded for us is still there: %v", err)
	}
	if b, err := d.objects.Bucket(ctx, d.must("mine", "GET", "/2016-08-15/tempBucketToken", nil)["ossBucket"].(string)); err != nil || b.App != "app" {
		t.Errorf("bucket of an app's key: %+v, %v", b, err)
	}
}

func TestListingsComeInPages(t *testing.T) {
	d := newCounter(t)
	for _, name := range []string{"b1", "a1", "b3", "b2"} {
		d.must("admin", "POST", "/2023-03-30/functions", hello(t, obj{"functionName": name}))
	}
	var got []string
	path := "/2023-03-30/functions?prefix=b&limit=2"
	for next := ""; ; {
		page := d.must("admin", "GET", path+"&nextToken="+next, nil)
		for _, f := range page["functions"].([]any) {
			got = append(got, f.(obj)["functionName"].(string))
		}
		if next, _ = page["nextToken"].(string); next == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{"b1", "b2", "b3"}, got); diff != "" {
		t.Errorf("listing (-want +got):\n%s", diff)
	}
	d.refused("400 InvalidArgument", "admin", "GET", "/2023-03-30/functions?limit=x", nil)
}

func TestDomainLeadsToFunctions(t *testing.T) {
	d := newCounter(t)
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "shop"})
	for _, name := range []string{"one", "two"} {
		d.must("admin", "POST", "/2016-08-15/services/shop/functions", hello(t, obj{"functionName": name, "runtime": "custom"}))
		d.must("admin", "POST", "/2016-08-15/services/shop/functions/"+name+"/triggers", obj{"triggerName": "t", "triggerType": "http",
			"triggerConfig": obj{"authType": "anonymous", "methods": []string{"GET", "POST"}}})
	}
	route := func(path, fn string, more obj) obj {
		o := obj{"path": path, "serviceName": "shop", "functionName": fn}
		for k, v := range more {
			o[k] = v
		}
		return o
	}
	d.must("admin", "POST", "/2016-08-15/custom-domains", obj{"domainName": "shop.example.com", "routeConfig": obj{"routes": []obj{
		route("/*", "one", obj{"methods": []string{"GET"}}),
		route("/two/*", "two", obj{"rewriteConfig": obj{"equalRules": []obj{{"match": "/two/is", "replacement": "/equal"}},
			"wildcardRules": []obj{{"match": "/two/w/*", "replacement": "/wild/$1"}}, "regexRules": []obj{{"match": "^/two/r(.)$", "replacement": "/regex/$1"}}}}),
		route("/none", "three", nil),
	}}})
	for name, wrong := range map[string]obj{
		"no domain":        {"domainName": "shop"},
		"star in the path": {"domainName": "b.example.com", "routeConfig": obj{"routes": []obj{route("/*/a", "one", nil)}}},
		"expression":       {"domainName": "b.example.com", "routeConfig": obj{"routes": []obj{route("/", "one", obj{"rewriteConfig": obj{"regexRules": []obj{{"match": "("}}}})}}},
		"several services": {"domainName": "b.example.com", "routeConfig": obj{"routes": []obj{route("/", "one", nil), {"path": "/a", "functionName": "x"}}}},
	} {
		if _, code, _ := d.call("admin", "POST", "/2016-08-15/custom-domains", wrong); code != "InvalidArgument" {
			t.Errorf("%s: %q", name, code)
		}
	}
	var seen string
	d.f.invoke = func(_ context.Context, inv sluice.Invocation) (sluice.Result, error) {
		seen = string(inv.Function) + " " + inv.HTTP.Path
		return sluice.Result{HTTP: &sluice.HTTPResponse{Status: 200}}, nil
	}
	hosts, err := Domains(d.api.o, d.kept["shop"][0])
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"GET /a": "one /a", "GET /two/b": "two /two/b", "GET /two": "two /two", "GET /two/is": "two /equal", "GET /two/w/x/y": "two /wild/x/y",
		"GET /two/rz": "two /regex/z", "POST /a": "405 MethodNotSupported", "GET /none": "404 TriggerNotFound"} {
		seen = ""
		method, path, _ := strings.Cut(path, " ")
		res, body := do(t, hosts["shop.example.com"], httptest.NewRequest(method, "http://shop.example.com"+path, nil))
		if res.StatusCode != http.StatusOK {
			var f struct{ ErrorCode string }
			json.Unmarshal([]byte(body), &f)
			seen = strconv.Itoa(res.StatusCode) + " " + f.ErrorCode
		}
		if seen != want {
			t.Errorf("%s %s is %q, want %q", method, path, seen, want)
		}
	}
	// Of another service, it moves to that one's app.
	d.must("admin", "POST", "/2023-03-30/functions", hello(t, nil))
	d.must("admin", "PUT", "/2023-03-30/custom-domains/shop.example.com", obj{"routeConfig": obj{"routes": []obj{{"path": "/*", "functionName": "hello"}}}})
	for app, want := range map[sluice.AppName]int{"shop": 0, "fc": 1} {
		if hosts, err := Domains(d.api.o, d.kept[app][0]); err != nil || len(hosts) != want {
			t.Errorf("app %s has %d domains, %v", app, len(hosts), err)
		}
	}
}

// Whatever a client says is refused or deployed: nothing panics, and what is deployed can be read back.
func FuzzDescription(f *testing.F) {
	f.Add([]byte(`{"functionName":"f","runtime":"custom","memorySize":128,"timeout":3,"instanceConcurrency":1}`), []byte(`{"triggerName":"t","triggerType":"http","triggerConfig":{"authType":"anonymous"}}`))
	f.Add([]byte(`{"customRuntimeConfig":{"command":["a"]},"layers":["x"]}`), []byte(`{"domainName":"a.b","routeConfig":{"routes":[{"path":"/*","functionName":"f","rewriteConfig":{"wildcardRules":[{"match":"*","replacement":"*"}]}}]}}`))
	f.Fuzz(func(t *testing.T, fn, other []byte) {
		q := &query{body: fn}
		d, err := q.document()
		if err != nil {
			return
		}
		(&madeFunction{Doc: d}).build("s")
		d.asyncCalls()
		q = &query{body: other, who: access.Principal{}}
		if d, err = q.triggerDocument(); err != nil {
			return
		}
		(&madeTrigger{Doc: d}).build(&sluice.Function{})
		if dom, err := d.domain(); err == nil {
			for i := range dom.Config.Routes {
				dom.Config.Routes[i].rewritten("/a/b")
			}
		}
	})
}
