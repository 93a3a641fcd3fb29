package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

const (
	peoplePrefix = "people/"
	namesPrefix  = "names/"
	rosterKey    = "roster"
)

// person is an object of people/.
type person struct {
	Name    string `json:"name"`
	Session string `json:"session"`
}

// by is who somebody is to others: it tells nothing of the session, which is theirs alone.
func (p *person) by() string {
	sum := sha256.Sum256([]byte(p.Session))
	return hex.EncodeToString(sum[:4])
}

// owner is an object of names/.
type owner struct {
	Conn    string    `json:"conn"`
	Session string    `json:"session"`
	At      time.Time `json:"at"`
}

func nameKey(name string) string {
	return namesPrefix + base64.RawURLEncoding.EncodeToString([]byte(name))
}

// cleanName is a name as it is shown: without what cannot be seen, and not too long.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		if !unicode.IsGraphic(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > MaxName {
		s = strings.TrimSpace(string(r[:MaxName]))
	}
	return cmp.Or(s, "Guest")
}

// accepted is the answer of the register function that lets a connection in.
type accepted struct {
	No     int    `json:"errNo"`
	Msg    string `json:"errMsg"`
	Socket struct {
		Action string `json:"action"`
		ID     string `json:"secConnectionID"`
	} `json:"websocket"`
}

// Register writes down who comes, and tells the others. The query has the name that is wished for, and
// optionally the session: random, and the same when a page comes back.
func (c *Chat) Register(ctx context.Context, b []byte) (any, error) {
	ev, err := read(b)
	if err != nil {
		return nil, err
	}
	id := ev.Socket.ID
	p := &person{Session: cmp.Or(ev.Query["session"], id)}
	if len(p.Session) > 64 {
		return accepted{No: 400, Msg: "the session is longer than 64 bytes"}, nil
	}
	before, err := c.claim(ctx, id, p, cleanName(ev.Query["name"]))
	if err != nil {
		return nil, err
	}
	if err := c.put(ctx, peoplePrefix+id, p); err != nil {
		return nil, err
	}
	if err := c.changed(ctx); err != nil {
		return nil, err
	}
	c.log.Info("registered", "conn", id, "name", p.Name)
	if before != "" { // the same page, on a line that it lost
		if err := c.push.Close(ctx, before); err != nil {
			c.log.Warn("the connection before stays open", "conn", before, "err", err)
		}
	} else {
		c.announce(ctx, id, "joined", p)
	}
	out := accepted{Msg: "ok"}
	out.Socket.Action, out.Socket.ID = ev.Socket.Action, id
	return out, nil
}

// claim gives a person the name, or one with a number behind it. When it was theirs already, before is the
// connection that had it.
func (c *Chat) claim(ctx context.Context, id string, p *person, name string) (before string, err error) {
	body, err := json.Marshal(owner{id, p.Session, c.now()})
	if err != nil {
		return "", err
	}
	for n := 1; n <= 100; n++ {
		if p.Name = name; n > 1 {
			p.Name = fmt.Sprintf("%s %d", name, n)
		}
		key := nameKey(p.Name)
		if ok, err := c.store.Claim(ctx, key, body); ok || err != nil {
			return "", err
		}
		var has owner
		if err := c.get(ctx, key, &has); err != nil {
			return "", err
		}
		switch {
		case has.Conn == id: // an attempt whose answer was lost
			return "", nil
		case has.Session == p.Session:
			before = has.Conn
		case c.now().Sub(has.At) < fresh:
			continue
		default: // whoever came and was gone before they were written down left a name
			if there, err := c.store.Get(ctx, peoplePrefix+has.Conn); there != nil || err != nil {
				if err != nil {
					return "", err
				}
				continue
			}
		}
		return before, c.store.Put(ctx, key, body)
	}
	p.Name = name + " " + id[:min(len(id), 6)]
	return "", c.store.Put(ctx, nameKey(p.Name), body)
}

// Cleanup removes who left, and tells the others.
func (c *Chat) Cleanup(ctx context.Context, b []byte) (any, error) {
	ev, err := read(b)
	if err != nil {
		return nil, err
	}
	c.log.Info("cleaned up", "conn", ev.Socket.ID)
	return "ok", c.part(ctx, ev.Socket.ID)
}

// part takes a connection out. Done twice it does nothing more; broken off, it can be done again.
func (c *Chat) part(ctx context.Context, id string) error {
	var p person
	if err := c.get(ctx, peoplePrefix+id, &p); err != nil || p.Name == "" {
		return err
	}
	var has owner
	if err := c.get(ctx, nameKey(p.Name), &has); err != nil {
		return err
	}
	keys := []string{peoplePrefix + id}
	if has.Conn == id {
		keys = append(keys, nameKey(p.Name))
	}
	if err := c.store.Delete(ctx, keys...); err != nil {
		return err
	}
	delete(c.known, id)
	if err := c.changed(ctx); err != nil {
		return err
	}
	if has.Session != p.Session || has.Conn == id { // else the page is back, on another connection
		c.announce(ctx, id, "left", &p)
	}
	return nil
}

// changed gives the roster a new version.
func (c *Chat) changed(ctx context.Context) error {
	return c.store.Put(ctx, rosterKey, []byte(rand.Text()))
}

// announce tells the others that somebody came or went, unless there is a crowd. Whoever misses it sees it
// in the next list.
func (c *Chat) announce(ctx context.Context, id, what string, p *person) {
	keys, err := c.store.List(ctx, peoplePrefix, Crowd+1)
	if err == nil && len(keys) <= Crowd {
		others := slices.DeleteFunc(connections(keys), func(o string) bool { return o == id })
		err = c.tell(ctx, others, &Frame{Type: what, Name: p.Name, By: p.by(), People: len(keys)})
	}
	if err != nil {
		c.log.Warn("not all were told", "what", what, "conn", id, "err", err)
	}
}

func connections(keys []string) []string {
	ids := make([]string, len(keys))
	for i, k := range keys {
		ids[i] = strings.TrimPrefix(k, peoplePrefix)
	}
	return ids
}

// everyone is all connections. They are listed only if somebody came or went since this instance did last:
// whoever registers puts the object first and then changes the roster, so nobody who could have asked for
// the history before is left out.
func (c *Chat) everyone(ctx context.Context) ([]string, error) {
	version, err := c.store.Version(ctx, rosterKey)
	if err != nil {
		return nil, err
	}
	if version != "" && version == c.version {
		return slices.Clone(c.roster), nil
	}
	keys, err := c.store.List(ctx, peoplePrefix, 0)
	if err != nil {
		return nil, err
	}
	c.roster, c.version = connections(keys), version
	for id := range c.missing {
		if _, there := slices.BinarySearch(c.roster, id); !there {
			delete(c.missing, id)
		}
	}
	for id := range c.known {
		if _, there := slices.BinarySearch(c.roster, id); !there {
			delete(c.known, id)
		}
	}
	return slices.Clone(c.roster), nil
}

// who is the person of a connection; nil when nobody knows them.
func (c *Chat) who(ctx context.Context, id string) (*person, error) {
	p := c.known[id]
	if p != nil {
		return p, nil
	}
	p = &person{}
	if err := c.get(ctx, peoplePrefix+id, p); err != nil || p.Name == "" {
		return nil, err
	}
	c.known[id] = p
	return p, nil
}

// names are some of those who are there.
func (c *Chat) names(ctx context.Context) ([]string, error) {
	keys, err := c.store.List(ctx, namesPrefix, Crowd)
	var names []string
	for _, k := range keys {
		if b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(k, namesPrefix)); err == nil {
			names = append(names, string(b))
		}
	}
	slices.Sort(names)
	return names, err
}

// get reads an object's JSON into v, which stays as it is when there is none.
func (c *Chat) get(ctx context.Context, key string, v any) error {
	b, err := c.store.Get(ctx, key)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (c *Chat) put(ctx context.Context, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return c.store.Put(ctx, key, b)
}
