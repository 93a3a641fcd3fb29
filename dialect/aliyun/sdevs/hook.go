package sdevs

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice"
)

// postInit runs a template's hook as the official tool's init does (section 5.2), but on the template
// whose placeholders are filled.
//
//go:embed postInit.cjs
var postInit string

// hook puts the hook of an application before all other actions, and what the application's overlay
// adds around it. They run again when the hook's folder or the parameters changed.
func (r *reading) hook() {
	top := r.in.Dir
	if !isFile(filepath.Join(top, "publish.yaml")) {
		if filepath.Base(top) != "src" || !isFile(filepath.Join(filepath.Dir(top), "publish.yaml")) {
			return
		}
		top = filepath.Dir(top)
	}
	dir := filepath.Join(top, "hook")
	if !isFile(filepath.Join(dir, "index.js")) {
		return
	}
	params, _ := json.Marshal(r.in.Params) // texts: it cannot fail
	given := sha256.Sum256(append(params, r.app.Name...))
	add := func(run string, files map[string]string) {
		r.app.Actions = append(r.app.Actions, sluice.Action{When: "pre", Run: run, Dir: dir, Files: files,
			Given: hex.EncodeToString(given[:]), At: sluice.Place{File: "hook/index.js"}})
	}
	before, after := r.overlay(top)
	for _, run := range before {
		add(run, nil)
	}
	add(`node "$SLUICE_FILES/postInit.cjs"`, map[string]string{"postInit.cjs": postInit, "s.yaml": r.filled, "parameters.json": string(params)})
	for _, run := range after {
		add(run, nil)
	}
}

// overlay is what sluice runs before and after the hook of an application that cannot work as
// published (section 6.5).
func (r *reading) overlay(top string) (before, after []string) {
	text, err := readLimited(filepath.Join(top, "publish.yaml"))
	if err != nil || r.in.NoOverlay {
		return nil, nil
	}
	doc, err := parse("publish.yaml", text)
	if err != nil || r.vars.text(doc.get("Name"), nil) != "start-barrage" {
		return nil, nil
	}
	at := sluice.Place{File: "publish.yaml"}
	r.warn(at, `overlay of start-barrage: table "barrage" gets the INTEGER key "gid" that its functions write (--no-overlay leaves it STRING)`)
	r.warn(at, `overlay of start-barrage: row 1 of "interceptor" gets a filterWords that its pages can send back, " " (--no-overlay leaves it empty)`)
	instance := r.vars.text(r.root.get("vars").get("tablestore").get("instance"), nil)
	call := func(method, data, rest string) string {
		return "s cli tablestore " + method + " -p '" + data + "' instance '" + strings.ReplaceAll(instance, "'", `'\''`) + "'" + rest
	}
	return []string{call("createTable", `{"tableMeta":{"tableName":"barrage","primaryKey":[{"name":"gid","type":"INTEGER"},{"name":"id","type":"INTEGER","option":"AUTO_INCREMENT"}]}}`, "")},
		[]string{call("insertTable", `{"filterWords":" ","status":0}`, " primaryKey id primaryValue 1 tablename interceptor")}
}
