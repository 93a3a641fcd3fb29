package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newServer(t *testing.T) *httptest.Server {
	t.Helper()
	h, err := New()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// get reads an answer without following where it leads.
func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func TestPackagesCanBeInstalled(t *testing.T) {
	s := newServer(t)
	for name, files := range map[string][]string{
		"dk":      {"package/index.js", "package/package.json"},
		"sandbox": {"package/index.js", "package/package.json"},
	} {
		_, body := get(t, s.URL+"/_npm/@serverless-devs%2f"+name) // as npm asks
		var doc struct {
			Name string
			Tags map[string]string `json:"dist-tags"`
			Vers map[string]struct {
				Name string
				Main string
				Dist struct{ Integrity, Tarball string }
			} `json:"versions"`
		}
		if err := json.Unmarshal(body, &doc); err != nil {
			t.Fatalf("%s: %v: %s", name, err, body)
		}
		v := doc.Vers[doc.Tags["latest"]]
		if doc.Name != "@serverless-devs/"+name || v.Name != doc.Name || v.Main == "" {
			t.Errorf("%s: description %s", name, body)
		}
		_, tgz := get(t, v.Dist.Tarball)
		sum := sha512.Sum512(tgz)
		if v.Dist.Integrity != "sha512-"+base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("%s: integrity %s is of something else", name, v.Dist.Integrity)
		}
		if d := cmp.Diff(files, list(t, tgz)); d != "" {
			t.Errorf("%s: files (-want +got):\n%s", name, d)
		}
	}
}

func list(t *testing.T, tgz []byte) (names []string) {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(tgz))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
	}
}

func TestOthersOfTheScopeAreUpstream(t *testing.T) {
	s := newServer(t)
	for path, want := range map[string]string{
		"/_npm/@serverless-devs%2ffc-http":             "https://registry.npmjs.org/@serverless-devs/fc-http",
		"/_npm/@serverless-devs/core/-/core-0.1.0.tgz": "https://registry.npmjs.org/@serverless-devs/core/-/core-0.1.0.tgz",
		"/_npm/@serverless-devs/dk/-/dk-9.9.9.tgz":     "",
		"/_npm/left-pad": "",
		"/_npm/@serverless-devs/..%2f..%2f..%2fetc/passwd": "https://registry.npmjs.org/@serverless-devs/../../../etc/passwd",
	} {
		resp, _ := get(t, s.URL+path)
		if got := resp.Header.Get("Location"); got != want || want == "" && resp.StatusCode != 404 {
			t.Errorf("%s: %d to %q, want %q", path, resp.StatusCode, got, want)
		}
	}
	resp, err := http.Post(s.URL+"/_npm/@serverless-devs/dk", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 405 {
		t.Errorf("publishing: %d", resp.StatusCode)
	}
}

func TestConfigLeadsHere(t *testing.T) {
	if got := Config("http://127.0.0.1:4566"); got != "@serverless-devs:registry=http://127.0.0.1:4566/_npm/\n" {
		t.Error(got)
	}
	if !Claims(httptest.NewRequest("GET", "/_npm/x", nil)) || Claims(httptest.NewRequest("GET", "/bucket/_npm/", nil)) {
		t.Error("claims the wrong paths")
	}
}
