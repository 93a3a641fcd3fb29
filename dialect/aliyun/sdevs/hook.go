package sdevs

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/deploy/template"
)

// postInit runs a template's hook as the official tool's init does (section 5.2), but on the template
// whose placeholders are filled.
//
//go:embed postInit.cjs
var postInit string

// hook is the commands that run the hook of an application, and what the application's overlay adds
// around it. They run again when the hook's folder or the parameters changed.
func (r *reading) hook() (list []sluice.Action) {
	top := r.in.Dir
	if !isFile(filepath.Join(top, "publish.yaml")) {
		if filepath.Base(top) != "src" || !isFile(filepath.Join(filepath.Dir(top), "publish.yaml")) {
			return nil
		}
		top = filepath.Dir(top)
	}
	dir := filepath.Join(top, "hook")
	if !isFile(filepath.Join(dir, "index.js")) || r.in.SkipActions {
		return nil
	}
	params, _ := json.Marshal(r.in.Params) // texts: it cannot fail
	given := sha256.Sum256(append(params, r.app.Name...))
	add := func(run string, files map[string]string) {
		list = append(list, sluice.Action{When: "pre", Run: run, Dir: dir, Files: files,
			Given: hex.EncodeToString(given[:]), At: sluice.Place{File: "hook/index.js"}})
	}
	before, after := r.overlay(top)
	for _, run := range before {
		add(run, nil)
	}
	target, err := filepath.Rel(dir, r.in.Dir)
	if err != nil {
		target = r.in.Dir
	}
	add(`node "$SLUICE_FILES/postInit.cjs"`, map[string]string{"postInit.cjs": postInit, "s.yaml": r.unmarked(r.filled), "parameters.json": string(params), "target": target})
	for _, run := range after {
		add(run, nil)
	}
	if r.in.IgnoreHookErrors && r.in.Init == nil {
		for i := range list {
			list[i].Run = "( " + list[i].Run + " ) || true"
		}
	}
	return list
}

// unmarked is text with the placeholders that nothing fills as they were, for a hook to see.
func (r *reading) unmarked(text string) string {
	return mark.ReplaceAllStringFunc(text, func(m string) string {
		i, err := strconv.Atoi(mark.FindStringSubmatch(m)[1])
		if err != nil || i >= len(r.blanks) {
			return m
		}
		if b := r.blanks[i]; b.hint != "" {
			return "{{ " + b.name + "|" + b.hint + " }}"
		}
		return "{{ " + r.blanks[i].name + " }}"
	})
}

// init runs the hook of an application, whose answers fill the template.
func (rd *Reader) init(ctx context.Context, in deploy.Input) (answers map[string]string, ignored *sluice.Notice, err error) {
	if in.Init == nil {
		return nil, nil, nil
	}
	first := rd.reading(in, nil)
	if !first.begin() {
		return nil, nil, nil // which is told when the template is read for good
	}
	hook := first.hook()
	if len(hook) == 0 {
		return nil, nil, nil
	}
	answers, err = in.Init(ctx, first.app, hook)
	if err != nil && in.IgnoreHookErrors && ctx.Err() == nil {
		return nil, &sluice.Notice{At: hook[0].At, Text: fmt.Sprintf("the hook failed, which is ignored: %v", err)}, nil
	}
	var e *sluice.Error
	if errors.As(err, &e) {
		told := *e
		told.Hint = strings.TrimPrefix(told.Hint+"; --ignore-hook-errors goes on without it", "; ")
		err = &told
	}
	return answers, nil, err
}

// overlay is what sluice runs before and after the hook of an application that cannot work as
// published (section 6.5).
func (r *reading) overlay(top string) (before, after []string) {
	text, err := template.ReadFile(filepath.Join(top, "publish.yaml"))
	if err != nil || r.in.NoOverlay {
		return nil, nil
	}
	doc, err := template.Parse("publish.yaml", text, maxNodes)
	if err != nil || r.vars.text(doc.GetFold("Name"), nil) != "start-barrage" {
		return nil, nil
	}
	at := sluice.Place{File: "publish.yaml"}
	r.warn(at, `overlay of start-barrage: table "barrage" gets the INTEGER key "gid" that its functions write (--no-overlay leaves it STRING)`)
	r.warn(at, `overlay of start-barrage: row 1 of "interceptor" gets a filterWords that its pages can send back, " " (--no-overlay leaves it empty)`)
	instance := r.vars.text(r.root.GetFold("vars").GetFold("tablestore").GetFold("instance"), nil)
	call := func(method, data, rest string) string {
		return "s cli tablestore " + method + " -p '" + data + "' instance '" + strings.ReplaceAll(instance, "'", `'\''`) + "'" + rest
	}
	return []string{call("createTable", `{"tableMeta":{"tableName":"barrage","primaryKey":[{"name":"gid","type":"INTEGER"},{"name":"id","type":"INTEGER","option":"AUTO_INCREMENT"}]}}`, "")},
		[]string{call("insertTable", `{"filterWords":" ","status":0}`, " primaryKey id primaryValue 1 tablename interceptor")}
}
