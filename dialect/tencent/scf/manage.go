package scf

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
)

// moment is how the API writes a time: Beijing's.
func moment(t time.Time) string {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return t.In(beijing).Format(time.DateTime)
}

// all are the deployed functions of ours, by their names.
func (a *API) all() []*function.Version {
	var list []*function.Version
	for _, st := range a.o.SCF.functions.List("") {
		if v, ok := a.o.SCF.functions.Version(st.App, st.Name); ok && v.Dialect == dialect {
			list = append(list, v)
		}
	}
	slices.SortStableFunc(list, func(a, b *function.Version) int { return strings.Compare(Name(&a.Spec), Name(&b.Spec)) })
	return list
}

// kindOf is what the API calls a function.
func kindOf(f *sluice.Function) string {
	if IsWeb(f) {
		return "HTTP"
	}
	return "Event"
}

// functionID is a function's id, always the same.
func functionID(v *function.Version) string {
	sum := sha256.Sum256([]byte(string(v.App) + "\x00" + string(v.Spec.Name)))
	return "lam-" + hex.EncodeToString(sum[:4])
}

// getFunction describes one function.
func (a *API) getFunction(_ context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	if p.FunctionName == "" {
		return nil, faultf("MissingParameter", "The parameter `FunctionName` is missing.")
	}
	v, err := a.find(app, p)
	if err != nil {
		return nil, err
	}
	f, extra := &v.Spec, extraOf(&v.Spec)
	if !has(f, p.Qualifier) {
		return nil, &qualifierError{p.FunctionName, p.Qualifier}
	}
	variables := []variable{}
	for _, name := range slices.Sorted(maps.Keys(f.Env)) {
		variables = append(variables, variable{name, f.Env[name]})
	}
	return map[string]any{
		"FunctionName": Name(f), "FunctionId": functionID(v), "Namespace": Namespace(f), "Type": kindOf(f),
		"Runtime": runtimeOf(f), "Handler": f.Handler, "Description": f.Description, "Role": extra.Role,
		"MemorySize": f.MemoryMB, "Timeout": int(f.Timeout.Seconds()), "InitTimeout": int(initTimeout(f).Seconds()),
		"Environment": map[string]any{"Variables": variables},
		"Triggers":    triggers(v),
		"Qualifier":   Latest, "FunctionVersion": Latest,
		"Status": "Active", "StatusDesc": "", "StatusReasons": []any{}, "AvailableStatus": "Available",
		"AddTime": moment(extra.Modified), "ModTime": moment(extra.Modified),
		"CodeInfo": "", "CodeSize": 0, "CodeResult": "success", "CodeError": "", "ErrNo": 0,
		"VpcConfig": map[string]string{"VpcId": "", "SubnetId": ""}, "Layers": []any{}, "Tags": []any{},
		"ClsLogsetId": "", "ClsTopicId": "", "UseGpu": "FALSE", "InstallDependency": "FALSE",
	}, nil
}

// triggers are a function's, as the API tells them.
func triggers(v *function.Version) []map[string]any {
	list := []map[string]any{}
	add := func(kind, name, desc string, on bool, argument string) {
		enable := 0
		if on {
			enable = 1
		}
		list = append(list, map[string]any{"Type": kind, "TriggerName": name, "TriggerDesc": desc, "Enable": enable, "CustomArgument": argument,
			"AvailableStatus": "Available", "Qualifier": Latest, "AddTime": moment(time.Time{}), "ModTime": moment(time.Time{})})
	}
	for _, t := range v.Spec.Timers {
		add("timer", t.Name, string(plain(map[string]string{"cron": t.Schedule})), !t.Disabled, t.Payload)
	}
	for _, o := range v.Spec.Objects {
		for _, e := range o.Events {
			add("cos", o.Bucket, string(plain(map[string]any{"event": e, "filter": map[string]string{"Prefix": o.Prefix, "Suffix": o.Suffix}})), true, "")
		}
	}
	return list
}

// listFunctions lists an app's functions; everybody's for the operator.
func (a *API) listFunctions(_ context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	offset, limit := 0, 20
	if p.Offset != nil {
		offset = *p.Offset
	}
	if p.Limit != nil {
		limit = *p.Limit
	}
	if offset < 0 || limit < 0 {
		return nil, faultf("InvalidParameterValue", "Offset and Limit are not negative.")
	}
	list := []map[string]any{}
	for _, v := range a.all() {
		f := &v.Spec
		if app != "" && v.App != app || Namespace(f) != p.Namespace || !strings.Contains(Name(f), p.SearchKey) {
			continue
		}
		modified := moment(extraOf(f).Modified)
		list = append(list, map[string]any{"FunctionName": Name(f), "FunctionId": functionID(v), "Namespace": Namespace(f), "Type": kindOf(f),
			"Runtime": runtimeOf(f), "Description": f.Description, "AddTime": modified, "ModTime": modified,
			"Status": "Active", "StatusDesc": "", "StatusReasons": []any{}, "Tags": []any{}})
	}
	if strings.EqualFold(p.Order, "DESC") {
		slices.Reverse(list)
	}
	total := len(list)
	list = list[min(offset, total):]
	return map[string]any{"Functions": list[:min(limit, len(list))], "TotalCount": total}, nil
}

var variableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// updateFunction changes a function's settings, by a deploy of its app.
func (a *API) updateFunction(ctx context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	if p.FunctionName == "" {
		return nil, faultf("MissingParameter", "The parameter `FunctionName` is missing.")
	}
	if a.o.Apps == nil {
		return nil, faultf("UnsupportedOperation", "This server does not take changes of functions.")
	}
	v, err := a.find(app, p)
	if err != nil {
		return nil, err
	}
	if app != "" && v.App != app {
		return nil, faultf("UnauthorizedOperation", "The function %s belongs to somebody else.", p.FunctionName)
	}
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(apps, func(x *sluice.App) bool { return x.Name == v.App })
	if i < 0 {
		return nil, faultf("ResourceNotFound.Function", "The function %s is not found in namespace %s.", p.FunctionName, p.Namespace)
	}
	changed := *apps[i]
	changed.Functions = slices.Clone(changed.Functions)
	i = slices.IndexFunc(changed.Functions, func(f sluice.Function) bool { return f.Name == v.Spec.Name })
	if i < 0 {
		return nil, faultf("ResourceNotFound.Function", "The function %s is not found in namespace %s.", p.FunctionName, p.Namespace)
	}
	if err := p.change(&changed.Functions[i], a.o.Now()); err != nil {
		return nil, err
	}
	for i := range changed.Functions {
		a.keepCode(changed.Name, &changed.Functions[i])
	}
	if err := a.o.Apps.Deploy(ctx, &changed); err != nil {
		return nil, faultf("FailedOperation.UpdateFunctionConfiguration", "%v", err)
	}
	return map[string]any{}, nil
}

// keepCode lets a function go on with the code that is deployed: its source may be another by now, or gone.
func (a *API) keepCode(app sluice.AppName, f *sluice.Function) {
	v, ok := a.o.SCF.functions.Version(app, f.Name)
	if !ok || v.Root == "" {
		return
	}
	f.Code, f.Build, f.Ignore, f.Files, f.Opt = v.Root, nil, nil, nil, nil
	if opt := deploy.Opt(v.Root); isDir(opt) {
		f.Opt = []sluice.Layer{{Name: "layers", Code: opt}}
	}
}

// change sets what a request gives.
func (p *params) change(f *sluice.Function, now time.Time) error {
	extra := extraOf(f)
	if m := p.MemorySize; m != nil {
		if *m != 64 && (*m < 128 || *m > 3072 || *m%128 != 0) {
			return faultf("InvalidParameterValue.MemorySize", "MemorySize is 64, or 128 to 3072 in steps of 128, not %d.", *m)
		}
		f.MemoryMB = *m
	}
	if t := p.Timeout; t != nil {
		if *t < 1 || *t > 900 {
			return faultf("InvalidParameterValue.Timeout", "Timeout is 1 to 900 seconds, not %d.", *t)
		}
		f.Timeout = time.Duration(*t) * time.Second
	}
	if p.Environment != nil {
		f.Env = map[string]string{}
		for _, v := range p.Environment.Variables {
			if !variableName.MatchString(v.Key) {
				return faultf("InvalidParameterValue.EnvironmentVariables", "%q is not the name of an environment variable.", v.Key)
			}
			for _, reserved := range []string{"SCF_", "QCLOUD_", "TENCENTCLOUD_"} {
				if strings.HasPrefix(v.Key, reserved) {
					return faultf("InvalidParameterValue.EnvironmentSystemProtect", "The environment variable %s is the platform's.", v.Key)
				}
			}
			f.Env[v.Key] = v.Value
		}
	}
	if p.Description != nil {
		f.Description = *p.Description
	}
	if p.Role != nil {
		extra.Role = *p.Role
	}
	extra.Modified = now
	f.Extra = extra.Marshal()
	return nil
}
