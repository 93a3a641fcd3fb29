package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/evanw/esbuild/pkg/cli"

	"github.com/sluicehq/sluice"
)

// bundle has esbuild write a function's code into root. It returns the hash of the sources and the files
// outside the code that it read, a line each.
func (a *apply) bundle(ctx context.Context, f *sluice.Function, b *sluice.Build, ignore []string, root string) (files, also string, err error) {
	t, files, err := a.looks.tree(ctx, b.Dir, ignore)
	if err != nil {
		return "", "", folderError(err, "function", string(f.Name), b.Dir, f.At)
	}
	o, err := cli.ParseBuildOptions(b.Command)
	if err != nil {
		return "", "", unbuilt(f, err, "esbuild: %v", err)
	}
	o.AbsWorkingDir, o.Outdir, o.Outfile, o.Write, o.Metafile, o.LogLevel = b.Dir, root, "", true, true, api.LogLevelSilent
	o.Plugins = []api.Plugin{besides}
	if above(b.Dir, filepath.Join("node_modules", ".package-lock.json")) == "" {
		if _, err := os.Stat(filepath.Join(b.Dir, "node_modules")); missing(err) && dependent(b.Dir) {
			dir, err := a.modules(ctx, f, b, t)
			if err != nil {
				return "", "", err
			}
			o.NodePaths = append(o.NodePaths, filepath.Join(dir, "node_modules"))
		}
	}
	err = a.step("build", "function", string(f.Name), func(log func(string)) error {
		for try := 0; ; try++ {
			r := api.Build(o)
			for _, w := range r.Warnings {
				log(at(w) + w.Text)
			}
			if len(r.Errors) > 0 {
				return bundleError(f, b.Dir, r.Errors)
			}
			also = outside(b.Dir, r.Metafile)
			// What was bundled is known only when the sources stayed as they were.
			now, err := a.d.tree(ctx, b.Dir, ignore)
			if err != nil {
				return folderError(err, "function", string(f.Name), b.Dir, f.At)
			}
			if now.hash() == files {
				break
			}
			if files = now.hash(); try == 3 {
				return unbuilt(f, nil, "its sources change while they are built")
			}
		}
		if o.Format == api.FormatESModule && o.OutExtension[".js"] == "" {
			return os.WriteFile(filepath.Join(root, "package.json"), []byte("{\"type\":\"module\"}\n"), 0o444)
		}
		return nil
	})
	if also != "" {
		files = hashOf(files, a.d.alsoHash(also))
	}
	return files, also, err
}

// dependent reports whether the package.json of a folder names packages.
func dependent(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "package.json"))
	if err != nil {
		return false
	}
	var p struct {
		Dependencies map[string]any `json:"dependencies"`
	}
	return json.Unmarshal(text, &p) == nil && len(p.Dependencies) > 0
}

// besides leaves out of a bundle what the runtime brings along, the SDKs of AWS, unless the code brings it
// itself.
var besides = api.Plugin{Name: "besides", Setup: func(b api.PluginBuild) {
	const looking = "looking"
	b.OnResolve(api.OnResolveOptions{Filter: `^(@aws-sdk/|@smithy/|aws-sdk($|/))`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
		if args.PluginData == looking {
			return api.OnResolveResult{}, nil
		}
		r := b.Resolve(args.Path, api.ResolveOptions{Importer: args.Importer, Namespace: args.Namespace, ResolveDir: args.ResolveDir, Kind: args.Kind, PluginData: looking})
		if len(r.Errors) > 0 {
			return api.OnResolveResult{Path: args.Path, External: true}, nil
		}
		return api.OnResolveResult{Path: r.Path, External: r.External, Namespace: r.Namespace, Suffix: r.Suffix, PluginData: r.PluginData}, nil
	})
}}

// outside are the files that a bundle was made of and that are not in dir. Packages are not listed: they
// change by their manifests.
func outside(dir, metafile string) string {
	var m struct {
		Inputs map[string]any `json:"inputs"`
	}
	if json.Unmarshal([]byte(metafile), &m) != nil {
		return ""
	}
	var list []string
	for name := range m.Inputs {
		if p := filepath.Join(dir, filepath.FromSlash(name)); !within(dir, p) && !strings.Contains(p, "node_modules") {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// alsoHash is the digest of files, given a line each.
func (d *Deployer) alsoHash(also string) string {
	sums := []string{}
	for _, p := range strings.Split(also, "\n") {
		sum := ""
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			sum, _ = d.sums.of(p, info)
		}
		sums = append(sums, p, sum)
	}
	return hashOf(sums)
}

// bundleError tells what esbuild found, each where it stands.
func bundleError(f *sluice.Function, dir string, list []api.Message) error {
	var errs []error
	for _, m := range list[:min(len(list), 20)] {
		e := unbuilt(f, nil, "%s", m.Text)
		if l := m.Location; l != nil {
			e.At = sluice.Place{File: filepath.Join(dir, filepath.FromSlash(l.File)), Line: l.Line}
		}
		if strings.HasPrefix(m.Text, "Could not resolve") {
			e.Hint = "install the package there, or name it in External"
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

func at(m api.Message) string {
	if m.Location == nil {
		return ""
	}
	return sluice.Place{File: m.Location.File, Line: m.Location.Line}.String() + ": "
}
