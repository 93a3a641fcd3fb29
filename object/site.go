package object

import (
	"cmp"
	"context"
	"strings"

	"github.com/sluicehq/sluice"
)

// The answers to a missing page whose name may be a folder's (Website.SubType).
const (
	SubRedirect  = iota // to the folder, when it has an index
	SubNoSuchKey        // nothing
	SubIndex            // the folder's index
)

// Resolved is what a website answers to a path.
type Resolved struct {
	Key      string // the object to serve; "" when Redirect
	Status   int    // 200, or the error document's
	Redirect bool   // to the same path with a final slash
	Missing  bool   // Key is the error document
}

// Site resolves a path ("" or a key, as the browser asks for it) of a bucket's website. The settings
// are those of the longest of the bucket's Folders that the path is in, else the bucket's own; a
// folder's site never serves what is outside of it, but for the bucket's error document. The error
// has Reason NoSuchKey when neither a page nor an error document is there.
func (s *Store) Site(ctx context.Context, bucket, path string) (Resolved, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Resolved{}, err
	}
	return s.SiteOf(ctx, b, path)
}

// SiteOf is Site with the settings that b has, which may be others than those that are kept.
func (s *Store) SiteOf(ctx context.Context, b *Bucket, path string) (Resolved, error) {
	bucket := b.Name
	prefix, w := b.website(path)
	if w == nil {
		w = &sluice.Website{}
		if path == "" || strings.HasSuffix(path, "/") {
			_, err := s.Head(ctx, bucket, path)
			return Resolved{Key: path, Status: 200}, err
		}
	}
	index := cmp.Or(w.Index, "index.html")
	key := path
	switch {
	case path+"/" == prefix: // the folder's own name: its pages' links need the slash
		return Resolved{Redirect: true}, nil
	case path == prefix:
		key = prefix + index
	case strings.HasSuffix(path, "/") && w.SubDir:
		key = path + index
	case strings.HasSuffix(path, "/"):
		key = prefix + index
	}
	found, err := s.has(ctx, bucket, key)
	if err != nil || found {
		return Resolved{Key: key, Status: 200}, err
	}
	if w.SubDir && key == path && w.SubType != SubNoSuchKey {
		found, err := s.has(ctx, bucket, path+"/"+index)
		if err != nil {
			return Resolved{}, err
		}
		if found && w.SubType == SubIndex {
			return Resolved{Key: path + "/" + index, Status: 200}, nil
		}
		if found {
			return Resolved{Redirect: true}, nil
		}
	}
	if w.Error != "" {
		for _, key := range []string{prefix + w.Error, w.Error} {
			found, err := s.has(ctx, bucket, key)
			if err != nil || found {
				return Resolved{Key: key, Status: cmp.Or(w.ErrorStatus, 404), Missing: true}, err
			}
		}
	}
	return Resolved{}, &Error{Reason: NoSuchKey, Bucket: bucket, Key: key}
}

// website is the settings for a path and the prefix that they are for; nil when it has none.
func (b *Bucket) website(path string) (prefix string, w *sluice.Website) {
	w = b.Website
	for p, f := range b.Folders {
		if (strings.HasPrefix(path, p) || path+"/" == p) && (len(p) > len(prefix)) {
			prefix, w = p, f
		}
	}
	return prefix, w
}

func (s *Store) has(ctx context.Context, bucket, key string) (bool, error) {
	_, err := s.Head(ctx, bucket, key)
	if ReasonOf(err) == NoSuchKey {
		return false, nil
	}
	return err == nil, err
}
