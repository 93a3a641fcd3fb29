package deploy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"

	"github.com/sluicehq/sluice"
)

// Verb says what a step does to a resource.
type Verb string

// The verbs. Data outlives templates: a table or bucket that a template names no more is kept.
const (
	Create    Verb = "create"
	Change    Verb = "change"
	Replace   Verb = "replace" // a function with another runtime
	Remove    Verb = "remove"
	Keep      Verb = "keep"
	Unchanged Verb = "unchanged"
	Run       Verb = "run" // an action
)

// Step is what a deploy does, or would do, to one resource.
type Step struct {
	Verb Verb         `json:"verb"`
	Kind string       `json:"kind"` // action, table, bucket, site, function, endpoint
	Name string       `json:"name"`
	Why  string       `json:"why,omitempty"` // "code", "settings" … of a Change
	At   sluice.Place `json:"at"`
}

// Plan is what Apply would do. Actions may change the code that they prepare, so Apply looks again
// once they have run, and may do more than the plan says.
type Plan struct {
	App      *sluice.App `json:"app"`
	Previous string      `json:"previous,omitempty"` // the revision that it was compared with
	Steps    []Step      `json:"steps"`
	// Force makes Apply do everything again, whether it changed or not.
	Force bool `json:"force,omitempty"`
}

// Changed reports whether the plan has anything to do.
func (p *Plan) Changed() bool {
	return p.Force || slices.ContainsFunc(p.Steps, func(s Step) bool { return s.Verb != Unchanged && s.Verb != Keep })
}

// Plan compares app with what serves now. It changes nothing.
func (d *Deployer) Plan(ctx context.Context, app *sluice.App) (*Plan, error) {
	if err := check(app); err != nil {
		return nil, err
	}
	prev, err := d.current(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	next, err := d.survey(ctx, &looks{d: d}, app, prev, true)
	if err != nil {
		return nil, err
	}
	p := &Plan{App: app, Steps: diff(prev, next)}
	if prev != nil {
		p.Previous = prev.ID
	}
	return p, nil
}

// fingerprint is what is known of one resource: the hash of its settings and of its files.
type fingerprint struct {
	Settings string `json:"settings"`
	Files    string `json:"files,omitempty"`
	Kind     string `json:"kind,omitempty"` // of a function: its runtime
	Also     string `json:"also,omitempty"` // files outside a function's code that its build read, a line each; Files has their hash
}

// survey takes the fingerprints of everything that app asks for. Folders that are not there are an
// error, except early on, when an action may still make them. prev, which may be nil, knows what builds
// read.
func (d *Deployer) survey(ctx context.Context, look *looks, app *sluice.App, prev *Revision, early bool) (*Revision, error) {
	r := &Revision{App: app, Prints: map[string]fingerprint{}}
	for i := range app.Actions {
		a := &app.Actions[i]
		stamp, err := d.stamp(ctx, a)
		if err != nil && !early {
			return nil, &sluice.Error{Code: sluice.Invalid, Msg: "action's folder " + a.Dir + " cannot be read: " + err.Error(), At: a.At, Err: err}
		}
		r.Prints[actionKey(i, a)] = fingerprint{Settings: settings(a), Files: stamp}
	}
	for i := range app.Tables {
		t := &app.Tables[i]
		r.Prints["table/"+t.Name] = fingerprint{Settings: hashOf(string(t.Spec))}
	}
	for i := range app.Buckets {
		b := app.Buckets[i]
		b.At = sluice.Place{}
		r.Prints["bucket/"+b.Name] = fingerprint{Settings: hashOf(b)}
	}
	for i := range app.Sites {
		s := app.Sites[i]
		t, err := d.tree(ctx, s.Dir, nil)
		if err != nil && !(early && missing(err)) {
			return nil, folderError(err, "site", s.Bucket+"/"+s.Prefix, s.Dir, s.At)
		}
		s.At, s.Dir = sluice.Place{}, ""
		r.Prints[siteKey(&s)] = fingerprint{Settings: hashOf(s), Files: t.hash()}
	}
	around := hashOf(app.Dialect, app.Region, app.Domains, endpointNames(app)) // what a function's environment may tell
	for i := range app.Functions {
		f := app.Functions[i]
		key, also := "function/"+string(f.Name), ""
		if prev != nil {
			also = prev.Prints[key].Also
		}
		files, err := look.codeHash(ctx, &f, also)
		if err != nil && !(early && missing(err)) {
			return nil, folderError(err, "function", string(f.Name), f.Code, f.At)
		}
		f.At, f.Code, f.Ignore = sluice.Place{}, "", nil
		if f.Build != nil {
			b := *f.Build
			b.Dir = ""
			f.Build = &b
		}
		f.Opt = slices.Clone(f.Opt)
		for i := range f.Opt {
			f.Opt[i].At, f.Opt[i].Code, f.Opt[i].Build = sluice.Place{}, "", nil // Files has them
		}
		r.Prints[key] = fingerprint{Settings: hashOf(f, around), Files: files, Kind: f.Runtime, Also: also}
	}
	for i := range app.Endpoints {
		e := app.Endpoints[i]
		r.Prints["endpoint/"+e.Name] = fingerprint{Settings: hashOf(e.Name, e.Hosts, string(e.Spec))}
	}
	r.Prints["app/"+string(app.Name)] = fingerprint{Settings: hashOf(app.Title, app.Dialect, app.Region, app.Domains, string(app.Spec))}
	return r, nil
}

// diff lists the steps from prev (nil when there is none) to next, in the order of Apply.
func diff(prev, next *Revision) []Step {
	old := map[string]fingerprint{}
	if prev != nil {
		old = prev.Prints
	}
	var steps []Step
	add := func(key, kind, name string, at sluice.Place) {
		s := Step{Verb: Unchanged, Kind: kind, Name: name, At: at}
		was, known := old[key]
		switch is := next.Prints[key]; {
		case !known:
			s.Verb = Create
		case was.Kind != is.Kind:
			s.Verb, s.Why = Replace, "runtime"
		case was.Settings != is.Settings:
			s.Verb, s.Why = Change, "settings"
		case was.Files != is.Files:
			s.Verb, s.Why = Change, "code"
		}
		if kind == "action" && s.Verb != Unchanged {
			s.Verb, s.Why = Run, ""
		}
		steps = append(steps, s)
	}
	app := next.App
	for i := range app.Actions {
		if a := &app.Actions[i]; a.When == "pre" {
			add(actionKey(i, a), "action", a.Run, a.At)
		}
	}
	for _, t := range app.Tables {
		add("table/"+t.Name, "table", t.Name, t.At)
	}
	for _, b := range app.Buckets {
		add("bucket/"+b.Name, "bucket", b.Name, b.At)
	}
	for i := range app.Sites {
		s := &app.Sites[i]
		add(siteKey(s), "site", s.Bucket+"/"+s.Prefix, s.At)
	}
	for _, f := range app.Functions {
		add("function/"+string(f.Name), "function", string(f.Name), f.At)
	}
	for _, e := range app.Endpoints {
		add("endpoint/"+e.Name, "endpoint", e.Name, e.At)
	}
	add("app/"+string(app.Name), "app", string(app.Name), sluice.Place{File: app.Template})
	for i := range app.Actions {
		if a := &app.Actions[i]; a.When == "post" {
			add(actionKey(i, a), "action", a.Run, a.At)
		}
	}
	if prev == nil {
		return steps
	}
	gone := func(key, kind, name string, v Verb, why string) {
		if _, ok := next.Prints[key]; !ok {
			steps = append(steps, Step{Verb: v, Kind: kind, Name: name, Why: why})
		}
	}
	for _, e := range prev.App.Endpoints {
		gone("endpoint/"+e.Name, "endpoint", e.Name, Remove, "")
	}
	for _, f := range prev.App.Functions {
		gone("function/"+string(f.Name), "function", string(f.Name), Remove, "")
	}
	for _, t := range prev.App.Tables {
		gone("table/"+t.Name, "table", t.Name, Keep, "its data stays")
	}
	for _, b := range prev.App.Buckets {
		gone("bucket/"+b.Name, "bucket", b.Name, Keep, "its objects stay")
	}
	return steps
}

// hashOf is a short digest of values, by their JSON.
func hashOf(v ...any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("deploy: unhashable " + err.Error()) // only plain data comes here
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

func actionKey(i int, a *sluice.Action) string {
	dir := a.Dir
	if a.Given != "" {
		dir = ""
	}
	return "action/" + hashOf(i, a.When, a.Module, a.Run, dir)
}

func siteKey(s *sluice.Site) string { return "site/" + s.Bucket + "/" + s.Prefix }

func endpointNames(app *sluice.App) []string {
	m := map[string]bool{}
	for _, e := range app.Endpoints {
		m[e.Name] = true
		for _, h := range e.Hosts {
			m["@"+h] = true
		}
	}
	return slices.Sorted(maps.Keys(m))
}
