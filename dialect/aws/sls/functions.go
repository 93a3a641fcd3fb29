package sls

import (
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// functionKeys are the properties of functions.
var functionKeys = []string{"handler", "image", "name", "description", "runtime", "memorySize", "timeout", "environment", "events", "layers", "role", "tags", "package", "url", "vpc",
	"reservedConcurrency", "provisionedConcurrency", "onError", "destinations", "maximumRetryAttempts", "maximumEventAge", "architecture", "ephemeralStorageSize", "tracing",
	"disableLogs", "logRetentionInDays", "kmsKeyArn", "awsKmsKeyArn", "dependsOn", "condition", "snapStart", "versionFunction", "fileSystemConfig", "module", "iamRoleStatements",
	"iamRoleStatementsName", "iamRoleStatementsInherit", "warmup", "logDataProtectionPolicy", "runtimeManagement", "build", "logs", "tenancy", "durableConfig", "capacityProvider"}

const defaultRuntime = "nodejs20.x"

// functions makes the functions with their events.
func (s *service) functions() {
	raw := s.fields(s.v.root.Get("functions"), "functions")
	for _, f := range raw {
		key := &fn{key: f.Key, id: title(logical(f.Key)), at: f.At}
		if slices.ContainsFunc(s.fns, func(o *fn) bool { return o.key == f.Key }) {
			s.v.fail(f.At, "", "function %q stands twice", f.Key)
			continue
		}
		if key.body = s.v.resolve(f.Value); key.body.IsNull() && !key.body.Broken {
			s.v.fail(f.At, "", "function %q is empty", f.Key)
			continue
		} else if !key.body.IsMap() {
			if !key.body.Broken {
				s.v.fail(f.At, "", "function %q is %s, not a map", f.Key, cfn.Kind(key.body))
			}
			continue
		}
		if slices.Contains(s.in.Skip, f.Key) {
			s.skip = append(s.skip, key.id+"LambdaFunction")
		}
		s.fns = append(s.fns, key)
	}
	for _, id := range s.in.Skip {
		if s.function(id) == nil {
			s.skip = append(s.skip, id)
		}
	}
	for _, f := range s.fns {
		s.lambda(f)
	}
	for _, f := range s.fns {
		if !slices.Contains(s.skip, f.id+"LambdaFunction") {
			s.events(f)
		}
	}
}

// function finds a function by its key; nil when there is none.
func (s *service) function(key string) *fn {
	for _, f := range s.fns {
		if f.key == key {
			return f
		}
	}
	return nil
}

// arn is a function's, not resolved yet.
func (f *fn) arn() *cfn.Value { return cfn.GetAtt(f.at, f.id+"LambdaFunction", "Arn") }

// lambda makes a function.
func (s *service) lambda(f *fn) {
	s.typos(f.body, functionKeys, "function "+strconv.Quote(f.key))
	inherit := func(key string) *cfn.Value {
		if v := f.body.Get(key); v != nil {
			return v
		}
		return s.get(key)
	}
	name := or(f.body.Get("name"), f.at, s.name+"-"+s.stage+"-"+f.key)
	if f.physical = name.Str(); cfn.IsFunction(name) {
		s.v.fail(name.At, "write it out, or leave it away", "name of function %q depends on resources", f.key)
	}
	handler, image := f.body.Get("handler"), f.body.Get("image")
	if handler == nil && image == nil {
		s.v.fail(f.at, "handler: file.function", "function %q has no handler", f.key)
	}
	runtime := inherit("runtime")
	if runtime == nil && image == nil {
		runtime = template.Text(f.at, defaultRuntime)
		s.v.note(f.at, "function %q has no runtime: it gets %s", f.key, defaultRuntime)
	}
	memory, timeout := inherit("memorySize"), inherit("timeout")
	if memory == nil {
		memory = number(f.at, 1024)
	}
	if timeout == nil {
		timeout = number(f.at, 6)
	}
	code, meta := s.code(f, handler, runtime)
	if image != nil {
		code = template.Map(image.At, "ImageUri", or(image, f.at, "image"))
	}
	role := inherit("role")
	if role == nil {
		role = s.get("iam", "role")
	}
	switch {
	case role == nil, role.IsMap() && !cfn.IsFunction(role):
		role = cfn.GetAtt(f.at, "IamRoleLambdaExecution", "Arn")
	case role.Str() != "" && !strings.Contains(role.Str(), ":"):
		role = cfn.GetAtt(role.At, role.Str(), "Arn")
	}
	var provisioned *cfn.Value
	if n := f.body.Get("provisionedConcurrency"); n != nil && !n.IsMap() {
		provisioned = template.Map(n.At, "ProvisionedConcurrentExecutions", n)
	}
	arch := inherit("architecture")
	if arch != nil {
		arch = template.List(arch.At, arch)
	}
	layers := f.body.Get("layers")
	if layers == nil {
		layers = s.get("layers")
	}
	id := f.id + "LambdaFunction"
	s.add(f.at, id, "AWS::Lambda::Function", "FunctionName", name, "Handler", handler, "Runtime", runtime, "Code", code, "Role", role, "MemorySize", memory, "Timeout", timeout,
		"Environment", s.environment(f), "Description", f.body.Get("description"), "Layers", layers, "Tags", overlay(s.get("tags"), or2(f.body.Get("tags"), s.get("tags"))), "Architectures", arch,
		"ReservedConcurrentExecutions", f.body.Get("reservedConcurrency"), "ProvisionedConcurrencyConfig", provisioned, "DeadLetterConfig", f.body.Get("onError"))
	last := &s.resources[len(s.resources)-1]
	if meta != nil {
		last.Value = last.Value.With("Metadata", meta)
	}
	if c := f.body.Get("condition"); c != nil {
		last.Value = last.Value.With("Condition", c)
	}
	if slices.Contains(s.skip, id) {
		return
	}
	if f.body.Get("disableLogs").Str() != "true" {
		s.add(f.at, f.id+"LogGroup", "AWS::Logs::LogGroup", "LogGroupName", "/aws/lambda/"+f.physical)
	}
	s.url(f)
	s.async(f)
}

// or2 is v, or other when it is not there.
func or2(v, other *cfn.Value) *cfn.Value {
	if v == nil {
		return other
	}
	return v
}

// environment joins the provider's variables with a function's. A null takes one away.
func (s *service) environment(f *fn) *cfn.Value {
	vars := overlay(s.get("environment"), or2(f.body.Get("environment"), s.get("environment")))
	if vars == nil || vars.Broken || vars.IsNull() {
		return nil
	}
	if !vars.IsMap() || cfn.IsFunction(vars) {
		s.v.fail(vars.At, "", "environment of function %q is %s, not a map", f.key, cfn.Kind(vars))
		return nil
	}
	for _, e := range vars.Fields {
		if e.Value.IsNull() && !e.Value.Broken {
			vars = vars.With(e.Key, nil)
		}
	}
	return template.Map(vars.At, "Variables", vars)
}

// url makes a function reachable by HTTP.
func (s *service) url(f *fn) {
	u := f.body.Get("url")
	if u.IsNull() || u.Str() == "false" {
		return
	}
	auth := "NONE"
	if a := u.Get("authorizer").Str(); strings.EqualFold(a, "aws_iam") {
		auth = "AWS_IAM"
	} else if a != "" {
		s.v.fail(u.Get("authorizer").At, "known is: aws_iam", "authorizer of the url of function %q is %q", f.key, a)
	}
	id := f.id + "LambdaFunctionUrl"
	s.add(f.at, id, "AWS::Lambda::Url", "TargetFunctionArn", cfn.Ref(f.at, f.id+"LambdaFunction"), "AuthType", auth, "Cors", cors(u.Get("cors"), u.At), "InvokeMode", u.Get("invokeMode"))
	s.output(f.at, id, cfn.GetAtt(f.at, id, "FunctionUrl"))
}

// async says how a function is called when nobody waits.
func (s *service) async(f *fn) {
	d, retries, age := f.body.Get("destinations"), f.body.Get("maximumRetryAttempts"), f.body.Get("maximumEventAge")
	if d == nil && retries == nil && age == nil {
		return
	}
	var to *cfn.Value
	if d.IsMap() {
		to = template.Map(d.At, "OnSuccess", s.destination(d.Get("onSuccess")), "OnFailure", s.destination(d.Get("onFailure")))
	}
	s.add(f.at, f.id+"LambdaEvConf", "AWS::Lambda::EventInvokeConfig", "FunctionName", cfn.Ref(f.at, f.id+"LambdaFunction"), "Qualifier", "$LATEST",
		"MaximumRetryAttempts", retries, "MaximumEventAgeInSeconds", age, "DestinationConfig", to)
}

// destination is a function's key, an ARN, or a map with one.
func (s *service) destination(v *cfn.Value) *cfn.Value {
	if v == nil {
		return nil
	}
	arn := v
	if v.IsMap() && !cfn.IsFunction(v) {
		arn = v.Get("arn")
	} else if other := s.function(v.Str()); other != nil {
		arn = other.arn()
	}
	if arn == nil {
		s.v.fail(v.At, "", "a destination has no arn")
	}
	return template.Map(v.At, "Destination", arn)
}

// scripts are the endings of sources that Node.js cannot run as they are.
var scripts = []string{".ts", ".tsx", ".mts", ".cts", ".jsx"}

// code is where a function's code is, and what esbuild needs to know to make it.
func (s *service) code(f *fn, handler, runtime *cfn.Value) (code, meta *cfn.Value) {
	own := f.body.Get("package")
	for _, p := range []*cfn.Value{own, s.pkg} {
		if a := p.Get("artifact"); !a.IsNull() {
			return a, nil
		}
	}
	f.ignore = append(append(slices.Clone(ignored), s.patterns(s.pkg)...), s.patterns(own)...)
	code = template.Text(f.at, ".")
	h := handler.Str()
	if !strings.HasPrefix(runtime.Str(), "nodejs") || h == "" || s.in.NoBuild {
		return code, nil
	}
	dir, file := path.Split(h)
	module, _, _ := strings.Cut(file, ".")
	module = path.Join(dir, module)
	entry := ""
	for _, ending := range []string{".js", ".mjs", ".cjs", "/index.js"} {
		if s.exists(module + ending) {
			entry = module + ending
			break
		}
	}
	bundled := s.plugin("serverless-esbuild", "serverless-bundle", "serverless-webpack") || s.v.self("build.esbuild").IsMap() || s.v.self("build.esbuild").Str() == "true"
	if entry != "" && !bundled {
		return code, nil
	}
	for _, ending := range append(slices.Clone(scripts), "/index.ts") {
		if entry == "" && s.exists(module+ending) {
			entry = module + ending
		}
	}
	if entry == "" {
		return code, nil // sam says what is missing
	}
	target := "node" + regexp.MustCompile(`\d+`).FindString(runtime.Str())
	props := []any{"EntryPoints", template.List(f.at, template.Text(f.at, entry)), "Minify", false, "Target", target, "Sourcemap", true}
	config := s.v.resolve(s.v.self("custom.esbuild"))
	if config == nil {
		config = s.v.resolve(s.v.self("build.esbuild"))
	}
	given := template.Map(f.at)
	external := sdk(target, f.at)
	for _, e := range s.configured(config) {
		key := options[e.Key]
		switch key {
		case "":
			continue
		case "External":
			external.List = append(external.List, items(listOf(e.Value))...)
			continue
		}
		if key == "Loader" || key == "Define" || key == "OutExtension" || key == "Banner" || key == "Footer" || key == "Alias" {
			if e.Value.IsMap() {
				e.Value = template.List(e.At, e.Value)
			}
		}
		given = given.With(key, e.Value)
	}
	build := overlay(template.Map(f.at, append(props, "External", external)...), given)
	f.ignore = slices.Clone(ignored) // what is packed is what esbuild makes
	if build.Get("Format").Str() == "esm" && build.Get("OutExtension") == nil {
		build = build.With("OutExtension", template.List(f.at, template.Text(f.at, ".js=.mjs")))
	}
	return code, template.Map(f.at, "BuildMethod", "esbuild", "BuildProperties", build)
}

// sdk are the packages that AWS's runtimes bring along.
func sdk(target string, at sluice.Place) *cfn.Value {
	if n, err := strconv.Atoi(strings.TrimPrefix(target, "node")); err == nil && n < 18 {
		return template.List(at, template.Text(at, "aws-sdk"))
	}
	return template.List(at, template.Text(at, "@aws-sdk/*"), template.Text(at, "@smithy/*"))
}

// options are those of esbuild that templates give, with the names that they have in SAM.
var options = map[string]string{"minify": "Minify", "target": "Target", "sourcemap": "Sourcemap", "format": "Format", "platform": "Platform", "external": "External", "exclude": "External",
	"loader": "Loader", "define": "Define", "mainFields": "MainFields", "conditions": "Conditions", "keepNames": "KeepNames", "outExtension": "OutExtension", "banner": "Banner", "footer": "Footer",
	"alias": "Alias", "inject": "Inject", "drop": "Drop", "pure": "Pure", "treeShaking": "TreeShaking", "tsconfig": "Tsconfig", "legalComments": "LegalComments", "charset": "Charset",
	"resolveExtensions": "ResolveExtensions", "sourcesContent": "SourcesContent", "jsx": "JSX"}

func (s *service) configured(v *cfn.Value) []cfn.Field {
	if !v.IsMap() {
		return nil
	}
	return v.Fields
}

func (s *service) exists(name string) bool {
	info, err := os.Stat(filepath.Join(s.v.dir, filepath.FromSlash(name)))
	return err == nil && info.Mode().IsRegular()
}
