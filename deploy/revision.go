package deploy

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// keep is how many revisions of an app stay, the current one included.
const keep = 5

// Revision is one state of one app that was, or is, deployed.
type Revision struct {
	ID       string      `json:"id"` // a decimal number, counting up per app and never used again
	App      *sluice.App `json:"app"`
	Time     time.Time   `json:"time"`
	Previous string      `json:"previous,omitempty"` // what Rollback goes to
	Steps    []Step      `json:"steps,omitempty"`    // what it did

	Prints map[string]fingerprint                   `json:"prints"`
	Code   map[sluice.FunctionName]deployedFunction `json:"code,omitempty"`
	Files  map[string]string                        `json:"files,omitempty"` // site key → its copy, relative to Dir
}

// deployedFunction is where a function's code is and which revision put it there.
type deployedFunction struct {
	Root     string `json:"root"` // relative to Dir, so that the data folder can move
	Revision string `json:"revision"`
}

// Keys: "Ac" app → current revision; "Ap" app → revision being applied; "An" app → counter;
// "Ar" app 0 number → revision; "Ai" app → what is known of its hook.
func currentKey(app sluice.AppName) []byte   { return []byte("Ac" + string(app)) }
func initKey(app sluice.AppName) []byte      { return []byte("Ai" + string(app)) }
func pendingKey(app sluice.AppName) []byte   { return []byte("Ap" + string(app)) }
func counterKey(app sluice.AppName) []byte   { return []byte("An" + string(app)) }
func revisionsKey(app sluice.AppName) []byte { return []byte("Ar" + string(app) + "\x00") }

func revisionKey(app sluice.AppName, id string) []byte {
	n, err := strconv.ParseUint(id, 10, 64)
	if err != nil {
		return append(revisionsKey(app), id...) // names nothing
	}
	return binary.BigEndian.AppendUint64(revisionsKey(app), n)
}

// load reads one revision; nil when there is none.
func load(r kv.Reader, app sluice.AppName, id string) (*Revision, error) {
	val, ok, err := r.Get(revisionKey(app, id))
	if err != nil || !ok {
		return nil, err
	}
	rev := new(Revision)
	if err := json.Unmarshal(val, rev); err != nil {
		return nil, err
	}
	return rev, nil
}

// current is the revision of app that serves, nil when there is none.
func (d *Deployer) current(ctx context.Context, app sluice.AppName) (rev *Revision, err error) {
	err = d.o.Store.View(ctx, func(r kv.Reader) error {
		id, ok, err := r.Get(currentKey(app))
		if err != nil || !ok {
			return err
		}
		rev, err = load(r, app, string(id))
		return err
	})
	return rev, err
}

// Current is the revision of app that serves now. An app that is not deployed is a Missing error.
func (d *Deployer) Current(ctx context.Context, app sluice.AppName) (*Revision, error) {
	rev, err := d.current(ctx, app)
	if err == nil && rev == nil {
		return nil, d.noApp(ctx, app)
	}
	return rev, err
}

// List is the current revision of every app, by name.
func (d *Deployer) List(ctx context.Context) ([]*Revision, error) {
	var list []*Revision
	err := d.o.Store.View(ctx, func(r kv.Reader) error {
		list = nil
		apps, err := keysUnder(r, []byte("Ac"))
		if err != nil {
			return err
		}
		for _, app := range apps {
			id, _, err := r.Get(currentKey(sluice.AppName(app)))
			if err != nil {
				return err
			}
			rev, err := load(r, sluice.AppName(app), string(id))
			if err != nil {
				return err
			}
			if rev != nil {
				list = append(list, rev)
			}
		}
		return nil
	})
	return list, err
}

// History is every kept revision of app, newest first; empty when it is not deployed.
func (d *Deployer) History(ctx context.Context, app sluice.AppName) ([]*Revision, error) {
	var list []*Revision
	err := d.o.Store.View(ctx, func(r kv.Reader) error {
		list = nil
		it := r.Scan(revisionsKey(app), kv.PrefixEnd(revisionsKey(app)), kv.ScanOpts{Reverse: true, Limit: 1000})
		defer it.Close()
		for it.Next() {
			rev := new(Revision)
			if err := json.Unmarshal(it.Value(), rev); err != nil {
				return err
			}
			list = append(list, rev)
		}
		return it.Err()
	})
	return list, err
}

// keysUnder lists what follows prefix in the keys that begin with it.
func keysUnder(r kv.Reader, prefix []byte) ([]string, error) {
	var keys []string
	lo, hi := prefix, kv.PrefixEnd(prefix)
	for {
		it := r.Scan(lo, hi, kv.ScanOpts{Limit: 1000, KeysOnly: true})
		n := 0
		for it.Next() {
			keys = append(keys, string(it.Key()[len(prefix):]))
			lo = append(slices.Clone(it.Key()), 0)
			n++
		}
		err := it.Err()
		it.Close()
		if err != nil || n < 1000 {
			return keys, err
		}
	}
}

// begin takes the next revision's id and notes that it is being applied.
func (d *Deployer) begin(ctx context.Context, app sluice.AppName) (id string, err error) {
	err = d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{counterKey(app), pendingKey(app)}}, func(tx kv.Txn) error {
		n, err := tx.Seq(counterKey(app), 1)
		if err != nil {
			return err
		}
		id = strconv.FormatUint(n, 10)
		tx.Put(pendingKey(app), []byte(id))
		return nil
	})
	return id, err
}

// commit makes rev the current revision and forgets the oldest ones, whose folders it leaves to sweep.
func (d *Deployer) commit(ctx context.Context, rev *Revision) error {
	val, err := json.Marshal(rev)
	if err != nil {
		return err
	}
	app := rev.App.Name
	old, err := d.History(ctx, app)
	if err != nil {
		return err
	}
	return d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{currentKey(app), pendingKey(app)}}, func(tx kv.Txn) error {
		tx.Put(revisionKey(app, rev.ID), val)
		tx.Put(currentKey(app), []byte(rev.ID))
		tx.Delete(pendingKey(app))
		kept := 1
		for _, r := range old {
			if r.ID == rev.ID {
				continue
			}
			if kept >= keep && r.ID != rev.Previous {
				tx.Delete(revisionKey(app, r.ID))
			}
			kept++
		}
		return nil
	})
}

// point makes an existing revision the current one.
func (d *Deployer) point(ctx context.Context, app sluice.AppName, id string) error {
	return d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{currentKey(app), pendingKey(app)}}, func(tx kv.Txn) error {
		tx.Put(currentKey(app), []byte(id))
		tx.Delete(pendingKey(app))
		return nil
	})
}

// abandon notes that nothing is being applied to app.
func (d *Deployer) abandon(ctx context.Context, app sluice.AppName) error {
	return d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{pendingKey(app)}}, func(tx kv.Txn) error {
		tx.Delete(pendingKey(app))
		return nil
	})
}

func (d *Deployer) noApp(ctx context.Context, app sluice.AppName) error {
	e := &sluice.Error{Code: sluice.Missing, Msg: "no app called " + strconv.Quote(string(app)) + " is deployed"}
	if list, err := d.List(ctx); err == nil && len(list) > 0 {
		e.Hint = "deployed are:"
		for _, r := range list {
			e.Hint += " " + string(r.App.Name)
		}
	}
	return e
}
