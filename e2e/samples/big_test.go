package samples

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/live"
)

// An app of 200 functions, each with code of its own, and 50 tables is deployed by one command, which shows
// how it gets on; the same command again finds that nothing changed.
func TestBigAppIsDeployedInOneCommand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "big")
	var b strings.Builder
	b.WriteString("Transform: AWS::Serverless-2016-10-31\nGlobals:\n  Function: {Runtime: nodejs20.x, Handler: app.handler}\nResources:\n")
	for i := range 50 {
		fmt.Fprintf(&b, "  Table%d: {Type: AWS::Serverless::SimpleTable}\n", i)
	}
	for i := range 200 {
		fmt.Fprintf(&b, `  Fn%[1]d:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: fn/%[1]d
      Environment: {Variables: {TABLE: !Ref Table%[2]d}}
      Policies: [{DynamoDBCrudPolicy: {TableName: !Ref Table%[2]d}}]
      Events: {Get: {Type: HttpApi, Properties: {Path: /%[1]d, Method: get}}}
`, i, i%50)
		code := filepath.Join(dir, "fn", fmt.Sprint(i))
		if err := os.MkdirAll(code, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(code, "app.js"), fmt.Appendf(nil, "exports.handler = async () => `%d ${process.env.TABLE}`\n", i), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	template := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(template, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	s := live.Launch(t, "", "serve")
	deploy := func(args ...string) (string, time.Duration) {
		t.Helper()
		start := time.Now()
		out, err := s.Sluice(append([]string{"deploy", dir}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return out, time.Since(start)
	}
	answers := func(path, want string) {
		t.Helper()
		res, err := http.Get(s.URL(path))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if body, err := io.ReadAll(res.Body); err != nil || !strings.HasPrefix(string(body), want) {
			t.Errorf("%s answers %s %q, %v; want %q", path, res.Status, body, err, want)
		}
	}
	out, first := deploy()
	if n, m := strings.Count(out, "✔ create  function"), strings.Count(out, "✔ create  table"); n != 200 || m != 50 {
		t.Errorf("%d functions and %d tables are shown:\n%s", n, m, out)
	}
	answers("/157", "157 big-Table7-")

	out, again := deploy()
	if !strings.Contains(out, "nothing changed") || strings.Contains(out, "✔") {
		t.Errorf("the second deploy says:\n%s", out)
	}
	if plan, _ := deploy("--plan"); strings.Count(plan, "unchanged") != 252 || strings.Count(plan, "\n") != 252 { // with the API and the app
		t.Errorf("the plan says:\n%s", plan)
	}
	if err := os.WriteFile(filepath.Join(dir, "fn/157/app.js"), []byte("exports.handler = async () => 'other'\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out, one := deploy()
	if strings.Count(out, "✔") != 1 || !strings.Contains(out, "change  function  Fn157") {
		t.Errorf("the third deploy says:\n%s", out)
	}
	answers("/157", "other")
	t.Logf("first %v, unchanged %v, one function changed %v", first, again, one)
	if again > time.Minute { // one second on a machine that does nothing else
		t.Errorf("a deploy without changes took %v", again)
	}
}
