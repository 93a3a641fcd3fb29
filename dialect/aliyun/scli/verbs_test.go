package scli

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const two = `edition: 1.0.0
name: shop
vars: {region: cn-hangzhou}
services:
  front:
    component: fc
    props:
      region: ${vars.region}
      service: {name: web}
      function: {name: page, runtime: nodejs20, codeUri: ./}
      triggers: [{name: http, type: http, config: {authType: anonymous, methods: [GET]}}]
  back:
    component: fc
    props: {region: cn-hangzhou, service: {name: web}, function: {name: work, runtime: nodejs20, codeUri: ./}}
  files:
    component: oss
    props: {region: cn-hangzhou, bucket: shop-files}
`

// person runs s in a folder with a template, of which sluice serves what apps says.
type person struct {
	dir  string
	apps []string   // as JSON
	ran  [][]string // of sluice, but for its lists
	fail error
}

func newPerson(t *testing.T) *person {
	t.Helper()
	p := &person{dir: t.TempDir(), apps: []string{`{"name":"other"}`,
		`{"name":"shop","revision":"3","http":["http://shop.localhost:8080/"],"functions":[{"name":"page","calls":7},{"name":"work"}]}`}}
	if err := os.WriteFile(filepath.Join(p.dir, "s.yaml"), []byte(two), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *person) s(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	tool := Tool{Version: "1", Dir: p.dir, Env: func(string) string { return "" }, Out: &o, Err: &e,
		Sluice: func(_ context.Context, out io.Writer, args ...string) error {
			if p.fail != nil {
				return Told{p.fail}
			}
			if args[0] != "list" {
				p.ran = append(p.ran, args)
				return nil
			}
			for _, a := range p.apps {
				fmt.Fprintln(out, a)
			}
			return nil
		}}
	code = tool.Run(t.Context(), args)
	return code, o.String(), e.String()
}

func TestVerbsThatUsersKnowAreSluicesOwn(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string // of sluice; "DIR" is the template's folder
	}{
		{[]string{"deploy", "-y", "--use-local", "-a", "alias", "--debug"}, "deploy DIR"},
		{[]string{"deploy", "-t", "s.yaml", "--skip-actions", "--env", "pre", "--param", "a=b", "--param=c=d"}, "deploy DIR --template s.yaml --env pre --skip-actions --param a=b --param c=d"},
		{[]string{"front", "deploy", "-y"}, "deploy DIR"},
		{[]string{"plan"}, "deploy DIR --plan"},
		{[]string{"remove", "-y"}, "remove shop"},
		{[]string{"front", "invoke", "-e", `{"a": 1}`}, `invoke page --app shop --data-text {"a": 1}`},
		{[]string{"back", "invoke", "--event-file", "e.json"}, "invoke work --app shop --event DIR/e.json"},
		{[]string{"back", "local", "invoke", "--event-stdin"}, "invoke work --app shop --event -"},
		{[]string{"front", "logs", "-t"}, "logs --app shop page --follow"},
		{[]string{"logs", "--request-id", "r1"}, "logs --app shop --request r1"},
	} {
		p := newPerson(t)
		code, _, errs := p.s(t, c.args...)
		if code != 0 || len(p.ran) != 1 {
			t.Errorf("s %q: exit %d, ran %q: %s", c.args, code, p.ran, errs)
			continue
		}
		if d := cmp.Diff(strings.ReplaceAll(c.want, "DIR", p.dir), strings.Join(p.ran[0], " ")); d != "" {
			t.Errorf("s %q (-want +got):\n%s", c.args, d)
		}
	}
}

func TestInfoTellsWhatIsDeployed(t *testing.T) {
	p := newPerson(t)
	code, out, errs := p.s(t, "info")
	for _, want := range []string{"app: shop", "revision: \"3\"", "front:", "component: fc", "system_url: ", "calls: 7", "Bucket: shop-files"} {
		if !strings.Contains(out, want) {
			t.Errorf("exit %d: no %q in\n%s%s", code, want, out, errs)
		}
	}
	code, out, errs = p.s(t, "front", "info", "-o", "json")
	var one map[string]struct{ Function struct{ Name string } }
	if err := json.Unmarshal([]byte(out), &one); err != nil || code != 0 || len(one) != 1 || one["front"].Function.Name != "page" {
		t.Errorf("one module: exit %d, %v: %s%s", code, err, out, errs)
	}
	if code, out, errs := p.s(t, "info", "--output-file", "info.yaml"); code != 0 || out != "" {
		t.Errorf("to a file: exit %d: %s%s", code, out, errs)
	}
	if b, err := os.ReadFile(filepath.Join(p.dir, "info.yaml")); err != nil || !strings.Contains(string(b), "app: shop") {
		t.Errorf("the file says %s, %v", b, err)
	}
	if code, out, _ := p.s(t, "preview"); code != 0 || !strings.Contains(out, "region: cn-hangzhou") || strings.Contains(out, "${") {
		t.Errorf("preview: exit %d: %s", code, out)
	}
	if code, out, _ := p.s(t, "verify"); code != 0 || !strings.Contains(out, "can be deployed") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	if code, out, _ := p.s(t, "local", "start"); code != 0 || !strings.Contains(out, "http://shop.localhost:8080/") {
		t.Errorf("local start: exit %d: %s", code, out)
	}
}

func TestWhatCannotBeDoneIsOneClearLine(t *testing.T) {
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"invoke", 100, "the app has 2 functions: name a module"},
		{"files invoke", 100, `no module "files" with a function; there are: front, back`},
		{"nobody info", 100, `no module "nobody"; there are: back, files, front`},
		{"logs -s yesterday", 101, `"yesterday" is no time`},
		{"deploy -t nowhere/s.yaml", 0, ""}, // sluice says it
	} {
		p := newPerson(t)
		code, out, errs := p.s(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(errs, c.says) || strings.Count(out+errs, "\n") > 1 {
			t.Errorf("s %s: exit %d: %s%s", c.args, code, out, errs)
		}
	}
	p := newPerson(t)
	p.apps = nil
	if code, _, errs := p.s(t, "info"); code != 101 || !strings.Contains(errs, `app "shop" is not deployed`) || !strings.Contains(errs, "hint") {
		t.Errorf("not deployed: exit %d: %s", code, errs)
	}
	p.fail = errors.New("told already")
	if code, _, errs := p.s(t, "deploy"); code != 101 || errs != "" {
		t.Errorf("what sluice told is told again: exit %d: %s", code, errs)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "s.yaml"), []byte("services: {a: {component: fcc}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := p.s(t, "verify"); code != 101 || !strings.Contains(errs, "s.yaml:1") {
		t.Errorf("broken template: exit %d: %s", code, errs)
	}
}

func TestHooksDownloadAndUnpack(t *testing.T) {
	files := map[string]string{"node-16/bin/node": "a program", "node-16/LICENSE": "free", "../../escape": "no"}
	var zipped, tarred bytes.Buffer
	zw, gz := zip.NewWriter(&zipped), gzip.NewWriter(&tarred)
	tw := tar.NewWriter(gz)
	for name, text := range files {
		h := &zip.FileHeader{Name: name}
		h.SetMode(0o755)
		w, err := zw.CreateHeader(h)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err == nil {
			err = tw.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(text))})
		}
		if err == nil {
			_, err = io.WriteString(tw, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	zw.Close()
	tw.Close()
	gz.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a.zip":
			w.Write(zipped.Bytes())
		case "/a.tar.gz":
			w.Write(tarred.Bytes())
		case "/moved":
			http.Redirect(w, r, "/a.zip", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	p := newPerson(t)
	for _, from := range []string{"/a.zip", "/a.tar.gz", "/moved"} {
		dir := filepath.Join(t.TempDir(), "code")
		if code, _, errs := p.s(t, "download", server.URL+from, dir, "--extract", "--strip=1"); code != 0 {
			t.Fatalf("%s: exit %d: %s", from, code, errs)
		}
		info, err := os.Stat(filepath.Join(dir, "bin/node"))
		if err != nil || info.Mode()&0o100 == 0 {
			t.Errorf("%s: %v, %v", from, info, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "../escape")); err == nil {
			t.Errorf("%s wrote outside", from)
		}
	}
	dir := t.TempDir()
	if code, _, _ := p.s(t, "download", server.URL+"/a.zip", dir, "--filename", "kept.zip"); code != 0 {
		t.Errorf("exit %d", code)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "kept.zip")); err != nil || !bytes.Equal(b, zipped.Bytes()) {
		t.Errorf("kept %d bytes, %v", len(b), err)
	}
	for _, bad := range []string{"/nothing", "/a.zip?extract"} {
		args := []string{"download", server.URL + bad, dir, "--extract"}
		if strings.HasSuffix(bad, "extract") {
			args[1] = fmt.Sprintf("%s/a.tar.gz", server.URL)
			args = append(args, "--strip=x")
		}
		if code, _, errs := p.s(t, args...); code != 101 {
			t.Errorf("%s: exit %d: %s", bad, code, errs)
		}
	}
}
