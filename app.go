package sluice

import "time"

// App is all that one template asks for, with every variable resolved. A dialect's reader makes it,
// deploy plans and applies it, rooms and dialects serve its parts.
type App struct {
	Name      AppName    `json:"name"`
	Title     string     `json:"title,omitempty"`
	Dialect   string     `json:"dialect"` // "aws", "aliyun", "tencent"
	Region    string     `json:"region,omitempty"`
	Dir       string     `json:"dir"`      // the template's folder, absolute
	Template  string     `json:"template"` // the template's file name
	Domains   []string   `json:"domains,omitempty"`
	Functions []Function `json:"functions,omitempty"`
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	Tables    []Table    `json:"tables,omitempty"`
	Buckets   []Bucket   `json:"buckets,omitempty"`
	Sites     []Site     `json:"sites,omitempty"`
	Actions   []Action   `json:"actions,omitempty"` // run before (and after) the rest, in order
	Outputs   []Output   `json:"outputs,omitempty"`
	Warnings  []Notice   `json:"warnings,omitempty"` // repairs and ignored parts, each one line
	Spec      []byte     `json:"spec,omitempty"`     // JSON, the dialect's own: what its API told of an app without a template
}

// Notice is one line for the person who deploys.
type Notice struct {
	At   Place  `json:"at"`
	Text string `json:"text"`
	Info bool   `json:"info,omitempty"` // nothing to act on: a default taken, a step that is ours anyway
}

// Output is one named value that a template promises (an address, mostly).
type Output struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Export string `json:"export,omitempty"` // the name under which other apps find it
}

// Function is one function of an app.
type Function struct {
	Name         FunctionName      `json:"name"`               // unique within the app
	Group        string            `json:"group,omitempty"`    // Alibaba's service, Tencent's namespace
	Physical     string            `json:"physical,omitempty"` // the cloud's own name where it is another: AWS's {stack}-{logical id}-{suffix}
	Runtime      string            `json:"runtime"`            // as the template spells it: nodejs20, custom, provided.al2023 …
	Handler      string            `json:"handler,omitempty"`
	Initializer  string            `json:"initializer,omitempty"`
	InitCommand  []string          `json:"initCommand,omitempty"` // of custom runtimes, in place of Initializer
	PreStop      string            `json:"preStop,omitempty"`
	PreFreeze    string            `json:"preFreeze,omitempty"`
	StopTime     time.Duration     `json:"stopTime,omitempty"`   // for PreStop; 0 is 3 s
	FreezeTime   time.Duration     `json:"freezeTime,omitempty"` // for PreFreeze; 0 is 3 s
	Code         string            `json:"code"`                 // folder (or zip) with the code, absolute; deploy copies it per revision
	Ignore       []string          `json:"ignore,omitempty"`     // gitignore patterns not to copy
	Files        map[string]string `json:"files,omitempty"`      // written over the code, path → text: code that stands in the template
	Build        *Build            `json:"build,omitempty"`      // how to make the code runnable; nil when it is
	Command      []string          `json:"command,omitempty"`    // of custom runtimes; relative to the code
	Port         int               `json:"port,omitempty"`       // that a custom runtime's server would listen on in the cloud
	Env          map[string]string `json:"env,omitempty"`
	Layers       []string          `json:"layers,omitempty"` // by the cloud's names
	Opt          []Layer           `json:"opt,omitempty"`    // content for /opt, later ones over earlier ones
	MemoryMB     int               `json:"memoryMB"`
	Timeout      time.Duration     `json:"timeout"`
	InitTimeout  time.Duration     `json:"initTimeout,omitempty"`
	Concurrency  int               `json:"concurrency,omitempty"`  // calls at once in one instance; 0 is 1
	MaxInstances int               `json:"maxInstances,omitempty"` // 0 is the room's default
	MinInstances int               `json:"minInstances,omitempty"`
	HTTP         *HTTPTrigger      `json:"http,omitempty"` // the function is reachable by HTTP
	Timers       []Timer           `json:"timers,omitempty"`
	Changes      []Changes         `json:"changes,omitempty"` // of tables, which call it
	Objects      []ObjectEvents    `json:"objects,omitempty"` // of buckets, which call it
	Async        *AsyncCalls       `json:"async,omitempty"`   // nil is the dialect's defaults
	Health       *HealthCheck      `json:"health,omitempty"`
	Description  string            `json:"description,omitempty"`
	Extra        []byte            `json:"extra,omitempty"` // JSON, what only the dialect understands (role, aliases, tags)
	At           Place             `json:"at"`
}

// Layer is files that a function finds besides its code.
type Layer struct {
	Name  string `json:"name"`
	Code  string `json:"code"`            // folder or zip, absolute; deploy copies it per revision
	Under string `json:"under,omitempty"` // folder within /opt that the files come to: "nodejs"
	Build *Build `json:"build,omitempty"`
	At    Place  `json:"at"`
}

// Build says how a function's code is made runnable. It runs in a copy of the code's folder.
type Build struct {
	// Kind is "go": go build -o Output Package in Dir; "shell": Command; "npm" and "pip": the packages
	// that the code's manifest names are put beside it (for "npm" into node_modules, for "pip" into
	// Output); "esbuild": Command is its arguments, and what it writes is the code; "make": the Makefile's
	// target Command[0] writes the code to $ARTIFACTS_DIR.
	Kind    string   `json:"kind"`
	Dir     string   `json:"dir"` // absolute
	Package string   `json:"package,omitempty"`
	Output  string   `json:"output,omitempty"` // file within the function's code
	Command []string `json:"command,omitempty"`
}

// HTTPTrigger lets clients call a function over HTTP.
type HTTPTrigger struct {
	Name    string   `json:"name"`
	Methods []string `json:"methods,omitempty"` // empty is any
	Auth    string   `json:"auth,omitempty"`    // "anonymous" or "function"
	Hosts   []string `json:"hosts,omitempty"`   // custom domains
	Routes  []Route  `json:"routes,omitempty"`  // parts of custom domains
}

// Route is a part of a custom domain that shows a function. Of several that match a request, the one
// with the longest path gets it.
type Route struct {
	Host    string    `json:"host"`
	Path    string    `json:"path"`              // "/a", or "/a/*" for all below; "/*" and "" are everything
	Methods []string  `json:"methods,omitempty"` // empty is any
	Rewrite []Rewrite `json:"rewrite,omitempty"` // the first that matches changes the path
}

// Rewrite changes the path that a function sees.
type Rewrite struct {
	Kind  string `json:"kind"`  // "equal", "wildcard" (each * is any text) or "regex"
	Match string `json:"match"` // the whole path, without the query
	To    string `json:"to"`    // $1 … are what the wildcards or groups of Match have matched
}

// Timer calls a function on a schedule.
type Timer struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"` // as the dialect spells it
	Payload  string `json:"payload,omitempty"`
	Disabled bool   `json:"disabled,omitempty"`
}

// Changes calls a function with the records of a table's stream, in their order.
type Changes struct {
	Table     string        `json:"table"`
	Batch     int           `json:"batch,omitempty"`   // records in one call; 0 is the dialect's default
	Window    time.Duration `json:"window,omitempty"`  // wait so long for a batch to fill
	Latest    bool          `json:"latest,omitempty"`  // begin with what comes after the deploy, else with the oldest record
	Retries   int           `json:"retries,omitempty"` // of a failing batch; -1 is for ever
	MaxAge    time.Duration `json:"maxAge,omitempty"`  // records older than that are skipped; 0 is never
	Bisect    bool          `json:"bisect,omitempty"`  // split a failing batch in two
	Partial   bool          `json:"partial,omitempty"` // the answer may name the first record that failed
	Filters   []string      `json:"filters,omitempty"` // as the dialect spells them; a record needs one of them
	OnFailure string        `json:"onFailure,omitempty"`
	Disabled  bool          `json:"disabled,omitempty"`
}

// ObjectEvents calls a function when objects come and go.
type ObjectEvents struct {
	Name   string   `json:"name,omitempty"`
	Bucket string   `json:"bucket"`
	Events []string `json:"events"` // as the dialect spells them, with * at an end
	Prefix string   `json:"prefix,omitempty"`
	Suffix string   `json:"suffix,omitempty"`
}

// AsyncCalls says how calls are made whose results nobody waits for.
type AsyncCalls struct {
	Retries   int           `json:"retries"`             // after the function's own failures
	MaxAge    time.Duration `json:"maxAge,omitempty"`    // a call is given up after so long; 0 is the dialect's default
	OnSuccess string        `json:"onSuccess,omitempty"` // what is told of the result, as the dialect names it
	OnFailure string        `json:"onFailure,omitempty"` // what is told of a call that is given up
}

// HealthCheck asks the server of a custom runtime how it is.
type HealthCheck struct {
	Path    string        `json:"path"`              // that is well when its status is 200 to 399
	Delay   time.Duration `json:"delay,omitempty"`   // before the first
	Every   time.Duration `json:"every,omitempty"`   // default 3 s
	Timeout time.Duration `json:"timeout,omitempty"` // of one; default 1 s
	Good    int           `json:"good,omitempty"`    // in a row that make an instance well; default 1
	Bad     int           `json:"bad,omitempty"`     // in a row that end it; default 3
}

// Endpoint is one API that clients reach on the public listener: WebSocket, HTTP or both. What its
// routes mean only its dialect knows, so the description travels unread.
type Endpoint struct {
	Name  string   `json:"name"`
	Hosts []string `json:"hosts,omitempty"` // besides {app}.localhost and the app's domains
	Spec  []byte   `json:"spec"`            // JSON, the dialect's own
	At    Place    `json:"at"`
}

// Table is a table that a template declares. Spec is the dialect's own table description (the body
// of its CreateTable call), for the dialect to create or alter it with.
type Table struct {
	Name string `json:"name"`
	Spec []byte `json:"spec"`
	At   Place  `json:"at"`
}

// Bucket is an object bucket.
type Bucket struct {
	Name    string   `json:"name"`
	ACL     string   `json:"acl,omitempty"`   // private, public-read, public-read-write; "" leaves it
	Hosts   []string `json:"hosts,omitempty"` // custom domains that show it as a website
	Website *Website `json:"website,omitempty"`
	// Docs are settings that only the dialect understands, by its own names for them.
	Docs map[string][]byte `json:"docs,omitempty"`
	At   Place             `json:"at"`
}

// Website is how a bucket (or one folder of it) answers browsers.
type Website struct {
	Index   string `json:"index,omitempty"` // default index.html
	Error   string `json:"error,omitempty"` // key of the error document
	SubDir  bool   `json:"subDir,omitempty"`
	SubType int    `json:"subType,omitempty"` // 0 redirect, 1 no such key, 2 index (aliyun.md 4.4)

	ErrorStatus int `json:"errorStatus,omitempty"` // of the error document; 0 is 404
}

// Site is a folder of files that a deploy uploads.
type Site struct {
	Bucket  string   `json:"bucket"`
	Prefix  string   `json:"prefix,omitempty"`  // key prefix, with its final slash
	Dir     string   `json:"dir"`               // absolute
	Website *Website `json:"website,omitempty"` // for this prefix
	At      Place    `json:"at"`
}

// Action is a command that the template runs around a deploy.
type Action struct {
	When   string `json:"when"` // "pre", "post", or "fail": after a deploy that failed
	Module string `json:"module,omitempty"`
	Run    string `json:"run"` // for sh -c
	Dir    string `json:"dir"` // absolute
	// Files are written to a folder of their own while the command runs; $SLUICE_FILES names it. They may
	// tell of ports and other things of the moment: it is Given that makes an action run again when it
	// changes, as Run and what is in Dir do. "" leaves it to Run and the files of Dir, by name and time.
	Files map[string]string `json:"files,omitempty"`
	Given string            `json:"given,omitempty"`
	At    Place             `json:"at"`
}
