// Package chat is a chat of one lobby as Tencent's functions play it: one registers a connection, one
// transports what it says, one cleans up behind it. Everything they know is objects of one bucket:
//
//	people/{connection id}    who is there
//	names/{name}              whose name it is
//	history/{time}-{by}-{id}  what was said
//	roster                    changes with every coming and going
package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
)

// Limits.
const (
	MaxText = 1000 // characters of a message
	MaxName = 24   // characters of a name
	Keep    = 100  // messages that are kept
	Crowd   = 50   // with more people than this, nobody is told who comes and goes, and lists of names end

	slack    = 20               // so many messages more are there before the oldest are deleted, at once
	rate     = 10               // messages of a person
	rateTime = 10 * time.Second // within this
	patience = 30 * time.Second // a connection that cannot be reached for so long will not be cleaned up any more
	fresh    = time.Minute      // whose name was taken within this may still be on the way in
)

// Store keeps objects. What is put is listed at once.
type Store interface {
	// Get is an object's body; nil when there is none.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put writes an object.
	Put(ctx context.Context, key string, body []byte) error
	// Claim puts an object unless it exists, and reports whether it did.
	Claim(ctx context.Context, key string, body []byte) (bool, error)
	// Delete removes objects; those that are not there are no error.
	Delete(ctx context.Context, keys ...string) error
	// Version is another one after each Put with another body; "" when there is no object.
	Version(ctx context.Context, key string) (string, error)
	// List is the keys with a prefix in their order, the first limit or, with 0, all.
	List(ctx context.Context, prefix string, limit int) ([]string, error)
}

// Pusher reaches connections.
type Pusher interface {
	// Push sends a text to connections, in any order, and returns those that are gone. With an error some
	// of the others may not have it.
	Push(ctx context.Context, ids []string, text string) (gone []string, err error)
	// Close ends a connection; one that has ended is no error.
	Close(ctx context.Context, id string) error
}

// Chat is what one instance of a function works with. It takes one event at a time, as instances do.
type Chat struct {
	store Store
	push  Pusher
	log   *slog.Logger
	now   func() time.Time

	known   map[string]*person   // by connection, as far as this instance has met them
	entries map[string]*Entry    // by key; what is said never changes
	missing map[string]time.Time // since when connections cannot be reached
	roster  []string             // connections
	version string               // of the roster
}

// New is a chat in a store.
func New(s Store, p Pusher, log *slog.Logger) *Chat {
	return &Chat{store: s, push: p, log: log, now: time.Now, known: map[string]*person{}, entries: map[string]*Entry{}, missing: map[string]time.Time{}}
}

// event is what the gateway tells of a connection.
type event struct {
	Request *struct{} `json:"requestContext"`
	Query   query     `json:"queryString"`
	Socket  struct {
		Action string `json:"action"`
		ID     string `json:"secConnectionID"`
		Type   string `json:"dataType"`
		Data   string `json:"data"`
	} `json:"websocket"`
}

// query is a query string; of what is given twice it has the first.
type query map[string]string

// UnmarshalJSON implements [json.Unmarshaler].
func (q *query) UnmarshalJSON(b []byte) error {
	var all map[string]any
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	*q = query{}
	for k, v := range all {
		if list, ok := v.([]any); ok && len(list) > 0 {
			v = list[0]
		}
		if s, ok := v.(string); ok {
			(*q)[k] = s
		}
	}
	return nil
}

func read(b []byte) (*event, error) {
	ev := &event{}
	if err := json.Unmarshal(b, ev); err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	if ev.Socket.ID == "" {
		return nil, fmt.Errorf("event has no websocket.secConnectionID: is this function behind a WebSocket API?")
	}
	return ev, nil
}

// Frame is what pages are told. Type says what:
//
//	hello   You, Names and Entries: the answer to a hello
//	said    Entry; to whoever said it, also the acknowledgement of ID
//	joined  Name, By
//	left    Name, By
//	pong    Last, the key of the newest message
//	error   Code (invalid, slow, unknown, failed) and Message, of the message ID; RetryAfter in seconds
//
// All but errors have People, how many are there.
type Frame struct {
	Type       string   `json:"type"`
	ID         string   `json:"id,omitempty"`
	People     int      `json:"people,omitempty"`
	You        *Person  `json:"you,omitempty"`
	Names      []string `json:"names,omitempty"`
	Entries    []*Entry `json:"entries,omitempty"`
	Entry      *Entry   `json:"entry,omitempty"`
	Name       string   `json:"name,omitempty"`
	By         string   `json:"by,omitempty"`
	Last       string   `json:"last,omitempty"`
	Code       string   `json:"code,omitempty"`
	Message    string   `json:"message,omitempty"`
	RetryAfter int      `json:"retryAfter,omitempty"`
}

// Person is somebody as the others see them. By is the same for all connections of one tab.
type Person struct {
	Name string `json:"name"`
	By   string `json:"by"`
}

// tell sends a frame to connections, and takes those out who have been gone for long.
func (c *Chat) tell(ctx context.Context, ids []string, f *Frame) error {
	if len(ids) == 0 {
		return nil
	}
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	gone, err := c.push.Push(ctx, ids, string(text))
	c.prune(ctx, gone)
	return err
}

// prune removes connections that could not be reached. One that is just coming, or that is being cleaned
// up, cannot be reached either: only who is still not there after a while is taken out.
func (c *Chat) prune(ctx context.Context, gone []string) {
	now := c.now()
	var dead []string
	for _, id := range gone {
		if since, ok := c.missing[id]; !ok {
			c.missing[id] = now
		} else if now.Sub(since) > patience {
			dead = append(dead, id)
			delete(c.missing, id)
		}
	}
	for _, id := range dead {
		if err := c.part(ctx, id); err != nil {
			c.log.Warn("a lost connection stays in the list", "conn", id, "err", err)
		}
	}
}
