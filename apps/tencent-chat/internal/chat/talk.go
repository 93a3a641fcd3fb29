package chat

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

const historyPrefix = "history/"

// Entry is a message as it is kept. Key orders it among the others.
type Entry struct {
	Key  string `json:"key"`
	At   int64  `json:"at"` // Unix time in milliseconds
	ID   string `json:"id"` // the page's own
	By   string `json:"by"`
	Name string `json:"name"`
	Text string `json:"text"`
}

// entryKey is what the key of an entry tells: no object needs to be read to know who said it, and when.
type entryKey struct {
	at     int64
	by, id string
}

func (k entryKey) String() string { return fmt.Sprintf("%013d-%s-%s", k.at, k.by, k.id) }

func parseKey(s string) (k entryKey, ok bool) {
	at, rest, _ := strings.Cut(strings.TrimPrefix(s, historyPrefix), "-")
	k.by, k.id, ok = strings.Cut(rest, "-")
	var err error
	k.at, err = strconv.ParseInt(at, 10, 64)
	return k, ok && err == nil
}

// message is what pages send.
type message struct {
	Action string `json:"action"` // hello, say, ping
	ID     string `json:"id"`     // of what is said: the same when it is sent again
	Text   string `json:"text"`
	After  string `json:"after"` // of a hello: the key of the newest message that the page has
}

var messageID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,40}$`)

// cleanText is a message without what cannot be seen, but for line breaks.
func cleanText(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "")))
}

// refusal is what a page did wrong.
type refusal struct {
	code, message string
	after         int // seconds
}

func (r *refusal) frame(id string) *Frame {
	return &Frame{Type: "error", ID: id, Code: r.code, Message: r.message, RetryAfter: r.after}
}

// Transport does what a page asks for, and answers it by a push. It fails only when the page cannot be
// answered: the gateway ends the connection then, and the page comes back.
func (c *Chat) Transport(ctx context.Context, b []byte) (any, error) {
	ev, err := read(b)
	if err != nil {
		return nil, err
	}
	id := ev.Socket.ID
	var m message
	no, err := c.do(ctx, ev, &m)
	if err != nil {
		c.log.Error("not done", "conn", id, "action", m.Action, "err", err)
		no = &refusal{code: "failed", message: "That did not work. Try again."}
	}
	if no != nil {
		return "ok", c.tell(ctx, []string{id}, no.frame(m.ID))
	}
	return "ok", nil
}

func (c *Chat) do(ctx context.Context, ev *event, m *message) (*refusal, error) {
	if ev.Socket.Type == "binary" || json.Unmarshal([]byte(ev.Socket.Data), m) != nil {
		*m = message{}
		return &refusal{code: "invalid", message: "A message is a JSON object."}, nil
	}
	if m.ID != "" && !messageID.MatchString(m.ID) {
		m.ID = ""
		return &refusal{code: "invalid", message: "An id has 1 to 40 letters, digits, _ and -."}, nil
	}
	p, err := c.who(ctx, ev.Socket.ID)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return &refusal{code: "unknown", message: "Nobody knows this connection. Connect again."}, nil
	}
	switch m.Action {
	case "hello":
		return nil, c.hello(ctx, ev.Socket.ID, p, m)
	case "say":
		return c.say(ctx, ev.Socket.ID, p, m)
	case "ping":
		return nil, c.ping(ctx, ev.Socket.ID, m)
	}
	return &refusal{code: "invalid", message: "There are the actions hello, say and ping."}, nil
}

// hello answers with who is there and what was said.
func (c *Chat) hello(ctx context.Context, id string, p *person, m *message) error {
	names, err := c.names(ctx)
	if err != nil {
		return err
	}
	all, err := c.everyone(ctx)
	if err != nil {
		return err
	}
	keys, err := c.store.List(ctx, historyPrefix, 0)
	if err != nil {
		return err
	}
	keys = keys[max(0, len(keys)-Keep):]
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.TrimPrefix(k, historyPrefix) <= m.After })
	entries, err := c.read(ctx, keys)
	if err != nil {
		return err
	}
	return c.tell(ctx, []string{id}, &Frame{Type: "hello", ID: m.ID, People: len(all), You: &Person{p.Name, p.by()}, Names: names, Entries: entries})
}

// ping answers with what a page may have missed.
func (c *Chat) ping(ctx context.Context, id string, m *message) error {
	all, err := c.everyone(ctx)
	if err != nil {
		return err
	}
	keys, err := c.store.List(ctx, historyPrefix, 0)
	if err != nil {
		return err
	}
	f := &Frame{Type: "pong", ID: m.ID, People: len(all)}
	if len(keys) > 0 {
		f.Last = strings.TrimPrefix(keys[len(keys)-1], historyPrefix)
	}
	return c.tell(ctx, []string{id}, f)
}

// say keeps a message and sends it to everybody, which acknowledges it to whoever said it. What was said
// already is only acknowledged again.
func (c *Chat) say(ctx context.Context, id string, p *person, m *message) (*refusal, error) {
	text := cleanText(m.Text)
	switch {
	case m.ID == "":
		return &refusal{code: "invalid", message: "A message needs an id."}, nil
	case text == "":
		return &refusal{code: "invalid", message: "A message needs a text."}, nil
	case utf8.RuneCountInString(text) > MaxText:
		return &refusal{code: "invalid", message: fmt.Sprintf("A message has at most %d characters.", MaxText)}, nil
	}
	keys, err := c.store.List(ctx, historyPrefix, 0)
	if err != nil {
		return nil, err
	}
	now := c.now()
	next := entryKey{now.UnixMilli(), p.by(), m.ID}
	recent, oldest := 0, int64(0)
	for _, key := range keys {
		k, ok := parseKey(key)
		if !ok {
			continue
		}
		if k.by == next.by && k.id == next.id {
			return nil, c.again(ctx, id, key)
		}
		if k.by == next.by && k.at > now.Add(-rateTime).UnixMilli() {
			if recent++; oldest == 0 {
				oldest = k.at
			}
		}
		next.at = max(next.at, k.at+1) // clocks of instances differ; what is said later stands later
	}
	if recent >= rate {
		wait := time.UnixMilli(oldest).Add(rateTime).Sub(now)
		return &refusal{code: "slow", message: "Too many messages at once.", after: int(wait/time.Second) + 1}, nil
	}
	e := &Entry{Key: next.String(), At: next.at, ID: m.ID, By: next.by, Name: p.Name, Text: text}
	if err := c.put(ctx, historyPrefix+e.Key, e); err != nil {
		return nil, err
	}
	c.entries[historyPrefix+e.Key] = e
	all, err := c.everyone(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.tell(ctx, all, &Frame{Type: "said", ID: m.ID, People: len(all), Entry: e}); err != nil {
		// It is kept: whoever does not have it misses it at the next ping.
		c.log.Warn("not all were told", "conn", id, "err", err)
	}
	if n := len(keys) + 1 - Keep; n > slack {
		if err := c.store.Delete(ctx, keys[:n]...); err != nil {
			c.log.Warn("old messages stay", "err", err)
		}
	}
	return nil, nil
}

// again acknowledges what was said before.
func (c *Chat) again(ctx context.Context, id, key string) error {
	e, err := c.read(ctx, []string{key})
	if err != nil || len(e) == 0 {
		return err
	}
	return c.tell(ctx, []string{id}, &Frame{Type: "said", ID: e[0].ID, Entry: e[0]})
}

// read is the entries of keys, without those that are gone meanwhile. Each is read once by an instance.
func (c *Chat) read(ctx context.Context, keys []string) ([]*Entry, error) {
	entries := make([]*Entry, len(keys))
	errs := make([]error, len(keys))
	slots := make(chan struct{}, 16)
	var wg sync.WaitGroup
	for i, k := range keys {
		entries[i] = c.entries[k]
	}
	for i, k := range keys {
		if entries[i] != nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			var e Entry
			if errs[i] = c.get(ctx, k, &e); errs[i] == nil && e.Key != "" {
				entries[i] = &e
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	if len(c.entries) > 2*(Keep+slack) {
		clear(c.entries)
	}
	for i, k := range keys {
		if entries[i] != nil {
			c.entries[k] = entries[i]
		}
	}
	return slices.DeleteFunc(entries, func(e *Entry) bool { return e == nil }), nil
}
