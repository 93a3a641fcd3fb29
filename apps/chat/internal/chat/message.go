package chat

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// request is what a page sends. ID comes back in the answer.
type request struct {
	ID     string `json:"id"`
	Room   string `json:"room"`
	Nick   string `json:"nick"`
	Text   string `json:"text"`
	After  int64  `json:"after"`
	Before int64  `json:"before"`
	Limit  int    `json:"limit"`
}

// Message is a message of a connection that the gateway routed: route is its action, or $default. The page
// gets one answer, or none to typing. The error is for the function's log; the page knows.
func (c *Chat) Message(ctx context.Context, conn, route string, body []byte) error {
	var req request
	err := c.message(ctx, conn, route, body, &req)
	if err == nil {
		return nil
	}
	f := frame{Type: "error", ID: req.ID, Room: req.Room, Code: Failed, Message: "that did not work, try again"}
	if e, ok := errors.AsType[*Error](err); ok {
		f.Code, f.Message, f.After, err = e.Kind, e.Text, e.After.Seconds(), nil
	}
	return errors.Join(err, c.tell(ctx, conn, f))
}

func (c *Chat) message(ctx context.Context, conn, route string, body []byte, req *request) error {
	if err := json.Unmarshal(body, req); err != nil {
		return refuse(Invalid, "send a JSON object with an action")
	}
	if req.ID != "" && !idShape.MatchString(req.ID) {
		req.ID = ""
		return refuse(Invalid, "an id has 1 to 64 letters, digits, - and _")
	}
	does := map[string]func(context.Context, string, Row, *request) error{
		"join": c.join, "leave": c.leave, "say": c.say, "typing": c.typing, "rename": c.rename, "history": c.history, "who": c.who, "ping": c.ping,
	}[route]
	if does == nil {
		return refuse(Invalid, "no such action; there are join, leave, say, typing, rename, history, who, ping")
	}
	row, err := c.spend(ctx, conn)
	if err != nil {
		return err
	}
	if !slices.Contains([]string{"rename", "ping"}, route) {
		if req.Room, err = cleanRoom(req.Room); err != nil {
			return err
		}
		if route != "join" && row.text(inRoom+req.Room) == "" {
			return refuse(NotIn, "you are not in %s", req.Room)
		}
	}
	return does(ctx, conn, row, req)
}

// window is how long a connection's Rate is counted.
const window = 10 * time.Second

// spend counts an action of a connection and returns its row.
func (c *Chat) spend(ctx context.Context, conn string) (Row, error) {
	for range 5 {
		now := c.o.Now()
		this, key := now.UnixMilli()/window.Milliseconds(), connKey(conn)
		row, err := c.o.Store.Write(ctx, Change{Key: key, Set: Row{"expires": c.forget()}, Add: map[string]int64{"spent": 1},
			If: []Cond{{Column: "window", Value: this}, {Column: "spent", Less: true, Value: c.o.Rate}}})
		failed, ok := errors.AsType[*ConditionError](err)
		if !ok {
			return row, err
		}
		switch was := failed.Row; {
		case was == nil:
			return nil, refuse(Unknown, "this connection is not known, connect again")
		case was.number("window") == this:
			e := refuse(Slow, "too fast, wait a moment")
			e.After = time.UnixMilli((this + 1) * window.Milliseconds()).Sub(now)
			return nil, e
		default:
			row, err = c.o.Store.Write(ctx, Change{Key: key, Set: Row{"expires": c.forget(), "window": this, "spent": int64(1)}, If: []Cond{{Column: "window", Value: was["window"]}}})
			if _, ok := errors.AsType[*ConditionError](err); !ok {
				return row, err
			}
		}
	}
	return nil, refuse(Slow, "too much at once")
}

// say stores a message. One that was stored already, by its ID, is not stored again.
func (c *Chat) say(ctx context.Context, conn string, row Row, req *request) error {
	text, err := cleanText(req.Text)
	if err != nil {
		return err
	}
	if req.ID == "" {
		return refuse(Invalid, "a message needs an id")
	}
	e := Entry{Kind: Say, At: c.o.Now().UnixMilli(), Nick: row.text(inRoom + req.Room), By: row.text("by"), Text: text, ID: req.ID}
	room, err := c.append(ctx, req.Room, &e, func(seq int64) []Change {
		return []Change{{Key: sentKey(req.Room, req.ID), Set: Row{"seq": seq, "at": e.At, "expires": c.forget()}, If: []Cond{{Column: "seq"}}}}
	})
	if twice, ok := errors.AsType[*ConditionError](err); ok && twice.Row != nil {
		return c.tell(ctx, conn, frame{Type: "ack", ID: req.ID, Room: req.Room, Seq: twice.Row.number("seq"), At: twice.Row.number("at")})
	}
	if err != nil {
		return err
	}
	if err := c.tell(ctx, conn, frame{Type: "ack", ID: req.ID, Room: req.Room, Seq: e.Seq, At: e.At}); err != nil {
		c.o.Log.Warn("ack", "conn", conn, "err", err) // the entry tells the page as well
	}
	return c.deliver(ctx, req.Room, room)
}

// maxTyping is the size of a room from which nobody is told who is typing.
const maxTyping = 50

// typing tells the others that somebody writes. Pages forget it after some seconds.
func (c *Chat) typing(ctx context.Context, conn string, row Row, req *request) error {
	people, err := c.people(ctx, req.Room)
	if err != nil || len(people) > maxTyping {
		return err
	}
	people = slices.DeleteFunc(people, func(m member) bool { return m.conn == conn })
	return c.fanOut(ctx, req.Room, people, frame{Type: "typing", Room: req.Room, Nick: row.text(inRoom + req.Room)})
}

// ping answers with the newest number of each room, and helps rooms whose courier was lost.
func (c *Chat) ping(ctx context.Context, conn string, row Row, req *request) error {
	f := frame{Type: "pong", ID: req.ID, Rooms: map[string]int64{}}
	late := map[string]Row{}
	for room := range roomsOf(row) {
		state, err := c.o.Store.Get(ctx, roomKey(room))
		if err != nil {
			return err
		}
		f.Rooms[room] = state.number("delivered")
		if state.number("delivered") < state.number("seq") {
			late[room], f.More = state, true
		}
	}
	err := c.tell(ctx, conn, f)
	for room, state := range late {
		err = errors.Join(err, c.deliver(ctx, room, state))
	}
	return err
}
