package chat

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
)

const (
	newest   = 50     // messages that one who comes is shown
	missed   = 200    // entries that one who comes back is told
	maxPage  = 100    // entries of one answer of history
	maxBytes = 90_000 // of entries in one frame; AWS takes 128 KB
)

// append gives an entry the next number in its room's log and writes it, with further changes that the
// number may go into. It returns the room's row. When a condition of those does not hold nothing is written, and
// the *ConditionError counts from the first of them.
func (c *Chat) append(ctx context.Context, room string, e *Entry, with func(seq int64) []Change) (Row, error) {
	for range tries {
		state, err := c.o.Store.Write(ctx, Change{Key: roomKey(room), Add: map[string]int64{"seq": 1}})
		if err != nil {
			return nil, err
		}
		e.Seq = state.number("seq")
		line := Change{Key: entryKey(room, e.Seq), Set: e.row(c.o.Keep), If: []Cond{{Column: "kind"}}}
		_, err = c.o.Store.Write(ctx, append([]Change{line}, with(e.Seq)...)...)
		if err == nil {
			return state, nil
		}
		failed, ok := errors.AsType[*ConditionError](err)
		if ok && failed.Index == 0 {
			continue // a courier did not wait for us
		}
		if ok {
			if _, err := c.void(ctx, room, e.Seq); err != nil {
				return nil, err
			}
			failed.Index--
		}
		return nil, err
	}
	return nil, refuse(Failed, "%s is too busy, try again", room)
}

// void fills a number that nobody wrote. It reports whether somebody had.
func (c *Chat) void(ctx context.Context, room string, seq int64) (written bool, err error) {
	e := Entry{Seq: seq, Kind: Void, At: c.o.Now().UnixMilli()}
	_, err = c.o.Store.Write(ctx, Change{Key: entryKey(room, seq), Set: e.row(c.o.Keep), If: []Cond{{Column: "kind"}}})
	if _, ok := errors.AsType[*ConditionError](err); ok {
		return true, nil
	}
	return false, err
}

// entries are those with from <= seq <= to that fit into a frame, the oldest first, or backward the newest.
func (c *Chat) entries(ctx context.Context, room string, from, to int64, backward bool, limit int) ([]Entry, error) {
	if from > to {
		return nil, nil
	}
	rows, err := c.o.Store.Query(ctx, Query{PK: entryKey(room, 0).PK, From: entryKey(room, from).SK, To: entryKey(room, to).SK, Backward: backward, Limit: limit})
	if err != nil {
		return nil, err
	}
	var list []Entry
	size := 0
	for _, r := range rows {
		e := entryOf(r)
		text, err := json.Marshal(e)
		if err != nil {
			return nil, err
		}
		if size += len(text) + 1; size > maxBytes {
			break
		}
		list = append(list, e)
	}
	return list, nil
}

// messages are the newest messages with from <= seq <= to, the oldest first; other entries count for
// nothing. more says that there may be older ones.
func (c *Chat) messages(ctx context.Context, room string, from, to int64, limit int) (list []Entry, more bool, err error) {
	size := 0
	for range 10 {
		page, err := c.entries(ctx, room, from, to, true, maxPage)
		if err != nil {
			return nil, false, err
		}
		for _, e := range page {
			if to = e.Seq - 1; e.Kind != Say {
				continue
			}
			text, err := json.Marshal(e)
			if err != nil {
				return nil, false, err
			}
			if size += len(text) + 1; size > maxBytes || len(list) == limit {
				slices.Reverse(list)
				return list, true, nil
			}
			list = append(list, e)
		}
		if len(page) == 0 || to < from {
			slices.Reverse(list)
			return list, false, nil
		}
	}
	slices.Reverse(list)
	return list, len(list) > 0, nil
}

// snapshot is a room for one who comes and knows it up to a number; 0 is nothing. What comes later is pushed.
func (c *Chat) snapshot(ctx context.Context, room string, after int64) (frame, error) {
	state, err := c.o.Store.Get(ctx, roomKey(room))
	if err != nil {
		return frame{}, err
	}
	f := frame{Room: room, Seq: state.number("delivered")}
	people, err := c.people(ctx, room) // after the number: what the log says from there on is applied to this
	if err != nil {
		return frame{}, err
	}
	f.People = nicks(people)
	if after > f.Seq && after <= state.number("seq") {
		f.Seq = after // it was told, by a courier who was lost before he wrote so
	}
	if after > 0 && after <= f.Seq {
		f.Entries, err = c.entries(ctx, room, after+1, f.Seq, false, missed)
		if err != nil || int64(len(f.Entries)) == f.Seq-after {
			return f, err
		}
	}
	f.Entries, f.More, err = c.messages(ctx, room, 1, f.Seq, newest)
	return f, err
}

// history answers with messages before a number, or with everything after one.
func (c *Chat) history(ctx context.Context, conn string, _ Row, req *request) error {
	state, err := c.o.Store.Get(ctx, roomKey(req.Room))
	if err != nil {
		return err
	}
	limit := req.Limit
	if limit <= 0 || limit > maxPage {
		limit = newest
	}
	f := frame{Type: "history", ID: req.ID, Room: req.Room}
	told := state.number("delivered")
	if req.Before > 0 {
		f.Entries, f.More, err = c.messages(ctx, req.Room, 1, min(req.Before-1, told), limit)
	} else {
		f.Entries, err = c.entries(ctx, req.Room, min(max(req.After, 0), math.MaxInt64-1)+1, told, false, limit)
		f.More = len(f.Entries) > 0 && f.Entries[len(f.Entries)-1].Seq < told
	}
	if err != nil {
		return err
	}
	return c.tell(ctx, conn, f)
}
