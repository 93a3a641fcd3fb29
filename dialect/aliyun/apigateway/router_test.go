package apigateway

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

func TestMatching(t *testing.T) {
	method := func(m string) func(*apigroup.API) {
		return func(a *apigroup.API) { a.Method, a.Backend.MockBody = m, m+" "+a.Path }
	}
	g := newGroup(t, &rooms{},
		api("/*"), api("/r/*"), api("/api/*"), api("/api/users"), api("/api/[id]"), api("/api/[id]/name"),
		api("/api/users/[id]"), api("/api/users/*"), api("/m/*"), api("/m/*", method("GET")), api("/exact"), api("/post", method("POST")),
		api("/a b/*"), api("/"),
	)
	for in, want := range map[string]string{
		"GET /":                   "/",
		"GET /zzz":                "/*",
		"GET /r":                  "/r/*",
		"GET /r/":                 "/r/*",
		"GET /r/x/y":              "/r/*",
		"GET /rx":                 "/*",
		"GET /api":                "/api/*",
		"GET /api/":               "/api/*",
		"GET /api/users":          "/api/users",
		"GET /api/7":              "/api/[id]",
		"GET /api/7/name":         "/api/[id]/name",
		"GET /api/7/other":        "/api/*",
		"GET /api/users/7":        "/api/users/[id]",
		"GET /api/users/7/8":      "/api/users/*",
		"GET /api/users/":         "/api/users/*",
		"GET /m/x":                "GET /m/*",
		"PUT /m/x":                "/m/*",
		"GET /exact":              "/exact",
		"GET /exact/":             "/*",
		"POST /post":              "POST /post",
		"GET /post":               "/*",
		"GET /a%20b/c":            "/a b/*",
		"GET /%61pi/users":        "/api/users",
		"GET /api/users%2F7":      "/api/[id]",
		"DELETE /api/users/a%2Fb": "/api/users/[id]",
	} {
		verb, path, _ := strings.Cut(in, " ")
		if res, body := do(t, g, httptest.NewRequest(verb, path, nil)); res.StatusCode != 200 || body != want {
			t.Errorf("%s: %d %q, want %q", in, res.StatusCode, body, want)
		}
	}
}

func TestBasePathGoesBeforeEveryPath(t *testing.T) {
	g, err := New(Options{Group: apigroup.Group{Stage: "RELEASE", BasePath: "/v1", APIs: []apigroup.API{api("/x"), api("/*")}}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/v1/x": "/x", "/v1/y": "/*", "/v1": "/*"} {
		if _, body := do(t, g, get(path)); body != want {
			t.Errorf("%s: %q", path, body)
		}
	}
	if res, _ := do(t, g, get("/x")); res.StatusCode != 404 {
		t.Errorf("outside of the base path: %d", res.StatusCode)
	}
}

// better is section 2.2 read literally: the slow way that the tree must agree with.
func better(a, b string) bool {
	literal := func(p string) int {
		n := 0
		for seg := range strings.SplitSeq(strings.TrimPrefix(p, "/"), "/") {
			if _, ok := parameter(seg); ok || seg == "*" {
				return n
			}
			n += len(seg) + 1
		}
		return n
	}
	rank := func(p string) int {
		switch {
		case strings.HasSuffix(p, "*") && !strings.Contains(p, "["):
			return 2
		case strings.Contains(p, "["):
			return 1
		}
		return 0
	}
	if la, lb := literal(a), literal(b); la != lb {
		return la > lb
	}
	return rank(a) < rank(b)
}

func FuzzRouter(f *testing.F) {
	f.Add("/a/*\n/a/[x]\n/a/b\n/*", "/a/b")
	f.Add("/[x]/[y]\n/a/*\n/[x]/b", "/a/b")
	f.Fuzz(func(t *testing.T, paths, request string) {
		if !strings.HasPrefix(request, "/") || strings.ContainsAny(request, "%?#") {
			return
		}
		var n node
		var all []*route
		for p := range strings.SplitSeq(paths, "\n") {
			a := api(p)
			if rt, err := n.add("", &a); err == nil {
				all = append(all, rt)
			}
		}
		n.sort()
		var got []string
		n.walk(request, nil, func(m match) bool {
			if len(m.values) != len(m.names) {
				t.Fatalf("%q: %d values for %d parameters", m.api.Path, len(m.values), len(m.names))
			}
			// Putting the values back must give the request's path.
			path := m.prefix
			for i, name := range m.names {
				path = strings.Replace(path, "["+name+"]", m.values[i], 1)
			}
			if m.tail && !m.bare {
				path += "/" + m.rest
			}
			if path != request && !strings.Contains(strings.Join(m.values, ""), "[") {
				t.Errorf("%q matches %q as %q", m.api.Path, request, path)
			}
			got = append(got, m.api.Path)
			return true
		})
		for i := 1; i < len(got); i++ {
			if better(got[i], got[i-1]) && !better(got[i-1], got[i]) && strings.Count(got[i-1], "[") < 2 && strings.Count(got[i], "[") < 2 {
				t.Errorf("%q comes before the better %q", got[i-1], got[i])
			}
		}
		for _, rt := range all {
			if !rt.tail && len(rt.names) == 0 && rt.prefix == request && !slices.Contains(got, rt.api.Path) {
				t.Errorf("%q is not found at its own path", request)
			}
		}
	})
}
