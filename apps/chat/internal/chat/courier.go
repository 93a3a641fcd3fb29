package chat

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

const (
	lease    = 5 * time.Second       // a courier that says nothing for so long is lost
	duty     = 15 * time.Second      // after this a courier leaves the rest to the next who writes
	patience = 2 * time.Second       // how long a courier waits for an entry that has its number but is not written
	glance   = 20 * time.Millisecond // between two looks for it
	abreast  = 64                    // pushes at once
	load     = 50                    // entries in one push
)

// deliver tells a room's people what is new, unless a courier is about it. state is the room's row as it
// was after the entry got its number.
func (c *Chat) deliver(ctx context.Context, room string, state Row) error {
	now := c.o.Now()
	if state.number("until") > now.UnixMilli() {
		return nil // who gives up the lease looks first whether there is something new
	}
	me := rand.Text()
	state, err := c.o.Store.Write(ctx, Change{Key: roomKey(room), Set: Row{"courier": me, "until": now.Add(lease).UnixMilli()}, If: []Cond{{Column: "courier", Value: state["courier"]}, {Column: "until", Value: state["until"]}}})
	if _, ok := errors.AsType[*ConditionError](err); ok {
		return nil // another was faster, and sees our entry
	}
	for end := now.Add(duty); err == nil && state != nil; {
		if !c.o.Now().Before(end) || ctx.Err() != nil {
			_, err = c.o.Store.Write(ctx, Change{Key: roomKey(room), Remove: []string{"courier", "until"}, If: []Cond{{Column: "courier", Value: me}}})
			break
		}
		state, err = c.carry(ctx, room, me, state)
	}
	if _, ok := errors.AsType[*ConditionError](err); ok {
		return nil // slower than the lease: another goes on
	}
	return err
}

// carry pushes the next entries and returns the room's row, nil when there is nothing left to do.
func (c *Chat) carry(ctx context.Context, room, me string, state Row) (Row, error) {
	next, err := c.ready(ctx, room, state)
	if err != nil {
		return nil, err
	}
	told := state.number("delivered")
	if len(next) > 0 {
		people, err := c.people(ctx, room)
		if err != nil {
			return nil, err
		}
		if err := c.fanOut(ctx, room, people, frame{Type: "log", Room: room, Entries: next}); err != nil {
			return nil, err
		}
		told = next[len(next)-1].Seq
	}
	mine := Cond{Column: "courier", Value: me}
	_, err = c.o.Store.Write(ctx, Change{Key: roomKey(room), Set: Row{"delivered": told}, Remove: []string{"courier", "until"}, If: []Cond{mine, {Column: "seq", Value: told}}})
	if _, ok := errors.AsType[*ConditionError](err); !ok {
		return nil, err
	}
	return c.o.Store.Write(ctx, Change{Key: roomKey(room), Set: Row{"delivered": told, "until": c.o.Now().Add(lease).UnixMilli()}, If: []Cond{mine}})
}

// ready are the entries to be told next, without a hole. It waits for the first, but not for ever.
func (c *Chat) ready(ctx context.Context, room string, state Row) ([]Entry, error) {
	from, to := state.number("delivered")+1, state.number("seq")
	if from > to {
		return nil, nil
	}
	for end := c.o.Now().Add(patience); ; {
		list, err := c.entries(ctx, room, from, to, false, load)
		if err != nil {
			return nil, err
		}
		for i := range list {
			if list[i].Seq != from+int64(i) {
				list = list[:i]
				break
			}
		}
		if len(list) > 0 {
			return list, nil
		}
		if !c.o.Now().Before(end) {
			if _, err := c.void(ctx, room, from); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(glance):
		}
	}
}

// fanOut pushes a frame to people. Those who are gone are taken out of the room; another failure is logged:
// who was not reached sees the hole in the numbers.
func (c *Chat) fanOut(ctx context.Context, room string, people []member, f frame) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	var mu sync.Mutex // guards gone
	var gone []member
	var wg sync.WaitGroup
	slots := make(chan struct{}, abreast)
	for _, m := range people {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			switch err := c.o.Push.Push(ctx, m.conn, data); {
			case errors.Is(err, ErrGone):
				mu.Lock()
				gone = append(gone, m)
				mu.Unlock()
			case err != nil:
				c.o.Log.Warn("push", "conn", m.conn, "err", err)
			}
		})
	}
	wg.Wait()
	for _, m := range gone {
		row, err := c.o.Store.Get(ctx, connKey(m.conn))
		if err != nil {
			return err
		}
		state, err := c.exit(ctx, room, m.nick, m.conn, row)
		if err != nil {
			return err
		}
		if err := c.Disconnect(ctx, m.conn); err != nil {
			return err
		}
		if state != nil { // does nothing for a courier, who is about it
			if err := c.deliver(ctx, room, state); err != nil {
				return err
			}
		}
	}
	return nil
}
