package scf

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/tencent/tc3"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// request is a signed one. key is whose it is: mine, or the admin's.
func request(key, action, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "https://scf.tencentcloudapi.com/", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-TC-Action", action)
	r.Header.Set("X-TC-Version", apiVersion)
	r.Header.Set("X-TC-Region", "ap-guangzhou")
	tc3.Sign(r, []byte(body), access.Credentials{ID: key, Secret: map[string]string{"mine": "my secret", "admin": "admin's"}[key]}, "scf", now)
	return r
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// answer is what the API says, with ID for every id of a request.
func answer(t testing.TB, h http.Handler, r *http.Request) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		t.Fatal(w.Code, w.Header(), err)
	}
	return uuids.ReplaceAllString(string(b), "ID")
}

func TestTheAPIAnswers(t *testing.T) {
	var res sluice.Result
	var fail error
	a := New(Options{SCF: NewSCF(room(func(ctx context.Context, inv sluice.Invocation) (sluice.Result, error) {
		if res.Failure != nil || fail != nil {
			return res, fail
		}
		return echo(ctx, inv)
	}), nil, nil), Keys: fakeKeys{}, Now: func() time.Time { return now }})
	const log = `START RequestId: ID\nEvent RequestId: ID\nsaid\nEND RequestId: ID\nReport RequestId: ID Duration:2ms Memory:128MB MaxMemoryUsed:10.0000MB\n`
	const good = `"MemUsage":10485760,"Duration":2.96,"BillDuration":3,"FunctionRequestId":"ID","InvokeResult":0}}}`
	for _, c := range []struct{ name, key, action, body, want string }{
		{"Invoke", "mine", "Invoke", `{"FunctionName":"Mine"}`, `{"Response":{"RequestId":"ID","Result":{"Log":"","RetMsg":"\"app/Mine\"","ErrMsg":"",` + good},
		{"Invoke with all", "mine", "Invoke", `{"FunctionName":"Mine","InvocationType":"RequestResponse","Qualifier":"live","ClientContext":"{\"a\":1}","LogType":"Tail","Namespace":"default","RoutingKey":"x","Else":1}`,
			`{"Response":{"RequestId":"ID","Result":{"Log":"` + log + `","RetMsg":"\"app/Mine\"","ErrMsg":"",` + good},
		{"InvokeFunction", "mine", "InvokeFunction", `{"FunctionName":"Mine","Namespace":"ns","Event":"{}"}`, `{"Response":{"RequestId":"ID","Result":{"Log":"","RetMsg":"\"app/mine-ns\"","ErrMsg":"",` + good},
		{"the operator", "admin", "InvokeFunction", `{"FunctionName":"Theirs"}`, `{"Response":{"RequestId":"ID","Result":{"Log":"","RetMsg":"\"other/theirs\"","ErrMsg":"",` + good},
		{"no name", "mine", "Invoke", `{}`, `{"Response":{"Error":{"Code":"MissingParameter","Message":"The parameter ` + "`FunctionName`" + ` is missing."},"RequestId":"ID"}}`},
		{"no body", "mine", "Invoke", ``, `{"Response":{"Error":{"Code":"MissingParameter","Message":"The parameter ` + "`FunctionName`" + ` is missing."},"RequestId":"ID"}}`},
		{"no function", "mine", "Invoke", `{"FunctionName":"None"}`, `{"Response":{"Error":{"Code":"ResourceNotFound.Function","Message":"The function None is not found in namespace default."},"RequestId":"ID"}}`},
		{"no namespace", "mine", "InvokeFunction", `{"FunctionName":"Mine","Namespace":"none"}`, `{"Response":{"Error":{"Code":"ResourceNotFound.Namespace","Message":"The namespace none is not found."},"RequestId":"ID"}}`},
		{"no version", "mine", "Invoke", `{"FunctionName":"Mine","Qualifier":"7"}`, `{"Response":{"Error":{"Code":"ResourceNotFound.Qualifier","Message":"The version or alias 7 of function Mine is not found."},"RequestId":"ID"}}`},
		{"a context that is no JSON", "mine", "Invoke", `{"FunctionName":"Mine","ClientContext":"{"}`, `{"Response":{"Error":{"Code":"InvalidParameterValue","Message":"ClientContext is not a JSON text."},"RequestId":"ID"}}`},
		{"an unknown type of log", "mine", "Invoke", `{"FunctionName":"Mine","LogType":"All"}`, `{"Response":{"Error":{"Code":"InvalidParameterValue","Message":"LogType is None or Tail, not \"All\"."},"RequestId":"ID"}}`},
		{"an unknown type of call", "mine", "Invoke", `{"FunctionName":"Mine","InvocationType":"Later"}`, `{"Response":{"Error":{"Code":"InvalidParameterValue","Message":"InvocationType is RequestResponse or Event, not \"Later\"."},"RequestId":"ID"}}`},
		{"no queue", "mine", "Invoke", `{"FunctionName":"Mine","InvocationType":"Event"}`, `{"Response":{"Error":{"Code":"UnsupportedOperation","Message":"This server keeps no queue for asynchronous calls."},"RequestId":"ID"}}`},
		{"no JSON", "mine", "Invoke", `x`, `{"Response":{"Error":{"Code":"InvalidParameter","Message":"The request's body is not valid JSON."},"RequestId":"ID"}}`},
		{"a wrong type", "mine", "Invoke", `{"FunctionName":1}`, `{"Response":{"Error":{"Code":"InvalidParameter","Message":"The type of parameter ` + "`FunctionName`" + ` is not valid."},"RequestId":"ID"}}`},
		{"no action", "mine", "", `{}`, `{"Response":{"Error":{"Code":"MissingParameter","Message":"The request header X-TC-Action is missing."},"RequestId":"ID"}}`},
		{"an unknown action", "mine", "Fly", `{}`, `{"Response":{"Error":{"Code":"InvalidAction","Message":"The action Fly does not exist, or sluice does not have it."},"RequestId":"ID"}}`},
		{"an unknown key", "theirs", "Invoke", `{}`, `{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"The SecretId is not found, please ensure that your SecretId is correct."},"RequestId":"ID"}}`},
		{"keys that cannot be read", "down", "Invoke", `{}`, `{"Response":{"Error":{"Code":"InternalError","Message":"An internal error has occurred. Retry your request, but if the problem persists, look at the server's log."},"RequestId":"ID"}}`},
		{"GetFunction", "mine", "GetFunction", `{"FunctionName":"Mine"}`, `{"Response":{"AddTime":"2026-01-01 08:00:00","AvailableStatus":"Available","ClsLogsetId":"","ClsTopicId":"","CodeError":"","CodeInfo":"","CodeResult":"success","CodeSize":0,` +
			`"Description":"says hello","Environment":{"Variables":[{"Key":"A","Value":"<1>"},{"Key":"B","Value":"2"}]},"ErrNo":0,"FunctionId":"lam-557c2668","FunctionName":"Mine","FunctionVersion":"$LATEST","Handler":"index.main_handler","InitTimeout":65,` +
			`"InstallDependency":"FALSE","Layers":[],"MemorySize":128,"ModTime":"2026-01-01 08:00:00","Namespace":"default","Qualifier":"$LATEST","RequestId":"ID","Role":"r","Runtime":"Python3.6","Status":"Active","StatusDesc":"","StatusReasons":[],"Tags":[],"Timeout":3,` +
			`"Triggers":[{"AddTime":"1970-01-01 08:00:00","AvailableStatus":"Available","CustomArgument":"x","Enable":1,"ModTime":"1970-01-01 08:00:00","Qualifier":"$LATEST","TriggerDesc":"{\"cron\":\"0 0 1 * * * *\"}","TriggerName":"daily","Type":"timer"},` +
			`{"AddTime":"1970-01-01 08:00:00","AvailableStatus":"Available","CustomArgument":"","Enable":0,"ModTime":"1970-01-01 08:00:00","Qualifier":"$LATEST","TriggerDesc":"{\"cron\":\"0 0 2 * * * *\"}","TriggerName":"off","Type":"timer"},` +
			`{"AddTime":"1970-01-01 08:00:00","AvailableStatus":"Available","CustomArgument":"","Enable":1,"ModTime":"1970-01-01 08:00:00","Qualifier":"$LATEST","TriggerDesc":"{\"event\":\"cos:ObjectCreated:*\",\"filter\":{\"Prefix\":\"\",\"Suffix\":\".jpg\"}}","TriggerName":"box-1250000000","Type":"cos"}],` +
			`"Type":"Event","UseGpu":"FALSE","VpcConfig":{"SubnetId":"","VpcId":""}}}`},
		{"GetFunction of none", "mine", "GetFunction", `{"FunctionName":"None"}`, `{"Response":{"Error":{"Code":"ResourceNotFound.Function","Message":"The function None is not found in namespace default."},"RequestId":"ID"}}`},
		{"ListFunctions", "mine", "ListFunctions", `{"Namespace":"ns"}`, `{"Response":{"Functions":[{"AddTime":"1970-01-01 08:00:00","Description":"","FunctionId":"lam-cb35a056","FunctionName":"Mine","ModTime":"1970-01-01 08:00:00","Namespace":"ns","Runtime":"Nodejs16.13","Status":"Active","StatusDesc":"","StatusReasons":[],"Tags":[],"Type":"HTTP"}],"RequestId":"ID","TotalCount":1}}`},
		{"ListFunctions, a page", "admin", "ListFunctions", `{"Offset":1,"Limit":1,"Order":"DESC"}`, `{"Response":{"Functions":[{"AddTime":"2026-01-01 08:00:00","Description":"says hello","FunctionId":"lam-557c2668","FunctionName":"Mine","ModTime":"2026-01-01 08:00:00","Namespace":"default","Runtime":"Python3.6","Status":"Active","StatusDesc":"","StatusReasons":[],"Tags":[],"Type":"Event"}],"RequestId":"ID","TotalCount":3}}`},
		{"ListFunctions, a wrong page", "mine", "ListFunctions", `{"Offset":-1}`, `{"Response":{"Error":{"Code":"InvalidParameterValue","Message":"Offset and Limit are not negative."},"RequestId":"ID"}}`},
		{"UpdateFunctionConfiguration", "mine", "UpdateFunctionConfiguration", `{"FunctionName":"Mine"}`, `{"Response":{"Error":{"Code":"UnsupportedOperation","Message":"This server does not take changes of functions."},"RequestId":"ID"}}`},
	} {
		if diff := cmp.Diff(c.want, answer(t, a, request(c.key, c.action, c.body))); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}

	res = sluice.Result{Failure: &sluice.Failure{Kind: sluice.Handled, Message: "boom", Stack: []string{"Error: boom", "    at f"}}}
	want := `{"Response":{"RequestId":"ID","Result":{"Log":"","RetMsg":"{\"errorCode\":-1,\"errorMessage\":\"user code exception caught\",\"requestId\":\"ID\",\"stackTrace\":\"Error: boom\\n    at f\",\"statusCode\":430}",` +
		`"ErrMsg":"Error: boom\n    at f","MemUsage":0,"Duration":0,"BillDuration":0,"FunctionRequestId":"ID","InvokeResult":1}}}`
	if diff := cmp.Diff(want, answer(t, a, request("mine", "Invoke", `{"FunctionName":"Mine"}`))); diff != "" {
		t.Error(diff)
	}
	fail = errors.New("broken")
	if got := answer(t, a, request("mine", "Invoke", `{"FunctionName":"Mine"}`)); !strings.Contains(got, `"Code":"InternalError"`) {
		t.Error(got)
	}

	r := request("mine", "Invoke", `{}`)
	r.Header.Set("X-TC-Version", "2000-01-01")
	if got := answer(t, a, r); !strings.Contains(got, `"Code":"NoSuchVersion"`) {
		t.Error(got)
	}
	r = request("mine", "Invoke", `{}`)
	r.Header.Set("Authorization", "SKIP")
	if got := answer(t, a, r); !strings.Contains(got, `"Code":"AuthFailure.InvalidAuthorization"`) {
		t.Error(got)
	}
	big := `{"FunctionName":"Mine","InvocationType":"X","ClientContext":"` + strings.Repeat("1", maxSync+1) + `"}`
	if got := answer(t, a, request("mine", "Invoke", strings.Replace(big, "X", "", 1))); !strings.Contains(got, `"Code":"InvalidParameterValue","Message":"ClientContext has 6291457 bytes, more than 6291456."`) {
		t.Error(got)
	}
	if got := answer(t, a, request("mine", "Invoke", strings.Repeat(" ", maxBody+1))); !strings.Contains(got, `"Code":"RequestSizeLimitExceeded"`) {
		t.Error(got)
	}
}

func TestParametersOfAQuery(t *testing.T) {
	a := New(Options{SCF: NewSCF(room(echo), nil, nil), Keys: fakeKeys{}, Now: func() time.Time { return now }})
	r := httptest.NewRequest(http.MethodGet, "https://scf.tencentcloudapi.com/?Limit=1&SearchKey=1&Namespace=default", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-TC-Action", "ListFunctions")
	tc3.Sign(r, nil, access.Credentials{ID: "mine", Secret: "my secret"}, "scf", now)
	if got := answer(t, a, r); got != `{"Response":{"Functions":[],"RequestId":"ID","TotalCount":0}}` {
		t.Error(got)
	}
}

func TestAsynchronousCallsThroughTheAPI(t *testing.T) {
	store := memory.New()
	s := NewSCF(room(echo), nil, nil)
	a := New(Options{SCF: s, Keys: fakeKeys{}, Later: NewQueue(store, s, 0, nil), Now: func() time.Time { return now }})
	want := `{"Response":{"RequestId":"ID","Result":{"Log":"","RetMsg":"","ErrMsg":"","MemUsage":0,"Duration":0,"BillDuration":0,"FunctionRequestId":"ID","InvokeResult":0}}}`
	if diff := cmp.Diff(want, answer(t, a, request("mine", "Invoke", `{"FunctionName":"Mine","InvocationType":"Event","ClientContext":"{}"}`))); diff != "" {
		t.Error(diff)
	}
	n := 0
	err := store.View(t.Context(), func(r kv.Reader) error {
		it := r.Scan([]byte("Q/scf/"), kv.PrefixEnd([]byte("Q/scf/")), kv.ScanOpts{Limit: 10})
		defer it.Close()
		for ; it.Next(); n++ {
			if !strings.Contains(string(it.Value()), `"fn":"Mine"`) {
				t.Errorf("%s", it.Value())
			}
		}
		return it.Err()
	})
	if err != nil || n != 1 {
		t.Errorf("%d calls wait, %v", n, err)
	}
	for body, code := range map[string]string{
		`{"FunctionName":"None","InvocationType":"Event"}`:                                                           "ResourceNotFound.Function",
		`{"FunctionName":"Mine","InvocationType":"Event","Qualifier":"9"}`:                                           "ResourceNotFound.Qualifier",
		`{"FunctionName":"Mine","InvocationType":"Event","ClientContext":"{"}`:                                       "InvalidParameterValue",
		`{"FunctionName":"Mine","InvocationType":"Event","ClientContext":"` + strings.Repeat("1", maxAsync+1) + `"}`: "InvalidParameterValue",
	} {
		if got := answer(t, a, request("mine", "Invoke", body)); !strings.Contains(got, `"Code":"`+code+`"`) {
			t.Errorf("%.80s: %s", body, got)
		}
	}
}

// deploys fakes the deploy room.
type deploys struct {
	apps []*sluice.App
	done []*sluice.App
	fail error
}

func (d *deploys) List(context.Context) ([]*sluice.App, error) { return d.apps, nil }

func (d *deploys) Deploy(_ context.Context, app *sluice.App) error {
	d.done = append(d.done, app)
	return d.fail
}

func TestFunctionsAreChangedByADeployOfTheirApp(t *testing.T) {
	f := room(echo)
	f.all[3].Root = code(t, "", "index.py", "")
	spec := f.all[3].Spec
	spec.Code, spec.Build = "/gone", &sluice.Build{Kind: "shell"}
	d := &deploys{apps: []*sluice.App{{Name: "other"}, {Name: "app", Functions: []sluice.Function{{Name: "mine-ns", Code: "/there"}, spec}}}}
	a := New(Options{SCF: NewSCF(f, nil, nil), Keys: fakeKeys{}, Apps: d, Now: func() time.Time { return now }})
	update := func(body string) string { return answer(t, a, request("mine", "UpdateFunctionConfiguration", body)) }
	if got := update(`{"FunctionName":"Mine","MemorySize":256,"Timeout":5,"Description":"d","Role":"R","Environment":{"Variables":[{"Key":"url","Value":"http://x"}]}}`); got != `{"Response":{"RequestId":"ID"}}` {
		t.Fatal(got)
	}
	got := d.done[0].Functions[1]
	if diff := cmp.Diff(map[string]string{"url": "http://x"}, got.Env); diff != "" || got.MemoryMB != 256 || got.Timeout != 5*time.Second || got.Description != "d" || extraOf(&got).Role != "R" || len(extraOf(&got).Aliases) != 1 {
		t.Errorf("%+v %s", got, diff)
	}
	if got.Code != f.all[3].Root || got.Build != nil || got.Opt != nil || d.done[0].Functions[0].Code != "/there" {
		t.Errorf("the code is not what is deployed: %+v", got)
	}
	if before := d.apps[1].Functions[1]; before.Env["B"] != "2" || before.MemoryMB != 128 {
		t.Errorf("what is deployed has been changed: %+v", before)
	}
	for body, code := range map[string]string{
		`{}`:                        "MissingParameter",
		`{"FunctionName":"None"}`:   "ResourceNotFound.Function",
		`{"FunctionName":"Theirs"}`: "UnauthorizedOperation",
		`{"FunctionName":"Mine","MemorySize":65}`:                                          "InvalidParameterValue.MemorySize",
		`{"FunctionName":"Mine","Timeout":901}`:                                            "InvalidParameterValue.Timeout",
		`{"FunctionName":"Mine","Environment":{"Variables":[{"Key":"1x","Value":""}]}}`:    "InvalidParameterValue.EnvironmentVariables",
		`{"FunctionName":"Mine","Environment":{"Variables":[{"Key":"SCF_X","Value":""}]}}`: "InvalidParameterValue.EnvironmentSystemProtect",
	} {
		if got := update(body); !strings.Contains(got, `"Code":"`+code+`"`) {
			t.Errorf("%s: %s", body, got)
		}
	}
	if len(d.done) != 1 {
		t.Errorf("%d deploys", len(d.done))
	}
	d.fail = sluice.Errorf(sluice.Unavailable, "no room")
	if got := update(`{"FunctionName":"Mine"}`); !strings.Contains(got, `"Code":"FailedOperation.UpdateFunctionConfiguration","Message":"no room"`) {
		t.Error(got)
	}
}

func TestRequestsAreClaimed(t *testing.T) {
	for _, c := range []struct {
		host, auth, version string
		want                bool
	}{
		{"scf.tencentcloudapi.com", "", "", true},
		{"scf.ap-guangzhou.tencentcloudapi.com", "", "", true},
		{"127.0.0.1:4566", "TC3-HMAC-SHA256 Credential=a/2026-01-01/scf/tc3_request, SignedHeaders=host, Signature=x", "", true},
		{"127.0.0.1:4566", "SKIP", apiVersion, true},
		{"127.0.0.1:4566", "TC3-HMAC-SHA256 Credential=a/2026-01-01/cvm/tc3_request, SignedHeaders=host, Signature=x", "2017-03-12", false},
		{"cos.ap-guangzhou.myqcloud.com", "", "", false},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = c.host
		r.Header.Set("Authorization", c.auth)
		if c.version != "" {
			r.Header.Set("X-TC-Action", "Invoke")
			r.Header.Set("X-TC-Version", c.version)
		}
		if Claims(r) != c.want {
			t.Errorf("%+v", c)
		}
	}
}

func FuzzParameters(f *testing.F) {
	f.Add("Invoke", `{"FunctionName":"Mine","ClientContext":"{}"}`)
	f.Add("ListFunctions", `{"Offset":1,"Limit":-1}`)
	f.Add("UpdateFunctionConfiguration", `{"FunctionName":"Mine","Environment":{"Variables":[null,{"Key":"a"}]}}`)
	rooms := room(echo)
	a := New(Options{SCF: NewSCF(rooms, nil, nil), Keys: fakeKeys{}, Now: func() time.Time { return now },
		Apps: &deploys{apps: []*sluice.App{{Name: "app", Functions: []sluice.Function{rooms.all[3].Spec}}}}})
	f.Fuzz(func(t *testing.T, action, body string) {
		var out struct{ Response map[string]any }
		if err := json.Unmarshal([]byte(answer(t, a, request("mine", action, body))), &out); err != nil || out.Response["RequestId"] != "ID" {
			t.Fatal(out, err)
		}
	})
}
