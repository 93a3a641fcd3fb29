package table

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// view runs fn on one read point with the present descriptions of tables.
func (t *Tables) view(ctx context.Context, specs []*Spec, fn func(kv.Reader, []*Spec) error) error {
	for range 10 {
		err := t.store.View(ctx, func(r kv.Reader) error {
			var seen *Spec
			for _, spec := range specs {
				if spec == seen {
					continue
				}
				if err := current(r, spec); err != nil {
					return err
				}
				seen = spec
			}
			return fn(r, specs)
		})
		if !errors.Is(err, errStale) {
			return t.settle(err)
		}
		specs = slices.Clone(specs)
		for i := range specs {
			if specs[i], err = t.renew(ctx, specs[i]); err != nil {
				return err
			}
		}
	}
	return sluice.Errorf(sluice.Unavailable, "the table is being altered all the time")
}

// Get returns one row; nil when there is none.
func (t *Tables) Get(ctx context.Context, spec *Spec, key Key) (row *Row, err error) {
	err = t.view(ctx, []*Spec{spec}, func(r kv.Reader, specs []*Spec) (err error) {
		row, err = specs[0].get(r, key, t.now())
		return err
	})
	return row, err
}

// get reads one row as it is at a time; nil when there is none.
func (t *Spec) get(r kv.Reader, key Key, now int64) (*Row, error) {
	k, err := t.rows().key(key)
	if err != nil {
		return nil, err
	}
	row, _, err := t.read(r, k, key)
	if err != nil {
		return nil, err
	}
	return t.live(row, now), nil
}

// GetMany returns several rows as they were at one moment, nil for one that is not there.
func (t *Tables) GetMany(ctx context.Context, refs []Ref) ([]*Row, error) {
	specs := make([]*Spec, len(refs))
	for i, ref := range refs {
		specs[i] = ref.Table
	}
	rows := make([]*Row, len(refs))
	err := t.view(ctx, specs, func(r kv.Reader, specs []*Spec) error {
		now := t.now()
		for i, spec := range specs {
			var err error
			if rows[i], err = spec.get(r, refs[i].Key, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rows, nil
}

// Scan reads one page of a range. It holds one page in memory, however large the table.
func (t *Tables) Scan(ctx context.Context, rg Range) (Page, error) {
	if rg.MaxRows <= 0 {
		rg.MaxRows = 5000
	}
	if rg.MaxBytes <= 0 {
		rg.MaxBytes = 4 << 20
	}
	var page Page
	err := t.view(ctx, []*Spec{rg.Table}, func(r kv.Reader, specs []*Spec) (err error) {
		page, err = specs[0].scan(r, rg, t.now())
		return err
	})
	return page, err
}

func (t *Spec) scan(r kv.Reader, rg Range, now int64) (page Page, err error) {
	space := t.rows()
	if rg.Index != "" {
		x := t.FindIndex(rg.Index)
		if x == nil {
			return page, &MissingError{t.Scope, t.Name, rg.Index}
		}
		if x.Building {
			return page, sluice.Errorf(sluice.Unavailable, "index %s of table %s is still being built", x.Name, t.Name)
		}
		space = t.index(x)
	}
	first, last := Key{{Type: Min}}, Key{{Type: Max}}
	if rg.Reverse {
		first, last = last, first
	}
	if rg.From == nil {
		rg.From = first
	}
	if rg.To == nil {
		rg.To = last
	}
	from, err := space.edge(rg.From, rg.Reverse)
	if err != nil {
		return page, err
	}
	to, err := space.edge(rg.To, rg.Reverse)
	if err != nil {
		return page, err
	}
	lo, hi := from, to
	if rg.Reverse {
		lo, hi = to, from
	}
	if rg.Parts > 0 && space.hash {
		first, last := space.part(rg.Part, rg.Parts)
		lo, hi = slices.MaxFunc([][]byte{lo, first}, bytes.Compare), slices.MinFunc([][]byte{hi, last}, bytes.Compare)
	}
	if bytes.Compare(lo, hi) >= 0 {
		return page, nil
	}
	it := r.Scan(lo, hi, kv.ScanOpts{Reverse: rg.Reverse, Limit: rg.MaxRows + 1})
	defer it.Close()
	mem := &slab{}
	var st stored
	for n := 0; it.Next(); n++ {
		mem.rows = max(1, min(rg.MaxRows-n, max(n, 4), 64)) // a short page does not take a long one's memory
		both, split := mem.text(it.Key(), it.Value()), len(it.Key())
		key, err := space.cut(both[:split], mem)
		if err != nil {
			return page, err
		}
		if n == rg.MaxRows || page.Seen >= rg.MaxBytes {
			page.Next = key
			break
		}
		page.Seen += len(both)
		st = stored{Row: Row{Key: key}}
		if err := st.decode(both[split:], mem); err != nil {
			return page, err
		}
		live := t.live
		if rg.Index != "" {
			live = t.liveEntry
		}
		if row := live(&st, now); row != nil {
			if len(page.Rows) == cap(page.Rows) {
				page.Rows = slices.Grow(page.Rows, max(8, len(page.Rows)))
			}
			page.Rows = append(page.Rows, *row)
		}
	}
	return page, it.Err()
}
