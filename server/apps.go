package server

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/console"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect"
)

// apps is the server as the console sees it.
type apps struct{ *Server }

var _ console.Apps = apps{}

// List lists deployed apps.
func (a apps) List(ctx context.Context) ([]client.App, error) {
	revs, err := a.deploys.List(ctx)
	if err != nil {
		return nil, err
	}
	var out []client.App
	for _, r := range revs {
		out = append(out, *a.show(r))
	}
	return out, nil
}

// show is a revision as clients see it.
func (s *Server) show(r *deploy.Revision) *client.App {
	app := &client.App{Name: r.App.Name, Dialect: r.App.Dialect, Revision: r.ID, Deployed: r.Time,
		WebSocket: []string{}, HTTP: []string{}, Conns: s.gateway.Count(context.Background(), r.App.Name)}
	base := "http://" + s.publicHost(r.App.Name)
	if t := s.hosts.table.Load(); t != nil && t.only != nil && t.only.app.Name == r.App.Name {
		base = publicURL(s.public[0].Addr(), false) // the only app answers for every host
	}
	if m := s.hosts.app(r.App.Name); m != nil {
		if m.front.Socket != nil {
			app.WebSocket = append(app.WebSocket, "ws"+strings.TrimPrefix(base, "http")+"/")
		}
		app.HTTP = append(app.HTTP, base+"/")
		for _, o := range m.front.Addresses {
			if strings.HasPrefix(o.Value, "/") {
				o.Value = base + o.Value
			}
			app.Outputs = append(app.Outputs, o)
		}
	}
	for _, f := range s.functions.List(r.App.Name) {
		st := f.Stats
		app.Functions = append(app.Functions, client.FunctionStatus{Name: f.Name, Runtime: f.Runtime, Instances: st.Idle + st.Busy + st.Starting + st.Draining,
			InFlight: st.InFlight, Queued: st.Queued, Calls: st.Invocations, Errors: st.Errors, Cold: st.ColdStarts, InitError: f.InitError})
	}
	return app
}

// read reads the template of a folder with the dialect that recognises it.
func (s *Server) read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	if src := filepath.Join(in.Dir, "src"); in.File == "" && !s.recognized(in.Dir) && s.recognized(src) {
		in.Dir = src // a published application: the template is below its hook
	}
	for _, d := range s.dialects {
		if d.Reader == nil {
			continue
		}
		if in.File != "" {
			if d.Reader.Recognize(in.Dir) == "" && len(s.dialects) > 1 {
				continue
			}
		} else if in.File = d.Reader.Recognize(in.Dir); in.File == "" {
			continue
		}
		in.Public = s.publicHost
		in.Export = s.exported
		in.Endpoint = func(string) string { return "http://" + adminPlaceholder }
		app, err := d.Reader.Read(ctx, in)
		if err != nil {
			return nil, err
		}
		// What happens now gets today's address; what stays in the revision gets it at every start.
		s.placeActions(app.Actions)
		for i := range app.Outputs {
			app.Outputs[i].Value = s.place(app.Outputs[i].Value)
		}
		for i := range app.Warnings {
			app.Warnings[i].Text = s.place(app.Warnings[i].Text)
		}
		return app, nil
	}
	return nil, &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("%s holds no template", in.Dir),
		Hint: "want s.yaml (Serverless Devs), template.yaml (SAM, CloudFormation) or serverless.yml; name another file with --template"}
}

// placeActions puts today's address into what actions say.
func (s *Server) placeActions(list []sluice.Action) {
	for i := range list {
		a := &list[i]
		a.Run = s.place(a.Run)
		for name, text := range a.Files {
			a.Files[name] = s.place(text)
		}
	}
}

// exported is the value that a deployed app exports under a name (AWS's Fn::ImportValue), or its output
// that app.Name names (Serverless Framework's cf).
func (s *Server) exported(name string) (string, bool) {
	if t := s.hosts.table.Load(); t != nil {
		for _, m := range t.apps {
			for _, o := range m.app.Outputs {
				if o.Export == name || string(m.app.Name)+"."+o.Name == name {
					return o.Value, true
				}
			}
		}
	}
	return "", false
}

// recognized reports whether a folder holds any dialect's template.
func (s *Server) recognized(dir string) bool {
	return slices.ContainsFunc(s.dialects, func(d dialect.Dialect) bool { return d.Reader != nil && d.Reader.Recognize(dir) != "" })
}

// Deploy reads a folder's template, plans and applies it, telling each step.
func (s *Server) Deploy(ctx context.Context, in deploy.Input, say func(client.Line)) (*client.App, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	step := func(p deploy.Progress) {
		say(client.Line{Event: "step", Step: p.Step, Kind: p.Kind, Name: p.Name, Status: string(p.Status), Text: p.Text, TookMS: p.Took.Milliseconds()})
	}
	in.Init = func(ctx context.Context, app *sluice.App, hook []sluice.Action) (map[string]string, error) {
		s.placeActions(hook)
		return s.deploys.Init(ctx, app, hook, step)
	}
	app, err := s.read(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, n := range app.Warnings {
		text := n.Text
		if n.At.File != "" {
			text = n.At.String() + ": " + text
		}
		event := "warning"
		if n.Info {
			event = "note"
		}
		say(client.Line{Event: event, Text: text})
	}
	if domain, other := s.hosts.rival(app); other != "" {
		say(client.Line{Event: "warning", Text: fmt.Sprintf("app %q claims %s, too: it answers for whichever of the two comes first by name", other, domain)})
	}
	plan, err := s.deploys.Plan(ctx, app)
	if err != nil {
		return nil, err
	}
	rev, err := s.deploys.Apply(ctx, plan, step)
	if err != nil {
		return nil, err
	}
	return s.show(rev), nil
}

// Plan tells what Deploy would do. The hook does not run: what it answered last is taken.
func (a apps) Plan(ctx context.Context, in deploy.Input, say func(client.Line)) error {
	in.Init = func(ctx context.Context, app *sluice.App, _ []sluice.Action) (map[string]string, error) {
		return a.deploys.Answers(ctx, app.Name)
	}
	app, err := a.read(ctx, in)
	if err != nil {
		return err
	}
	plan, err := a.deploys.Plan(ctx, app)
	if err != nil {
		return err
	}
	for _, st := range plan.Steps {
		say(client.Line{Event: "step", Kind: st.Kind, Name: st.Name, Status: string(st.Verb), Text: st.Why})
	}
	return nil
}

// uploads is the folder, in the data folder, that holds the files of deploys under way.
const uploads = "uploads"

// Upload makes a folder for the files of a deploy. Builds may run in it, so it is in the data folder.
func (a apps) Upload() (string, func(), error) {
	root := a.path(uploads)
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp(root, "app-*")
	if err != nil {
		return "", nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", nil, err
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			a.log.Warn("remove upload", "err", err)
		}
	}, nil
}

// Remove removes an app and its keys. Its tables and objects stay. Its functions hear of the ends of all
// connections before they go, too.
func (a apps) Remove(ctx context.Context, app sluice.AppName) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if m := a.hosts.app(app); m != nil {
		m.leaving.Store(true)
		defer m.leaving.Store(false) // should it stay after all
		wait, cancel := context.WithTimeout(ctx, lastWords)
		defer cancel()
		if err := a.gateway.HangUp(wait, app, sluice.CloseSpec{Code: 1001, Reason: "the app was removed"}, farewell); err != nil {
			if ctx.Err() != nil {
				return err
			}
			a.log.Warn("an app is removed that was not told of the ends of all its connections", "app", app, "err", err)
		}
	}
	if err := a.deploys.Remove(ctx, app); err != nil {
		return err
	}
	return a.keys.Drop(ctx, app)
}

// How long clients of an app that is removed may take to go, and its functions to hear of it.
const (
	farewell  = 2 * time.Second
	lastWords = 15 * time.Second
)

// Rollback puts the previous revision of an app into service.
func (a apps) Rollback(ctx context.Context, app sluice.AppName) (*client.App, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rev, err := a.deploys.Rollback(ctx, app)
	if err != nil {
		return nil, err
	}
	return a.show(rev), nil
}

// Env is what points official tools at this server.
func (a apps) Env(ctx context.Context, app sluice.AppName, dialect string) (map[string]string, error) {
	if app != "" {
		if rev, err := a.deploys.Current(ctx, app); err != nil || rev == nil {
			return nil, errors.Join(err, sluice.Errorf(sluice.Missing, "no app %q is deployed", app))
		}
	}
	if dialect != "" && a.dialect(dialect) == nil {
		return nil, &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("unknown dialect %q", dialect), Hint: "there are: " + strings.Join(a.names(), ", ")}
	}
	key, err := a.keys.AppKey(ctx, app)
	if err != nil {
		return nil, err
	}
	// A person's shell gets what official tools need to trust us, not what functions get.
	out := a.egressEnv()
	maps.DeleteFunc(out, func(name, _ string) bool { return !slices.Contains(shellEgress, name) })
	for _, d := range a.dialects {
		if d.Exports != nil && (dialect == "" || d.Name == dialect) {
			maps.Copy(out, d.Exports(key, "http://"+reach(a.admin.Addr())))
		}
	}
	return out, nil
}

// shellEgress are the egress settings that sluice env prints.
var shellEgress = []string{"HTTPS_PROXY", "NO_PROXY", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}

func (s *Server) names() []string {
	var out []string
	for _, d := range s.dialects {
		out = append(out, d.Name)
	}
	return out
}

// appHost is {app}.localhost with the port of a listener; localhost when app is "".
func appHost(app sluice.AppName, a net.Addr) string {
	host := "localhost"
	if app != "" {
		host = string(app) + ".localhost"
	}
	if port := a.(*net.TCPAddr).Port; port != 80 {
		host = net.JoinHostPort(host, fmt.Sprint(port))
	}
	return host
}
