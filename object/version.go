package object

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/kv"
)

// The states of a bucket's Versions; "" keeps only what stands at a key.
const (
	VersionsOn        = "on"        // what is written over or deleted stays as a version
	VersionsSuspended = "suspended" // but the null version, which the next one replaces
)

// NullVersion is the id of a version that was written while versions were not kept.
const NullVersion = "null"

// What stands at a key is its row in the space of objects. Older versions, and marks that a key was
// deleted, are rows in the space of versions, the newest first. So the newest version of a key without an
// object is a mark.

// VersionID is the id of the version that o is.
func (o *Object) VersionID() string {
	if o.Version == "" || o.Null {
		return NullVersion
	}
	return o.Version
}

// versionKey is the row of a version by what it sorts by; sort "" begins those of a key.
func versionKey(bucket uint32, key, sort string) []byte {
	return rowKey(versionSpace, bucket, key, sort)
}

// sortAt makes what a version sorts by: a later one is less.
func sortAt(t time.Time) string {
	tail := make([]byte, 8)
	rand.Read(tail)
	return fmt.Sprintf("%016x", ^uint64(t.UnixNano())) + hex.EncodeToString(tail)
}

// sortBefore makes what sorts before another, also when the clock has gone back.
func sortBefore(t time.Time, newest string) string {
	s := sortAt(t)
	if newest == "" || s < newest {
		return s
	}
	n, err := strconv.ParseUint(newest[:16], 16, 64)
	if err != nil {
		return s // of no row that we wrote
	}
	return fmt.Sprintf("%016x", n-1) + s[16:]
}

// place puts next at its key, where cur stands (nil: nothing does), as the bucket keeps versions.
func (s *Store) place(tx kv.Txn, b *Bucket, cur, next *Object) (old leftover, err error) {
	if b.Versions == "" {
		if old, err = discard(tx, cur); err == nil {
			err = putJSON(tx, objectKey(b.ID, next.Key), next)
		}
		return old, err
	}
	newest := ""
	switch {
	case cur != nil:
		if cur.Version == "" { // is from before there were versions
			cur.Version, cur.Null = sortAt(cur.Modified), true
		}
		newest = cur.Version
	default:
		shelved, err := firstVersion(tx, b, next.Key)
		if err != nil {
			return old, err
		}
		if shelved != nil {
			newest = shelved.Version
		}
	}
	next.Version, next.Null = sortBefore(s.now(), newest), b.Versions == VersionsSuspended
	if cur != nil && cur.Null && next.Null {
		if old, err = discard(tx, cur); err != nil {
			return old, err
		}
	} else {
		if next.Null {
			if old, err = dropNull(tx, b, next.Key); err != nil {
				return old, err
			}
		}
		if cur != nil {
			if err := putJSON(tx, versionKey(b.ID, cur.Key, cur.Version), cur); err != nil {
				return old, err
			}
		}
	}
	if next.Marker {
		tx.Delete(objectKey(b.ID, next.Key))
		return old, putJSON(tx, versionKey(b.ID, next.Key, next.Version), next)
	}
	return old, putJSON(tx, objectKey(b.ID, next.Key), next)
}

// dropNull removes the null version of a key, when it is not what stands there.
func dropNull(tx kv.Txn, b *Bucket, key string) (leftover, error) {
	o, err := shelved(tx, b, key, NullVersion)
	if err != nil || o == nil {
		return leftover{}, err
	}
	tx.Delete(versionKey(b.ID, key, o.Version))
	if o.Marker {
		return leftover{}, nil
	}
	return discard(tx, o)
}

// eachVersion walks the versions of a key that do not stand there, from the newest, until fn says no.
func eachVersion(r kv.Reader, b *Bucket, key string, fn func(o *Object) bool) error {
	lo, hi := append(versionKey(b.ID, key, ""), 0), append(versionKey(b.ID, key, ""), 1)
	for page := 4; ; page = min(2*page, 1000) {
		more, err := func() (bool, error) {
			it := r.Scan(lo, hi, kv.ScanOpts{Limit: page})
			defer it.Close()
			n := 0
			for it.Next() {
				n++
				lo = append(append([]byte(nil), it.Key()...), 0)
				var o Object
				if err := decodeRow(it.Key(), it.Value(), &o); err != nil {
					return false, err
				}
				// There may be keys that begin with this one and a zero byte.
				if o.Key == key && !fn(&o) {
					return false, nil
				}
			}
			return n == page, it.Err()
		}()
		if err != nil || !more {
			return err
		}
	}
}

// firstVersion is the newest of a key's versions that do not stand there; nil when there is none.
func firstVersion(r kv.Reader, b *Bucket, key string) (first *Object, err error) {
	err = eachVersion(r, b, key, func(o *Object) bool {
		first = o
		return false
	})
	return first, err
}

// shelved finds a version of a key that does not stand there; nil when there is none.
func shelved(r kv.Reader, b *Bucket, key, id string) (found *Object, err error) {
	if id == NullVersion {
		err = eachVersion(r, b, key, func(o *Object) bool {
			if o.Null {
				found = o
			}
			return found == nil
		})
		return found, err
	}
	if !IsVersion(id) {
		return nil, nil
	}
	var o Object
	ok, err := getJSON(r, versionKey(b.ID, key, id), &o)
	if err != nil || !ok || o.Null || o.Key != key {
		return nil, err
	}
	return &o, nil
}

// IsVersion reports whether a text may be a version's id, but for the null one's.
func IsVersion(id string) bool {
	return len(id) == 32 && strings.Trim(id, "0123456789abcdef") == ""
}

// version finds a version of a key by its id, of any kind; current says that it stands there. The error
// has Reason NoSuchVersion when there is none.
func version(r kv.Reader, b *Bucket, key, id string) (o *Object, current bool, err error) {
	o = new(Object)
	ok, err := getJSON(r, objectKey(b.ID, key), o)
	if err != nil || ok && o.VersionID() == id {
		return o, true, err
	}
	if o, err = shelved(r, b, key, id); err == nil && o == nil {
		err = &Error{Reason: NoSuchVersion, Bucket: b.Name, Key: key, Version: id}
	}
	return o, false, err
}

// Ref names what is to be removed: a version for good, or (Version "") what stands at a key, in the way in
// which the bucket keeps versions.
type Ref struct{ Key, Version string }

// Removed is what has come of a Ref.
type Removed struct {
	Ref          // Version is that of what was removed, or of the mark that was made; "" when no versions are kept
	Marker bool  // it is of a mark
	Made   bool  // the mark was made now
	Err    error // of accept: nothing was removed
}

// Remove removes objects or versions of them: what accept refuses stays, the rest goes in one transaction.
// accept is given what is removed, nil when there is nothing, may be called more than once, and may be nil
// itself. What is not there is no error.
func (s *Store) Remove(ctx context.Context, bucket string, refs []Ref, accept func(r Ref, o *Object) error) ([]Removed, error) {
	return s.remove(ctx, bucket, refs, ByDelete, accept)
}

// RemoveMany is Remove, of which Notify is told as of one deletion of many.
func (s *Store) RemoveMany(ctx context.Context, bucket string, refs []Ref, accept func(r Ref, o *Object) error) ([]Removed, error) {
	return s.remove(ctx, bucket, refs, ByDeleteMany, accept)
}

func (s *Store) remove(ctx context.Context, bucket string, refs []Ref, act Act, accept func(r Ref, o *Object) error) ([]Removed, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	held := make([][]byte, 0, len(refs))
	for _, r := range refs {
		held = append(held, objectKey(b.ID, r.Key))
	}
	var (
		old []leftover
		out []Removed
	)
	err = s.change(ctx, b, locks(held...), func(tx kv.Txn, tell tell) error {
		old, out = nil, nil
		for _, ref := range refs {
			one := removal{s: s, tx: tx, b: b, tell: tell, act: act, accept: accept, Removed: Removed{Ref: ref}}
			l, err := one.run()
			if err != nil {
				return err
			}
			old, out = append(old, l), append(out, one.Removed)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, l := range old {
		s.clear(ctx, l)
	}
	return out, nil
}

// removal is one Ref on its way, within a transaction.
type removal struct {
	s      *Store
	tx     kv.Txn
	b      *Bucket
	tell   tell
	act    Act
	accept func(r Ref, o *Object) error
	Removed
}

func (r *removal) refused(o *Object) bool {
	if r.accept != nil {
		r.Err = r.accept(r.Ref, o)
	}
	return r.Err != nil
}

func (r *removal) run() (leftover, error) {
	cur, err := current(r.tx, r.b, r.Key)
	if err != nil {
		return leftover{}, err
	}
	if r.Version != "" {
		return r.one()
	}
	if r.refused(cur) {
		return leftover{}, nil
	}
	if r.b.Versions == "" {
		if cur == nil {
			return leftover{}, nil
		}
		r.tx.Delete(objectKey(r.b.ID, r.Key))
		if err := r.tell(r.act, cur, cur); err != nil {
			return leftover{}, err
		}
		return discard(r.tx, cur)
	}
	mark := &Object{Key: r.Key, Modified: r.s.clock(), Kind: Normal, Marker: true}
	old, err := r.s.place(r.tx, r.b, cur, mark)
	r.Ref.Version, r.Marker, r.Made = mark.VersionID(), true, true
	if err == nil && cur != nil {
		act := ByMark
		if r.act == ByExpiry {
			act = ByExpiryMark
		}
		err = r.tell(act, cur, cur)
	}
	return old, err
}

// one removes a version for good. What was the newest but it stands at the key then, unless it is a mark.
func (r *removal) one() (leftover, error) {
	o, stands, err := version(r.tx, r.b, r.Key, r.Version)
	if ReasonOf(err) == NoSuchVersion {
		r.refused(nil)
		return leftover{}, nil
	}
	if err != nil || r.refused(o) {
		return leftover{}, err
	}
	r.Marker = o.Marker
	if stands {
		r.tx.Delete(objectKey(r.b.ID, r.Key))
	} else {
		r.tx.Delete(versionKey(r.b.ID, r.Key, o.Version))
	}
	free := stands
	if !stands && o.Marker {
		_, ok, err := r.tx.Get(objectKey(r.b.ID, r.Key))
		if err != nil {
			return leftover{}, err
		}
		free = !ok
	}
	if free {
		next, err := firstVersion(r.tx, r.b, r.Key)
		if err != nil {
			return leftover{}, err
		}
		if next != nil && !next.Marker {
			r.tx.Delete(versionKey(r.b.ID, r.Key, next.Version))
			if err := putJSON(r.tx, objectKey(r.b.ID, r.Key), next); err != nil {
				return leftover{}, err
			}
		}
	}
	if o.Marker {
		return leftover{}, nil
	}
	if err := r.tell(r.act, o, o); err != nil {
		return leftover{}, err
	}
	return discard(r.tx, o)
}

// Delete removes what stands at a key; see [Store.Remove].
func (s *Store) Delete(ctx context.Context, bucket, key string) error {
	_, err := s.Remove(ctx, bucket, []Ref{{Key: key}}, nil)
	return err
}

// Version is a version in a listing.
type Version struct {
	Object
	Latest bool // it is the newest of its key
}

// VersionListing is a page of versions, in the order of keys and from each one's newest.
type VersionListing struct {
	Versions    []Version
	Prefixes    []string
	Truncated   bool
	NextKey     string // with NextVersion the After and after of the next page, when Truncated
	NextVersion string // "" when NextKey is a common prefix
}

// ListVersions lists versions, marks among them, as List lists objects. With after it goes on within the
// versions of the key in.After; without, after all of them.
func (s *Store) ListVersions(ctx context.Context, bucket string, in ListInput, after string) (*VersionListing, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	type entry struct {
		name, prefix, sort string // sort "" stands at the key
		o                  Object
	}
	var list []entry
	collect := func(r kv.Reader, space []byte, tail int, in ListInput) error {
		n := 0
		return walkKeys(r, space, tail, in, func(key, prefix string, val []byte) (bool, error) {
			if n++; n > in.Max+1 {
				return false, nil
			}
			if prefix != "" {
				list = append(list, entry{name: prefix, prefix: prefix})
				return true, nil
			}
			e := entry{name: key}
			if err := decodeRow([]byte(key), val, &e.o); err != nil {
				return false, err
			}
			if tail > 0 {
				e.sort = e.o.Version
			}
			list = append(list, e)
			return true, nil
		})
	}
	err = s.kv.View(ctx, func(r kv.Reader) error {
		list = nil
		if err := collect(r, objectKey(b.ID, ""), 0, in); err != nil {
			return err
		}
		older := in
		switch {
		case in.After == "" || commonPrefix(in.After, in) == in.After:
		case after == "":
			older.After += "\x00\xff" // after every version of this key
		default:
			o, stands, err := version(r, b, in.After, after)
			if err != nil && ReasonOf(err) != NoSuchVersion {
				return err
			}
			switch {
			case err != nil && IsVersion(after): // is gone, but its place is known
				older.After += "\x00" + after
			case err != nil:
				older.After += "\x00\xff"
			case !stands:
				older.After += "\x00" + o.Version
			}
		}
		return collect(r, versionKey(b.ID, "", ""), 1+32, older)
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b entry) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.sort, b.sort)
	})
	list = slices.CompactFunc(list, func(a, b entry) bool { return a.prefix != "" && a.prefix == b.prefix })
	l := &VersionListing{}
	last := "" // key of which the newest has been told
	if after != "" {
		last = in.After
	}
	for i := range list {
		e := &list[i]
		if i == in.Max {
			l.Truncated = in.Max > 0
			break
		}
		if l.NextKey, l.NextVersion = e.name, ""; e.prefix != "" {
			l.Prefixes = append(l.Prefixes, e.prefix)
			continue
		}
		l.NextVersion = e.o.VersionID()
		l.Versions = append(l.Versions, Version{e.o, e.name != last})
		last = e.name
	}
	if !l.Truncated {
		l.NextKey, l.NextVersion = "", ""
	}
	return l, nil
}
