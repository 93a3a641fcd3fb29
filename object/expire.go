package object

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"
)

// Rule says when objects of a bucket shall end. Days count from when an object was written, or stopped being the
// newest of its key, to the midnight (UTC) after so many of them; 0 is never.
type Rule struct {
	ID     string
	Prefix string // of keys
	// Match refuses objects that the rule is not about; forGood says that a version would be gone. nil takes all.
	Match func(o *Object, forGood bool) bool

	Days        int       // of what stands at a key: it is deleted
	Date        time.Time // or from a day on; zero is never
	Markers     bool      // marks with no versions behind them are removed; they are too where Days or Date end objects
	OlderDays   int       // of versions that do not stand at their key: they are removed for good
	KeepOlder   int       // but so many of them, the newest
	UploadsDays int       // of uploads under way: they are aborted
}

// Ends is when the rule ends what stands at a key; zero is never.
func (r *Rule) Ends(o *Object) time.Time {
	switch {
	case !strings.HasPrefix(o.Key, r.Prefix) || r.Match != nil && !r.Match(o, false):
		return time.Time{}
	case r.Days > 0:
		return midnight(o.Modified, r.Days)
	}
	return r.Date
}

func midnight(t time.Time, days int) time.Time {
	day := 24 * time.Hour
	end := t.Add(time.Duration(days) * day)
	if at := end.Truncate(day); !at.Equal(end) {
		return at.Add(day)
	}
	return end
}

// Follow has sweeps obey the rules that buckets keep under a name of their Docs, as read reads them.
func (s *Store) Follow(name string, read func(doc []byte) []Rule) {
	s.mu.Lock()
	s.rules[name] = read
	s.mu.Unlock()
}

// expire follows the rules of all buckets.
func (s *Store) expire(ctx context.Context) error {
	s.mu.Lock()
	readers := maps.Clone(s.rules)
	s.mu.Unlock()
	if len(readers) == 0 {
		return nil
	}
	for after := ""; ; {
		page, err := s.Buckets(ctx, "", after, 1000)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			b := &page[i]
			after = b.Name
			var rules []Rule
			for name, read := range readers {
				if doc := b.Docs[name]; doc != nil {
					rules = append(rules, read(doc)...)
				}
			}
			if len(rules) == 0 {
				continue
			}
			err := errors.Join(s.expireObjects(ctx, b, rules), s.expireUploads(ctx, b, rules))
			if err != nil && ReasonOf(err) != NoSuchBucket {
				return err
			}
		}
	}
}

// expireObjects removes the bucket's objects and versions whose time has come.
func (s *Store) expireObjects(ctx context.Context, b *Bucket, rules []Rule) error {
	var (
		in    = ListInput{Max: 1000}
		after string
		newer Version // the version before in the list
		older int     // versions of its key that do not stand there, up to now
		mark  *Version
	)
	// A mark can go when nothing of its key comes after it.
	alone := func() error {
		if mark == nil {
			return nil
		}
		m := mark
		mark = nil
		for i := range rules {
			r := &rules[i]
			ends := r.Ends(&m.Object)
			if strings.HasPrefix(m.Key, r.Prefix) && (r.Markers || !ends.IsZero() && !ends.After(s.now())) {
				return s.end(ctx, b, &m.Object, m.VersionID())
			}
		}
		return nil
	}
	for {
		page, err := s.ListVersions(ctx, b.Name, in, after)
		if err != nil {
			return err
		}
		for i := range page.Versions {
			v := &page.Versions[i]
			if v.Key != newer.Key || v.Latest {
				older = 0
				if err := alone(); err != nil {
					return err
				}
			} else {
				mark, older = nil, older+1
			}
			switch {
			case v.Latest && v.Marker:
				mark = v
			case v.Latest:
				err = s.endCurrent(ctx, b, &v.Object, rules)
			default:
				err = s.endOlder(ctx, b, &v.Object, newer.Modified, older, rules)
			}
			if err != nil {
				return err
			}
			newer = *v
		}
		if !page.Truncated {
			return alone()
		}
		in.After, after = page.NextKey, page.NextVersion
	}
}

func (s *Store) endCurrent(ctx context.Context, b *Bucket, o *Object, rules []Rule) error {
	for i := range rules {
		if ends := rules[i].Ends(o); !ends.IsZero() && !ends.After(s.now()) {
			return s.end(ctx, b, o, "")
		}
	}
	return nil
}

func (s *Store) endOlder(ctx context.Context, b *Bucket, o *Object, since time.Time, nth int, rules []Rule) error {
	for i := range rules {
		r := &rules[i]
		if r.OlderDays > 0 && nth > r.KeepOlder && strings.HasPrefix(o.Key, r.Prefix) && !midnight(since, r.OlderDays).After(s.now()) &&
			(r.Match == nil || r.Match(o, true)) {
			return s.end(ctx, b, o, o.VersionID())
		}
	}
	return nil
}

var errChanged = errors.New("changed meanwhile")

// end removes an object, or with an id a version for good, unless it is another now.
func (s *Store) end(ctx context.Context, b *Bucket, o *Object, id string) error {
	_, err := s.remove(ctx, b.Name, []Ref{{o.Key, id}}, ByExpiry, func(_ Ref, now *Object) error {
		if now == nil || now.Body != o.Body || now.Version != o.Version || !now.Modified.Equal(o.Modified) {
			return errChanged
		}
		return nil
	})
	return err
}

// expireUploads aborts the bucket's uploads whose time has come.
func (s *Store) expireUploads(ctx context.Context, b *Bucket, rules []Rule) error {
	in, after := ListInput{Max: 1000}, ""
	for {
		page, err := s.ListUploads(ctx, b.Name, in, after)
		if err != nil {
			return err
		}
		for _, u := range page.Uploads {
			for i := range rules {
				r := &rules[i]
				if r.UploadsDays == 0 || !strings.HasPrefix(u.Key, r.Prefix) || midnight(u.Started, r.UploadsDays).After(s.now()) {
					continue
				}
				if err := s.Abort(ctx, b.Name, u.Key, u.ID); err != nil && ReasonOf(err) != NoSuchUpload {
					return err
				}
				break
			}
		}
		if !page.Truncated {
			return nil
		}
		in.After, after = page.NextKey, page.NextID
	}
}
