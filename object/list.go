package object

import (
	"context"
	"strings"

	"github.com/sluicehq/sluice/kv"
)

// ListInput says which objects to list.
type ListInput struct {
	Prefix    string
	Delimiter string // keys that have it after Prefix are told as one common prefix; "" tells all
	After     string // the last key or common prefix already told; "" begins
	Max       int    // most objects and common prefixes together; 0 is none
}

// Listing is a page of a listing, each part in UTF-8 byte order.
type Listing struct {
	Objects   []Object
	Prefixes  []string
	Truncated bool
	Next      string // the After of the next page, when Truncated
}

// List lists objects. Its work and memory are those of one page, however many keys a common prefix
// stands for.
func (s *Store) List(ctx context.Context, bucket string, in ListInput) (*Listing, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	var l *Listing
	err = s.kv.View(ctx, func(r kv.Reader) error {
		l = &Listing{}
		return walkKeys(r, objectKey(b.ID, ""), 0, in, func(key, prefix string, val []byte) (bool, error) {
			if len(l.Objects)+len(l.Prefixes) >= in.Max {
				l.Truncated = in.Max > 0
				return false, nil
			}
			if prefix != "" {
				l.Prefixes = append(l.Prefixes, prefix)
				l.Next = prefix
				return true, nil
			}
			var o Object
			if err := decodeRow([]byte(key), val, &o); err != nil {
				return false, err
			}
			l.Objects = append(l.Objects, o)
			l.Next = key
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	if !l.Truncated {
		l.Next = ""
	}
	return l, nil
}

// walkKeys calls fn for every key of a space from in.After on, or once for a common prefix, until fn
// says no. Common prefixes are jumped over. tail is how many bytes follow the key in its row's key.
func walkKeys(r kv.Reader, space []byte, tail int, in ListInput, fn func(key, prefix string, val []byte) (bool, error)) error {
	join := func(s string) []byte { return append(append([]byte(nil), space...), s...) }
	hi := kv.PrefixEnd(join(in.Prefix))
	lo := join(in.Prefix)
	if in.After >= in.Prefix && in.After != "" {
		lo = append(join(in.After), 0)
		if p := commonPrefix(in.After, in); p == in.After && p != "" {
			lo = kv.PrefixEnd(join(p))
		}
	}
	page := min(in.Max, 1000) + 1
	if in.Delimiter != "" {
		page = min(page, 16) // grows while no prefix is jumped over
	}
	for {
		n, jumped := 0, false
		it := r.Scan(lo, hi, kv.ScanOpts{Limit: page})
		for !jumped && it.Next() {
			n++
			key := string(it.Key()[len(space) : len(it.Key())-tail])
			prefix := commonPrefix(key, in)
			ok, err := fn(key, prefix, it.Value())
			if err != nil || !ok {
				it.Close()
				return err
			}
			if prefix != "" {
				lo, jumped = kv.PrefixEnd(join(prefix)), true
			} else {
				lo = append(append([]byte(nil), it.Key()...), 0)
			}
		}
		err := it.Err()
		it.Close()
		if err != nil {
			return err
		}
		switch {
		case jumped:
			page = min(page, 16)
		case n < page:
			return nil
		default:
			page = min(2*page, 1000)
		}
	}
}

// commonPrefix is the part of key up to the delimiter after the prefix; "" when it has none.
func commonPrefix(key string, in ListInput) string {
	if in.Delimiter == "" || !strings.HasPrefix(key, in.Prefix) {
		return ""
	}
	i := strings.Index(key[len(in.Prefix):], in.Delimiter)
	if i < 0 {
		return ""
	}
	return key[:len(in.Prefix)+i+len(in.Delimiter)]
}
