package gateway

import (
	"context"
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
)

// Endpoint is one deployed WebSocket API as the gateway sees it. It is shared by all its
// connections and never changed: a redeploy makes a new one with the same App and Name, and
// connections move to it at their next event.
type Endpoint struct {
	App     sluice.AppName
	Name    string
	Policy  Policy
	Handler Handler

	// Tunnel, when it is not nil, stands for Policy and Handler: it gets each handshake as net/http has it,
	// and may take the connection over (http.Hijacker). The gateway holds nothing of such a connection, so
	// it has no id, events or pushes. The request's context ends when the gateway drains, and Tunnel has
	// then a moment to say goodbye.
	Tunnel http.Handler
}

// Handler is a dialect's side of an endpoint. It keeps nothing about a connection that the gateway
// does not hold for it (Attrs, Alias, Duty).
type Handler interface {
	// Control sees every complete message first, on the shard's goroutine: it must not block,
	// allocate much, or keep data. What it does not consume becomes a Message event.
	Control(c ControlConn, data []byte, binary bool) Control
	// Handle answers one event, off the shard. For a connection, Open comes first and alone, then at
	// most Policy.Uplink Messages at a time in the order of their Seq, then Close, last, when all
	// Messages have been answered. ctx ends at the policy's timeout and when the server stops.
	Handle(ctx context.Context, ev *sluice.Event) sluice.Reply
}

// ControlConn is what Control may know of a connection without an allocation.
type ControlConn struct {
	ID          sluice.ConnID
	Alias       string // the name of its alias, "" before one is bound
	ConnectedAt time.Time
	Owes        bool // its end is owed to the backend
}

// Control is the verdict on one message.
type Control struct {
	Consumed bool
	Send     []sluice.Frame    // answered at once, before anything else
	Alias    *sluice.Alias     // binds before Send goes out
	Idle     time.Duration     // this connection's idle time from now on; 0 leaves it
	Close    *sluice.CloseSpec // after Send
}

// Policy is an endpoint's limits and timeouts. The zero value of each field means what its comment
// says; dialects set what their cloud documents.
type Policy struct {
	AutoAccept   bool          // accept without an Open event (Alibaba)
	OpenTimeout  time.Duration // for Handle of an Open event; 0 is 30 s
	EventTimeout time.Duration // for Handle of Message and Close; 0 is 30 s
	Idle         time.Duration // without Activity; 0 is never. Replies may give a connection another
	Activity     Activity      // what keeps a connection from being idle
	MaxLife      time.Duration // 0 is for ever
	LifeNotice   []byte        // text sent when MaxLife passes, NoticeGrace before the close (Alibaba's CR)
	NoticeGrace  time.Duration // 0 is 30 s
	Ping         time.Duration // send a ping to a client silent for so long; 0 is never
	MaxPings     int           // so many pings in a row without any frame in answer: the client is lost; 0 is never

	// GoAway closes those that have to go without a fault of theirs: idle, at the end of MaxLife, on Drain. The
	// zero value is 1001, for Drain Options.DrainCode, with a reason for each.
	GoAway sluice.CloseSpec

	MaxFrame   int // bytes of one frame; 0 is 1 MiB. Beyond it: close 1009
	MaxMessage int // bytes of one message; 0 is 1 MiB. Beyond it: close 1009
	MaxPush    int // bytes of one message down; 0 is MaxMessage
	MaxQueue   int // bytes queued to be written to one connection; 0 is 1 MiB. Beyond it: close SlowCode, or wait PushWait
	MaxQueued  int // messages queued to be written to one connection; 0 is without limit. Beyond it: the same
	SlowCode   int // 0 is 1008
	MaxPending int // messages that wait for Handle, per connection; 0 is 256. Beyond it, or beyond MaxMessage bytes of them, reading stops until they are served

	Uplink         int  // Message events of one connection handled at once; 0 is 1
	KeepHandshake  bool // keep headers after Open, for later events
	TextOnly       bool // hand binary messages to Control and Handle as text when they are UTF-8
	NoBinary       bool // close 1003 when a binary message comes
	ExclusiveAlias bool // a new connection closes the older one of the same alias with 1008

	// PushWait is how long pushes wait for room in a full queue, in their order; one that waits in vain
	// comes to Overflow, and the connection stays. Groups do not wait: a member without room goes without.
	// Replies and pongs cannot wait, and have as much room again. 0: nobody waits, and it is closed.
	PushWait time.Duration

	FrameRate   float64       // messages per second up, per connection; 0 is unlimited
	FrameBurst  int           // 0 is 2 × FrameRate
	RateNotice  []byte        // text sent once when the rate is exceeded (Alibaba's OS); further messages that second are dropped
	RateGrace   time.Duration // close 1008 after so long of continued excess; 0 is 10 s
	DrainNotice []byte        // text sent before closing when the server stops

	AliasGrace time.Duration // Close is not told when a connection of the same alias came back within it; 0 tells at once
	Deflate    bool          // negotiate permessage-deflate without context takeover
}

// Activity says what keeps a connection from being idle.
type Activity uint8

// The kinds of activity.
const (
	AnyFrame         Activity = iota // any frame of the client
	Messages                         // messages in either direction
	MessagesAndPings                 // those, and pings of the client; not its pongs
)

// Router finds the endpoint for a handshake. It must not block. A nil Endpoint refuses: with the
// given Refusal, or with 404 when that is nil too.
type Router interface {
	Route(h *sluice.Handshake) (*Endpoint, *sluice.Refusal)
	// Endpoint finds an endpoint by name, for connections and journaled Closes that outlive a deploy
	// or a process; nil when it is not deployed any more.
	Endpoint(app sluice.AppName, name string) *Endpoint
}

// Plain is what serves HTTP requests that are not WebSocket upgrades.
type Plain = http.Handler
