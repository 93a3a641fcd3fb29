package sls

import (
	"maps"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// service is one template on its way to CloudFormation.
type service struct {
	v        *vars
	in       deploy.Input
	name     string
	stage    string
	region   string
	stack    string
	provider *cfn.Value
	pkg      *cfn.Value // package of the service
	fns      []*fn
	skip     []string // logical ids

	resources []cfn.Field
	made      map[string]sluice.Place // where each of resources comes from
	outputs   []cfn.Field

	socket   []socketRoute
	rest     []restRoute
	ways     map[string]string // authorizer of a REST API, by logical id → how it asks
	http     []httpRoute
	objects  map[string][]sluice.ObjectEvents // function → of buckets that are no resources
	notified []cfn.Field                      // bucket → notification to add to it
}

// fn is one function.
type fn struct {
	key      string // in functions
	id       string // logical, without what the kind of resource adds
	physical string
	at       sluice.Place
	body     *cfn.Value
	ignore   []string
}

func newService(root *cfn.Value, in deploy.Input) *service {
	s := &service{v: newVars(root, in), in: in, objects: map[string][]sluice.ObjectEvents{}, made: map[string]sluice.Place{}, ways: map[string]string{}}
	name := s.v.self("service")
	if name.IsMap() {
		name = s.v.shallow(name.Get("name"))
	}
	if s.name = name.Str(); s.name == "" && (name == nil || !name.Broken) {
		s.v.fail(root.At, "service: my-app", "the template has no service name")
	}
	s.stage, s.region = s.v.stage(), s.v.region()
	if s.stack = string(in.Name); s.stack == "" {
		if s.stack = s.v.self("provider.stackName").Str(); s.stack == "" {
			s.stack = s.name + "-" + s.stage
		}
	}
	s.v.stack = s.stack
	return s
}

// topKeys are the sections of a template.
var topKeys = []string{"service", "app", "org", "tenant", "license", "frameworkVersion", "configValidationMode", "provider", "custom", "plugins", "package", "functions", "layers",
	"resources", "useDotenv", "params", "stages", "deprecationNotificationMode", "variablesResolutionMode", "unresolvedVariablesNotificationMode", "disabledDeprecations",
	"dashboard", "outputs", "enableLocalInstallationFallback", "console", "build", "isSlsFunctionInvocationOnly", "projectDir", "state", "stepFunctions", "licenseKey"}

// providerKeys are those of provider that this package looks at or knows to mean nothing here.
var providerKeys = []string{"name", "runtime", "stage", "region", "profile", "stackName", "environment", "memorySize", "timeout", "iam", "iamRoleStatements", "iamManagedPolicies", "role",
	"rolePermissionsBoundary", "websocketsApiName", "websocketApiName", "websocketsApiRouteSelectionExpression", "websocketApiRouteSelectionExpression", "websocketsDescription", "httpApi", "apiGateway",
	"apiName", "apiKeys", "usagePlan", "logs", "tracing", "tags", "stackTags", "layers", "architecture", "deploymentBucket", "deploymentPrefix", "deploymentMethod", "versionFunctions",
	"logRetentionInDays", "lambdaHashingVersion", "vpc", "ecr", "eventBridge", "s3", "alb", "kmsKeyArn", "endpointType", "endpointTypes", "resourcePolicy", "rollbackConfiguration", "notificationArns",
	"stackParameters", "stackPolicy", "cfnRole", "disableRollback", "disableDefaultOutputExportNames", "logDataProtectionPolicy", "kmsKeyArn", "runtimeManagement", "snapStart",
	"vpcEndpointIds", "cloudFront", "timeoutInMillis", "build", "cloudwatchLogs", "eventbridge", "logRetention", "resolver", "authorizer", "deploymentPreference"}

// template is the whole as CloudFormation.
func (s *service) template() *cfn.Value {
	root := s.v.root
	if !root.IsMap() {
		s.v.fail(root.At, "", "the template is %s, not a map", cfn.Kind(root))
		return root
	}
	s.typos(root, topKeys, "the template")
	s.provider = s.v.self("provider")
	if !s.provider.IsMap() {
		s.provider = template.Map(root.At, "name", s.provider)
	}
	s.typos(s.provider, providerKeys, "provider")
	s.plugins()
	s.pkg = s.v.resolve(s.v.self("package"))
	s.layers()
	s.role()
	s.functions()
	s.websockets()
	s.restAPI()
	s.httpAPI()
	return s.merge()
}

// get is a resolved part of provider.
func (s *service) get(path ...string) *cfn.Value {
	v := s.provider
	for _, key := range path {
		v = s.v.shallow(v).Get(key)
	}
	return s.v.resolve(v)
}

// typos warns of keys that mean nothing but look like one that does.
func (s *service) typos(v *cfn.Value, known []string, where string) {
	for _, f := range v.Fields {
		if slices.Contains(known, f.Key) {
			continue
		}
		if n := cfn.Nearest(f.Key, known); n != "" && cfn.Close(f.Key, n) {
			s.v.warn(f.At, "%s has a key %s, which means nothing; did you mean %s?", where, f.Key, n)
		}
	}
}

// bundlers are plugins that make code of handlers which esbuild does here.
var bundlers = []string{"serverless-esbuild", "serverless-bundle", "serverless-webpack", "serverless-plugin-typescript"}

// plugins tells of each plugin that it is not run.
func (s *service) plugins() {
	list := s.v.resolve(s.v.self("plugins"))
	if list.IsMap() {
		list = list.Get("modules")
	}
	for _, p := range items(list) {
		switch name := p.Str(); {
		case name == "":
		case slices.Contains(bundlers, name):
			s.v.note(p.At, "plugin %s is not run; esbuild makes what it would", name)
		default:
			s.v.note(p.At, "plugin %s is not run", name)
		}
	}
}

// plugin reports whether the template names one of some plugins.
func (s *service) plugin(names ...string) bool {
	list := s.v.resolve(s.v.self("plugins"))
	if list.IsMap() {
		list = list.Get("modules")
	}
	return slices.ContainsFunc(items(list), func(p *cfn.Value) bool { return slices.Contains(names, p.Str()) })
}

func items(v *cfn.Value) []*cfn.Value {
	if v == nil {
		return nil
	}
	return v.List
}

// fields are the entries of a map, or of the maps of a list.
func (s *service) fields(v *cfn.Value, what string) []cfn.Field {
	v = s.v.shallow(v)
	var out []cfn.Field
	switch {
	case v.IsNull():
	case v.IsMap():
		out = v.Fields
	case v.IsList():
		for _, e := range v.List {
			out = append(out, s.fields(e, what)...)
		}
	default:
		s.v.fail(v.At, "", "%s is %s, not a map", what, cfn.Kind(v))
	}
	return out
}

// add adds a resource. Properties that are nil are left out.
func (s *service) add(at sluice.Place, id, typ string, props ...any) {
	if _, made := s.made[id]; !made {
		s.made[id] = at
		s.resources = append(s.resources, cfn.Field{Key: id, At: at, Value: template.Map(at, "Type", typ, "Properties", template.Map(at, props...))})
	}
}

// output adds an output, exported as the framework exports it.
func (s *service) output(at sluice.Place, name string, v *cfn.Value) {
	s.outputs = append(s.outputs, cfn.Field{Key: name, At: at, Value: template.Map(at, "Value", v, "Export",
		template.Map(at, "Name", "sls-"+s.name+"-"+s.stage+"-"+name))})
}

// logical is a name as a part of a logical id (aws.md 7.5).
func logical(name string) string {
	name = strings.NewReplacer("-", "Dash", "_", "Underscore", "$", "S", "/", "Slash", ".", "Period").Replace(name)
	return notWord.ReplaceAllString(name, "")
}

func title(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// invocation is the URI by which API Gateway calls a function.
func invocation(arn *cfn.Value) *cfn.Value {
	at := arn.At
	return template.Map(at, "Fn::Join", template.List(at, template.Text(at, ""), template.List(at,
		cfn.Sub(at, "arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/"), arn, template.Text(at, "/invocations"))))
}

func number(at sluice.Place, n int) *cfn.Value {
	return &cfn.Value{At: at, Data: int64(n), Text: strconv.Itoa(n)}
}

// or is v, or text when it is not there.
func or(v *cfn.Value, at sluice.Place, text string) *cfn.Value {
	if v.IsNull() && (v == nil || !v.Broken) {
		return template.Text(at, text)
	}
	return v
}

// unsupported notes what sluice does not run: an error, or a warning when such things are left out.
func (s *service) unsupported(at sluice.Place, f *fn, format string, args ...any) {
	args = append([]any{f.key}, args...)
	if s.in.SkipUnsupported {
		s.v.warn(at, "left out: function %q "+format, args...)
		return
	}
	s.v.fail(at, "to deploy without the function, add --skip "+f.key+", or --skip-unsupported for all that is not run", "function %q "+format, args...)
}

// role makes the role that functions have unless they name one.
func (s *service) role() {
	s.add(s.provider.At, "IamRoleLambdaExecution", "AWS::IAM::Role", "RoleName", s.get("iam", "role", "name"))
}

// layers makes the layers of the service.
func (s *service) layers() {
	for _, f := range s.fields(s.v.root.Get("layers"), "layers") {
		l := s.v.resolve(f.Value)
		content := l.Get("package").Get("artifact")
		if content == nil {
			content = l.Get("path")
		}
		if content == nil {
			s.v.fail(f.At, "", "layer %q has no path", f.Key)
			continue
		}
		s.add(f.At, layerID(f.Key), "AWS::Lambda::LayerVersion", "LayerName", or(l.Get("name"), f.At, f.Key), "Content", content)
	}
}

func layerID(key string) string { return title(logical(key)) + "LambdaLayer" }

// merge joins what was made with the template's own resources: those win, property by property.
func (s *service) merge() *cfn.Value {
	at := s.v.root.At
	out := template.Map(at, "Transform", "AWS::Serverless-2016-10-31")
	resources := &cfn.Value{At: at, Fields: s.resources}
	outputs := &cfn.Value{At: at, Fields: s.outputs}
	if resources.Fields == nil {
		resources.Fields = []cfn.Field{}
	}
	if outputs.Fields == nil {
		outputs.Fields = []cfn.Field{}
	}
	var extensions []cfn.Field
	own := s.v.self("resources")
	parts := []*cfn.Value{own}
	if own.IsList() {
		parts = own.List
	}
	for _, p := range parts {
		for _, sec := range s.fields(p, "resources") {
			switch sec.Key {
			case "Resources":
				resources = overlay(resources, s.section(sec))
			case "Outputs":
				outputs = overlay(outputs, s.section(sec))
			case "extensions":
				extensions = append(extensions, s.section(sec).Fields...)
			case "Conditions", "Mappings", "Parameters", "Metadata":
				out = out.With(sec.Key, overlay(out.Get(sec.Key), s.section(sec)))
			case "Description", "AWSTemplateFormatVersion", "Transform":
			default:
				known := []string{"Resources", "Outputs", "Conditions", "Mappings", "Parameters", "extensions"}
				s.v.warn(sec.At, "resources has no section %s; %s", sec.Key, cfn.Suggest(sec.Key, known))
			}
		}
	}
	for _, e := range extensions {
		r := resources.Get(e.Key)
		if r == nil {
			s.v.fail(e.At, cfn.Suggest(e.Key, resources.Keys()), "resources.extensions: there is no resource %q", e.Key)
			continue
		}
		resources = resources.With(e.Key, overlay(r, e.Value))
	}
	s.existing(resources)
	for i, f := range resources.Fields { // a merged resource stands where it was made
		if at, made := s.made[f.Key]; made {
			resources.Fields[i].At = at
		}
	}
	return out.With("Resources", resources).With("Outputs", outputs)
}

// section is a part of resources, a map or a list of maps.
func (s *service) section(f cfn.Field) *cfn.Value {
	out := &cfn.Value{At: f.At, Fields: []cfn.Field{}}
	for _, e := range s.fields(f.Value, f.Key) {
		out = overlay(out, &cfn.Value{At: e.At, Fields: []cfn.Field{{Key: e.Key, At: e.At, Value: s.v.resolve(e.Value)}}})
	}
	return out
}

// overlay lays one value over another: maps join, all else is replaced.
func overlay(under, over *cfn.Value) *cfn.Value {
	if under == nil || cfn.IsFunction(under) || cfn.IsFunction(over) || !under.IsMap() || !over.IsMap() {
		return over
	}
	out := &cfn.Value{At: under.At, Fields: slices.Clone(under.Fields)}
	for _, f := range over.Fields {
		i := slices.IndexFunc(out.Fields, func(o cfn.Field) bool { return o.Key == f.Key })
		if i < 0 {
			out.Fields = append(out.Fields, f)
			continue
		}
		out.Fields[i].Value = overlay(out.Fields[i].Value, f.Value)
	}
	return out
}

// finish writes into the App what CloudFormation has no words for.
func (s *service) finish(app *sluice.App) {
	for i := range app.Functions {
		f := &app.Functions[i]
		for _, own := range s.fns {
			if own.physical != f.Physical {
				continue
			}
			f.Name = sluice.FunctionName(own.key)
			f.Ignore = append(f.Ignore, own.ignore...)
			f.Objects = append(f.Objects, s.objects[own.key]...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.in.Params)) {
		if !s.v.used[name] {
			app.Warnings = append(app.Warnings, sluice.Notice{At: sluice.Place{File: s.in.File}, Text: "parameter " + name + " is not used by the template"})
		}
	}
}

var braces = regexp.MustCompile(`\{([^{}]*,[^{}]*)\}`)

// ignored are what the framework never packs.
var ignored = []string{".serverless/", ".serverless_plugins/", "/serverless.yml", "/serverless.yaml", "/serverless.json", "/serverless.ts", "/serverless.js", "npm-debug.log", ".gitignore"}

// patterns are gitignore patterns for package.patterns, and its old include and exclude.
func (s *service) patterns(p *cfn.Value) []string {
	var out []string
	for _, key := range []string{"exclude", "include", "patterns"} {
		for _, e := range items(p.Get(key)) {
			text := e.Str()
			left := key == "exclude"
			if rest, ok := strings.CutPrefix(text, "!"); ok && key != "exclude" {
				text, left = rest, true
			}
			for _, one := range expand(text) {
				one = path.Clean(filepath.ToSlash(one))
				switch {
				case strings.HasPrefix(one, ".."):
					if !left {
						s.v.warn(e.At, "package: %s is not within the service and is not packed", text)
					}
				case left:
					out = append(out, "/"+one)
				default:
					dir := ""
					for _, seg := range strings.Split(path.Dir(one), "/") {
						if seg == "." {
							break
						}
						dir += "/" + seg
						out = append(out, "!"+dir+"/") // else nobody looks into it
					}
					out = append(out, "!/"+one)
				}
			}
		}
	}
	return out
}

// expand writes out the alternatives {a,b} of a glob.
func expand(glob string) []string {
	list := []string{glob}
	for range 4 {
		var next []string
		for _, g := range list {
			m := braces.FindStringSubmatchIndex(g)
			if m == nil || len(list) > 256 {
				next = append(next, g)
				continue
			}
			for _, alt := range strings.Split(g[m[2]:m[3]], ",") {
				next = append(next, g[:m[0]]+alt+g[m[1]:])
			}
		}
		list = next
	}
	return list
}
