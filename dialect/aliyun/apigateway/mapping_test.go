package apigateway

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

func ptr[T any](v T) *T { return &v }

func TestDeclaredParametersAreChecked(t *testing.T) {
	p := func(q apigroup.RequestParam) apigroup.API {
		return api("/"+q.Name, func(a *apigroup.API) { a.RequestParams = []apigroup.RequestParam{q} })
	}
	g := newGroup(t, &rooms{},
		p(apigroup.RequestParam{Name: "must", In: apigroup.InQuery, Type: "String", Required: true}),
		p(apigroup.RequestParam{Name: "def", In: apigroup.InQuery, Type: "Int", Required: true, Default: "5"}),
		p(apigroup.RequestParam{Name: "int", In: apigroup.InQuery, Type: "Int", Min: ptr(1.0), Max: ptr(9.0)}),
		p(apigroup.RequestParam{Name: "long", In: apigroup.InQuery, Type: "Long"}),
		p(apigroup.RequestParam{Name: "double", In: apigroup.InQuery, Type: "Double", Max: ptr(1.5)}),
		p(apigroup.RequestParam{Name: "bool", In: apigroup.InQuery, Type: "Boolean"}),
		p(apigroup.RequestParam{Name: "len", In: apigroup.InQuery, Type: "String", MinLength: ptr(2), MaxLength: ptr(3)}),
		p(apigroup.RequestParam{Name: "re", In: apigroup.InQuery, Type: "String", Pattern: "[a-c]+"}),
		p(apigroup.RequestParam{Name: "enum", In: apigroup.InQuery, Type: "String", Enum: []string{"a", "b"}}),
		p(apigroup.RequestParam{Name: "head", In: apigroup.InHead, Type: "String", Required: true}))
	for in, ok := range map[string]bool{
		"/must?must=x": true, "/must": false, "/must?must=": false, "/def": true, "/def?def=x": false,
		"/int?int=1": true, "/int?int=0": false, "/int?int=10": false, "/int?int=1.5": false, "/int?int=3000000000": false, "/int": true,
		"/long?long=3000000000": true, "/double?double=1.25": true, "/double?double=2": false, "/double?double=x": false,
		"/bool?bool=true": true, "/bool?bool=1": false, "/len?len=ab": true, "/len?len=a": false, "/len?len=abcd": false, "/len?len=嗨嗨": true,
		"/re?re=abc": true, "/re?re=abd": false, "/enum?enum=a": true, "/enum?enum=c": false, "/head": false,
	} {
		res, _ := do(t, g, get(in))
		if (res.StatusCode == 200) != ok || !ok && res.Header.Get("X-Ca-Error-Code") != "I400MP" {
			t.Errorf("%s: %d %s", in, res.StatusCode, res.Header.Get("X-Ca-Error-Message"))
		}
	}
	if res, _ := do(t, g, with(get("/head"), "Head", "x")); res.StatusCode != 200 {
		t.Errorf("header parameter: %d", res.StatusCode)
	}
}

func TestParametersAreMapped(t *testing.T) {
	type seen struct{ URL, Body, Type, Head, Agent, Other string }
	srv := newBackend(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		json.NewEncoder(w).Encode(seen{r.URL.String(), string(b), r.Header.Get("Content-Type"), r.Header.Get("X-Head"), r.UserAgent(), r.Header.Get("X-Other")})
	})
	in := []apigroup.RequestParam{
		{Name: "id", In: apigroup.InPath, Type: "String"}, {Name: "q", In: apigroup.InQuery, Type: "String"},
		{Name: "f", In: apigroup.InBody, Type: "String"}, {Name: "X-Head", In: apigroup.InHead, Type: "String"},
	}
	out := []apigroup.ServiceParam{
		{Name: "user", In: apigroup.InPath, Source: apigroup.FromRequest, Request: "q"},
		{Name: "id", In: apigroup.InQuery, Source: apigroup.FromRequest, Request: "id"},
		{Name: "X-Head", In: apigroup.InHead, Source: apigroup.FromConstant, Value: "fixed"},
		{Name: "ip", In: apigroup.InQuery, Source: apigroup.FromSystem, Request: "CaClientIp"},
		{Name: "api", In: apigroup.InBody, Source: apigroup.FromSystem, Request: "CaApiName"},
	}
	mapped := func(path, mode, format string, in []apigroup.RequestParam, out []apigroup.ServiceParam) apigroup.API {
		return api(path+"/[id]", func(a *apigroup.API) {
			a.Mode, a.BodyFormat, a.RequestParams, a.ServiceParams = mode, format, in, out
			a.Backend = apigroup.Backend{Type: apigroup.HTTP, Address: srv, Path: "/u/[user]", Timeout: time.Minute}
		})
	}
	g := newGroup(t, &rooms{}, mapped("/m", apigroup.Mapping, "", in, out), mapped("/mp", apigroup.MappingPassthrough, "", in, out),
		mapped("/raw", apigroup.Mapping, "STREAM", in, out), mapped("/p", apigroup.Passthrough, "", nil, out), mapped("/none", apigroup.Mapping, "", nil, nil))
	const form = "application/x-www-form-urlencoded"
	for path, want := range map[string]seen{
		"/m":    {"/u/Q?id=7&ip=192.0.2.1", "api=%2Fm%2F%5Bid%5D", form + "; charset=utf-8", "fixed", "me", ""},
		"/mp":   {"/u/Q?id=7&ip=192.0.2.1&z=1", "api=%2Fmp%2F%5Bid%5D&g=2", form + "; charset=utf-8", "fixed", "me", "o"},
		"/raw":  {"/u/Q?id=7&ip=192.0.2.1", "f=1&g=2", form, "fixed", "me", ""},
		"/none": {"/u/[user]?q=Q&z=1", "f=1&g=2", form, "h", "me", "o"},
	} {
		r := with(httptest.NewRequest("POST", path+"/7?q=Q&z=1", strings.NewReader("f=1&g=2")), "Content-Type", form, "X-Head", "h", "X-Other", "o", "User-Agent", "me")
		_, body := do(t, g, r)
		var got seen
		json.Unmarshal([]byte(body), &got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
	if res, _ := do(t, g, get("/m/7?q=..")); res.Header.Get("X-Ca-Error-Code") != "I400PA" {
		t.Errorf("a parameter must not climb out of the service path: %d", res.StatusCode)
	}
}
