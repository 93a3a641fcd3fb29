// Package npm is a registry for one scope of npm, @serverless-devs. Published templates depend on two
// of its packages that npm does not have any more, dk and sandbox; small ones of our own take their
// place. Every other package of the scope is npm's to serve (aliyun.md 6.6).
package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
)

//go:embed packages
var packages embed.FS

const (
	scope = "@serverless-devs"
	// root begins every path of the registry, on a listener that serves other things too.
	root = "/_npm/"
	// upstream serves what we do not.
	upstream = "https://registry.npmjs.org/"
)

// Claims reports whether a request is for the registry.
func Claims(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, root) }

// Config is the lines of an npmrc that send npm here for the scope. base is the address of the
// listener, http://host:port.
func Config(base string) string {
	return scope + ":registry=" + strings.TrimSuffix(base, "/") + root + "\n"
}

// archive is one package as npm downloads it.
type archive struct {
	manifest map[string]any // its package.json
	version  string
	tgz      []byte
}

// New packs the packages.
func New() (http.Handler, error) {
	names, err := fs.ReadDir(packages, "packages")
	if err != nil {
		return nil, err
	}
	reg := registry{}
	for _, n := range names {
		a, err := pack("packages/" + n.Name())
		if err != nil {
			return nil, fmt.Errorf("pack %s/%s: %w", scope, n.Name(), err)
		}
		reg[n.Name()] = a
	}
	return reg, nil
}

func pack(dir string) (*archive, error) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	t := tar.NewWriter(z)
	a := &archive{}
	files, err := fs.ReadDir(packages, dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		text, err := packages.ReadFile(path.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		if f.Name() == "package.json" {
			if err := json.Unmarshal(text, &a.manifest); err != nil {
				return nil, err
			}
		}
		if err := t.WriteHeader(&tar.Header{Name: "package/" + f.Name(), Mode: 0o644, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := t.Write(text); err != nil {
			return nil, err
		}
	}
	if err := t.Close(); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	a.tgz = buf.Bytes()
	a.version, _ = a.manifest["version"].(string)
	return a, nil
}

// registry is the packages by their name in the scope.
type registry map[string]*archive

// ServeHTTP answers what npm install asks: a package's description, and its archive.
func (reg registry) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, `{"error":"this registry can only be read"}`, http.StatusMethodNotAllowed)
		return
	}
	rest := strings.TrimPrefix(r.URL.Path, root)
	name, file, _ := strings.Cut(strings.TrimPrefix(rest, scope+"/"), "/")
	a := reg[name]
	switch {
	case !strings.HasPrefix(rest, scope+"/"):
		http.NotFound(w, r)
	case a == nil:
		to := url.URL{Path: rest}
		http.Redirect(w, r, upstream+strings.TrimPrefix(to.EscapedPath(), "/"), http.StatusFound)
	case file == "":
		reg.describe(w, r, name, a)
	case file == "-/"+name+"-"+a.version+".tgz":
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Write(a.tgz)
	default:
		http.NotFound(w, r)
	}
}

func (reg registry) describe(w http.ResponseWriter, r *http.Request, name string, a *archive) {
	sum := sha512.Sum512(a.tgz)
	manifest := map[string]any{"dist": map[string]string{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
		"tarball":   "http://" + r.Host + root + scope + "/" + name + "/-/" + name + "-" + a.version + ".tgz",
	}}
	for k, v := range a.manifest {
		manifest[k] = v
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"name":      scope + "/" + name,
		"dist-tags": map[string]string{"latest": a.version},
		"versions":  map[string]any{a.version: manifest},
	})
}
