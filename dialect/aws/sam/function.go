package sam

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
)

// later are runtimes that AWS has and sluice does not run.
var later = regexp.MustCompile(`^(java|dotnet|ruby|python2)`)

var functionProps = []string{"Architectures", "AssumeRolePolicyDocument", "AutoPublishAlias", "AutoPublishAliasAllProperties", "AutoPublishCodeSha256", "CapacityProviderConfig",
	"Code", "CodeSigningConfigArn", "CodeUri", "DeadLetterConfig", "DeadLetterQueue", "DeploymentPreference", "Description", "DurableConfig", "Environment", "EphemeralStorage", "EventInvokeConfig",
	"Events", "FileSystemConfigs", "FunctionName", "FunctionScalingConfig", "FunctionUrlConfig", "Handler", "ImageConfig", "ImageUri", "InlineCode", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize",
	"PackageType", "PermissionsBoundary", "Policies", "PropagateTags", "ProvisionedConcurrencyConfig", "PublishToLatestPublished", "RecursiveLoop",
	"ReservedConcurrentExecutions", "Role", "RolePath", "Runtime", "RuntimeManagementConfig", "SnapStart", "SourceKMSKeyArn", "Tags", "TenancyConfig", "Timeout", "Tracing",
	"TracingConfig", "VersionDescription", "VersionDeletionPolicy", "VpcConfig"}

// lambda makes a function.
func (b *builder) lambda(r *cfn.Resource) {
	b.typos(r, functionProps)
	p := b.props(r)
	name := b.physical(r)
	f := sluice.Function{Name: sluice.FunctionName(r.ID), Physical: name.Str(), Runtime: p.at("Runtime").str(), Handler: p.at("Handler").str(), At: r.At,
		MemoryMB: p.at("MemorySize").num(128, 128, 10240), Timeout: time.Duration(p.at("Timeout").num(3, 1, 900)) * time.Second, Concurrency: 1,
		MinInstances: p.at("ProvisionedConcurrencyConfig", "ProvisionedConcurrentExecutions").num(0, 0, math.MaxInt32), Description: p.at("Description").str()}
	if p.at("FunctionName").str() != "" {
		f.Name = sluice.FunctionName(f.Physical)
	}
	if !name.Broken && !lambda.ValidName(f.Physical) {
		b.fail(name.At, "use letters, digits, - and _, at most 64", "name %q of function %q is not valid", f.Physical, r.ID)
	}
	e := b.extra(&f)
	e.Role, e.Tags = p.at("Role").str(), tags(p.at("Tags"))
	if l := p.at("LoggingConfig"); !l.missing() {
		config := map[string]string{}
		for _, v := range l.pairs() {
			config[v.key] = v.str()
		}
		setting(e, "LoggingConfig", config)
	}
	if arch := p.at("Architectures").strs(); len(arch) > 0 {
		e.Arch = arch[0]
	}
	if w := p.at("ReservedConcurrentExecutions"); !w.missing() {
		f.MaxInstances = w.num(0, 0, math.MaxInt32)
		n := f.MaxInstances
		e.Reserved = &n
	}
	if w := p.at("PackageType"); w.str() == "Image" || p.at("Code").v.Get("ImageUri") != nil {
		r.Skipped = b.refuse(r, r.At, "function %q is a container image, which sluice does not run", r.ID)
		return
	}
	for _, key := range []string{"FileSystemConfigs", "DeadLetterQueue", "DeadLetterConfig"} {
		if w := p.at(key); !w.missing() {
			b.t.Warn(w.place(), "%s of function %q means nothing here", key, r.ID)
		}
	}
	if !b.runtime(r, &f) {
		return
	}
	b.environ(r, &f)
	b.layers(r, &f)
	b.code(r, &f)
	b.app.Functions = append(b.app.Functions, f)
}

// tags are a map of texts, or a list of keys and values.
func tags(w view) map[string]string {
	if !w.v.IsList() {
		return w.texts()
	}
	out := map[string]string{}
	for _, e := range w.items() {
		out[e.at("Key").str()] = e.at("Value").str()
	}
	return out
}

// extra is what Lambda's API tells of a function.
func (b *builder) extra(f *sluice.Function) *lambda.Extra {
	if b.details[f.Name] == nil {
		b.details[f.Name] = &lambda.Extra{}
	}
	return b.details[f.Name]
}

// setting keeps a setting as Lambda's API has it.
func setting(e *lambda.Extra, name string, v any) {
	if e.Settings == nil {
		e.Settings = map[string]json.RawMessage{}
	}
	e.Settings[name], _ = json.Marshal(v) // texts always marshal
}

// extras writes it into the App.
func (b *builder) extras() {
	for i := range b.app.Functions {
		f := &b.app.Functions[i]
		if extra := b.extra(f).Marshal(); string(extra) != "{}" {
			f.Extra = extra
		}
	}
}

// runtime checks a function's runtime. False leaves the function out.
func (b *builder) runtime(r *cfn.Resource, f *sluice.Function) bool {
	w := b.props(r).at("Runtime")
	switch {
	case w.broken():
	case f.Runtime == "":
		b.fail(w.place(), "give it Runtime, or put it into Globals", "function %q has no Runtime", r.ID)
	case later.MatchString(f.Runtime):
		r.Skipped = b.refuse(r, w.place(), "function %q has runtime %s, which sluice does not run", r.ID, f.Runtime)
		return false
	case !lambda.Runs(f.Runtime):
		b.fail(w.place(), cfn.Suggest(f.Runtime, []string{"nodejs18.x", "nodejs20.x", "nodejs22.x", "nodejs24.x", "python3.11", "python3.12", "python3.13", "python3.14", "provided.al2023", "provided.al2"}),
			"runtime %q of function %q is not known", f.Runtime, r.ID)
	default:
		b.versions[f.Runtime] = append(b.versions[f.Runtime], r.ID)
	}
	if h := b.props(r).at("Handler"); f.Handler == "" && !h.broken() && !strings.HasPrefix(f.Runtime, "provided") && f.Runtime != "" {
		b.fail(r.At, "", "function %q has no Handler", r.ID)
	}
	return true
}

var version = regexp.MustCompile(`^(nodejs|python)(\d+)(?:\.(\d+|x))?`)

// tellVersions says which runtimes another version of their interpreter will run, a line each.
func (b *builder) tellVersions() {
	for _, rt := range slices.Sorted(keys(b.versions)) {
		m := version.FindStringSubmatch(rt)
		if m == nil {
			continue
		}
		program := map[string]string{"nodejs": "node", "python": "python"}[m[1]]
		installed := b.o.Installed
		if installed == nil {
			installed = ask
		}
		is := installed(b.ctx, program)
		parts := strings.SplitN(is+"..", ".", 3)
		major, err := strconv.Atoi(parts[0])
		if err != nil {
			continue // there is none, or it does not say: the first start will tell
		}
		minor, _ := strconv.Atoi(parts[1])
		wantMajor, _ := strconv.Atoi(m[2])
		wantMinor, _ := strconv.Atoi(m[3])
		if m[1] == "nodejs" {
			minor, wantMinor = 0, 0
		}
		d := (wantMajor-major)*1000 + wantMinor - minor
		if d == 0 {
			continue
		}
		fs := b.versions[rt]
		at := b.t.Resource(fs[0]).At
		text := fmt.Sprintf("runtime %s runs on the installed %s %s: %s", rt, map[string]string{"node": "Node.js", "python": "Python"}[program], is, some(fs))
		if d > 0 {
			b.t.Warn(at, "%s", text)
		} else {
			b.t.Note(at, "%s", text)
		}
	}
}

// some are the first few of names.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// onceEach is find, remembering what it found.
func onceEach(find func(context.Context, string) string) func(context.Context, string) string {
	var mu sync.Mutex
	found := map[string]string{}
	return func(ctx context.Context, program string) string {
		mu.Lock()
		defer mu.Unlock()
		if found[program] == "" {
			found[program] = find(ctx, program)
		}
		return found[program]
	}
}

var number = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// ask is the version that an interpreter tells of itself; "" when it cannot be run.
func ask(ctx context.Context, program string) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	names := []string{program}
	if program == "python" {
		names = []string{"python3", "python"}
	}
	for _, name := range names {
		if out, err := exec.CommandContext(ctx, name, "--version").CombinedOutput(); err == nil {
			return number.FindString(string(out))
		}
	}
	return ""
}

// environ reads a function's environment.
func (b *builder) environ(r *cfn.Resource, f *sluice.Function) {
	w := b.props(r).at("Environment", "Variables")
	size := 0
	for _, e := range w.pairs() {
		switch {
		case lambda.Reserved(e.key):
			b.fail(e.place(), "that name is Lambda's own", "environment variable %s of function %q cannot be set", e.key, r.ID)
			continue
		case e.v.IsMap() || e.v.IsList():
			e.wrong("text")
			continue
		}
		if f.Env == nil {
			f.Env = map[string]string{}
		}
		f.Env[e.key] = e.str()
		size += len(e.key) + len(f.Env[e.key])
	}
	if size > lambda.MaxEnv {
		b.fail(w.place(), "", "environment of function %q has %d bytes; AWS takes %d", r.ID, size, lambda.MaxEnv)
	}
}

// layers reads what a function finds in /opt.
func (b *builder) layers(r *cfn.Resource, f *sluice.Function) {
	for _, w := range b.props(r).at("Layers").items() {
		arn := w.str()
		if arn == "" {
			continue
		}
		f.Layers = append(f.Layers, arn)
		var layer *cfn.Resource
		for _, o := range b.t.Resources() {
			if o.Type == "AWS::Lambda::LayerVersion" && !o.Skipped {
				if is, ok := b.Ref(o); ok && is.Str() == arn {
					layer = o
				}
			}
		}
		if layer == nil {
			b.t.Warn(w.place(), "layer %s of function %q is not here; the function runs without it", arn, r.ID)
			continue
		}
		if l, ok := b.layer(layer); ok {
			f.Opt = append(f.Opt, l)
		}
	}
}

// layer is the content of a layer.
func (b *builder) layer(r *cfn.Resource) (sluice.Layer, bool) {
	dir, ok := b.folder(r, b.props(r).at("Content").need(), "layer")
	l := sluice.Layer{Name: b.layerName(r).Str(), Code: dir, At: r.At}
	if !ok || b.in.NoBuild {
		return l, ok
	}
	switch method := b.text(r.Meta.Get("BuildMethod")); {
	case method == "":
	case method == "makefile":
		l.Build = &sluice.Build{Kind: "make", Dir: dir, Command: []string{"build-" + r.ID}}
	case strings.HasPrefix(method, "nodejs"):
		if l.Under = "nodejs"; needsNPM(dir) {
			l.Build = &sluice.Build{Kind: "npm", Dir: dir}
		}
	case strings.HasPrefix(method, "python"):
		if l.Under = "python"; needsPip(dir) {
			l.Build = &sluice.Build{Kind: "pip", Dir: dir, Output: "."}
		}
	default:
		r.Skipped = b.refuse(r, r.Meta.Get("BuildMethod").At, "BuildMethod %q of layer %q is none that sluice runs", method, r.ID)
		return l, false
	}
	return l, true
}

// folder is the path of local code: a folder or a zip.
func (b *builder) folder(r *cfn.Resource, w view, what string) (string, bool) {
	var bucket, key, s string
	if w.v.IsMap() {
		if bucket, key = w.at("S3Bucket").str()+w.at("Bucket").str(), w.at("S3Key").str()+w.at("Key").str(); bucket == "" {
			w.wrong("a path")
			return "", false
		}
	} else if s = w.str(); s == "" {
		return "", false
	} else if rest, ok := strings.CutPrefix(s, "s3://"); ok {
		bucket, key, _ = strings.Cut(rest, "/")
	}
	switch {
	case bucket != "" && b.o.Object != nil:
		path, err := b.o.Object(b.ctx, bucket, key)
		if err != nil {
			b.fail(w.place(), "", "code of %s %q: %v", what, r.ID, err)
		}
		return path, err == nil
	case bucket != "" && s == "":
		b.fail(w.place(), "put it into a folder and name that", "code of %s %q is in a bucket of the cloud", what, r.ID)
		return "", false
	case strings.Contains(s, "://"):
		b.fail(w.place(), "put it into a folder and name that", "code of %s %q is at %s", what, r.ID, s)
		return "", false
	}
	dir := filepath.FromSlash(s)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(b.t.Dir(), dir)
	}
	if !exists(dir) {
		b.fail(w.place(), b.nearFile(s), "CodeUri %q of %s %q does not exist", s, what, r.ID)
		return "", false
	}
	return filepath.Clean(dir), true
}
