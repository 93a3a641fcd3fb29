package object

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/kv"
)

// PutInput is an object to write.
type PutInput struct {
	Key    string
	Header map[string]string // Content-Type, Cache-Control …, canonical names
	Meta   map[string]string // lower-case names
	ACL    string            // "" is the bucket's
	Docs   map[string]string // a dialect's own; may be filled in until Body has ended
	Body   io.Reader         // nil is no bytes
	Size   int64             // of Body; -1 when not known
	Limit  int64             // most bytes taken; 0 is no limit
	MD5    []byte            // that the bytes must have; nil is not checked
	Condition

	site string
	act  Act // 0 is ByPut
}

// Condition is what must hold of the object that a write replaces.
type Condition struct {
	IfMatch     string // its ETag; "*" is any; "" is not asked; one that is missing is NoSuchKey
	NoOverwrite bool   // there must be none
}

func (c Condition) check(bucket, key string, cur *Object) error {
	switch {
	case c.NoOverwrite && cur != nil:
		return &Error{Reason: KeyExists, Bucket: bucket, Key: key}
	case c.IfMatch != "" && cur == nil:
		return &Error{Reason: NoSuchKey, Bucket: bucket, Key: key}
	case c.IfMatch != "" && c.IfMatch != "*" && !strings.EqualFold(c.IfMatch, cur.ETag):
		return &Error{Reason: ConditionFailed, Bucket: bucket, Key: key}
	}
	return nil
}

func checkKey(bucket, key string) error {
	if key == "" || len(key) > 1024 || !utf8.ValidString(key) {
		return &Error{Reason: BadKey, Bucket: bucket, Key: key}
	}
	return nil
}

// Put writes an object and returns it as stored. The object that it replaces is readable until the
// new one is durable.
func (s *Store) Put(ctx context.Context, bucket string, in PutInput) (Object, error) {
	if err := checkKey(bucket, in.Key); err != nil {
		return Object{}, err
	}
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Object{}, err
	}
	if in.Condition != (Condition{}) { // refuse before the bytes come, where that is possible
		cur, err := s.Head(ctx, bucket, in.Key)
		if err != nil && ReasonOf(err) != NoSuchKey {
			return Object{}, err
		}
		if err := in.check(bucket, in.Key, present(&cur, err)); err != nil {
			return Object{}, err
		}
	}
	g, err := s.stage(ctx, in.Body, in.Size, in.Limit, in.MD5)
	if err != nil {
		return Object{}, err
	}
	o := Object{
		Key: in.Key, Size: g.Size, MD5: g.MD5, ETag: hex.EncodeToString(g.MD5), CRC64: g.CRC64, Modified: g.At,
		Header: in.Header, Meta: in.Meta, ACL: in.ACL, Docs: in.Docs, Kind: Normal, Body: newData(), Site: in.site,
	}
	var old leftover
	err = s.change(ctx, b, locks(objectKey(b.ID, o.Key)), func(tx kv.Txn, tell tell) error {
		cur, err := current(tx, b, o.Key)
		if err != nil {
			return err
		}
		if err := in.check(bucket, in.Key, cur); err != nil {
			return err
		}
		if old, err = s.place(tx, b, cur, &o); err != nil {
			return err
		}
		putSegment(tx, o.Body, &g)
		return tell(cmp.Or(in.act, ByPut), &o, cur)
	})
	if err != nil {
		s.unstage(ctx, g, err)
		return Object{}, err
	}
	s.clear(ctx, old)
	return o, nil
}

func present(o *Object, err error) *Object {
	if err != nil {
		return nil
	}
	return o
}

// current reads the object that stands at key, nil when there is none, and makes sure that the bucket
// is still there.
func current(tx kv.Reader, b *Bucket, key string) (*Object, error) {
	if err := sameBucket(tx, b); err != nil {
		return nil, err
	}
	var o Object
	ok, err := getJSON(tx, objectKey(b.ID, key), &o)
	if err != nil || !ok {
		return nil, err
	}
	return &o, nil
}

// stage takes bytes into a segment that no row names yet: durable, unless they are few.
func (s *Store) stage(ctx context.Context, r io.Reader, size, limit int64, want []byte) (segment, error) {
	if r == nil {
		r = bytes.NewReader(nil)
	}
	if limit > 0 {
		if size > limit {
			return segment{}, &Error{Reason: TooLarge, Size: limit}
		}
		r = io.LimitReader(r, limit+1)
	}
	sum, crc := md5.New(), crc64.New(ecma)
	counted := &meter{r: io.TeeReader(r, io.MultiWriter(sum, crc))}
	head, err := io.ReadAll(io.LimitReader(counted, maxInline+1))
	if err != nil {
		return segment{}, bodyError(err)
	}
	check := func() error {
		switch {
		case limit > 0 && counted.n > limit:
			return &Error{Reason: TooLarge, Size: limit}
		case size >= 0 && counted.n != size:
			return &Error{Reason: Incomplete, Size: size}
		case want != nil && !bytes.Equal(want, sum.Sum(nil)):
			return &Error{Reason: BadDigest}
		}
		return nil
	}
	g := segment{Inline: head}
	if len(head) <= maxInline {
		if err := check(); err != nil {
			return segment{}, err
		}
	} else {
		g.Inline = nil
		w, err := s.bodies.Create(ctx)
		if err != nil {
			return segment{}, fmt.Errorf("create body: %w", err)
		}
		if err := pour(w, head, counted); err != nil {
			w.Abort()
			return segment{}, err
		}
		if err := check(); err != nil {
			w.Abort()
			return segment{}, err
		}
		if g.Body, err = w.Commit(); err != nil {
			return segment{}, fmt.Errorf("commit body: %w", err)
		}
	}
	g.Size, g.MD5, g.CRC64, g.At = counted.n, sum.Sum(nil), crc.Sum64(), s.clock()
	return g, nil
}

// pour writes head and then all of r. An error of the engine is told apart from one of the sender.
func pour(w io.Writer, head []byte, r io.Reader) error {
	if _, err := w.Write(head); err != nil {
		return fmt.Errorf("write body: %w", err)
	}
	buf := make([]byte, 128<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return fmt.Errorf("write body: %w", err)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return bodyError(err)
		}
	}
}

// bodyError is what a reader's error means: a body that ends early is its sender's fault.
func bodyError(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Reason: Incomplete}
	}
	return fmt.Errorf("read body: %w", err)
}

type meter struct {
	r io.Reader
	n int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	return n, err
}

// unstage removes the body of a segment whose row was refused. When the outcome is not known the body
// stays, for the sweep to judge.
func (s *Store) unstage(ctx context.Context, g segment, err error) {
	if g.Body != "" && ReasonOf(err) != 0 {
		s.removeBodies(ctx, []string{g.Body})
	}
}

// CopyInput is a copy to make. Without Replace the copy has the source's headers and metadata.
type CopyInput struct {
	FromBucket, FromKey string
	FromVersion         string // "" is what stands at the key
	PutInput                   // Body, Size and MD5 are not used
	Replace             bool
	// Inherit says which of the source's Docs the copy has, besides its own; nil: all, or none with Replace.
	Inherit func(name, value string) bool
	// Accept may refuse the source as it is found; nil takes any.
	Accept func(src *Object) error
	// Through is the bytes to write in place of the source's, and may fill in Docs; nil: as they are. So says
	// nil of its own, too.
	Through func(src *Content) (io.Reader, error)
}

// Copy writes an object with another's bytes. A copy onto itself changes only headers and metadata, unless
// the bucket keeps versions.
func (s *Store) Copy(ctx context.Context, bucket string, in CopyInput) (Object, error) {
	src, err := s.GetVersion(ctx, in.FromBucket, in.FromKey, in.FromVersion)
	if err != nil {
		return Object{}, err
	}
	defer src.Close()
	if in.Accept != nil {
		if err := in.Accept(&src.Object); err != nil {
			return Object{}, err
		}
	}
	var body io.Reader
	if in.Through != nil {
		if body, err = in.Through(src); err != nil {
			return Object{}, err
		}
	}
	if !in.Replace {
		in.Header, in.Meta = src.Header, src.Meta
	}
	if in.Docs == nil {
		in.Docs = map[string]string{}
	}
	for name, value := range src.Docs {
		inherits := in.Inherit == nil && !in.Replace || in.Inherit != nil && in.Inherit(name, value)
		if _, own := in.Docs[name]; inherits && !own {
			in.Docs[name] = value
		}
	}
	if in.FromBucket == bucket && in.FromKey == in.Key && body == nil {
		if b, err := s.Bucket(ctx, bucket); err != nil || b.Versions == "" {
			if err == nil {
				return s.rewrite(ctx, bucket, src.Object.Body, in.PutInput)
			}
			return Object{}, err
		}
	}
	if body == nil {
		body = src
	}
	in.PutInput.Body, in.Size, in.MD5, in.act = body, src.Size, nil, ByCopy
	return s.Put(ctx, bucket, in.PutInput)
}

// rewrite changes an object's headers and metadata and keeps its bytes, if they are still those of
// data.
func (s *Store) rewrite(ctx context.Context, bucket, data string, in PutInput) (Object, error) {
	return s.alter(ctx, bucket, in.Key, "", ByCopy, func(o *Object) error {
		if o.Body != data {
			return &Error{Reason: ConditionFailed, Bucket: bucket, Key: in.Key}
		}
		if err := in.check(bucket, in.Key, o); err != nil {
			return err
		}
		o.Header, o.Meta, o.Docs, o.ACL, o.Modified = in.Header, in.Meta, in.Docs, in.ACL, s.clock()
		return nil
	})
}

// AlterObject lets fn change an object's Header, Meta, Docs, ACL and Modified in one transaction: fn may
// run more than once. An error of fn changes nothing and comes back.
func (s *Store) AlterObject(ctx context.Context, bucket, key string, fn func(o *Object) error) (Object, error) {
	return s.alter(ctx, bucket, key, "", 0, fn)
}

// AlterVersion is AlterObject for a version; "" is what stands at the key.
func (s *Store) AlterVersion(ctx context.Context, bucket, key, id string, fn func(o *Object) error) (Object, error) {
	return s.alter(ctx, bucket, key, id, 0, fn)
}

// alter is AlterVersion, and tells of it as an act unless that is 0.
func (s *Store) alter(ctx context.Context, bucket, key, id string, act Act, fn func(o *Object) error) (Object, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Object{}, err
	}
	var out Object
	err = s.change(ctx, b, locks(objectKey(b.ID, key)), func(tx kv.Txn, tell tell) error {
		if err := sameBucket(tx, b); err != nil {
			return err
		}
		o, err := find(tx, bucket, key, id)
		if err != nil {
			return err
		}
		row := objectKey(b.ID, key)
		if id != "" {
			_, stands, err := version(tx, b, key, id)
			if err != nil {
				return err
			}
			if !stands {
				row = versionKey(b.ID, key, o.Version)
			}
		}
		out = o
		if err := fn(&out); err != nil {
			return err
		}
		was, cur := o, &o
		was.Header, was.Meta, was.Docs, was.ACL, was.Modified = out.Header, out.Meta, out.Docs, out.ACL, out.Modified
		out = was
		if err := putJSON(tx, row, &out); err != nil || act == 0 {
			return err
		}
		return tell(act, &out, cur)
	})
	if err != nil {
		return Object{}, err
	}
	return out, nil
}

// AppendInput is bytes to put at the end of an object. Header, Meta and ACL count for the first.
type AppendInput struct {
	PutInput
	Position int64 // the object's length so far
}

// Append writes at the end of an object that Append made, or makes it. Its result's Size is the next
// position.
func (s *Store) Append(ctx context.Context, bucket string, in AppendInput) (Object, error) {
	if err := checkKey(bucket, in.Key); err != nil {
		return Object{}, err
	}
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Object{}, err
	}
	g, err := s.stage(ctx, in.Body, in.Size, in.Limit, in.MD5)
	if err != nil {
		return Object{}, err
	}
	var o Object
	err = s.change(ctx, b, locks(objectKey(b.ID, in.Key)), func(tx kv.Txn, tell tell) error {
		cur, err := current(tx, b, in.Key)
		if err != nil {
			return err
		}
		fresh := cur == nil
		if fresh {
			cur = &Object{Key: in.Key, Header: in.Header, Meta: in.Meta, ACL: in.ACL, Docs: in.Docs, Kind: Appendable, Body: newData()}
		}
		o = *cur
		if o.Kind != Appendable {
			return &Error{Reason: NotAppendable, Bucket: bucket, Key: in.Key}
		}
		if o.Size != in.Position {
			return &Error{Reason: WrongPosition, Bucket: bucket, Key: in.Key, Size: o.Size}
		}
		if err := extend(tx, &o, g); err != nil {
			return err
		}
		if fresh {
			_, err = s.place(tx, b, nil, &o)
		} else {
			err = putJSON(tx, objectKey(b.ID, o.Key), &o)
		}
		if err != nil {
			return err
		}
		return tell(ByAppend, &o, cur)
	})
	if err != nil {
		s.unstage(ctx, g, err)
		return Object{}, err
	}
	return o, nil
}

// extend adds a segment at the end. Short ones melt into one row, so that many small appends do not
// make as many segments.
func extend(tx kv.Txn, o *Object, g segment) error {
	sum := md5.Sum(append([]byte(o.ETag), g.MD5...))
	o.ETag = hex.EncodeToString(sum[:])
	o.CRC64 = combine(o.CRC64, g.CRC64, g.Size)
	o.Modified = g.At
	at := o.Size
	o.Size += g.Size
	if at > 0 && g.Size == 0 {
		return nil
	}
	if g.Body == "" && at > 0 {
		last, err := segmentAt(tx, o.Body, at-1)
		if err != nil {
			return err
		}
		if last.Body == "" && last.Size+g.Size <= maxInline {
			g.Inline = append(last.Inline, g.Inline...)
			g.Size, at = last.Size+g.Size, last.n
		}
	}
	g.n, g.MD5, g.CRC64 = at, nil, 0
	putSegment(tx, o.Body, &g)
	return nil
}

// segmentAt finds the segment that holds the byte at an offset, in a run numbered by offsets.
func segmentAt(r kv.Reader, data string, offset int64) (segment, error) {
	it := r.Scan(segmentKey(data, 0), segmentKey(data, offset+1), kv.ScanOpts{Reverse: true, Limit: 1})
	defer it.Close()
	if !it.Next() {
		if err := it.Err(); err != nil {
			return segment{}, err
		}
		return segment{}, fmt.Errorf("object data %s has no segment at %d: %w", data, offset, kv.ErrCorrupt)
	}
	return decodeSegment(it.Key(), it.Value())
}
