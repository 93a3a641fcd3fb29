package lambda

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// settings are the parts of a description that are kept and shown, and not acted on.
var settings = []string{"DeadLetterConfig", "EphemeralStorage", "FileSystemConfigs", "ImageConfig", "KMSKeyArn", "LoggingConfig", "SnapStart", "TracingConfig", "VpcConfig"}

// description is what clients say of a function. A nil field is not said.
type description struct {
	FunctionName  string
	Role          *string
	Runtime       *string
	Handler       *string
	Description   *string
	Timeout       *int
	MemorySize    *int
	Environment   *struct{ Variables map[string]string }
	Layers        *[]string
	Architectures []string
	PackageType   string
	Publish       bool
	RevisionId    string
	Tags          map[string]string
	Code          *code
}

// apply writes what is said into a function.
func (d *description) apply(a *API, f *sluice.Function, e *Extra, body []byte) error {
	set(&f.Runtime, d.Runtime)
	set(&f.Handler, d.Handler)
	set(&f.Description, d.Description)
	set(&f.MemoryMB, d.MemorySize)
	set(&e.Role, d.Role)
	if d.Timeout != nil {
		f.Timeout = time.Duration(*d.Timeout) * time.Second
	}
	if d.Environment != nil {
		f.Env = d.Environment.Variables
	}
	if len(d.Architectures) > 0 {
		e.Arch = d.Architectures[0]
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil {
		return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: %v", err)
	}
	for _, name := range settings {
		if v, ok := all[name]; ok {
			if e.Settings == nil {
				e.Settings = map[string]json.RawMessage{}
			}
			e.Settings[name] = v
		}
	}
	if d.Layers != nil {
		f.Layers, f.Opt = *d.Layers, nil
		for _, arn := range *d.Layers {
			l, err := a.layer(arn)
			if err != nil {
				return err
			}
			f.Opt = append(f.Opt, sluice.Layer{Name: arn, Code: a.codeFile(l.Sum)})
		}
	}
	return check(f, e)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// check refuses what Lambda would.
func check(f *sluice.Function, e *Extra) error {
	switch {
	case !ValidName(f.Physical):
		return invalid(f.Physical, "functionName", "Member must satisfy regular expression pattern: %s", validName)
	case !Runs(f.Runtime):
		return invalidf("Value %s at 'runtime' failed to satisfy constraint: sluice runs nodejs*.x, python3.*, provided, provided.al2, provided.al2023 and go1.x", cmp.Or(f.Runtime, "null"))
	case f.Handler == "" && !strings.HasPrefix(f.Runtime, "provided"):
		return invalidf("Runtime and Handler are mandatory parameters for functions created with deployment packages.")
	case len(f.Description) > 256:
		return invalid(f.Description, "description", "Member must have length less than or equal to 256")
	case len(f.Opt) > 5:
		return invalidf("You cannot reference more than 5 layers.")
	case e.Arch != "x86_64" && e.Arch != "arm64":
		return invalid("["+e.Arch+"]", "architectures", "Member must satisfy enum value set: [x86_64, arm64]")
	}
	size := 0
	var taken []string
	for name, v := range f.Env {
		if size += len(name) + len(v); Reserved(name) {
			taken = append(taken, name)
		}
	}
	switch slices.Sort(taken); {
	case len(taken) > 0:
		return invalidf("Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys that are currently not supported for modification. Reserved keys used in this request: %s", strings.Join(taken, ", "))
	case size > MaxEnv:
		return invalidf("Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the 4KB limit. String measured: %d bytes", size)
	}
	return cmp.Or(within(int(f.Timeout/time.Second), "timeout", 1, 900), within(f.MemoryMB, "memorySize", 128, 10240))
}

// configuration is a function as the API describes it.
type configuration struct {
	FunctionName           string
	FunctionArn            string
	Runtime                string
	Role                   string
	Handler                string
	CodeSize               int64
	Description            string
	Timeout                int
	MemorySize             int
	LastModified           string
	CodeSha256             string
	Version                string
	VpcConfig              json.RawMessage  `json:",omitempty"`
	DeadLetterConfig       json.RawMessage  `json:",omitempty"`
	Environment            *environmentView `json:",omitempty"`
	KMSKeyArn              json.RawMessage  `json:",omitempty"`
	TracingConfig          json.RawMessage
	RevisionId             string
	Layers                 []layerRef      `json:",omitempty"`
	State                  string          `json:",omitempty"`
	StateReason            string          `json:",omitempty"`
	StateReasonCode        string          `json:",omitempty"`
	LastUpdateStatus       string          `json:",omitempty"`
	LastUpdateStatusReason string          `json:",omitempty"`
	LastUpdateReasonCode   string          `json:"LastUpdateStatusReasonCode,omitempty"`
	FileSystemConfigs      json.RawMessage `json:",omitempty"`
	PackageType            string
	ImageConfig            json.RawMessage `json:",omitempty"`
	Architectures          []string
	EphemeralStorage       json.RawMessage
	SnapStart              json.RawMessage
	RuntimeVersionConfig   map[string]string
	LoggingConfig          json.RawMessage
}

type environmentView struct{ Variables map[string]string }

type layerRef struct {
	Arn      string
	CodeSize int64
}

// modified is how the API writes when a function was changed.
const modified = "2006-01-02T15:04:05.000-0700"

// configure describes a function. A version of it has its number and description.
func (a *API) configure(f *Function, qualifier string) *configuration {
	s, e := &f.Spec, f.Extra
	c := &configuration{FunctionName: f.Name, FunctionArn: f.ARN, Runtime: s.Runtime, Role: e.Role, Handler: s.Handler, CodeSize: e.Size, Description: s.Description,
		Timeout: int(s.Timeout / time.Second), MemorySize: s.MemoryMB, LastModified: f.changed(e.Modified).UTC().Format(modified), CodeSha256: e.Sum, Version: f.version(qualifier),
		RevisionId: cmp.Or(e.Revision, f.Revision), State: "Active", LastUpdateStatus: "Successful", PackageType: "Zip", Architectures: []string{cmp.Or(e.Arch, "x86_64")},
		VpcConfig: e.Settings["VpcConfig"], DeadLetterConfig: e.Settings["DeadLetterConfig"], KMSKeyArn: e.Settings["KMSKeyArn"], FileSystemConfigs: e.Settings["FileSystemConfigs"],
		ImageConfig: e.Settings["ImageConfig"], TracingConfig: orJSON(e.Settings["TracingConfig"], `{"Mode":"PassThrough"}`),
		EphemeralStorage: orJSON(e.Settings["EphemeralStorage"], `{"Size":512}`), SnapStart: snapStart(e.Settings["SnapStart"]),
		LoggingConfig:        logging(e.Settings["LoggingConfig"], f.Name),
		RuntimeVersionConfig: map[string]string{"RuntimeVersionArn": "arn:aws:lambda:" + cmp.Or(f.Env["AWS_REGION"], DefaultRegion) + "::runtime:" + s.Runtime}}
	if e.Sum == "" { // a template's: its revision stands for its code
		sum := sha256.Sum256([]byte(f.Revision))
		c.CodeSha256 = base64.StdEncoding.EncodeToString(sum[:])
	}
	if len(s.Env) > 0 {
		c.Environment = &environmentView{s.Env}
	}
	for i, arn := range s.Layers {
		l := layerRef{Arn: arn}
		if i < len(s.Opt) {
			l.CodeSize = a.sizeOf(s.Opt[i].Code)
		}
		c.Layers = append(c.Layers, l)
	}
	if qualifier != "" {
		c.FunctionArn += ":" + qualifier
	}
	if i := slices.IndexFunc(e.Versions, func(v Version) bool { return v.name() == c.Version }); i >= 0 {
		v := e.Versions[i]
		c.Description, c.LastModified, c.CodeSha256 = cmp.Or(v.Description, c.Description), v.Modified.UTC().Format(modified), cmp.Or(v.Sum, c.CodeSha256)
	}
	return c
}

// changed is when something of a function was changed: at t, or, of a template's, when its code was copied.
func (f *Function) changed(t time.Time) time.Time {
	if !t.IsZero() {
		return t
	}
	info, err := os.Stat(f.Root)
	if err != nil {
		return time.Unix(0, 0)
	}
	return info.ModTime()
}

func orJSON(v json.RawMessage, otherwise string) json.RawMessage {
	if len(v) == 0 || string(v) == "null" {
		return json.RawMessage(otherwise)
	}
	return v
}

// snapStart is a function's SnapStart as it is shown: there are no snapshots here.
func snapStart(v json.RawMessage) json.RawMessage {
	s := struct{ ApplyOn, OptimizationStatus string }{"None", "Off"}
	json.Unmarshal(v, &s) // what cannot be read is the default
	s.OptimizationStatus = "Off"
	b, _ := json.Marshal(s) // texts always marshal
	return b
}

// logging is a function's LoggingConfig with its defaults.
func logging(v json.RawMessage, name string) json.RawMessage {
	s := struct {
		LogFormat           string
		ApplicationLogLevel string `json:",omitempty"`
		SystemLogLevel      string `json:",omitempty"`
		LogGroup            string
	}{LogFormat: "Text", LogGroup: LogGroup(name)}
	json.Unmarshal(v, &s)   // what cannot be read is the default
	b, _ := json.Marshal(s) // texts always marshal
	return b
}

// creating is the description that answers a creation: the function works already, but clients wait for
// it as they must on AWS.
func (c *configuration) creating() *configuration {
	c.State, c.StateReason, c.StateReasonCode, c.LastUpdateStatus = "Pending", "The function is being created.", "Creating", ""
	return c
}

// updating is the same of a change.
func (c *configuration) updating() *configuration {
	c.LastUpdateStatus, c.LastUpdateStatusReason, c.LastUpdateReasonCode = "InProgress", "The function is being created.", "Creating"
	return c
}

func (a *API) createFunction(ctx context.Context, q *query) (any, error) {
	var d description
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if name, _, ok := ParseName(d.FunctionName); ok {
		d.FunctionName = name
	}
	switch {
	case !q.who.Admin():
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "only the operator's key may create functions")
	case d.PackageType == "Image" || d.Code != nil && d.Code.ImageURI != "":
		return nil, invalidf("PackageType Image is not supported: containers do not run here, programs do (runtime provided.al2023)")
	case d.Role == nil || *d.Role == "":
		return nil, invalid("null", "role", "Member must not be null")
	case d.Code == nil:
		return nil, invalid("null", "code", "Member must not be null")
	}
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	if taken, err := a.o.Lambda.Find("", d.FunctionName); err == nil && taken.Name == d.FunctionName {
		return nil, faultf(http.StatusConflict, "ResourceConflictException", "Function already exist: %s", d.FunctionName)
	}
	f := sluice.Function{Name: sluice.FunctionName(d.FunctionName), Physical: d.FunctionName, MemoryMB: 128, Timeout: 3 * time.Second, Concurrency: 1}
	e := &Extra{Arch: "x86_64", Tags: d.Tags, Revision: NewRequestID(), Modified: a.o.Now()}
	if err := d.apply(a, &f, e, q.body); err != nil {
		return nil, err
	}
	if err := a.take(ctx, q.who, d.Code, &f, e); err != nil {
		return nil, err
	}
	if d.Publish {
		e.publish("", a.o.Now())
	}
	f.Extra = e.Marshal()
	app := &sluice.App{Name: appName(d.FunctionName, apps), Title: d.FunctionName, Dialect: dialect, Region: q.region, Dir: a.codeDir(), Spec: madeSpec, Functions: []sluice.Function{f}}
	if err := a.deploy(ctx, app); err != nil {
		return nil, err
	}
	made, err := a.o.Lambda.Find(app.Name, d.FunctionName)
	if err != nil {
		return nil, err
	}
	c := a.configure(made, "").creating()
	if d.Publish {
		c.Version = "1"
	}
	return c, nil
}

func (a *API) listFunctions(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	list := []*configuration{}
	for _, f := range all {
		if q.r.URL.Query().Get("FunctionVersion") == "ALL" {
			list = append(list, a.versions(f.Function)...)
			continue
		}
		list = append(list, a.configure(f.Function, ""))
	}
	for _, c := range list { // listings do not tell the state
		c.State, c.LastUpdateStatus = "", ""
	}
	return listing(q, "Functions", list)
}

func (a *API) getFunction(ctx context.Context, q *query) (any, error) {
	f, qualifier, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"Configuration": a.configure(f.Function, qualifier), "Code": map[string]string{"RepositoryType": "S3"}}
	if f.app != nil && f.Extra.Sum != "" { // what a stack brought is not kept as it came
		answer["Code"] = map[string]string{"RepositoryType": "S3", "Location": a.location(q, f.Extra.Sum)}
	}
	if len(f.Extra.Tags) > 0 {
		answer["Tags"] = f.Extra.Tags
	}
	if f.Extra.Reserved != nil {
		answer["Concurrency"] = map[string]int{"ReservedConcurrentExecutions": *f.Extra.Reserved}
	}
	return answer, nil
}

func (a *API) getConfiguration(ctx context.Context, q *query) (any, error) {
	f, qualifier, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	return a.configure(f.Function, qualifier), nil
}

func (a *API) updateConfiguration(ctx context.Context, q *query) (any, error) {
	var d description
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if len(q.body) == 0 {
		q.body = []byte("{}")
	}
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		if err := e.unchanged(d.RevisionId); err != nil {
			return err
		}
		e.Modified = a.o.Now()
		return d.apply(a, f, e, q.body)
	})
	if err != nil {
		return nil, err
	}
	return a.configure(f, "").updating(), nil
}

func (a *API) updateCode(ctx context.Context, q *query) (any, error) {
	var d struct {
		code
		Publish       bool
		DryRun        bool
		RevisionId    string
		Architectures []string
	}
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if d.ImageURI != "" {
		return nil, invalidf("Please don't provide ImageUri when updating a function with packageType Zip.")
	}
	version := ""
	update := func(f *sluice.Function, e *Extra, _ string) error {
		if err := e.unchanged(d.RevisionId); err != nil {
			return err
		}
		if len(d.Architectures) > 0 {
			e.Arch = d.Architectures[0]
		}
		if err := cmp.Or(check(f, e), a.take(ctx, q.who, &d.code, f, e)); err != nil {
			return err
		}
		e.Modified = a.o.Now()
		if d.Publish {
			version = e.publish("", a.o.Now()).name()
		}
		return nil
	}
	if d.DryRun {
		f, _, err := a.function(ctx, q, q.args["function"])
		if err != nil {
			return nil, err
		}
		spec, e := f.Spec, extraOf(&f.Spec)
		if err := update(&spec, e, ""); err != nil {
			return nil, err
		}
		a.sweep(ctx) // of the package that nobody wants
		c := a.configure(f.Function, "")
		c.CodeSha256, c.CodeSize = e.Sum, e.Size
		return c, nil
	}
	f, err := a.change(ctx, q, q.args["function"], update)
	if err != nil {
		return nil, err
	}
	c := a.configure(f, "").updating()
	c.Version = cmp.Or(version, c.Version)
	return c, nil
}

func (a *API) deleteFunction(ctx context.Context, q *query) (any, error) {
	f, qualifier, err := a.function(ctx, q, q.args["function"])
	switch {
	case err != nil:
		return nil, err
	case f.app == nil:
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "function %s belongs to app %s, which has been deployed from a template: remove that", f.Name, f.App)
	case qualifier == "" && !isMade(f.app):
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "function %s belongs to stack %s: delete that", f.Name, cmp.Or(f.app.Title, string(f.App)))
	case qualifier == Latest:
		return nil, invalidf("$LATEST version cannot be deleted without deleting the function.")
	case qualifier != "":
		_, err := a.change(ctx, q, q.args["function"], func(_ *sluice.Function, e *Extra, _ string) error { return e.unpublish(qualifier) })
		return nil, err
	}
	err = a.o.Apps.Remove(ctx, f.App)
	if sluice.KindOf(err) == sluice.Missing {
		err = nil
	}
	a.sweep(ctx)
	return nil, err
}

// getCodeSigning says that code is not signed: nothing here asks for it.
func (a *API) getCodeSigning(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	return map[string]string{"FunctionName": f.Name, "CodeSigningConfigArn": ""}, nil
}

// tagged finds the function whose ARN a request on tags names.
func (q *query) tagged() (string, error) {
	if _, qualifier, ok := ParseName(q.args["arn"]); !ok || qualifier != "" || !strings.HasPrefix(q.args["arn"], "arn:") {
		return "", invalidf("The resource %s cannot be tagged: want the ARN of a function without a qualifier", q.args["arn"])
	}
	return q.args["arn"], nil
}

func (a *API) listTags(ctx context.Context, q *query) (any, error) {
	arn, err := q.tagged()
	if err != nil {
		return nil, err
	}
	f, _, err := a.function(ctx, q, arn)
	if err != nil {
		return nil, err
	}
	tags := f.Extra.Tags
	if tags == nil {
		tags = map[string]string{}
	}
	return map[string]any{"Tags": tags}, nil
}

func (a *API) tag(ctx context.Context, q *query) (any, error) {
	var d struct{ Tags map[string]string }
	arn, err := q.tagged()
	if err := cmp.Or(err, q.read(&d)); err != nil {
		return nil, err
	}
	_, err = a.change(ctx, q, arn, func(_ *sluice.Function, e *Extra, _ string) error {
		if e.Tags == nil {
			e.Tags = map[string]string{}
		}
		maps.Copy(e.Tags, d.Tags)
		return nil
	})
	return nil, err
}

func (a *API) untag(ctx context.Context, q *query) (any, error) {
	arn, err := q.tagged()
	if err != nil {
		return nil, err
	}
	_, err = a.change(ctx, q, arn, func(_ *sluice.Function, e *Extra, _ string) error {
		maps.DeleteFunc(e.Tags, func(k, _ string) bool { return slices.Contains(q.r.URL.Query()["tagKeys"], k) })
		return nil
	})
	return nil, err
}

// accountSettings tells Lambda's default limits.
func (a *API) accountSettings(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	var size int64
	unreserved := 1000
	for _, f := range all {
		size += f.Extra.Size
		if f.Extra.Reserved != nil {
			unreserved -= *f.Extra.Reserved
		}
	}
	return map[string]any{
		"AccountLimit": map[string]int64{"TotalCodeSize": 80530636800, "CodeSizeUnzipped": 262144000, "CodeSizeZipped": 52428800, "ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": int64(max(unreserved, 0))},
		"AccountUsage": map[string]int64{"TotalCodeSize": size, "FunctionCount": int64(len(all))},
	}, nil
}

// shortID is a few letters that are always the same for a text.
func shortID(text string) string { return apispec.ID(8, text) }
