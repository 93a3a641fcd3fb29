// Package apigateway speaks Alibaba's API Gateway: REST APIs and two-way communication over a
// WebSocket (aliyun.md sections 1 and 2).
//
// A Group is one deployed API group, compiled from an apigroup.Group and never changed after. It is an
// http.Handler for plain requests and the gateway.Handler of its WebSocket endpoint. On the socket,
// command words (RG, H1, NO) are answered by Control on the shard; JSON requests become Message events
// and go the same way as HTTP requests: match, authorise, map, call the backend. A NOTIFY request goes
// down as a push to the alias that the device chose with RG.
//
// It holds no connection state. What must be remembered about a device (its id, whether its end is
// owed to the backend) the gateway room holds as Alias and Duty.
package apigateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/internal/direct"
	"github.com/sluicehq/sluice/kv"
)

// The limits of section 1.8 and the intervals of section 1.2.
const (
	maxBody     = 8 << 20   // bytes of an HTTP request's body
	maxURL      = 8 << 10   // bytes of a request's path and query
	maxHeaders  = 8 << 10   // bytes of the headers of a request in the socket
	maxMessage  = 128 << 10 // bytes of a message up or down
	maxAnswer   = 6 << 20   // bytes of a function's answer
	keepAlive   = 25 * time.Second
	idle        = 2*keepAlive + 5*time.Second
	maxDeviceID = 256 // bytes
)

// Invoker calls functions: the function room.
type Invoker interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
}

// Sockets are the connections: the gateway room. Groups of connections are our extension: the answer
// to a REGISTER puts its device into the groups that its header x-ca-group names, and a NOTIFY with
// that header goes to all in one. Groups, like devices, are scoped to the endpoint.
type Sockets interface {
	// PushAliases sends f to every live connection of each alias, and returns whom it reached, for each.
	PushAliases(ctx context.Context, as []sluice.Alias, f sluice.Frame) []gateway.Reach
	PushGroup(ctx context.Context, grp gateway.Group, f sluice.Frame, except ...sluice.ConnID) (sent int)
	Join(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
	Leave(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
}

// Sites serves objects of our buckets as a static website: dialect/aliyun/oss. Redirects are made from
// the request's own path.
type Sites interface {
	ServeSite(w http.ResponseWriter, r *http.Request, bucket, key string)
}

// Apps knows the apps, in the sense of API Gateway: who may call APIs of authType APP (section 1.9).
type Apps interface {
	// Secret returns the AppSecret of an AppKey, "" when there is no such key; allowed says whether it
	// may call this group.
	Secret(ctx context.Context, key string) (secret string, allowed bool, err error)
	// Code reports whether an AppCode may call this group.
	Code(ctx context.Context, code string) (bool, error)
}

// Options say what a group is made of. Only App, Endpoint and Group are needed by every group.
type Options struct {
	App       sluice.AppName
	Endpoint  string // the endpoint's name within the app
	Group     apigroup.Group
	Functions Invoker
	Sockets   Sockets
	Sites     Sites
	Apps      Apps
	// Store remembers the nonces of signed requests; nil: this process does.
	Store kv.Store
	// Instance counts the requests of all groups of the app; nil: this group has an instance for itself.
	Instance *Meter
	// Custom reports whether a function runs in a custom runtime, whose view of a path depends on
	// onlyBusinessPath (section 2.7). nil is never.
	Custom    func(sluice.FunctionName) bool
	TLS       bool              // the public listener speaks TLS: an API for HTTPS alone refuses HTTP
	Transport http.RoundTripper // to HTTP backends; nil is one with sensible limits
	// BodyWait is how long the body of an HTTP request may take to come; 0 is a minute.
	BodyWait time.Duration
	Log      *slog.Logger
	Now      func() time.Time // nil is time.Now
}

// Group is one deployed API group.
type Group struct {
	o          Options
	root       node
	apis       []*route
	meter      Meter
	nonces     nonces
	scope      string // of its devices' aliases
	newcomers  string // and of those that have not registered, when only registered ones are notified
	unregister *route // the API of type UNREGISTER; nil when there is none
	endpoint   *gateway.Endpoint
}

// New compiles a group. Its errors are the template's: a path that cannot be matched, an API that no
// backend can answer.
func New(o Options) (*Group, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Instance == nil {
		o.Instance = &Meter{}
	}
	if o.BodyWait == 0 {
		o.BodyWait = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		o.Transport = direct.New(&http.Transport{Proxy: http.ProxyFromEnvironment}) // bodies pass as they are
	}
	set := &o.Group.Settings
	if set.UnregisteredIdle <= 0 {
		set.UnregisteredIdle = 5 * time.Minute
	}
	g := &Group{o: o, scope: string(o.App) + "/" + o.Endpoint}
	g.newcomers = g.scope
	if set.RequireRegister {
		g.newcomers += "\x00new"
	}
	longest := 10 * time.Second
	for i := range o.Group.APIs {
		a := &o.Group.APIs[i]
		rt, err := g.root.add(o.Group.BasePath, a)
		if err != nil {
			return nil, &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("API %q: %v", a.Name, err), At: a.Place}
		}
		g.apis = append(g.apis, rt)
		longest = max(longest, a.Backend.Timeout)
		if a.WebSocketType == apigroup.Unregister && g.unregister == nil && !set.NoFarewell {
			g.unregister = rt
		}
	}
	g.root.sort()
	g.endpoint = &gateway.Endpoint{App: o.App, Name: o.Endpoint, Handler: g, Policy: gateway.Policy{
		AutoAccept:   true,
		EventTimeout: 3*longest + 10*time.Second, // an owed UNREGISTER is tried three times
		Idle:         min(idle, set.UnregisteredIdle),
		MaxLife:      set.Life,
		LifeNotice:   []byte(wordReconnect),
		NoticeGrace:  30 * time.Second,
		GoAway:       sluice.CloseSpec{Code: 1001, Reason: "going away"},
		MaxFrame:     maxMessage,
		MaxMessage:   maxMessage,
		MaxPush:      maxMessage + len(wordNotify), // the limit is on what the backend sends
		MaxQueue:     4 << 20,                      // as many answers as may be under way
		Uplink:       16,
		TextOnly:     true,
		FrameRate:    100,
		FrameBurst:   200,
		RateNotice:   []byte(wordOverload),
		RateGrace:    10 * time.Second,
		DrainNotice:  []byte(wordReconnect),
		AliasGrace:   2 * time.Second,
		Deflate:      true,

		ExclusiveAlias: set.LatestDevice,
	}}
	return g, nil
}

// Endpoint is the group's WebSocket side; nil when none of its APIs speaks WS.
func (g *Group) Endpoint() *gateway.Endpoint {
	for _, rt := range g.apis {
		if slices.Contains(rt.api.Protocols, protoWS) || rt.api.WebSocketType != apigroup.Common {
			return g.endpoint
		}
	}
	return nil
}

// Hosts are the group's own host names, without ports.
func (g *Group) Hosts() []string {
	var hosts []string
	if g.o.Group.SubDomain != "" {
		hosts = append(hosts, strings.ToLower(g.o.Group.SubDomain))
	}
	return append(hosts, g.o.Group.Domains...)
}

// host is the group's name in requests that name no host.
func (g *Group) host() string {
	if hosts := g.Hosts(); len(hosts) > 0 {
		return hosts[0]
	}
	return string(g.o.App) + ".localhost"
}
