package object

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sluicehq/sluice/kv"
)

// Head returns an object's metadata.
func (s *Store) Head(ctx context.Context, bucket, key string) (Object, error) {
	return s.HeadVersion(ctx, bucket, key, "")
}

// HeadVersion is Head for a version; "" is what stands at the key. With an error of Reason IsMark comes the
// mark.
func (s *Store) HeadVersion(ctx context.Context, bucket, key, id string) (Object, error) {
	var o Object
	err := s.kv.View(ctx, func(r kv.Reader) error {
		var err error
		o, err = find(r, bucket, key, id)
		return err
	})
	return o, err
}

func find(r kv.Reader, bucket, key, id string) (o Object, err error) {
	var b Bucket
	ok, err := getJSON(r, bucketKey(bucket), &b)
	if err != nil {
		return o, err
	}
	if !ok {
		return o, &Error{Reason: NoSuchBucket, Bucket: bucket}
	}
	if id != "" {
		v, _, err := version(r, &b, key, id)
		if err != nil {
			return o, err
		}
		if v.Marker {
			err = &Error{Reason: IsMark, Bucket: bucket, Key: key, Version: id}
		}
		return *v, err
	}
	ok, err = getJSON(r, objectKey(b.ID, key), &o)
	if err != nil || ok {
		return o, err
	}
	missing := &Error{Reason: NoSuchKey, Bucket: bucket, Key: key}
	if b.Versions != "" {
		mark, err := firstVersion(r, &b, key)
		if err != nil {
			return o, err
		}
		if mark != nil {
			missing.Version = mark.VersionID()
		}
	}
	return o, missing
}

// Content is an object as it stood when Get found it: its metadata and, as an io.ReadSeekCloser, its
// bytes. They stay readable while it is open, whatever is written or deleted meanwhile. It serves one
// request: it keeps that request's context, and must not be used by two goroutines at once.
type Content struct {
	Object

	ctx    context.Context
	s      *Store
	head   []segment // the first segments
	all    bool      // head is all of them
	pinned bool

	at   int64 // where Read goes on
	next int64 // number of the segment to read after page
	page []segment
	more bool          // there are segments from next on
	skip int64         // bytes to leave out before the next one read
	cur  io.ReadCloser // open segment, nil when the next has to be found
	left int64         // bytes of cur
}

// Get opens an object. The caller closes it.
func (s *Store) Get(ctx context.Context, bucket, key string) (*Content, error) {
	return s.GetVersion(ctx, bucket, key, "")
}

// GetVersion is Get for a version; "" is what stands at the key.
func (s *Store) GetVersion(ctx context.Context, bucket, key, id string) (*Content, error) {
	for range 8 {
		c := &Content{ctx: ctx, s: s}
		err := s.kv.View(ctx, func(r kv.Reader) error {
			var err error
			if c.Object, err = find(r, bucket, key, id); err != nil {
				return err
			}
			var more bool
			c.head, more, err = scanSegments(r, c.Object.Body, 0, 64)
			c.all = !more
			return err
		})
		if err != nil {
			return nil, err
		}
		if !c.inline() {
			// Hold the bytes, then look whether they were let go before they were held.
			s.pins.hold(c.Object.Body)
			c.pinned = true
			now, err := s.HeadVersion(ctx, bucket, key, id)
			if err != nil || now.Body != c.Object.Body {
				c.Close()
				if err != nil {
					return nil, err
				}
				continue
			}
		}
		c.rewind(0)
		return c, nil
	}
	return nil, fmt.Errorf("get %q of bucket %q: %w", key, bucket, kv.ErrConflict)
}

func (c *Content) inline() bool {
	for i := range c.head {
		if c.head[i].Body != "" {
			return false
		}
	}
	return c.all
}

// rewind sets the position, with nothing open.
func (c *Content) rewind(at int64) {
	c.shut()
	c.at, c.skip = at, at
	c.page, c.more = c.head, !c.all
	if len(c.head) > 0 {
		c.next = c.head[len(c.head)-1].n + 1
	}
}

// Read reads on from the position. io.EOF is at the object's Size.
func (c *Content) Read(p []byte) (int, error) {
	for {
		if c.at >= c.Size {
			return 0, io.EOF
		}
		if c.cur == nil {
			if err := c.open(); err != nil {
				return 0, fmt.Errorf("read object %q: %w", c.Key, err)
			}
		}
		n, err := c.cur.Read(p[:min(int64(len(p)), c.left, c.Size-c.at)])
		c.at += int64(n)
		if c.left -= int64(n); c.left == 0 {
			c.shut()
			return n, nil
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the body is shorter than its row says
		}
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// open opens the segment that holds the position.
func (c *Content) open() error {
	if len(c.page) > 0 && c.skip >= c.page[0].Size && c.Kind == Appendable && c.more {
		// Numbers are offsets: go to the right one, however far.
		err := c.s.kv.View(c.ctx, func(r kv.Reader) error {
			g, err := segmentAt(r, c.Object.Body, c.at)
			c.page, c.next, c.skip = nil, g.n, c.at-g.n
			return err
		})
		if err != nil {
			return err
		}
	}
	for {
		if len(c.page) == 0 {
			if !c.more {
				return fmt.Errorf("segments end at %d of %d: %w", c.at, c.Size, kv.ErrCorrupt)
			}
			err := c.s.kv.View(c.ctx, func(r kv.Reader) (err error) {
				c.page, c.more, err = scanSegments(r, c.Object.Body, c.next, 64)
				return err
			})
			if err != nil {
				return err
			}
			if len(c.page) == 0 {
				continue
			}
			c.next = c.page[len(c.page)-1].n + 1
		}
		g := c.page[0]
		c.page = c.page[1:]
		if c.skip >= g.Size {
			c.skip -= g.Size
			continue
		}
		skip := c.skip
		c.left, c.skip = g.Size-skip, 0
		if g.Body == "" {
			c.cur = io.NopCloser(bytes.NewReader(g.Inline[skip:]))
			return nil
		}
		var err error
		c.cur, err = c.s.bodies.Open(c.ctx, g.Body, skip, -1)
		return err
	}
}

func (c *Content) shut() {
	if c.cur != nil {
		c.cur.Close()
		c.cur = nil
	}
}

// Seek sets the position for Read.
func (c *Content) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += c.at
	case io.SeekEnd:
		offset += c.Size
	}
	if offset < 0 {
		return 0, errors.New("object: seek before the beginning")
	}
	if offset != c.at {
		c.rewind(offset)
	}
	return offset, nil
}

// Part is a multipart object's n-th part, the first being 1, and where its bytes begin; any other object is
// its own first part. The error has Reason BadPart when there is none.
func (c *Content) Part(n int) (p Part, from int64, err error) {
	if c.Kind != Multipart && n == 1 {
		return Part{Number: 1, Size: c.Size, ETag: c.ETag, CRC64: c.CRC64, Modified: c.Modified, Docs: c.Docs}, 0, nil
	}
	err = &Error{Reason: BadPart, Key: c.Key, Part: n}
	if n >= 1 && n <= c.Parts {
		err = c.eachPart(func(one Part, at int64) bool {
			p, from = one, at
			return one.Number < n
		})
	}
	return p, from, err
}

// ListParts lists the parts of a multipart object after the after-th, at most limit.
func (c *Content) ListParts(after, limit int) (list []Part, err error) {
	if c.Kind != Multipart || limit <= 0 {
		return nil, nil
	}
	err = c.eachPart(func(p Part, _ int64) bool {
		if p.Number > after {
			list = append(list, p)
		}
		return len(list) < limit
	})
	return list, err
}

// eachPart walks the parts, numbered by their order, and where each begins, until fn says no.
func (c *Content) eachPart(fn func(p Part, from int64) bool) error {
	return c.s.kv.View(c.ctx, func(r kv.Reader) error {
		n, at := 0, int64(0)
		return eachSegment(r, c.Object.Body, 1, func(g *segment) bool {
			p, from := g.part(), at
			n, at = n+1, at+g.Size
			p.Number = n
			return fn(p, from)
		})
	})
}

// Close lets the object's bytes go.
func (c *Content) Close() error {
	c.shut()
	if c.pinned {
		c.pinned = false
		c.s.pins.release(c.Object.Body)
	}
	return nil
}
