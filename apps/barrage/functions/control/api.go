package main

import (
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

// api answers the routes. Those of the original app keep their shapes; the ones that moderate
// need a session.
type api struct {
	wall *wall.Wall
}

// answer is what a route returns: JSON, or an error.
type answer func(ctx context.Context, r *http.Request) (any, error)

func routes(w *wall.Wall) http.Handler {
	a := api{w}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(rw http.ResponseWriter, r *http.Request) {
		io.WriteString(rw, "barrage")
	})
	public := map[string]answer{
		"GET /status":    a.status,
		"GET /wall":      a.state,
		"POST /send":     a.send,
		"POST /like":     a.like,
		"POST /receipts": a.receipts,
		"POST /login":    a.login,
	}
	moderators := map[string]answer{
		"GET /session":         a.session,
		"POST /status":         a.changeStatus,
		"GET /barrage":         a.find,
		"PUT /barrage":         a.decideMany,
		"GET /barrage/{id}":    a.message,
		"PUT /barrage/{id}":    a.decide,
		"DELETE /barrage/{id}": a.erase,
		"POST /screen":         a.screen,
	}
	for pattern, f := range public {
		mux.Handle(pattern, serve(f))
	}
	for pattern, f := range moderators {
		mux.Handle(pattern, serve(func(ctx context.Context, r *http.Request) (any, error) {
			if err := w.CheckSession(ctx, bearer(r)); err != nil {
				return nil, err
			}
			return f(ctx, r)
		}))
	}
	return mux
}

func serve(f answer) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(rw, r.Body, 256<<10)
		v, err := f(r.Context(), r)
		if err != nil {
			wall.WriteError(rw, err)
			return
		}
		wall.WriteJSON(rw, http.StatusOK, v)
	})
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// read decodes a request's JSON, or its form as the original app allows.
func read(r *http.Request, v any) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return &wall.Error{Kind: wall.Invalid, Text: "the body is too large"}
	}
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "application/x-www-form-urlencoded" && !json.Valid(body) {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return &wall.Error{Kind: wall.Invalid, Text: "the body is not a form"}
		}
		fields := map[string]any{}
		for name := range form {
			fields[name] = form.Get(name)
			if n, err := strconv.ParseInt(form.Get(name), 10, 64); err == nil && numeric[name] {
				fields[name] = n
			}
		}
		if body, err = json.Marshal(fields); err != nil {
			return err
		}
	}
	if err := json.Unmarshal(body, v); err != nil {
		return &wall.Error{Kind: wall.Invalid, Text: "the body is not the JSON that this call takes"}
	}
	return nil
}

// numeric names the form fields that are numbers.
var numeric = map[string]bool{"status": true, "checkStatus": true, "rate": true, "count": true}

// status tells the rules. The word list is for moderators only.
func (a api) status(ctx context.Context, r *http.Request) (any, error) {
	s, err := a.wall.Settings(ctx)
	if err == nil && a.wall.CheckSession(ctx, bearer(r)) != nil {
		s.FilterWords = ""
	}
	return s, err
}

func (a api) changeStatus(ctx context.Context, r *http.Request) (any, error) {
	var c wall.SettingsChange
	if err := read(r, &c); err != nil {
		return nil, err
	}
	return a.wall.ChangeSettings(ctx, c)
}

func (a api) state(ctx context.Context, r *http.Request) (any, error) {
	recent, _ := strconv.Atoi(r.FormValue("recent"))
	return a.wall.State(ctx, r.FormValue("device"), recent)
}

func (a api) send(ctx context.Context, r *http.Request) (any, error) {
	var p wall.Post
	if err := read(r, &p); err != nil {
		return nil, err
	}
	return a.wall.Send(ctx, p)
}

func (a api) like(ctx context.Context, r *http.Request) (any, error) {
	var l struct {
		FromID string `json:"fromId"`
		Count  int64  `json:"count"`
	}
	if err := read(r, &l); err != nil {
		return nil, err
	}
	return struct{}{}, a.wall.Like(ctx, l.FromID, l.Count)
}

func (a api) receipts(ctx context.Context, r *http.Request) (any, error) {
	var q struct {
		FromID string   `json:"fromId"`
		CIDs   []string `json:"cids"`
	}
	if err := read(r, &q); err != nil {
		return nil, err
	}
	found, err := a.wall.Receipts(ctx, q.FromID, q.CIDs)
	return map[string]any{"receipts": found}, err
}

func (a api) login(ctx context.Context, r *http.Request) (any, error) {
	var l struct {
		Password string `json:"password"`
	}
	if err := read(r, &l); err != nil {
		return nil, err
	}
	token, expires, err := a.wall.Login(ctx, l.Password)
	return map[string]any{"token": token, "expires": expires.UnixMilli()}, err
}

// session is for a page that wants to know whether its token still works.
func (a api) session(ctx context.Context, r *http.Request) (any, error) {
	return struct{}{}, nil
}

// find answers as the original does: an object of messages by "gid,id".
func (a api) find(ctx context.Context, r *http.Request) (any, error) {
	s := wall.Search{Status: -1, Query: r.FormValue("q")}
	if v := r.FormValue("checkStatus"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, &wall.Error{Kind: wall.Invalid, Text: "checkStatus is 0, 1 or 2"}
		}
		s.Status = n
	}
	s.Before, _ = strconv.ParseInt(r.FormValue("before"), 10, 64)
	s.Limit, _ = strconv.Atoi(r.FormValue("limit"))
	found, err := a.wall.Find(ctx, s)
	if err != nil {
		return nil, err
	}
	out := map[string]wall.Message{}
	for _, m := range found {
		out[strconv.FormatInt(m.GID, 10)+","+strconv.FormatInt(m.ID, 10)] = m
	}
	return out, nil
}

func pathID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return 0, &wall.Error{Kind: wall.NotFound, Text: "there is no such message"}
	}
	return id, nil
}

func (a api) message(ctx context.Context, r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return a.wall.Message(ctx, id)
}

func (a api) decide(ctx context.Context, r *http.Request) (any, error) {
	var d struct {
		CheckStatus int64 `json:"checkStatus"`
	}
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	if err := read(r, &d); err != nil {
		return nil, err
	}
	return a.wall.Decide(ctx, id, d.CheckStatus)
}

// decideMany decides several messages and says which others had decided.
func (a api) decideMany(ctx context.Context, r *http.Request) (any, error) {
	var d struct {
		IDs         []int64 `json:"ids"`
		CheckStatus int64   `json:"checkStatus"`
	}
	if err := read(r, &d); err != nil {
		return nil, err
	}
	changed, decided, err := a.wall.DecideMany(ctx, d.IDs, d.CheckStatus)
	return map[string]any{"changed": changed, "decided": decided}, err
}

func (a api) erase(ctx context.Context, r *http.Request) (any, error) {
	id, err := pathID(r)
	if err != nil {
		return nil, err
	}
	return struct{}{}, a.wall.Erase(ctx, id)
}

func (a api) screen(ctx context.Context, r *http.Request) (any, error) {
	var s struct {
		Action string `json:"action"`
	}
	if err := read(r, &s); err != nil {
		return nil, err
	}
	return struct{}{}, a.wall.Control(ctx, s.Action)
}
