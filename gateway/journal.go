package gateway

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
	"github.com/sluicehq/sluice/kv"
)

// journal remembers in the store which connections' ends are owed to the backend, so that they are
// told even when the process dies with the connections.
//
//	J L node           how many lives this node's gateway has had (a kv counter)
//	J C node life id   a connection whose end is owed
type journal struct {
	store kv.Store // nil: nothing is remembered
	node  uint16
	life  uint32
}

// owed is a row's value: what the Close event will say.
type owed struct {
	Conn sluice.Conn `json:"conn"`
	Seq  uint64      `json:"seq"`
}

// journalTimeout is how long one write may take.
const journalTimeout = 10 * time.Second

// replays is how many Closes of a former life are told at once.
const replays = 16

// begin begins a new life.
func (j *journal) begin(ctx context.Context) (life uint32, err error) {
	if j.store == nil {
		j.life = rand.Uint32()
		return j.life, nil
	}
	counter := binary.BigEndian.AppendUint16([]byte("JL"), j.node)
	err = j.store.Update(ctx, kv.Locks{Keys: [][]byte{counter}}, func(tx kv.Txn) error {
		n, err := tx.Seq(counter, 1)
		life = uint32(n)
		return err
	})
	j.life = life
	return life, err
}

// lives is where the rows of a life begin.
func (j *journal) lives(life uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte("JC"), j.node), life)
}

func (j *journal) key(id sluice.ConnID) []byte { return append(j.lives(j.life), id[:]...) }

// put makes a row, or with a nil value removes it. It returns when that is durable.
func (j *journal) put(ctx context.Context, key []byte, val *owed) error {
	ctx, cancel := context.WithTimeout(ctx, journalTimeout)
	defer cancel()
	var text []byte
	if val != nil {
		var err error
		if text, err = json.Marshal(val); err != nil {
			return fmt.Errorf("write journal row: %w", err)
		}
	}
	return j.store.Update(ctx, kv.Locks{Keys: [][]byte{key}}, func(tx kv.Txn) error {
		if val == nil {
			tx.Delete(key)
		} else {
			tx.Put(key, text)
		}
		return nil
	})
}

// duty is a change of what the journal says about a connection, and the reply that waits for it.
type duty struct {
	put   bool
	reply *sluice.Reply
	event *sluice.Event
}

// promise changes what the journal says about c, behind the changes that are under way.
func (s *shard) promise(c *conn, d duty) {
	if d.put {
		c.set(willOwe)
	} else {
		c.unset(willOwe)
	}
	if s.g.journal.store == nil {
		s.settled(c, d, nil)
		return
	}
	w := c.busy()
	w.duties = append(w.duties, d)
	s.nextDuty(c)
}

func (s *shard) nextDuty(c *conn) {
	w := c.work
	if w == nil || w.writing || len(w.duties) == 0 {
		return
	}
	d, id := w.duties[0], s.id(c)
	var val *owed
	if d.put {
		val = &owed{Conn: s.snapshot(c), Seq: c.seq}
		if !c.ep.Load().Policy.KeepHandshake {
			val.Conn.Handshake = nil // Open still had it
		}
	}
	w.writing = true
	s.g.workers.do(func() {
		err := s.g.journal.put(s.g.workers.base, s.g.journal.key(id), val)
		s.loop.Post(func() {
			w.writing = false
			w.duties[0] = duty{}
			if w.duties = w.duties[1:]; len(w.duties) == 0 {
				w.duties = nil
			}
			s.settled(c, d, err)
			s.nextDuty(c)
		})
	})
}

// settled goes on when the journal has been written.
func (s *shard) settled(c *conn, d duty, err error) {
	w := c.work
	switch {
	case err == nil && d.put:
		c.set(owes)
	case err == nil:
		c.unset(owes)
	case d.put:
		s.g.log.Error("cannot journal a connection", "conn", s.id(c).String(), "err", err)
		if !c.is(owes) {
			c.unset(willOwe)
		}
	default: // the row stays: it may be told once more after a restart
		s.g.log.Error("cannot take a connection out of the journal", "conn", s.id(c).String(), "err", err)
	}
	if d.reply != nil {
		w.held--
		r := *d.reply
		if err != nil && d.put { // a promise that cannot be kept is not made
			if d.event.Kind == sluice.Open {
				w.running--
				s.refuse(c, &sluice.Refusal{Status: 503})
				return
			}
			r = sluice.Reply{Close: &sluice.CloseSpec{Code: wire.CodeInternal}}
		}
		s.apply(c, d.event, &r)
	}
	s.finish(c)
	c.rested()
}

// Sweep tells the Closes that former lives of this node owed, with Cause PeerLost, and returns when
// that is done. Those whose endpoint is not deployed are kept for the next Sweep. Run sweeps at its
// start; call it again when an app has been deployed.
func (g *Gateway) Sweep(ctx context.Context) error {
	j := &g.journal
	if j.store == nil || !isClosed(g.ready) { // Run will sweep
		return nil
	}
	select {
	case g.sweeping <- struct{}{}: // one at a time
		defer func() { <-g.sweeping }()
	case <-ctx.Done():
		return ctx.Err()
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, replays)
	kept := map[string]int{}
	end := j.lives(j.life)
	for from := j.lives(0); ; {
		var keys, vals [][]byte
		err := j.store.View(ctx, func(r kv.Reader) error {
			keys, vals = nil, nil
			it := r.Scan(from, end, kv.ScanOpts{Limit: 256})
			defer it.Close()
			for it.Next() {
				keys = append(keys, append([]byte(nil), it.Key()...))
				vals = append(vals, append([]byte(nil), it.Value()...))
			}
			return it.Err()
		})
		if err != nil {
			return fmt.Errorf("read connection journal: %w", err)
		}
		for i, key := range keys {
			var row owed
			if err := json.Unmarshal(vals[i], &row); err != nil {
				g.log.Error("connection journal has a row that cannot be read", "err", err)
				continue
			}
			ep := g.opt.Router.Endpoint(row.Conn.App, row.Conn.Endpoint)
			if ep == nil {
				kept[string(row.Conn.App)]++
				continue
			}
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			wg.Go(func() {
				defer func() { <-slots }()
				g.replay(ctx, ep, key, &row)
			})
		}
		if len(keys) == 0 {
			break
		}
		from = append(keys[len(keys)-1], 0)
	}
	for app, n := range kept {
		g.log.Warn("closes wait for an endpoint that is not deployed", "app", app, "closes", n)
	}
	return nil
}

// replay tells one Close of a former life.
func (g *Gateway) replay(ctx context.Context, ep *Endpoint, key []byte, row *owed) {
	if a := row.Conn.Alias; a != nil && ep.Policy.AliasGrace > 0 {
		// All clients lost their connections at once and have the grace to come back.
		select {
		case <-time.After(time.Until(g.started.Add(ep.Policy.AliasGrace))):
		case <-ctx.Done():
			return
		}
	}
	if a := row.Conn.Alias; a == nil || ep.Policy.AliasGrace <= 0 || !g.aliases.alive(*a) {
		_, told := g.call(ctx, ep, &sluice.Event{
			Kind: sluice.Close, ID: requestID(), Conn: row.Conn, Seq: row.Seq + 1, At: time.Now(),
			Cause: sluice.PeerLost, Code: wire.CodeAbnormal,
		})
		if !told {
			return
		}
	}
	if err := g.journal.put(ctx, key, nil); err != nil {
		g.log.Error("cannot take a connection out of the journal", "conn", row.Conn.ID.String(), "err", err)
	}
}
