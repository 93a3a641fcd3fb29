// Package aws puts Amazon Web Services together from its parts: the template readers (sam, sls), WebSocket
// APIs (websocket), HTTP APIs and function URLs (httpapi), what makes them without a template (control),
// Lambda (lambda), DynamoDB (dynamodb) and S3 (s3).
package aws

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/control"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
	"github.com/sluicehq/sluice/dialect/aws/s3"
	"github.com/sluicehq/sluice/dialect/aws/sam"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/dialect/aws/sls"
	"github.com/sluicehq/sluice/dialect/aws/websocket"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/function/modules"
	"github.com/sluicehq/sluice/object"
)

// Name is the dialect's name in App.Dialect.
const Name = "aws"

// Options are what an operator may change of this cloud.
type Options struct {
	Strict  bool               // quotas that are off by default are AWS's (aws.md 1.12)
	Sockets websocket.Settings // of WebSocket APIs
	Quotas  apispec.Quotas     // of the description of APIs
	Relaxed bool               // signatures are read and not checked: for machines that nobody else reaches (8.1)
	Beyond  Beyond             // what sluice does not serve (8.4)
}

// cloud is what the parts share.
type cloud struct {
	r       dialect.Rooms
	lambda  *lambda.Lambda
	tables  *dynamodb.Handler
	buckets *s3.Handler
	sockets *websocket.APIs
	later   *function.Queue         // of asynchronous calls; nil: there are none
	execute *sigv4.Verifier         // of calls to APIs
	urls    *sigv4.Verifier         // of calls to function URLs
	through bool                    // some of what sluice does not serve is AWS's
	modules map[string]*modules.Set // by the beginning of a runtime's name
}

// New builds the dialect on the rooms.
func New(r dialect.Rooms, o Options) (dialect.Dialect, error) {
	if r.Log == nil {
		r.Log = slog.New(slog.DiscardHandler)
	}
	r.Log = r.Log.With("dialect", Name)
	var keys lambda.Keys = r.Keys
	if o.Relaxed {
		keys = relaxed{r.Keys}
	}
	c := &cloud{r: r, through: len(o.Beyond.Hosts) > 0, lambda: lambda.NewLambda(r.Functions, r.Logs, r.Log),
		execute: sigv4.New(keys, "execute-api"), urls: sigv4.New(keys, "lambda")}
	c.tables = dynamodb.New(dynamodb.Options{Tables: r.Tables, Keys: sigv4.New(keys, "dynamodb"), Log: r.Log})
	c.sockets = websocket.New(websocket.Options{Functions: caller{c}, Services: caller{c}, Sockets: r.Sockets, Verifier: c.execute, Log: r.Log, Logs: r.Logs,
		Strict: o.Strict, Settings: o.Sockets})
	c.buckets = s3.New(s3.Options{Objects: r.Objects, Keys: keys, Log: r.Log})
	if r.Dir != "" {
		c.modules = map[string]*modules.Set{
			"nodejs": {Language: modules.Node, Dir: filepath.Join(r.Dir, "aws-node"), Base: nodeModules, More: nodeSDK, Log: r.Log},
			"python": {Language: modules.Python, Dir: filepath.Join(r.Dir, "aws-python"), Base: []string{"boto3", "botocore"}, Log: r.Log},
		}
	}
	stacks := filepath.Join(r.Dir, "aws-apis")
	calls := lambda.Options{Lambda: c.lambda, Keys: keys, Objects: r.Objects, Streams: c.tables, Log: r.Log}
	if r.Dir != "" && r.Apps != nil {
		calls.Apps, calls.Dir, calls.Stacks = r.Apps, r.Dir, stacks
	}
	var run func(context.Context) error
	var notify object.Notify
	if r.Store != nil {
		c.later = lambda.NewQueue(r.Store, c.lambda, 0, r.Log)
		calls.Later = c.later
		notify = lambda.NewNotify(r.Functions, calls.Later)
		mappings := lambda.NewMappings(lambda.MappingOptions{Store: r.Store, Lambda: c.lambda, Later: calls.Later, Streams: c.tables, Log: r.Log})
		timers := lambda.NewTimers(r.Store, r.Functions, calls.Later, r.Log)
		run = func(ctx context.Context) error {
			g, ctx := errgroup.WithContext(ctx)
			g.Go(func() error { return calls.Later.Run(ctx) })
			g.Go(func() error { return timers.Run(ctx) })
			g.Go(func() error { return mappings.Run(ctx) })
			return g.Wait()
		}
	}
	plane := control.Options{Dir: stacks, Keys: keys, Objects: r.Objects, URL: c.lambda.Address, Quotas: o.Quotas, Log: r.Log}
	if r.Dir != "" && r.Apps != nil {
		plane.Apps = r.Apps
	}
	if r.Recent != nil {
		plane.Logs = logs{r}
	}
	rest := newBeyond(o.Beyond, r.Keys, r.Logs, r.Log)
	apis := dialect.APIs{
		{Claims: dynamodb.Claims, Handler: c.tables, Whole: dialect.Always},
		{Claims: lambda.Claims, Handler: lambda.New(calls), Whole: lambda.Whole},
		{Claims: c.sockets.Claims, Handler: c.sockets},
		{Claims: control.Claims, Handler: control.New(plane)},
		{Claims: c.buckets.Claims, Handler: c.buckets}, // a path may be anything there
		{Claims: rest.claims, Handler: rest},
	}
	return dialect.Dialect{
		Name:        Name,
		Reader:      templates{sam.New(sam.Options{}), sls.New(sam.Options{}), o.Quotas},
		APIs:        apis,
		Starters:    []function.Starter{&lambda.Provided{}},
		Environment: c.environment,
		Exports:     exports,
		Front:       c.front,
		EnsureTable: func(ctx context.Context, _ *sluice.App, t *sluice.Table) error {
			return c.tables.EnsureTable(ctx, t.Spec)
		},
		Notify: notify,
		Run:    run,
		Hosts:  hosts,
	}, nil
}

// nodeModules are fetched together: they are what nearly every function of a real-time app asks for.
var nodeModules = []string{
	"@aws-sdk/client-apigatewaymanagementapi@3", "@aws-sdk/client-dynamodb@3", "@aws-sdk/client-lambda@3", "@aws-sdk/client-s3@3",
	"@aws-sdk/lib-dynamodb@3", "@aws-sdk/util-dynamodb@3",
}

// nodeSDK is a module that AWS's Node runtimes carry, as npm is asked for it. Version 2 of the SDK came with
// those before Node 18; samples that were moved to newer ones still ask for it.
func nodeSDK(name string) string {
	switch {
	case name == "aws-sdk":
		return "aws-sdk@2"
	case strings.HasPrefix(name, "@aws-sdk/"):
		return name + "@3"
	case strings.HasPrefix(name, "@smithy/"):
		return name
	}
	return ""
}

// logs are what functions have written lately, as groups of CloudWatch Logs.
type logs struct{ r dialect.Rooms }

// Groups are those of an app's functions.
func (l logs) Groups(app sluice.AppName) []control.LogGroup {
	var out []control.LogGroup
	for _, s := range l.r.Functions.List(app) {
		v, ok := l.r.Functions.Version(s.App, s.Name)
		if !ok || v.Dialect != Name {
			continue
		}
		name := lambda.PhysicalName(&v.Spec)
		group := lambda.LogGroup(name)
		out = append(out, control.LogGroup{Name: group, ARN: "arn:aws:logs:" + cmp.Or(v.Env["AWS_REGION"], lambda.DefaultRegion) + ":000000000000:log-group:" + group,
			App: s.App, Function: s.Name, Stream: func(at time.Time) string { return lambda.LogStream(s.App, name, at) }})
	}
	slices.SortFunc(out, func(a, b control.LogGroup) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Lines are those of one function.
func (l logs) Lines(g control.LogGroup) []sluice.LogLine { return l.r.Recent(g.App, g.Function) }

// caller calls functions and services for the gateways of APIs.
type caller struct{ c *cloud }

// Invoke calls the function that an ARN, an integration's URI or a name means.
func (k caller) Invoke(ctx context.Context, app sluice.AppName, arn string, payload []byte, conn sluice.ConnID) (sluice.Result, error) {
	_, res, err := k.c.lambda.Invoke(ctx, lambda.Call{App: app, Name: lambda.TargetOf(arn), Payload: payload, Conn: conn})
	return res, err
}

// Later is Invoke for an answer that nobody waits for.
func (k caller) Later(ctx context.Context, app sluice.AppName, arn string, payload []byte, conn sluice.ConnID) error {
	return k.c.lambda.Later(ctx, k.c.later, lambda.Call{App: app, Name: lambda.TargetOf(arn), Payload: payload, Conn: conn})
}

// Stream is Invoke for an answer that is taken as it comes.
func (k caller) Stream(ctx context.Context, app sluice.AppName, arn string, payload []byte, to sluice.Stream) (sluice.Result, error) {
	_, res, err := k.c.lambda.Invoke(ctx, lambda.Call{App: app, Name: lambda.TargetOf(arn), Payload: payload, Stream: to})
	return res, err
}

// Refuse says why a function cannot be called now.
func (k caller) Refuse(app sluice.AppName, arn string) error {
	return k.c.lambda.Refuse(app, lambda.TargetOf(arn))
}

// Call does what an integration asks of another service.
func (k caller) Call(ctx context.Context, _ sluice.AppName, service, action string, body []byte) (int, []byte, error) {
	if service == "dynamodb" {
		return k.c.tables.Do(ctx, action, body)
	}
	return 0, nil, sluice.Errorf(sluice.Unavailable, "sluice does not serve %s", service)
}

// environment is what a function finds in its environment.
func (c *cloud) environment(ctx context.Context, app *sluice.App, f *sluice.Function) (map[string]string, error) {
	env := lambda.Environment(c.r.Keys, app, f)
	for name, v := range c.endpoints() {
		if f.Env[name] == "" {
			env[name] = v
		}
	}
	for family, set := range c.modules {
		if !strings.HasPrefix(strings.ToLower(f.Runtime), family) {
			continue
		}
		path, err := set.Path(ctx, f.Name, f.Code)
		if err != nil {
			return nil, err
		}
		variable := map[string]string{"nodejs": "NODE_PATH", "python": "PYTHONPATH"}[family]
		if path != "" {
			env[variable] = strings.TrimPrefix(cmp.Or(env[variable], f.Env[variable])+string(filepath.ListSeparator)+path, string(filepath.ListSeparator))
		}
	}
	return env, nil
}

// served are the services that sluice serves, as variables of SDKs name them.
var served = []string{"APIGATEWAYV2", "CLOUDFORMATION", "CLOUDWATCH_LOGS", "DYNAMODB", "DYNAMODB_STREAMS", "LAMBDA", "S3", "STS"}

// endpoints are where SDKs of functions find the cloud's APIs. When AWS may be asked for what sluice does
// not serve, they find the rest by its own names.
func (c *cloud) endpoints() map[string]string {
	if !c.through {
		return endpoints(c.r.Admin)
	}
	env := map[string]string{}
	for _, s := range served {
		env["AWS_ENDPOINT_URL_"+s] = c.r.Admin
	}
	return env
}

// relaxed are keys that nobody has to have: unknown ones are the operator's (aws.md 8.1).
type relaxed struct{ *access.Keys }

// Relaxed lets signatures be wrong.
func (relaxed) Relaxed() bool { return true }

// Lookup finds the secret of a key, and none for one that is not ours.
func (k relaxed) Lookup(ctx context.Context, id, token string) (string, access.Principal, error) {
	secret, who, err := k.Keys.Lookup(ctx, id, token)
	if errors.Is(err, access.ErrUnknownKey) || errors.Is(err, access.ErrBadToken) {
		return "", access.Principal{}, nil
	}
	return secret, who, err
}

// endpoints are where SDKs find the cloud's APIs (aws.md 8.2).
func endpoints(admin string) map[string]string {
	return map[string]string{"AWS_ENDPOINT_URL": admin, "AWS_ENDPOINT_URL_S3": admin}
}

// exports point AWS's tools at us.
func exports(k access.Credentials, admin string) map[string]string {
	env := endpoints(admin)
	env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"] = k.ID, k.Secret
	env["AWS_REGION"], env["AWS_DEFAULT_REGION"] = lambda.DefaultRegion, lambda.DefaultRegion
	if k.Token != "" {
		env["AWS_SESSION_TOKEN"] = k.Token
	}
	return env
}
