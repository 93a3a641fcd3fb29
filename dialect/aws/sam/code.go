package sam

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// ignored are what a deploy never takes along.
var ignored = []string{".aws-sam/"}

// code says where a function's code is, and how it is made runnable.
func (b *builder) code(r *cfn.Resource, f *sluice.Function) {
	w := b.props(r).at("Code").need()
	if w.v.Get("ZipFile") != nil {
		b.inline(r, f, w.at("ZipFile"))
		return
	}
	dir, ok := b.folder(r, w, "function")
	if !ok {
		return
	}
	f.Code, f.Ignore = dir, ignored
	if filepath.Ext(dir) == ".zip" || !isDir(dir) || b.in.NoBuild {
		return
	}
	defer b.checkHandler(r, f)
	meta := r.Meta.Get("BuildMethod")
	method := b.text(meta)
	if s := b.text(r.Meta.Get("SkipBuild")); strings.EqualFold(s, "true") {
		return
	}
	switch {
	case method == "esbuild":
		b.esbuild(r, f)
	case method == "makefile":
		f.Build = &sluice.Build{Kind: "make", Dir: dir, Command: []string{"build-" + r.ID}}
	case method == "go1.x", f.Runtime == "go1.x", method == "" && strings.HasPrefix(f.Runtime, "provided") && exists(filepath.Join(dir, "go.mod")) && !exists(filepath.Join(dir, "bootstrap")):
		f.Build = &sluice.Build{Kind: "go", Dir: dir, Package: ".", Output: "bootstrap"}
		if f.Runtime == "go1.x" {
			if f.Build.Output = f.Handler; exists(filepath.Join(dir, filepath.FromSlash(f.Handler))) || !hasGo(dir) {
				f.Build = nil // built already
				return
			}
		}
		f.Ignore = append(slices.Clone(ignored), "*.go", "go.mod", "go.sum", "vendor/")
	case method == "" || strings.HasPrefix(method, "nodejs") || strings.HasPrefix(method, "python"):
		switch {
		case strings.HasPrefix(f.Runtime, "nodejs") && needsNPM(dir):
			f.Build = &sluice.Build{Kind: "npm", Dir: dir}
		case strings.HasPrefix(f.Runtime, "python") && needsPip(dir):
			f.Build = &sluice.Build{Kind: "pip", Dir: dir, Output: "."}
		}
	default:
		b.refuse(r, meta.At, "BuildMethod %q of function %q is none that sluice runs", method, r.ID)
	}
}

// checkHandler warns of a function whose code, as far as it is there already, lacks what its handler names.
func (b *builder) checkHandler(r *cfn.Resource, f *sluice.Function) {
	made := f.Build != nil && f.Build.Kind != "npm" && f.Build.Kind != "pip"
	dir, file := path.Split(f.Handler)
	var endings []string
	switch {
	case made || len(f.Opt) > 0 || f.Handler == "" && !strings.HasPrefix(f.Runtime, "provided"):
		return
	case strings.HasPrefix(f.Runtime, "nodejs"):
		file, _, _ = strings.Cut(file, ".")
		endings = []string{".js", ".mjs", ".cjs", "", "/index.js"}
	case strings.HasPrefix(f.Runtime, "python"):
		module := f.Handler[:max(0, strings.LastIndexByte(f.Handler, '.'))]
		dir, file = path.Split(strings.ReplaceAll(module, ".", "/"))
		endings = []string{".py", "/__init__.py"}
	case strings.HasPrefix(f.Runtime, "provided"):
		dir, file, endings = "", "bootstrap", []string{""}
	default:
		return
	}
	for _, ending := range endings {
		if exists(filepath.Join(f.Code, filepath.FromSlash(dir+file+ending))) {
			return
		}
	}
	b.t.Warn(r.At, "function %q: its code has no %s, which %s names", r.ID, dir+file+endings[0], map[bool]string{true: "its handler", false: "its runtime"}[endings[0] != ""])
}

// inline takes code that stands in the template.
func (b *builder) inline(r *cfn.Resource, f *sluice.Function, zip view) {
	switch {
	case strings.HasPrefix(f.Runtime, "nodejs"):
		f.Files = map[string]string{"index.js": zip.str()}
	case strings.HasPrefix(f.Runtime, "python"):
		f.Files = map[string]string{"index.py": zip.str()}
	default:
		if f.Runtime != "" {
			b.fail(zip.place(), "only Node.js and Python can have it", "function %q of runtime %s has code in the template", r.ID, f.Runtime)
		}
		return
	}
	if module, _, _ := strings.Cut(f.Handler, "."); f.Handler != "" && module != "index" {
		b.fail(b.props(r).at("Handler").place(), "code in the template is the module index: index.handler", "Handler of function %q is %q", r.ID, f.Handler)
	}
}

// needsNPM reports whether a folder names packages that are not there.
func needsNPM(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil || exists(filepath.Join(dir, "node_modules")) {
		return false
	}
	var p struct {
		Dependencies         map[string]any `json:"dependencies"`
		OptionalDependencies map[string]any `json:"optionalDependencies"`
	}
	return json.Unmarshal(text, &p) == nil && len(p.Dependencies)+len(p.OptionalDependencies) > 0
}

// needsPip reports whether a folder names packages.
func needsPip(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "requirements.txt"))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return true
		}
	}
	return false
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func hasGo(dir string) bool {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	return err == nil && len(files) > 0
}

// esbuildLists are the BuildProperties that are lists of values for one flag each.
var esbuildLists = map[string]string{"External": "external", "Loader": "loader", "OutExtension": "out-extension", "Banner": "banner", "Footer": "footer",
	"Define": "define", "Alias": "alias", "Inject": "inject", "Drop": "drop", "Pure": "pure"}

// esbuildFlags are the BuildProperties that are one flag.
var esbuildFlags = map[string]string{"Minify": "minify", "Target": "target", "Sourcemap": "sourcemap", "Format": "format", "MainFields": "main-fields",
	"Conditions": "conditions", "TreeShaking": "tree-shaking", "KeepNames": "keep-names", "SourcesContent": "sources-content", "Platform": "platform",
	"LegalComments": "legal-comments", "Charset": "charset", "Packages": "packages", "Splitting": "splitting", "Outbase": "outbase",
	"ResolveExtensions": "resolve-extensions", "SourceRoot": "source-root", "Tsconfig": "tsconfig", "JSX": "jsx", "JsxFactory": "jsx-factory", "LogLevel": "log-level"}

// esbuild has a function bundled: BuildProperties become esbuild's own flags, with the defaults of SAM.
func (b *builder) esbuild(r *cfn.Resource, f *sluice.Function) {
	raw := b.t.Eval(r.Meta.Get("BuildProperties"))
	w := view{b: b, r: r, path: "BuildProperties", v: raw}
	set := map[string]bool{}
	var flags, entries []string
	for _, e := range w.pairs() {
		set[e.key] = true
		switch {
		case e.key == "EntryPoints":
			entries = e.strs()
		case esbuildLists[e.key] != "":
			name := esbuildLists[e.key]
			for _, item := range e.items() {
				if item.v.IsMap() {
					for _, sub := range item.pairs() {
						flags = append(flags, fmt.Sprintf("--%s:%s=%s", name, sub.key, sub.str()))
					}
					continue
				}
				s := item.str()
				if name == "inject" || name == "external" || name == "drop" || name == "pure" || strings.Contains(s, "=") {
					flags = append(flags, "--"+name+":"+s)
				} else {
					b.fail(e.place(), "", "%s of BuildProperties of function %q wants key=value, not %q", e.key, r.ID, s)
				}
			}
		case esbuildFlags[e.key] != "":
			s := e.str()
			if e.v.IsList() {
				s = strings.Join(e.strs(), ",")
			}
			switch name := "--" + esbuildFlags[e.key]; {
			case strings.EqualFold(s, "true"):
				flags = append(flags, name)
			case !strings.EqualFold(s, "false"):
				flags = append(flags, name+"="+s)
			case e.key == "SourcesContent" || e.key == "TreeShaking":
				flags = append(flags, name+"=false")
			}
		case e.key == "UseNpmCi":
		default:
			known := slices.Sorted(keys(esbuildFlags))
			known = append(append(known, slices.Sorted(keys(esbuildLists))...), "EntryPoints", "UseNpmCi")
			b.fail(e.place(), cfn.Suggest(e.key, known), "function %q: BuildProperties has no %q", r.ID, e.key)
		}
	}
	for key, def := range map[string]string{"Target": "--target=es2020", "Format": "--format=cjs", "Platform": "--platform=node", "Minify": "--minify"} {
		if !set[key] {
			flags = append(flags, def)
		}
	}
	const mapped = "--enable-source-maps"
	switch options := f.Env["NODE_OPTIONS"]; {
	case slices.Contains(flags, "--sourcemap") && options == "":
		if f.Env == nil {
			f.Env = map[string]string{}
		}
		f.Env["NODE_OPTIONS"] = mapped
	case !set["Sourcemap"] && strings.Contains(options, mapped):
		flags = append(flags, "--sourcemap")
	}
	slices.Sort(flags)
	if len(entries) == 0 {
		if e := b.entry(r, f); e != "" {
			entries = []string{e}
		}
	}
	module := strings.TrimSuffix(f.Handler, path.Ext(f.Handler))
	for i, e := range entries {
		if stem := strings.TrimSuffix(e, path.Ext(e)); path.Base(stem) == path.Base(module) && !set["Outbase"] {
			entries[i] = module + "=" + e // what it makes stands where the handler says, whatever the folder of the source
		}
		if !exists(filepath.Join(f.Code, filepath.FromSlash(e))) && path.Ext(e) != "" {
			b.fail(w.place(), b.nearFile(filepath.Join(relative(b.t.Dir(), f.Code), e)), "entry point %q of function %q does not exist", e, r.ID)
		}
	}
	f.Build = &sluice.Build{Kind: "esbuild", Dir: f.Code, Command: append(append(entries, "--bundle"), flags...)}
}

// entry is the source file that a function's handler stands in.
func (b *builder) entry(r *cfn.Resource, f *sluice.Function) string {
	module, _, _ := strings.Cut(path.Base(f.Handler), ".")
	module = path.Join(path.Dir(f.Handler), module)
	for _, ext := range []string{".ts", ".tsx", ".mts", ".cts", ".js", ".mjs", ".cjs", ".jsx"} {
		if exists(filepath.Join(f.Code, filepath.FromSlash(module+ext))) {
			return module + ext
		}
	}
	b.fail(r.At, "name it in Metadata.BuildProperties.EntryPoints", "function %q: no source of its handler %q is in its code", r.ID, f.Handler)
	return ""
}

func relative(base, target string) string {
	if rel, err := filepath.Rel(base, target); err == nil {
		return rel
	}
	return target
}

// nearFile is the hint for a file or folder, relative to the template, that is not there.
func (b *builder) nearFile(rel string) string {
	rel = filepath.Clean(filepath.FromSlash(rel))
	parent, missing := filepath.Split(filepath.Join(b.t.Dir(), rel))
	for !isDir(parent) {
		up := filepath.Dir(filepath.Clean(parent))
		if up == filepath.Clean(parent) {
			return ""
		}
		missing, parent = filepath.Base(filepath.Clean(parent)), up
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) > 10_000 {
		return ""
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != "node_modules" {
			names = append(names, e.Name())
		}
	}
	if n := cfn.Nearest(missing, names); n != "" {
		return fmt.Sprintf("the nearest is %q", filepath.ToSlash(relative(b.t.Dir(), filepath.Join(parent, n))))
	}
	return "paths are relative to the folder of the template"
}
