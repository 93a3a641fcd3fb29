package lambda

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// progress is how far a mapping has come.
type progress struct {
	Stream string `json:"stream"`
	Next   uint64 `json:"next"`            // the number of the first record that is not done
	Tries  int    `json:"tries,omitempty"` // failed calls with the batch that begins there
	Most   int    `json:"most,omitempty"`  // records in a call, when a failing batch has been split

	Owner string `json:"owner,omitempty"` // of the lease
	Until int64  `json:"until,omitempty"` // the lease's end, in unix ms
}

const (
	leaseLife  = 15 * time.Second // so long a mapping waits whose process has died
	leaseRenew = leaseLife / 3
)

// errElsewhere says that another process serves a mapping now, or has gone on with it.
var errElsewhere = errors.New("another process serves the mapping")

// begin finds out where to go on: where the row says, unless the table has another stream by now.
func (r *reader) begin(ctx context.Context) error {
	arn, _, err := r.o.Streams.Stream(ctx, r.table)
	if err != nil {
		return err
	}
	if r.row == nil {
		if err := r.load(ctx); err != nil {
			return err
		}
	}
	if r.at.Owner != r.owner && r.at.Until > time.Now().UnixMilli() {
		return errElsewhere
	}
	if r.at.Stream == arn {
		return nil
	}
	first := progress{Stream: arn}
	if r.c.Latest && r.at.Stream == "" {
		if first.Next, err = r.o.Streams.Latest(ctx, r.table); err != nil {
			return err
		}
	}
	return r.save(ctx, first, nil)
}

// load reads the row.
func (r *reader) load(ctx context.Context) error {
	return r.o.Store.View(ctx, func(tx kv.Reader) error {
		r.at, r.row = progress{}, nil
		row, ok, err := tx.Get(r.key)
		if err != nil || !ok {
			return err
		}
		if err := json.Unmarshal(row, &r.at); err != nil {
			return fmt.Errorf("how far a mapping has come: %w", kv.ErrCorrupt)
		}
		r.row = bytes.Clone(row)
		return nil
	})
}

// save goes on to another place, with a lease of ours, and tells a function of records that are given up.
func (r *reader) save(ctx context.Context, to progress, tell *sluice.Invocation) error {
	return r.write(ctx, to, leaseLife, tell)
}

// write is save with a lease of any length; 0 is none.
func (r *reader) write(ctx context.Context, to progress, life time.Duration, tell *sluice.Invocation) error {
	var row []byte
	err := r.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{r.key}}, func(tx kv.Txn) error {
		is, _, err := tx.Get(r.key)
		if err != nil {
			return err
		}
		if !bytes.Equal(is, r.row) || r.at.Owner != r.owner && r.at.Until > tx.Now() {
			return errElsewhere
		}
		to.Owner, to.Until = "", 0
		if life > 0 {
			to.Owner, to.Until = r.owner, tx.Now()+life.Milliseconds()
		}
		row, _ = json.Marshal(to) // texts and numbers always marshal
		tx.Put(r.key, row)
		if tell != nil {
			r.o.Later.PutWith(tx, *tell)
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.at, r.row = to, row
	if tell != nil {
		r.o.Later.Wake()
	}
	return nil
}

// hold takes the lease, unless what is left of ours is enough to renew it in time.
func (r *reader) hold(ctx context.Context) error {
	if r.at.Owner == r.owner && r.at.Until > time.Now().Add(leaseLife-leaseRenew).UnixMilli() {
		return nil
	}
	return r.save(ctx, r.at, nil)
}

// renewing renews the lease until it is stopped, which waits for the last time.
func (r *reader) renewing(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(leaseRenew)
		defer t.Stop()
		for {
			select {
			case <-t.C:
			case <-ctx.Done():
				return
			}
			// When it fails, the end of the call will tell: it is saved only by who holds the lease.
			sctx, done := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
			if err := r.save(sctx, r.at, nil); err != nil {
				r.log.Warn("renew the lease of an event source mapping", "err", err)
			}
			done()
		}
	})
	return func() { cancel(); wg.Wait() }
}

// release gives the lease back.
func (r *reader) release(ctx context.Context) {
	if r.row == nil || r.at.Owner != r.owner {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseRenew)
	defer cancel()
	if err := r.write(ctx, r.at, 0, nil); err != nil && !errors.Is(err, errElsewhere) {
		r.log.Warn("give the lease of an event source mapping back: it waits for the lease's end", "err", err)
	}
}
