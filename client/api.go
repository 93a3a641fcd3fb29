// Package client speaks sluice's own admin API: the command line and the tests use it, and package
// console serves it. The API lives under /_sluice/api/ on the admin listener; this file is its form.
package client

import (
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice"
)

// Ready is the first line that a server prints with --json, and GET status.
type Ready struct {
	Event   string   `json:"event"` // "ready"
	Version string   `json:"version"`
	Data    string   `json:"data"`
	Public  []string `json:"public"` // http://host:port
	Admin   string   `json:"admin"`
	Console string   `json:"console"`
	App     *App     `json:"app,omitempty"` // of sluice dev
}

// App is one deployed app.
type App struct {
	Name      sluice.AppName   `json:"name"`
	Dialect   string           `json:"dialect"`
	Revision  string           `json:"revision"`
	Deployed  time.Time        `json:"deployed"`
	WebSocket []string         `json:"websocket"`
	HTTP      []string         `json:"http"`
	Outputs   []sluice.Output  `json:"outputs,omitempty"`
	Functions []FunctionStatus `json:"functions,omitempty"`
	Conns     int              `json:"conns"`
}

// FunctionStatus is how one function is doing.
type FunctionStatus struct {
	Name      sluice.FunctionName `json:"name"`
	Runtime   string              `json:"runtime"`
	Instances int                 `json:"instances"`
	InFlight  int                 `json:"inFlight"`
	Queued    int                 `json:"queued"`
	Calls     uint64              `json:"calls"`
	Errors    uint64              `json:"errors"`
	Cold      uint64              `json:"cold"`
	InitError string              `json:"initError,omitempty"`
}

// Line is one line of a streamed answer (deploy, plan): progress, or the end.
type Line struct {
	Event  string `json:"event"`          // "step", "warning", "note", "done", "error"
	Step   string `json:"step,omitempty"` // run, build, copy, check, upload, mount, create, change, replace, remove
	Kind   string `json:"kind,omitempty"`
	Name   string `json:"name,omitempty"`
	Status string `json:"status,omitempty"` // of a step: start, done, fail, skip, log; of a plan: create, change, replace, remove, same
	Text   string `json:"text,omitempty"`
	Hint   string `json:"hint,omitempty"`
	TookMS int64  `json:"tookMs,omitempty"`
	App    *App   `json:"app,omitempty"` // of "done"
}

// Invoked is the answer to an invocation.
type Invoked struct {
	Request  string          `json:"request"`
	Result   string          `json:"result"`
	Base64   bool            `json:"base64,omitempty"` // Result is base64, for it was not text
	Failed   bool            `json:"failed,omitempty"`
	Type     string          `json:"type,omitempty"` // of the failure
	Message  string          `json:"message,omitempty"`
	Log      string          `json:"log"`
	TookMS   float64         `json:"tookMs"`
	Cold     bool            `json:"cold,omitempty"`
	Instance string          `json:"instance,omitempty"`
	Raw      json.RawMessage `json:"-"`
}

// Conn is one live connection.
type Conn struct {
	ID          string            `json:"id"`
	App         sluice.AppName    `json:"app"`
	Endpoint    string            `json:"endpoint"`
	Alias       string            `json:"alias,omitempty"`
	Remote      string            `json:"remote"`
	ConnectedAt time.Time         `json:"connectedAt"`
	LastActive  time.Time         `json:"lastActive"`
	Attrs       map[string]string `json:"attrs,omitempty"`
}

// Table is one table with its key.
type Table struct {
	Scope string   `json:"scope"`
	Name  string   `json:"name"`
	Key   []string `json:"key"` // "name type"
}

// Row is one row as people read it: binary values are {"$binary": base64}. Key columns come first.
type Row struct {
	Key     []any          `json:"key"`
	Columns map[string]any `json:"columns"`
}

// Object is one stored object.
type Object struct {
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	Size     int64     `json:"size"`
	ETag     string    `json:"etag,omitempty"`
	Modified time.Time `json:"modified,omitzero"`
	Type     string    `json:"type,omitempty"`
}

// Error is the body of every refused request.
type Error struct {
	Message string `json:"error"`
	Hint    string `json:"hint,omitempty"`
}
