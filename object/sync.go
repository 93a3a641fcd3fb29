package object

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"mime"
	"os"
	"path"
	"reflect"
	"strings"

	"github.com/sluicehq/sluice"
)

// EnsureBucket makes a bucket as an app's template declares it, or brings the one that is there into
// line: its ACL when the template names one, its website when it has one, the documents that it has; an
// empty document drops the one that is kept. A bucket that no app owns becomes the app's; that of another
// app is refused with Reason NotOwned.
func (s *Store) EnsureBucket(ctx context.Context, app sluice.AppName, want *sluice.Bucket) error {
	docs := maps.Clone(want.Docs)
	maps.DeleteFunc(docs, func(_ string, doc []byte) bool { return len(doc) == 0 })
	b, err := s.CreateBucket(ctx, Bucket{Name: want.Name, App: app, ACL: want.ACL, Website: want.Website, Docs: docs})
	if ReasonOf(err) != BucketExists {
		return err
	}
	apply := func(b *Bucket) error {
		if b.App != "" && b.App != app {
			return &Error{Reason: NotOwned, Bucket: b.Name}
		}
		b.App = app
		if want.ACL != "" {
			b.ACL = want.ACL
		}
		if want.Website != nil {
			b.Website = want.Website
		}
		if len(want.Docs) > 0 {
			docs := maps.Clone(b.Docs)
			if docs == nil {
				docs = map[string][]byte{}
			}
			for name, doc := range want.Docs {
				if docs[name] = doc; len(doc) == 0 {
					delete(docs, name)
				}
			}
			b.Docs = docs
		}
		return nil
	}
	next := *b
	if err := apply(&next); err != nil || reflect.DeepEqual(&next, b) {
		return err
	}
	_, err = s.AlterBucket(ctx, want.Name, apply)
	return err
}

// Sync makes the objects under a site's prefix equal to the files of dir ("" is the site's Dir), and
// sets the prefix's website when the site has one. A file whose size, MD5 and content type an object
// has already is not written. Only objects that an earlier Sync of the same prefix put are deleted:
// never a user's own, even if they lie under it. Symbolic links are followed within dir; one that
// leaves it, or leads to a folder, is an error.
func (s *Store) Sync(ctx context.Context, site *sluice.Site, dir string) (put, deleted int, err error) {
	if dir == "" {
		dir = site.Dir
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, 0, &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("open site folder: %v", err), At: site.At, Err: err}
	}
	defer root.Close()
	if err := s.setFolder(ctx, site); err != nil {
		return 0, 0, err
	}
	mark := "/" + site.Prefix
	seen := map[string]bool{}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		key := site.Prefix + name
		seen[key] = true
		wrote, err := s.syncFile(ctx, site.Bucket, key, mark, root, name)
		if err != nil {
			return fmt.Errorf("upload %q: %w", name, err)
		}
		if wrote {
			put++
		}
		return nil
	})
	if err != nil {
		return put, 0, err
	}
	deleted, err = s.prune(ctx, site, mark, seen)
	return put, deleted, err
}

func (s *Store) setFolder(ctx context.Context, site *sluice.Site) error {
	b, err := s.Bucket(ctx, site.Bucket)
	if err != nil {
		return err
	}
	cur := b.Folders[site.Prefix]
	if site.Prefix == "" {
		cur = b.Website
	}
	if site.Website == nil || reflect.DeepEqual(cur, site.Website) {
		return nil
	}
	_, err = s.AlterBucket(ctx, site.Bucket, func(b *Bucket) error {
		if site.Prefix == "" {
			b.Website = site.Website
			return nil
		}
		folders := maps.Clone(b.Folders)
		if folders == nil {
			folders = map[string]*sluice.Website{}
		}
		folders[site.Prefix] = site.Website
		b.Folders = folders
		return nil
	})
	return err
}

func (s *Store) syncFile(ctx context.Context, bucket, key, mark string, root *os.Root, name string) (bool, error) {
	info, err := root.Stat(name)
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return false, sluice.Errorf(sluice.Invalid, "not a regular file (%s)", info.Mode().Type())
	}
	f, err := root.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, f); err != nil {
		return false, err
	}
	digest, kind := sum.Sum(nil), ContentType(name)
	cur, err := s.Head(ctx, bucket, key)
	if err != nil && ReasonOf(err) != NoSuchKey {
		return false, err
	}
	if err == nil && cur.Size == info.Size() && bytes.Equal(cur.MD5, digest) && cur.Header["Content-Type"] == kind {
		return false, nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false, err
	}
	_, err = s.Put(ctx, bucket, PutInput{
		Key: key, Header: map[string]string{"Content-Type": kind}, Body: f, Size: -1, site: mark,
	})
	return err == nil, err
}

// prune deletes the objects with this site's mark that are not seen.
func (s *Store) prune(ctx context.Context, site *sluice.Site, mark string, seen map[string]bool) (deleted int, err error) {
	in := ListInput{Prefix: site.Prefix, Max: 1000}
	for {
		page, err := s.List(ctx, site.Bucket, in)
		if err != nil {
			return deleted, err
		}
		var gone []Ref
		for _, o := range page.Objects {
			if o.Site == mark && !seen[o.Key] {
				gone = append(gone, Ref{Key: o.Key})
			}
		}
		if len(gone) > 0 {
			done, err := s.Remove(ctx, site.Bucket, gone, func(_ Ref, o *Object) error {
				if o == nil || o.Site != mark {
					return &Error{Reason: ConditionFailed, Bucket: site.Bucket}
				}
				return nil
			})
			if err != nil {
				return deleted, err
			}
			for i := range done {
				if done[i].Err == nil {
					deleted++
				}
			}
		}
		if !page.Truncated {
			return deleted, nil
		}
		in.After = page.Next
	}
}

// types are those that systems' own tables lack or differ in.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8",
	".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8",
	".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".cjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".webmanifest": "application/manifest+json",
	".xml": "application/xml", ".wasm": "application/wasm", ".pdf": "application/pdf", ".zip": "application/zip",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".bmp": "image/bmp",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".wav": "audio/wav", ".ogg": "audio/ogg", ".mp4": "video/mp4", ".webm": "video/webm",
}

// ContentType is the content type of a file by its name's extension; application/octet-stream when
// that says nothing.
func ContentType(name string) string {
	ext := strings.ToLower(path.Ext(name))
	if t, ok := types[ext]; ok {
		return t
	}
	if t := mime.TypeByExtension(ext); t != "" {
		return t
	}
	return "application/octet-stream"
}
