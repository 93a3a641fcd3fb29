package main

import (
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	for name, tc := range map[string]struct {
		path, known, kind, has string
		status                 int
	}{
		"the page":            {path: "/", status: 200, kind: "text/html", has: `content="wss://x/&lt;live&gt;"`},
		"its script":          {path: "/app.js", status: 200, kind: "text/javascript", has: "new Line("},
		"its icon":            {path: "/icon.svg", status: 200, kind: "image/svg+xml", has: "<svg"},
		"nothing":             {path: "/nothing", status: 404, kind: "text/plain"},
		"what is none of its": {path: "/../main.go", status: 404, kind: "text/plain"},
	} {
		got := show(tc.path, "", "wss://x/<live>")
		if got.StatusCode != tc.status || !strings.HasPrefix(got.Headers["Content-Type"], tc.kind) || !strings.Contains(got.Body, tc.has) {
			t.Errorf("%s: %d %s %.80q", name, got.StatusCode, got.Headers["Content-Type"], got.Body)
		}
		if tc.status == 200 {
			if again := show(tc.path, got.Headers["ETag"], "wss://x/<live>"); again.StatusCode != 304 || again.Body != "" {
				t.Errorf("%s, known already: %d", name, again.StatusCode)
			}
		}
	}
}
