package console

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/telemetry"
)

// maxUpload is how many bytes of files one deploy may bring.
const maxUpload = 2 << 30

// maxEvent is how many bytes an invocation's event may have.
const maxEvent = 32 << 20

func (a *api) apps(w http.ResponseWriter, r *http.Request) error {
	apps, err := a.Apps.List(r.Context())
	if err != nil {
		return err
	}
	if apps == nil {
		apps = []client.App{}
	}
	return answer(w, apps)
}

func (a *api) remove(w http.ResponseWriter, r *http.Request) error {
	if err := a.Apps.Remove(r.Context(), sluice.AppName(r.PathValue("app"))); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (a *api) rollback(w http.ResponseWriter, r *http.Request) error {
	app, err := a.Apps.Rollback(r.Context(), sluice.AppName(r.PathValue("app")))
	if err != nil {
		return err
	}
	return answer(w, app)
}

// deploy takes a folder as a gzipped tar and answers with its progress, line by line.
func (a *api) deploy(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	dir, done, err := a.Apps.Upload()
	if err != nil {
		return err
	}
	defer done()
	dir = filepath.Join(dir, folderName(q.Get("folder")))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := unpack(http.MaxBytesReader(w, r.Body, maxUpload), dir); err != nil {
		return err
	}
	in := deploy.Input{Dir: dir, File: q.Get("template"), Name: sluice.AppName(q.Get("name")), Params: map[string]string{}, Skip: q["skip"],
		NoOverlay: q.Get("no-overlay") != "", RunBuild: q.Get("run-build") != "",
		Environment: q.Get("env"), SkipActions: q.Get("skip-actions") != "", IgnoreHookErrors: q.Get("ignore-hook-errors") != "",
		SkipUnsupported: q.Get("skip-unsupported") != "", NoBuild: q.Get("no-build") != "",
		Env: func(string) (string, bool) { return "", false }} // the server's own environment is none of a template's business
	for _, p := range q["param"] {
		k, v, _ := strings.Cut(p, "=")
		in.Params[k] = v
	}
	s := newStream(w)
	say := func(l client.Line) {
		l.Text = strings.ReplaceAll(strings.ReplaceAll(l.Text, dir+"/", ""), dir, "the folder") // the client knows another name for it
		s.send(l)                                                                               // when the client has gone, the deploy still ends well
	}
	if q.Get("plan") != "" {
		if err := a.Apps.Plan(r.Context(), in, say); err != nil {
			tellErrors(err, say)
			return nil
		}
		say(client.Line{Event: "done"})
		return nil
	}
	app, err := a.Apps.Deploy(r.Context(), in, say)
	if err != nil {
		tellErrors(err, say)
		return nil
	}
	say(client.Line{Event: "done", App: app})
	return nil
}

// folderName is what the client's folder is called, by which an app without a name of its own is called, too.
func folderName(told string) string {
	if told = path.Base(path.Clean("/" + told)); told == "/" {
		return "app"
	}
	return told
}

// tellErrors tells each of joined errors in its own line.
func tellErrors(err error, say func(client.Line)) {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range j.Unwrap() {
			tellErrors(e, say)
		}
		return
	}
	say(client.Line{Event: "error", Text: err.Error(), Hint: sluice.HintOf(err)})
}

func (a *api) env(w http.ResponseWriter, r *http.Request) error {
	env, err := a.Apps.Env(r.Context(), sluice.AppName(r.URL.Query().Get("app")), r.URL.Query().Get("dialect"))
	if err != nil {
		return err
	}
	return answer(w, env)
}

func (a *api) logs(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	f := telemetry.Filter{App: sluice.AppName(q.Get("app")), Function: sluice.FunctionName(q.Get("function")), Request: q.Get("request")}
	if t := q.Get("since"); t != "" {
		var err error
		if f.Since, err = time.Parse(time.RFC3339Nano, t); err != nil {
			return sluice.Errorf(sluice.Invalid, "since %q: want an RFC 3339 time", t)
		}
	}
	s := newStream(w)
	if q.Get("follow") == "" {
		for _, l := range a.Logs.Recent(f) {
			if err := s.send(l); err != nil {
				return nil // the client left
			}
		}
		return nil
	}
	kept, follower := a.Logs.Follow(f)
	defer a.Logs.Unfollow(follower)
	for _, l := range kept {
		if err := s.send(l); err != nil {
			return nil
		}
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case l := <-follower.Lines():
			if n := a.Logs.Missed(follower); n > 0 {
				s.send(sluice.LogLine{Time: time.Now(), Level: "WARN", Text: fmt.Sprintf("%d lines came faster than they were read and are left out", n)})
			}
			if err := s.send(l); err != nil {
				return nil
			}
		}
	}
}

// invoke calls a function with the request's body as its event.
func (a *api) invoke(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if err != nil {
		return sluice.Errorf(sluice.TooMuch, "read event: %w", err)
	}
	inv := sluice.Invocation{App: sluice.AppName(q.Get("app")), Function: sluice.FunctionName(q.Get("function")), Payload: body}
	if inv.App == "" {
		if inv.App, err = a.owner(r, inv.Function); err != nil {
			return err
		}
	}
	inv.RequestID = sluice.NewRequestID()
	res, err := a.Invoke.Invoke(r.Context(), inv)
	if err != nil {
		return err
	}
	out := client.Invoked{Request: inv.RequestID, Log: string(res.LogTail), TookMS: float64(res.Took.Microseconds()) / 1000, Cold: res.Cold, Instance: res.Instance}
	if res.Failure != nil {
		out.Failed, out.Type, out.Message = true, res.Failure.Type, res.Failure.Message
	}
	if out.Result = string(res.Payload); !utf8.Valid(res.Payload) {
		out.Result, out.Base64 = base64.StdEncoding.EncodeToString(res.Payload), true
	}
	return answer(w, out)
}

// owner finds the one app that has a function of that name.
func (a *api) owner(r *http.Request, name sluice.FunctionName) (sluice.AppName, error) {
	apps, err := a.Apps.List(r.Context())
	if err != nil {
		return "", err
	}
	var found, known []string
	for _, app := range apps {
		for _, f := range app.Functions {
			known = append(known, string(f.Name))
			if f.Name == name {
				found = append(found, string(app.Name))
			}
		}
	}
	switch len(found) {
	case 1:
		return sluice.AppName(found[0]), nil
	case 0:
		e := &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("no app has a function %q", name)}
		if len(known) > 0 {
			e.Hint = "there are: " + strings.Join(known, ", ")
		}
		return "", e
	}
	return "", &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("several apps have a function %q", name), Hint: "name one with --app: " + strings.Join(found, ", ")}
}
