package fc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

var functionName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// runtimes are the accepted ones (section 3.2); whether one can run here shows when it is called.
var runtimes = []string{"nodejs6", "nodejs8", "nodejs10", "nodejs12", "nodejs14", "nodejs16", "nodejs18", "nodejs20", "nodejs22",
	"python2.7", "python3", "python3.9", "python3.10", "python3.12", "go1", "java8", "java11", "php7.2", "dotnetcore2.1", "dotnetcore3.1",
	"custom", "custom.debian10", "custom.debian11", "custom.debian12"}

// fields are what of a function's description means something here.
type fields struct {
	FunctionName          string            `json:"functionName"`
	Description           string            `json:"description"`
	Runtime               string            `json:"runtime"`
	Handler               string            `json:"handler"`
	Initializer           string            `json:"initializer"`
	InitializationTimeout int               `json:"initializationTimeout"`
	MemorySize            int               `json:"memorySize"`
	DiskSize              int               `json:"diskSize"`
	CPU                   float64           `json:"cpu"`
	Timeout               int               `json:"timeout"`
	InstanceConcurrency   int               `json:"instanceConcurrency"`
	CaPort                int               `json:"caPort"`
	Layers                []string          `json:"layers"`
	Env                   map[string]string `json:"environmentVariables"`
	Custom                struct {
		Command []string `json:"command"`
		Args    []string `json:"args"`
		Port    int      `json:"port"`
		Health  health   `json:"healthCheckConfig"`
	} `json:"customRuntimeConfig"`
	Health health `json:"customHealthCheckConfig"` // FC 2.0
	Life   struct {
		Initializer hook `json:"initializer"`
		PreStop     hook `json:"preStop"`
		PreFreeze   hook `json:"preFreeze"`
	} `json:"instanceLifecycleConfig"`
}

// health is a custom runtime's health check, in seconds (section 3.8).
type health struct {
	Path    string `json:"httpGetUrl"`
	Delay   int    `json:"initialDelaySeconds"`
	Period  int    `json:"periodSeconds"`
	Timeout int    `json:"timeoutSeconds"`
	Bad     int    `json:"failureThreshold"`
	Good    int    `json:"successThreshold"`
}

func (h *health) check() error {
	if h.Delay < 0 || h.Delay > 120 || h.Period < 0 || h.Period > 120 || h.Timeout < 0 || h.Timeout > 3 || h.Bad < 0 || h.Good < 0 {
		return faultf("InvalidArgument", "the health check is not valid: delay and period are at most 120 s, the timeout 3 s")
	}
	return nil
}

type hook struct {
	Handler string   `json:"handler"`
	Timeout int      `json:"timeout"`
	Command []string `json:"command"`
}

// check reads a function's description and refuses what the cloud would (section 3.2).
func (d document) check() (*fields, error) {
	f := &fields{}
	if err := d.read(f); err != nil {
		return nil, err
	}
	between := func(what string, v, low, high int) error {
		if v < low || v > high {
			return faultf("InvalidArgument", "%s %d is not between %d and %d", what, v, low, high)
		}
		return nil
	}
	switch {
	case !functionName.MatchString(f.FunctionName):
		return nil, faultf("InvalidArgument", "function name %q is not valid: letters, digits, _ and -, at most 64, not beginning with a digit or -", f.FunctionName)
	case f.Runtime == "custom-container":
		return nil, faultf("InvalidArgument", "runtime custom-container is not supported: containers do not run here, programs do (runtime custom)")
	case !slices.Contains(runtimes, f.Runtime):
		return nil, faultf("InvalidArgument", "runtime %q is not supported: known are %s", f.Runtime, strings.Join(runtimes, ", "))
	case f.Handler == "" && !IsCustom(f.Runtime):
		return nil, faultf("InvalidArgument", "handler is required")
	case f.MemorySize%64 != 0:
		return nil, faultf("InvalidArgument", "memorySize %d is not a multiple of 64", f.MemorySize)
	case f.DiskSize != 0 && f.DiskSize != 512 && f.DiskSize != 10240:
		return nil, faultf("InvalidArgument", "diskSize %d is neither 512 nor 10240", f.DiskSize)
	case f.CPU != 0 && (f.CPU < 0.05 || f.CPU > 16):
		return nil, faultf("InvalidArgument", "cpu %v is not between 0.05 and 16", f.CPU)
	}
	for name := range f.Env {
		if strings.HasPrefix(name, "FC_") {
			return nil, faultf("InvalidArgument", "environment variable %s begins with FC_, as only the platform's own do", name)
		}
	}
	if f.Health.Path == "" {
		f.Health = f.Custom.Health
	}
	return f, cmp.Or(
		f.Health.check(),
		between("memorySize", f.MemorySize, 128, 32768),
		between("timeout", f.Timeout, 1, 86400),
		between("instanceConcurrency", f.InstanceConcurrency, 1, 200),
		between("initializationTimeout", max(f.InitializationTimeout, f.Life.Initializer.Timeout), 0, 300),
		between("the timeout of a life cycle hook", max(f.Life.PreStop.Timeout, f.Life.PreFreeze.Timeout), 0, 90),
		between("caPort", max(f.CaPort, f.Custom.Port), 0, 65535),
	)
}

// build makes the function that a description asks for, but for its code.
func (f *madeFunction) build(service string) (*sluice.Function, error) {
	d, err := f.Doc.check()
	if err != nil {
		return nil, err
	}
	fn := &sluice.Function{
		Name: sluice.FunctionName(d.FunctionName), Group: service, Runtime: d.Runtime, Handler: d.Handler, Description: d.Description,
		Initializer: cmp.Or(d.Initializer, d.Life.Initializer.Handler), PreStop: d.Life.PreStop.Handler, PreFreeze: d.Life.PreFreeze.Handler,
		StopTime: time.Duration(d.Life.PreStop.Timeout) * time.Second, FreezeTime: time.Duration(d.Life.PreFreeze.Timeout) * time.Second,
		MemoryMB: d.MemorySize, Timeout: time.Duration(d.Timeout) * time.Second, Concurrency: d.InstanceConcurrency,
		Env: d.Env, Port: cmp.Or(d.Custom.Port, d.CaPort),
	}
	for _, l := range d.Layers {
		if !strings.HasPrefix(l, "official/") {
			fn.Layers = append(fn.Layers, l)
		}
	}
	if IsCustom(d.Runtime) {
		fn.InitCommand = d.Life.Initializer.Command
	}
	if fn.Initializer != "" || fn.InitCommand != nil {
		fn.InitTimeout = time.Duration(cmp.Or(d.InitializationTimeout, d.Life.Initializer.Timeout, 3)) * time.Second
	}
	if IsCustom(d.Runtime) {
		for _, word := range slices.Concat(d.Custom.Command, d.Custom.Args) {
			if rest, ok := strings.CutPrefix(word, "/code/"); ok { // where the cloud unpacks code
				word = "./" + rest
			}
			fn.Command = append(fn.Command, word)
		}
		if len(fn.Command) == 0 {
			fn.Command = []string{"./bootstrap"}
		}
		fn.Port = cmp.Or(fn.Port, 9000)
		if h := d.Health; h.Path != "" {
			fn.Health = &sluice.HealthCheck{Path: h.Path, Delay: time.Duration(h.Delay) * time.Second, Every: time.Duration(h.Period) * time.Second,
				Timeout: time.Duration(h.Timeout) * time.Second, Good: h.Good, Bad: h.Bad}
		}
	}
	if f.Async != nil {
		if fn.Async, err = f.Async.asyncCalls(); err != nil {
			return nil, err
		}
	}
	for _, t := range f.Triggers {
		if err := t.build(fn); err != nil {
			return nil, err
		}
	}
	return fn, nil
}

// describe is a function of a template as the API would have made it.
func describe(v *function.Version) *madeFunction {
	s, d := &v.Spec, document{}
	d.set("functionName", s.Name)
	d.set("description", s.Description)
	d.set("runtime", s.Runtime)
	d.set("handler", s.Handler)
	d.set("initializer", s.Initializer)
	d.set("memorySize", s.MemoryMB)
	d.set("timeout", int(s.Timeout.Seconds()))
	d.set("instanceConcurrency", max(s.Concurrency, 1))
	d.set("environmentVariables", s.Env)
	f := &madeFunction{ID: string(v.App) + "-" + string(s.Name), Doc: d}
	trigger := func(name, kind string, config map[string]any) document {
		t := document{}
		t.set("triggerName", cmp.Or(name, kind))
		t.set("triggerType", kind)
		t.set("triggerConfig", config)
		f.Triggers = append(f.Triggers, &madeTrigger{ID: f.ID + "-" + cmp.Or(name, kind), Doc: t})
		return t
	}
	if h := s.HTTP; h != nil {
		trigger(h.Name, "http", map[string]any{"authType": h.Auth, "methods": h.Methods})
	}
	for _, t := range s.Timers {
		trigger(t.Name, "timer", map[string]any{"cronExpression": t.Schedule, "payload": t.Payload, "enable": !t.Disabled})
	}
	for _, o := range s.Objects {
		t := trigger(o.Name, "oss", map[string]any{"events": o.Events, "filter": map[string]any{"key": map[string]any{"prefix": o.Prefix, "suffix": o.Suffix}}})
		t.set("sourceArn", "acs:oss:"+region+":"+Account+":"+o.Bucket)
	}
	return f
}

// show is a function as the API answers it.
func (q *query) show(m *made, f *madeFunction) document {
	d := document{}
	for k, v := range f.Doc {
		d[k] = v
	}
	d.set("functionId", f.ID)
	d.set("codeSize", f.Code.Size)
	d.set("codeChecksum", f.Code.Checksum)
	if !f.Created.IsZero() {
		d.set("createdTime", stamp(f.Created))
		d.set("lastModifiedTime", stamp(f.Modified))
	}
	if !q.v3 {
		return d
	}
	name := f.name()
	if m.Service != "" {
		name = m.Service + "$" + name
		d.set("functionName", name)
	}
	d.set("functionArn", "acs:fc:"+region+":"+Account+":functions/"+name)
	d.set("state", "Active")
	d.set("lastUpdateStatus", "Successful")
	var arns []string
	if json.Unmarshal(d["layers"], &arns) == nil {
		layers := []any{}
		for _, arn := range arns {
			layers = append(layers, map[string]any{"arn": arn, "size": 0})
		}
		d.set("layers", layers)
	}
	return d
}

// region is the region that names of resources have: names are not per region here.
const region = "cn-hangzhou"

func (a *API) createFunction(ctx context.Context, q *query) (any, error) {
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	m, err := a.service(ctx, q, true)
	if err != nil {
		return nil, err
	}
	code, has := d["code"]
	if !has {
		return nil, faultf("InvalidArgument", "code is required")
	}
	delete(d, "code")
	for _, key := range []string{"functionId", "codeSize", "codeChecksum", "createdTime", "lastModifiedTime"} {
		delete(d, key)
	}
	memory := 128
	if q.v3 {
		memory = 512
		d.missing("cpu", 0.35)
		d.missing("diskSize", 512)
		d.missing("internetAccess", true)
	}
	d.missing("description", "")
	d.missing("environmentVariables", map[string]string{})
	d.missing("memorySize", memory)
	d.missing("timeout", 3)
	d.missing("instanceConcurrency", 1)
	if _, err := d.check(); err != nil {
		return nil, err
	}
	probe := &query{r: q.r, who: q.who, v3: q.v3, args: map[string]string{"service": q.args["service"], "function": d.text("functionName")}}
	var none *fault
	switch _, _, err := a.function(ctx, probe, false); {
	case err == nil && q.v3:
		return nil, faultf("FunctionAlreadyExists", "function '%s' already exists", d.text("functionName"))
	case err == nil:
		return nil, faultf("FunctionAlreadyExists", "function '%s' already exists in service '%s'", d.text("functionName"), m.Service)
	case !errors.As(err, &none):
		return nil, err
	}
	f := &madeFunction{ID: id(), Doc: d, Created: a.o.Now(), Modified: a.o.Now()}
	if f.Code, err = a.take(ctx, q.who, code); err != nil {
		return nil, err
	}
	m.Functions = append(m.Functions, f)
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(q.show(m, f)), nil
}

func (a *API) listFunctions(ctx context.Context, q *query) (any, error) {
	if !q.v3 {
		if _, err := a.service(ctx, q, false); err != nil {
			return nil, err
		}
	}
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	var list []named
	for _, m := range all {
		if m.Service != q.args["service"] {
			continue
		}
		for _, f := range m.Functions {
			list = append(list, named{f.name(), q.show(m, f)})
		}
	}
	return q.page("functions", list)
}

func (a *API) getFunction(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, false)
	if err != nil {
		return nil, err
	}
	return q.tagged(q.show(m, f)), nil
}

func (a *API) updateFunction(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(q.show(m, f)); err != nil {
		return nil, err
	}
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	if name := d.text("functionName"); name != "" && name != q.args["function"] {
		return nil, faultf("InvalidArgument", "the name of function '%s' cannot be changed", f.name())
	}
	code, has := d["code"]
	for k, v := range d {
		switch k {
		case "code", "functionName", "functionId", "codeSize", "codeChecksum", "createdTime", "lastModifiedTime":
		default:
			f.Doc[k] = v
		}
	}
	if _, err := f.Doc.check(); err != nil {
		return nil, err
	}
	if has {
		if f.Code, err = a.take(ctx, q.who, code); err != nil {
			return nil, err
		}
	}
	f.Modified = a.o.Now()
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.tagged(q.show(m, f)), nil
}

func (a *API) deleteFunction(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, true)
	if err != nil {
		return nil, err
	}
	if err := q.unchanged(q.show(m, f)); err != nil {
		return nil, err
	}
	m.Functions = slices.DeleteFunc(m.Functions, func(o *madeFunction) bool { return o == f })
	return nil, a.save(ctx, m)
}

// There is one version of a function, LATEST, and no alias can name another.

func (a *API) listVersions(ctx context.Context, q *query) (any, error) {
	if err := a.exists(ctx, q); err != nil {
		return nil, err
	}
	return map[string]any{"versions": []any{}, "direction": "BACKWARD"}, nil
}

func (a *API) listAliases(ctx context.Context, q *query) (any, error) {
	if err := a.exists(ctx, q); err != nil {
		return nil, err
	}
	return map[string]any{"aliases": []any{}}, nil
}

func (a *API) noVersion(ctx context.Context, q *query) (any, error) {
	if err := a.exists(ctx, q); err != nil {
		return nil, err
	}
	if q.args["version"] == "" {
		return nil, faultf("VersionNotFound", "functions have one version here, LATEST: no other can be made or named")
	}
	return nil, faultf("VersionNotFound", "version '%s' does not exist: there is LATEST alone", q.args["version"])
}

func (a *API) noAlias(ctx context.Context, q *query) (any, error) {
	if err := a.exists(ctx, q); err != nil {
		return nil, err
	}
	return nil, faultf("AliasNotFound", "alias '%s' does not exist", q.args["alias"])
}

// exists finds the service or function whose versions are meant.
func (a *API) exists(ctx context.Context, q *query) (err error) {
	if q.v3 {
		_, _, err = a.function(ctx, q, false)
	} else {
		_, err = a.service(ctx, q, false)
	}
	return err
}

// asyncCalls reads a configuration of asynchronous calls (section 3.11).
func (d document) asyncCalls() (*sluice.AsyncCalls, error) {
	type destination struct {
		Name string `json:"destination"`
	}
	var c struct {
		Age   *int64 `json:"maxAsyncEventAgeInSeconds"`
		Tries *int   `json:"maxAsyncRetryAttempts"`
		To    struct {
			OnSuccess destination `json:"onSuccess"`
			OnFailure destination `json:"onFailure"`
		} `json:"destinationConfig"`
	}
	if err := d.read(&c); err != nil {
		return nil, err
	}
	out := &sluice.AsyncCalls{Retries: asyncRetries, OnSuccess: c.To.OnSuccess.Name, OnFailure: c.To.OnFailure.Name}
	if c.Age != nil {
		if *c.Age < 1 || *c.Age > 2592000 {
			return nil, faultf("InvalidArgument", "maxAsyncEventAgeInSeconds %d is not between 1 and 2592000", *c.Age)
		}
		out.MaxAge = time.Duration(*c.Age) * time.Second
	}
	if c.Tries != nil {
		if *c.Tries < 0 || *c.Tries > 8 {
			return nil, faultf("InvalidArgument", "maxAsyncRetryAttempts %d is not between 0 and 8", *c.Tries)
		}
		out.Retries = *c.Tries
	}
	return out, nil
}

func (a *API) putAsyncConfig(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, true)
	if err != nil {
		return nil, err
	}
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	if _, err := d.asyncCalls(); err != nil {
		return nil, err
	}
	now := stamp(a.o.Now())
	d.set("createdTime", cmp.Or(f.Async.text("createdTime"), now))
	d.set("lastModifiedTime", now)
	f.Async = d
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return q.async(m, f), nil
}

func (a *API) getAsyncConfig(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, false)
	if err == nil && f.Async == nil {
		err = faultf("AsyncConfigNotExists", "function '%s' has no configuration of asynchronous calls", f.name())
	}
	if err != nil {
		return nil, err
	}
	return q.async(m, f), nil
}

func (a *API) deleteAsyncConfig(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, true)
	if err != nil || f.Async == nil {
		return nil, err
	}
	f.Async = nil
	return nil, a.save(ctx, m)
}

func (a *API) listAsyncConfigs(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	var list []named
	only := q.r.URL.Query().Get("functionName")
	for _, m := range all {
		for _, f := range m.Functions {
			if f.Async != nil && m.Service == "" && (only == "" || only == f.name()) {
				list = append(list, named{f.name(), q.async(m, f)})
			}
		}
	}
	return q.page("configs", list)
}

// async is a configuration of asynchronous calls as the API answers it.
func (q *query) async(m *made, f *madeFunction) document {
	d := document{}
	for k, v := range f.Async {
		d[k] = v
	}
	if q.v3 {
		d.set("functionArn", "acs:fc:"+region+":"+Account+":functions/"+f.name()+"/"+latest)
		return d
	}
	d.set("service", m.Service)
	d.set("function", f.name())
	d.set("qualifier", latest)
	return d
}
