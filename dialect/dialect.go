// Package dialect says what one cloud brings to sluice: a bundle of adapters that translate its
// protocols to the rooms' terms. A dialect has no state of its own.
package dialect

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/table"
)

// Rooms are what the server hands to every dialect. All are needed, but for Store.
type Rooms struct {
	Store     kv.Store // for queues of asynchronous calls; nil: there are none
	Functions *function.Functions
	Sockets   Sockets
	Tables    *table.Tables
	Objects   *object.Store
	Keys      *access.Keys
	Log       *slog.Logger
	// Logs takes what dialects write into functions' logs; nil: nobody does.
	Logs function.LogSink
	// Recent is what a function has logged lately, oldest first; nil: nobody keeps it.
	Recent func(app sluice.AppName, fn sluice.FunctionName) []sluice.LogLine
	// Apps deploys what clients describe to a cloud's API; nil: they cannot.
	Apps Apps
	// Admin is the address of the admin listener, "http://127.0.0.1:4566": the clouds' APIs are there.
	Admin string
	// Public is the host[:port] under which clients and functions of this machine reach an app.
	Public func(app sluice.AppName) string
	// Dir is where dialects keep files that functions and actions use, absolute; "" means that they have
	// none, and do without.
	Dir string
	// FixSockets lets dialects correct pages that name the cloud's port for sockets (config, ws-url-fix).
	FixSockets bool
}

// Sockets are the pushes of the gateway room that dialects need.
type Sockets interface {
	// Push sends f to one connection.
	Push(ctx context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome
	// PushMany sends f to many, and returns one outcome for each.
	PushMany(ctx context.Context, ids []sluice.ConnID, f sluice.Frame) []sluice.Outcome
	// Get is a snapshot of a connection; the outcome is Queued when there is one.
	Get(ctx context.Context, id sluice.ConnID) (sluice.Conn, sluice.Outcome)
	// Owner says whose an open connection is; the outcome is Queued when there is one. It is Get, but quick.
	Owner(ctx context.Context, id sluice.ConnID) (app sluice.AppName, endpoint string, o sluice.Outcome)
	// Close closes a connection after what is queued for it.
	Close(ctx context.Context, id sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome
	// PushAliases sends f to every live connection of each alias, and returns whom it reached, for each.
	PushAliases(ctx context.Context, as []sluice.Alias, f sluice.Frame) []gateway.Reach
	// PushGroup sends f to every member of a group but some, and returns to how many.
	PushGroup(ctx context.Context, grp gateway.Group, f sluice.Frame, except ...sluice.ConnID) (sent int)
	Join(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
	Leave(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
	GroupSize(ctx context.Context, grp gateway.Group) int
}

// Apps is the deploy room for clouds' APIs, whose clients describe their functions one by one.
type Apps interface {
	// List is every app as it is deployed now.
	List(ctx context.Context) ([]*sluice.App, error)
	// History is the kept revisions of an app, newest first.
	History(ctx context.Context, app sluice.AppName) ([]*sluice.App, error)
	// Deploy puts an app into service in place of what has its name. A failed one changes nothing.
	Deploy(ctx context.Context, app *sluice.App) error
	// Remove takes an app and its keys away. Its tables and objects stay.
	Remove(ctx context.Context, app sluice.AppName) error
}

// Dialect is one cloud. A nil field means that the cloud has no such thing.
type Dialect struct {
	Name string
	// Reader reads its templates.
	Reader deploy.Reader
	// APIs are what it serves on the admin listener.
	APIs APIs
	// Starters start instances of the runtimes that only this cloud's protocols reach.
	Starters []function.Starter
	// Environment is what a function of an app finds in its environment, over the template's own.
	Environment func(ctx context.Context, app *sluice.App, f *sluice.Function) (map[string]string, error)
	// Exports are the variables that point this cloud's SDKs and CLIs at us, for sluice env.
	Exports func(k access.Credentials, admin string) map[string]string
	// Actions is what a template's actions find in their environment besides Exports.
	Actions func(app *sluice.App) (map[string]string, error)
	// Tool is the name of the cloud's own tool, which this binary is when actions run it; "" is none.
	Tool string
	// Front makes what an app shows on the public listener.
	Front func(ctx context.Context, app *sluice.App) (*Front, error)
	// EnsureTable makes a table that a template declares.
	EnsureTable func(ctx context.Context, app *sluice.App, t *sluice.Table) error
	// Notify is told of objects that come and go; it calls the functions that ask for it.
	Notify object.Notify
	// Run does what has to be done in the background (asynchronous calls) until ctx ends.
	Run func(ctx context.Context) error
	// Hosts are patterns of vendor host names ("*.aliyuncs.com") that functions may call and we answer.
	Hosts []string
}

// APIs are a cloud's services, in the order in which they are asked whether a request is theirs.
type APIs []API

// API is one service.
type API struct {
	Claims func(r *http.Request) bool
	http.Handler
	// Whole reports whether the answer to a request is made whole, and nobody needs to know before that the client has
	// left: then it can do without net/http (internal/whole). nil is never.
	Whole func(r *http.Request) bool
}

// For is the service that a request is for; nil when it is for none.
func (a APIs) For(r *http.Request) *API {
	for i := range a {
		if a[i].Claims(r) {
			return &a[i]
		}
	}
	return nil
}

// Always says that every answer of an API is made whole.
func Always(*http.Request) bool { return true }

// Front is one deployed app on the public listener.
type Front struct {
	// Hosts that the app answers besides {app}.localhost and its domains. No ports.
	Hosts []string
	// Paths begin the paths that it answers at hosts that are nobody's: "/_aws/ws/{apiId}".
	Paths []string
	// HTTP serves what is not an upgrade.
	HTTP http.Handler
	// Post is gateway.Poster's for those of HTTP's requests that push; nil leaves all to HTTP.
	Post func(r *http.Request, body []byte) (gateway.Post, bool)
	// Socket finds the endpoint for a handshake; nil when the app has no WebSocket.
	Socket func(h *sluice.Handshake) (*gateway.Endpoint, *sluice.Refusal)
	// Endpoints are all endpoints that Socket can return, for connections that outlive a deploy.
	Endpoints []*gateway.Endpoint
	// Addresses are shown to the person who deploys: name and path or URL.
	Addresses []sluice.Output
	// Removed is called when the app is taken off the listener for good; nil: nobody needs to know.
	Removed func()
}
