// Package websocket speaks the WebSocket APIs of API Gateway v2 (aws.md sections 1 and 2).
//
// A Stage is one stage of one API, compiled from its description and never changed: it is the
// gateway.Handler of the endpoint "{apiId}/{stage}". An Open event goes through throttles, API keys,
// IAM or an authorizer and the $connect route; a Message picks its route by an expression; a Close goes
// to $disconnect. What a route calls is its integration: a function, a table, an HTTP server or nothing.
// An App is all stages of one deployed app: it finds the stage of a handshake and serves @connections,
// the management API through which functions push. APIs knows all apps, for the listener that all
// share.
//
// No connection state is kept here. What later events of a connection need (the host that it came by,
// what the authorizer said) is in its attributes, which the gateway room holds. What AWS does not tell
// and nobody has recorded is in unverified.go.
package websocket

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/gateway"
	"github.com/sluicehq/sluice/internal/direct"
)

// The quotas of aws.md 1.12.
const (
	DefaultMaxFrame   = 32 << 10
	DefaultMaxMessage = 128 << 10
	DefaultIdle       = 10 * time.Minute
	DefaultPing       = 30 * time.Second
	DefaultMaxPings   = 2
	DefaultTimeout    = 29 * time.Second
	DefaultAuthorizer = 8 << 10
	maxSaid           = 10 << 10 // bytes of what it says of a client, all values as text
	maxAgent          = 1 << 10  // bytes of a client's User-Agent that later events have
	authorizerTimeout = 10 * time.Second
	maxQueue          = 1 << 20 // bytes that wait for one client
	maxQueued         = 256     // messages that do
	pushWait          = time.Second
	uplink            = 256 // messages of one connection under way at once
)

// Functions calls functions: the function room, through the cloud's names. arn is a function's ARN or
// name, with a qualifier or without.
type Functions interface {
	Invoke(ctx context.Context, app sluice.AppName, arn string, payload []byte, conn sluice.ConnID) (sluice.Result, error)
	// Refuse is the error with which Invoke would turn a call away at once; nil when it would not. It does not wait.
	Refuse(app sluice.AppName, arn string) error
	// Later calls a function when there is time, and does not wait for its result.
	Later(ctx context.Context, app sluice.AppName, arn string, payload []byte, conn sluice.ConnID) error
}

// Services calls the cloud's other APIs for integrations of type AWS: service "dynamodb", action
// "PutItem". An answer has an HTTP status; err says that there was none.
type Services interface {
	Call(ctx context.Context, app sluice.AppName, service, action string, body []byte) (status int, answer []byte, err error)
}

// Sockets are the connections: the gateway room.
type Sockets interface {
	Push(ctx context.Context, id sluice.ConnID, f sluice.Frame) sluice.Outcome
	PushMany(ctx context.Context, ids []sluice.ConnID, f sluice.Frame) []sluice.Outcome
	Get(ctx context.Context, id sluice.ConnID) (sluice.Conn, sluice.Outcome)
	Owner(ctx context.Context, id sluice.ConnID) (app sluice.AppName, endpoint string, o sluice.Outcome)
	Close(ctx context.Context, id sluice.ConnID, spec sluice.CloseSpec) sluice.Outcome
	PushGroup(ctx context.Context, grp gateway.Group, f sluice.Frame, except ...sluice.ConnID) (sent int)
	Join(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
	Leave(ctx context.Context, id sluice.ConnID, grp gateway.Group) sluice.Outcome
	GroupSize(ctx context.Context, grp gateway.Group) int
}

// Verifier checks signatures whose scope is the service execute-api.
type Verifier interface {
	Verify(r *http.Request, body []byte) (*sigv4.Signed, *sigv4.Error)
}

// Settings are the quotas and ways of the gateway that an operator may change (aws.md 1.5, 1.11 and 1.12).
// The zero value of each is its default; a number or a time below zero is none at all.
type Settings struct {
	Ordered       bool          // a message of a connection starts when the one before is answered. AWS does not
	AcceptBinary  bool          // binary messages go to the $default route, as base64. AWS closes with 1003
	MaxFrame      int           // bytes of one frame; default DefaultMaxFrame
	MaxMessage    int           // bytes, up and down; default DefaultMaxMessage
	Idle          time.Duration // without a message up or down; default DefaultIdle
	MaxLife       time.Duration // of a connection; default is for ever (2 h when Strict)
	Ping          time.Duration // to a client that was silent for so long; default DefaultPing
	MaxPings      int           // in a row without an answer: the client is lost; default DefaultMaxPings
	ConnectRate   float64       // new connections a second over all apps; default is unlimited (500 when Strict)
	RequestRate   float64       // messages and @connections calls a second; default is unlimited (10,000 when Strict)
	RequestBurst  int           // of those at once; default is RequestRate (5,000 when Strict)
	Timeout       time.Duration // of an integration, which may ask for less; default DefaultTimeout
	MaxAuthorizer int           // bytes of an authorizer's answer; default DefaultAuthorizer
}

// Filled is the settings with all defaults, and 0 for what is off.
func (s Settings) Filled(strict bool) Settings {
	s.MaxFrame = cmp.Or(s.MaxFrame, DefaultMaxFrame)
	s.MaxMessage = cmp.Or(s.MaxMessage, DefaultMaxMessage)
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	s.MaxAuthorizer = cmp.Or(s.MaxAuthorizer, DefaultAuthorizer)
	if strict {
		s.MaxLife = cmp.Or(s.MaxLife, 2*time.Hour)
		s.ConnectRate = cmp.Or(s.ConnectRate, 500)
		if s.RequestRate == 0 {
			s.RequestRate, s.RequestBurst = 10000, cmp.Or(s.RequestBurst, 5000)
		}
	}
	s.Idle = max(cmp.Or(s.Idle, DefaultIdle), 0)
	s.MaxLife = max(s.MaxLife, 0)
	s.Ping = max(cmp.Or(s.Ping, DefaultPing), 0)
	s.MaxPings = max(cmp.Or(s.MaxPings, DefaultMaxPings), 0)
	s.ConnectRate, s.RequestRate, s.RequestBurst = max(s.ConnectRate, 0), max(s.RequestRate, 0), max(s.RequestBurst, 0)
	return s
}

// Options are what the APIs of all apps share. Functions, Sockets and Verifier are needed; Services is
// by apps with integrations of type AWS that call no function.
type Options struct {
	Functions Functions
	Services  Services
	Sockets   Sockets
	Verifier  Verifier

	Region  string // in names and ARNs; "" is us-east-1. An app's own comes first
	Account string // "" is 000000000000

	// Strict sets what sluice leaves off: connections end after 2 hours, and 500 new connections and
	// 10,000 requests a second are the most.
	Strict bool
	Settings

	Transport http.RoundTripper // to HTTP integrations; nil is one with sensible limits
	Log       *slog.Logger
	Logs      Logs             // takes access logs; nil: nobody does
	Now       func() time.Time // nil is time.Now
}

// APIs are the WebSocket APIs of all apps. It is safe for concurrent use.
type APIs struct {
	o        Options
	connects *bucket
	requests *bucket

	mu   sync.RWMutex // guards apps
	apps map[sluice.AppName]*App
}

// New makes an empty set.
func New(o Options) *APIs {
	o.Region = cmp.Or(o.Region, "us-east-1")
	o.Account = cmp.Or(o.Account, "000000000000")
	o.Settings = o.Filled(o.Strict)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Transport == nil {
		o.Transport = direct.New(&http.Transport{Proxy: http.ProxyFromEnvironment})
	}
	return &APIs{
		o: o, apps: map[sluice.AppName]*App{},
		connects: newBucket(o.ConnectRate, 0, o.Now()),
		requests: newBucket(o.RequestRate, o.RequestBurst, o.Now()),
	}
}

// policy is what the gateway room keeps to at a stage.
func (a *APIs) policy(longest time.Duration) gateway.Policy {
	p := gateway.Policy{
		OpenTimeout:  authorizerTimeout + longest + 5*time.Second,
		EventTimeout: longest + 10*time.Second, // $disconnect is tried again when no function could be reached
		Idle:         a.o.Idle,
		Activity:     idleReset,
		MaxLife:      a.o.MaxLife,
		Ping:         a.o.Ping,
		MaxPings:     a.o.MaxPings,
		GoAway:       sluice.CloseSpec{Code: 1001, Reason: goingAway},
		NoBinary:     !a.o.AcceptBinary,
		MaxFrame:     a.o.MaxFrame,
		MaxMessage:   a.o.MaxMessage,
		MaxPush:      a.o.MaxMessage,
		MaxQueue:     max(maxQueue, a.o.MaxMessage),
		MaxQueued:    maxQueued,
		PushWait:     pushWait,
		Uplink:       uplink,
	}
	if a.o.Ordered {
		p.Uplink = 1
	}
	return p
}
