package object

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/kv"
)

// Act is what was done to an object.
type Act uint8

// The acts of which Notify is told.
const (
	ByPut        Act = iota + 1
	ByCopy           // also onto itself, with other metadata
	ByComplete       // of a multipart upload
	ByAppend         // one append
	ByDelete         // alone
	ByDeleteMany     // one of those that were deleted together
	ByMark           // a deletion that left it as a version
	ByExpiry         // by a rule of its bucket: see Rule
	ByExpiryMark     // by a rule, which left it as a version
)

// Removed reports whether the object is gone after the act.
func (a Act) Removed() bool { return a >= ByDelete }

// Change is one object that has come, or gone.
type Change struct {
	Act    Act
	Bucket Bucket
	Object Object // as it is now; of a removed one as it was
	Was    int64  // bytes that stood at the key before
	At     time.Time
	Origin
}

// Origin says who asked for a change.
type Origin struct {
	Request string // the request's id, as its dialect writes it
	IP      string // the client's
	Who     string // the name of its principal
}

type originKey struct{}

// From tells the changes made with ctx where they come from.
func From(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// Notify is told of a change inside the transaction that makes it, so that what it puts into tx is
// durable when the change is. It may be called more than once for one change, and for changes that are
// not made in the end: it must do nothing but write to tx. An error fails the change. committed, when it
// is not nil, is called after the commit.
type Notify func(tx kv.Txn, c *Change) (committed func(), err error)

// tell tells of one change, inside its transaction; was is what stood at the key, nil when nothing did.
type tell func(act Act, o, was *Object) error

// change is an Update in a bucket that tells of changes.
func (s *Store) change(ctx context.Context, b *Bucket, l kv.Locks, fn func(tx kv.Txn, tell tell) error) error {
	from, _ := ctx.Value(originKey{}).(Origin)
	var committed []func()
	err := s.kv.Update(ctx, l, func(tx kv.Txn) error {
		committed = nil
		return fn(tx, func(act Act, o, was *Object) error {
			if s.notify == nil {
				return nil
			}
			c := &Change{Act: act, Bucket: *b, Object: *o, At: s.clock(), Origin: from}
			if was != nil {
				c.Was = was.Size
			}
			done, err := s.notify(tx, c)
			if done != nil {
				committed = append(committed, done)
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	for _, done := range committed {
		done()
	}
	return nil
}
