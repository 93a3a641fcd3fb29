package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// ErrGone says that a connection is closed.
var ErrGone = errors.New("chat: the connection is gone")

// Pusher sends to connections; it may be called concurrently.
type Pusher interface {
	// Push sends one text message to one connection, or fails with ErrGone.
	Push(ctx context.Context, conn string, data []byte) error
}

// Options configure a [Chat]. Zero values are good except for Store and Push.
type Options struct {
	Store  Store
	Push   Pusher
	Log    *slog.Logger     // nil: slog.Default
	Now    func() time.Time // nil: time.Now
	Rate   int64            // actions per connection in ten seconds; 0: 40
	Keep   time.Duration    // how long the log is kept; 0: 30 days
	People int              // most in one room; 0: 500
}

// Chat is all rooms. Its methods may be called concurrently, on any number of instances of the function.
type Chat struct{ o Options }

// New returns a chat. It makes no call.
func New(o Options) *Chat {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rate <= 0 {
		o.Rate = 40
	}
	if o.Keep <= 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.People <= 0 {
		o.People = 500
	}
	return &Chat{o: o}
}

// Kind classes refusals; its text is the code that a page gets.
type Kind string

// The kinds of refusals.
const (
	Invalid Kind = "invalid" // the request makes no sense
	Unknown Kind = "unknown" // the connection is not known: connect again
	NotIn   Kind = "notin"   // not in that room: join first
	Full    Kind = "full"    // no room for more
	Slow    Kind = "slow"    // too much in too short a time
	Failed  Kind = "failed"  // not the page's fault: try again
)

// Error is a refusal that a page may see.
type Error struct {
	Kind  Kind
	Text  string
	After time.Duration // when it makes sense to try again; 0 when it does not
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

func refuse(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// The kinds of entries.
const (
	Say    = "say"    // Nick says Text
	Join   = "join"   // Nick comes
	Leave  = "leave"  // Nick goes
	Rename = "rename" // Nick is called To from now on
	Void   = "void"   // nothing: its writer was lost before it wrote
)

// Entry is one line of a room's log.
type Entry struct {
	Seq  int64  `json:"seq"` // 1, 2, 3 … in each room
	Kind string `json:"kind"`
	At   int64  `json:"at"` // Unix milliseconds
	Nick string `json:"nick,omitempty"`
	By   string `json:"by,omitempty"` // tells apart people of the same name; says nothing else about them
	Text string `json:"text,omitempty"`
	To   string `json:"to,omitempty"`
	ID   string `json:"id,omitempty"` // that the sender's page gave a message
}

func (e *Entry) row(keep time.Duration) Row {
	r := Row{"seq": e.Seq, "kind": e.Kind, "at": e.At, "expires": time.UnixMilli(e.At).Add(keep).Unix()}
	for column, v := range map[string]string{"nick": e.Nick, "by": e.By, "text": e.Text, "to": e.To, "id": e.ID} {
		if v != "" {
			r[column] = v
		}
	}
	return r
}

func entryOf(r Row) Entry {
	return Entry{Seq: r.number("seq"), Kind: r.text("kind"), At: r.number("at"), Nick: r.text("nick"), By: r.text("by"), Text: r.text("text"), To: r.text("to"), ID: r.text("id")}
}

// frame is what a page is told: an answer, which carries the request's ID, or news.
type frame struct {
	Type    string            `json:"type"` // joined left renamed ack history people pong error; log typing
	ID      string            `json:"id,omitempty"`
	Room    string            `json:"room,omitempty"`
	Nick    string            `json:"nick,omitempty"`
	By      string            `json:"by,omitempty"`  // joined: the page's own
	Seq     int64             `json:"seq,omitempty"` // ack: the message's; joined: the newest that was told to all
	At      int64             `json:"at,omitempty"`  // ack: when the message was stored
	People  []string          `json:"people,omitempty"`
	Entries []Entry           `json:"entries,omitempty"`
	More    bool              `json:"more,omitempty"`  // history: there is more; joined: more was missed than is told; pong: ask again soon
	Rooms   map[string]int64  `json:"rooms,omitempty"` // pong: the newest number in each room
	Nicks   map[string]string `json:"nicks,omitempty"` // renamed: the name in each room
	Code    Kind              `json:"code,omitempty"`
	Message string            `json:"message,omitempty"`
	After   float64           `json:"retryAfter,omitempty"` // seconds
}

// tell pushes a frame to one connection. One that is gone is cleaned up and no error.
func (c *Chat) tell(ctx context.Context, conn string, f frame) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	if err = c.o.Push.Push(ctx, conn, data); errors.Is(err, ErrGone) {
		return c.Disconnect(ctx, conn)
	}
	return err
}
