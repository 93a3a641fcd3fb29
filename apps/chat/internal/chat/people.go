package chat

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// inRoom begins the columns of a connection's row that say which rooms it is in, and by what name.
const inRoom = "in:"

// maxRooms is how many rooms one connection may be in.
const maxRooms = 20

// member is one who is in a room.
type member struct{ nick, conn, session string }

// forget is when the row of a connection, or of a message's id, may go: connections renew it with each
// action.
func (c *Chat) forget() int64 { return c.o.Now().Add(24 * time.Hour).Unix() }

// roomsOf are the rooms of a connection, with its name in each.
func roomsOf(row Row) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for column := range row {
			if room, ok := strings.CutPrefix(column, inRoom); ok && !yield(room, row.text(column)) {
				return
			}
		}
	}
}

// Connect remembers a connection; an [Error] refuses it. The query has nick, and session: a random id of the
// browser, a dot, and one of the tab.
func (c *Chat) Connect(ctx context.Context, conn string, query map[string]string) error {
	nick, err := cleanNick(query["nick"])
	if err != nil {
		return err
	}
	session := query["session"]
	if !sessionShape.MatchString(session) {
		return refuse(Invalid, "a session is two random ids with a dot between")
	}
	user, _, _ := strings.Cut(session, ".")
	sum := sha256.Sum256([]byte(user))
	_, err = c.o.Store.Write(ctx, Change{Key: connKey(conn), Set: Row{"nick": nick, "session": session, "by": base64.RawURLEncoding.EncodeToString(sum[:9]),
		"window": int64(0), "spent": int64(0), "expires": c.forget()}})
	return err
}

// Disconnect forgets a connection and tells its rooms. It may be called again.
func (c *Chat) Disconnect(ctx context.Context, conn string) error {
	row, err := c.o.Store.Get(ctx, connKey(conn))
	if err != nil || row == nil {
		return err
	}
	left := map[string]Row{}
	for room, nick := range roomsOf(row) {
		state, err := c.exit(ctx, room, nick, conn, row)
		if err != nil {
			return err
		}
		if state != nil {
			left[room] = state
		}
	}
	if _, err := c.o.Store.Write(ctx, Change{Key: connKey(conn), Delete: true}); err != nil {
		return err
	}
	for room, state := range left {
		err = errors.Join(err, c.deliver(ctx, room, state))
	}
	return err
}

// exit takes somebody out of a room and returns the room's row; nil when this connection is not there any
// more. row is the connection's, as far as it is known.
func (c *Chat) exit(ctx context.Context, room, nick, conn string, row Row) (Row, error) {
	e := Entry{Kind: Leave, At: c.o.Now().UnixMilli(), Nick: nick, By: row.text("by")}
	here, err := c.o.Store.Get(ctx, memberKey(room, nick))
	if err != nil || here.text("conn") != conn {
		return nil, err
	}
	state, err := c.append(ctx, room, &e, func(int64) []Change {
		return []Change{{Key: memberKey(room, nick), Delete: true, If: []Cond{{Column: "conn", Value: conn}}}}
	})
	if _, ok := errors.AsType[*ConditionError](err); ok {
		return nil, nil // a newer connection of the same page has taken the place
	}
	return state, err
}

// people are those who are in a room, by name.
func (c *Chat) people(ctx context.Context, room string) ([]member, error) {
	rows, err := c.o.Store.Query(ctx, Query{PK: "room#" + room, From: "who#", To: "who$"})
	list := make([]member, len(rows))
	for i, r := range rows {
		list[i] = member{nick: r.text("nick"), conn: r.text("conn"), session: r.text("session")}
	}
	return list, err
}

func nicks(people []member) []string {
	list := make([]string, len(people))
	for i, m := range people {
		list[i] = m.nick
	}
	return list
}

// freeName is a name that nobody else has in a room: the one that is wanted, or that with a number. It says
// whether the session has it already.
func freeName(people []member, want, session string) (nick string, mine bool) {
	nick = want
	for n := 2; ; n++ {
		i := slices.IndexFunc(people, func(m member) bool { return fold(m.nick) == fold(nick) })
		if i < 0 {
			return nick, false
		}
		if people[i].session == session {
			return nick, true
		}
		nick = fmt.Sprintf("%s %d", want, n)
	}
}

// tries bounds how often a write is tried again that others were faster than.
const tries = 8

// join puts a connection into a room. A page that comes back takes its own old place, and nobody is told. The
// answer has what happened after the number that the page knows, or the newest messages.
func (c *Chat) join(ctx context.Context, conn string, row Row, req *request) error {
	state, nick, err := c.enter(ctx, conn, row, req.Room)
	if err != nil {
		return err
	}
	f, err := c.snapshot(ctx, req.Room, req.After)
	if err != nil {
		return err
	}
	f.Type, f.ID, f.Nick, f.By = "joined", req.ID, nick, row.text("by")
	if err := c.tell(ctx, conn, f); err != nil || state == nil {
		return err
	}
	return c.deliver(ctx, req.Room, state)
}

// enter writes who is in a room. The room's row is nil when nothing is to be told.
func (c *Chat) enter(ctx context.Context, conn string, row Row, room string) (Row, string, error) {
	session := row.text("session")
	known := []Cond{{Column: "session", Value: session}}
	if row.text(inRoom+room) == "" {
		n := 0
		for range roomsOf(row) {
			n++
		}
		if n >= maxRooms {
			return nil, "", refuse(Full, "you are in %d rooms, leave one first", n)
		}
	}
	for range tries {
		people, err := c.people(ctx, room)
		if err != nil {
			return nil, "", err
		}
		if i := slices.IndexFunc(people, func(m member) bool { return m.conn == conn }); i >= 0 {
			return nil, people[i].nick, nil // is there
		}
		nick, mine := freeName(people, row.text("nick"), session)
		if !mine && len(people) >= c.o.People {
			return nil, "", refuse(Full, "%s is full", room)
		}
		place := Change{Key: memberKey(room, nick), Set: Row{"nick": nick, "conn": conn, "session": session}, If: []Cond{{Column: "session"}}}
		self := Change{Key: connKey(conn), Set: Row{inRoom + room: nick}, If: known}
		var state Row
		if mine {
			place.If[0].Value = session
			_, err = c.o.Store.Write(ctx, place, self)
		} else {
			e := Entry{Kind: Join, At: c.o.Now().UnixMilli(), Nick: nick, By: row.text("by")}
			state, err = c.append(ctx, room, &e, func(int64) []Change { return []Change{place, self} })
		}
		failed, ok := errors.AsType[*ConditionError](err)
		switch {
		case !ok:
			return state, nick, err
		case failed.Index != 0:
			return nil, "", refuse(Unknown, "this connection is not known, connect again")
		}
	}
	return nil, "", refuse(Failed, "too many come at once, try again")
}

// leave takes a connection out of a room.
func (c *Chat) leave(ctx context.Context, conn string, row Row, req *request) error {
	state, err := c.exit(ctx, req.Room, row.text(inRoom+req.Room), conn, row)
	if err != nil {
		return err
	}
	if _, err := c.o.Store.Write(ctx, Change{Key: connKey(conn), Remove: []string{inRoom + req.Room}, If: []Cond{{Column: "session", Value: row["session"]}}}); err != nil {
		return err
	}
	if err := c.tell(ctx, conn, frame{Type: "left", ID: req.ID, Room: req.Room}); err != nil || state == nil {
		return err
	}
	return c.deliver(ctx, req.Room, state)
}

// who answers with the people of a room.
func (c *Chat) who(ctx context.Context, conn string, _ Row, req *request) error {
	people, err := c.people(ctx, req.Room)
	if err != nil {
		return err
	}
	return c.tell(ctx, conn, frame{Type: "people", ID: req.ID, Room: req.Room, People: nicks(people)})
}

// rename gives a connection another name in all of its rooms.
func (c *Chat) rename(ctx context.Context, conn string, row Row, req *request) error {
	want, err := cleanNick(req.Nick)
	if err != nil {
		return err
	}
	known := []Cond{{Column: "session", Value: row["session"]}}
	if _, err := c.o.Store.Write(ctx, Change{Key: connKey(conn), Set: Row{"nick": want}, If: known}); err != nil {
		return err
	}
	f := frame{Type: "renamed", ID: req.ID, Nick: want, Nicks: map[string]string{}}
	told := map[string]Row{}
	for room, was := range roomsOf(row) {
		nick, state, err := c.renameIn(ctx, conn, row, room, was, want)
		if err != nil {
			return err
		}
		f.Nicks[room] = nick
		if state != nil {
			told[room] = state
		}
	}
	err = c.tell(ctx, conn, f)
	for room, state := range told {
		err = errors.Join(err, c.deliver(ctx, room, state))
	}
	return err
}

func (c *Chat) renameIn(ctx context.Context, conn string, row Row, room, was, want string) (string, Row, error) {
	session := row.text("session")
	for range tries {
		people, err := c.people(ctx, room)
		if err != nil {
			return "", nil, err
		}
		others := slices.DeleteFunc(people, func(m member) bool { return m.conn == conn })
		nick, _ := freeName(others, want, "")
		if nick == was {
			return nick, nil, nil
		}
		e := Entry{Kind: Rename, At: c.o.Now().UnixMilli(), Nick: was, To: nick, By: row.text("by")}
		state, err := c.append(ctx, room, &e, func(int64) []Change {
			place := Change{Key: memberKey(room, nick), Set: Row{"nick": nick, "conn": conn, "session": session}, If: []Cond{{Column: "session"}}}
			self := Change{Key: connKey(conn), Set: Row{inRoom + room: nick}, If: []Cond{{Column: "session", Value: session}}}
			if fold(nick) == fold(was) { // the same row
				place.If[0] = Cond{Column: "conn", Value: conn}
				return []Change{place, self}
			}
			return []Change{place, self, {Key: memberKey(room, was), Delete: true, If: []Cond{{Column: "conn", Value: conn}}}}
		})
		failed, ok := errors.AsType[*ConditionError](err)
		switch {
		case !ok:
			return nick, state, err
		case failed.Index == 2:
			return "", nil, refuse(NotIn, "you are not in %s", room)
		case failed.Index == 1:
			return "", nil, refuse(Unknown, "this connection is not known, connect again")
		}
	}
	return "", nil, refuse(Failed, "that name is much in demand, try again")
}
