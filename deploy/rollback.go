package deploy

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Rollback makes the revision before the current one serve, at once: nothing is built or copied. It
// returns that revision; doing it again goes back one more. Actions do not run and tables stay.
func (d *Deployer) Rollback(ctx context.Context, app sluice.AppName) (*Revision, error) {
	unlock, err := d.lock(ctx, app)
	if err != nil {
		return nil, err
	}
	defer unlock()
	cur, err := d.Current(ctx, app)
	if err != nil {
		return nil, err
	}
	var to *Revision
	if err := d.o.Store.View(ctx, func(r kv.Reader) error {
		to, err = load(r, app, cur.Previous)
		return err
	}); err != nil {
		return nil, err
	}
	if to == nil {
		return nil, &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("app %q has no revision before %s", app, cur.ID)}
	}
	a := &apply{d: d}
	err = a.switchTo(ctx, cur, to)
	if err == nil {
		err = d.point(context.WithoutCancel(ctx), app, to.ID)
	}
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
		defer cancel()
		a.undo(ctx, cur, to)
		return nil, err
	}
	if err := a.removeGone(ctx, cur, to); err != nil {
		d.o.Log.Warn("remove functions after rolling back", "app", app, "err", err)
	}
	d.o.Log.Info("rolled back", "app", app, "revision", to.ID)
	return to, nil
}

// Remove takes an app away: its front, its functions, its revisions and their folders. Tables,
// buckets and objects stay. Calling it again after an error goes on where it stopped.
func (d *Deployer) Remove(ctx context.Context, app sluice.AppName) error {
	unlock, err := d.lock(ctx, app)
	if err != nil {
		return err
	}
	defer unlock()
	cur, err := d.Current(ctx, app)
	if err != nil {
		return err
	}
	a := &apply{d: d}
	if err := d.o.Fronts.Unmount(ctx, app); err != nil && sluice.KindOf(err) != sluice.Missing {
		return err
	}
	if err := a.removeGone(ctx, cur, nil); err != nil {
		return err
	}
	revisions, err := d.History(ctx, app)
	if err != nil {
		return err
	}
	if err := d.o.Store.Update(ctx, kv.Locks{Keys: [][]byte{currentKey(app), pendingKey(app), initKey(app)}}, func(tx kv.Txn) error {
		tx.Delete(currentKey(app)) // the counter stays: ids are never used again
		tx.Delete(pendingKey(app))
		tx.Delete(initKey(app))
		for _, r := range revisions {
			tx.Delete(revisionKey(app, r.ID))
		}
		return nil
	}); err != nil {
		return err
	}
	d.o.Log.Info("removed", "app", app)
	return d.sweep(ctx, app)
}

// Restore makes the current revision of every app serve again, as after a start. Nothing is built.
// What a crash left half done is put back: sites are uploaded again and stray folders deleted. An
// app that cannot be restored does not stop the others; the errors come back joined.
func (d *Deployer) Restore(ctx context.Context) error {
	if err := d.dropHalfBuilds(); err != nil {
		return err
	}
	list, err := d.List(ctx)
	if err != nil {
		return err
	}
	var pending []string
	if err := d.o.Store.View(ctx, func(r kv.Reader) error {
		pending, err = keysUnder(r, []byte("Ap"))
		return err
	}); err != nil {
		return err
	}
	crashed := map[sluice.AppName]bool{}
	for _, app := range pending {
		crashed[sluice.AppName(app)] = true
	}
	var errs []error
	for _, rev := range list {
		if err := d.restore(ctx, rev, crashed[rev.App.Name]); err != nil {
			errs = append(errs, fmt.Errorf("restore app %q: %w", rev.App.Name, err))
		}
	}
	for app := range crashed {
		errs = append(errs, d.abandon(ctx, app), d.sweep(ctx, app))
	}
	return errors.Join(errs...)
}

func (d *Deployer) restore(ctx context.Context, rev *Revision, crashed bool) error {
	unlock, err := d.lock(ctx, rev.App.Name)
	if err != nil {
		return err
	}
	defer unlock()
	from := &Revision{App: rev.App, Prints: rev.Prints, Files: rev.Files} // its sites are uploaded, its functions not there
	if crashed {
		from = nil
	}
	return (&apply{d: d}).switchTo(ctx, from, rev)
}
