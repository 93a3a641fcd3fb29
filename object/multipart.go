package object

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/kv"
)

// MaxParts is how many parts an upload may have, numbered from 1.
const MaxParts = 10000

// Upload is a multipart upload that is under way.
type Upload struct {
	ID          string            `json:"id"` // 32 lower-case hex digits
	Key         string            `json:"key"`
	Header      map[string]string `json:"header,omitempty"`
	Meta        map[string]string `json:"meta,omitempty"`
	ACL         string            `json:"acl,omitempty"`
	Docs        map[string]string `json:"docs,omitempty"` // as Object has them
	NoOverwrite bool              `json:"noOverwrite,omitempty"`
	Started     time.Time         `json:"started"`
}

// Upload is the id of the upload that a multipart object was made by; "" for any other object.
func (o *Object) Upload() string {
	if o.Kind != Multipart {
		return ""
	}
	return o.Body
}

// Part is one part of an upload.
type Part struct {
	Number   int
	Size     int64
	ETag     string // lower-case MD5
	CRC64    uint64
	Modified time.Time
	Docs     map[string]string // a dialect's own, as Object has them
}

func (g *segment) part() Part {
	return Part{Number: int(g.n), Size: g.Size, ETag: hex.EncodeToString(g.MD5), CRC64: g.CRC64, Modified: g.At, Docs: g.Docs}
}

// Begin starts an upload. Only Key, Header, Meta, ACL, Docs and NoOverwrite of the input count.
func (s *Store) Begin(ctx context.Context, bucket string, in PutInput) (Upload, error) {
	if err := checkKey(bucket, in.Key); err != nil {
		return Upload{}, err
	}
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Upload{}, err
	}
	u := Upload{
		ID: newData(), Key: in.Key, Header: in.Header, Meta: in.Meta, ACL: in.ACL, Docs: in.Docs,
		NoOverwrite: in.NoOverwrite, Started: s.clock(),
	}
	key := uploadKey(b.ID, u.Key, u.ID)
	err = s.kv.Update(ctx, locks(key), func(tx kv.Txn) error {
		cur, err := current(tx, b, in.Key)
		if err != nil {
			return err
		}
		if err := (Condition{NoOverwrite: in.NoOverwrite}).check(bucket, in.Key, cur); err != nil {
			return err
		}
		return putJSON(tx, key, &u)
	})
	if err != nil {
		return Upload{}, err
	}
	return u, nil
}

// upload reads an upload, or says that there is none.
func upload(r kv.Reader, b *Bucket, key, id string) (Upload, error) {
	if err := sameBucket(r, b); err != nil {
		return Upload{}, err
	}
	var u Upload
	ok, err := getJSON(r, uploadKey(b.ID, key, id), &u)
	if err == nil && (!ok || id == "") {
		err = &Error{Reason: NoSuchUpload, Bucket: b.Name, Key: key, Upload: id}
	}
	return u, err
}

// PutPart writes part number (1 to MaxParts) of an upload, over a former one of that number. Only
// Key, Body, Size, Limit, MD5 and Docs of the input count.
func (s *Store) PutPart(ctx context.Context, bucket, id string, number int, in PutInput) (Part, error) {
	if number < 1 || number > MaxParts {
		return Part{}, &Error{Reason: BadPart, Bucket: bucket, Key: in.Key, Upload: id, Part: number}
	}
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Part{}, err
	}
	err = s.kv.View(ctx, func(r kv.Reader) error {
		_, err := upload(r, b, in.Key, id)
		return err
	})
	if err != nil {
		return Part{}, err
	}
	g, err := s.stage(ctx, in.Body, in.Size, in.Limit, in.MD5)
	if err != nil {
		return Part{}, err
	}
	g.n, g.Docs = int64(number), in.Docs
	var old []string
	err = s.kv.Update(ctx, locks(uploadKey(b.ID, in.Key, id)), func(tx kv.Txn) error {
		old = nil
		if _, err := upload(tx, b, in.Key, id); err != nil {
			return err
		}
		key := segmentKey(id, g.n)
		v, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		if ok {
			was, err := decodeSegment(key, v)
			if err != nil {
				return err
			}
			dropSegment(tx, id, &was, &old)
		}
		putSegment(tx, id, &g)
		return nil
	})
	if err != nil {
		s.unstage(ctx, g, err)
		return Part{}, err
	}
	s.removeBodies(ctx, old)
	return g.part(), nil
}

// ListParts lists the parts of an upload with numbers above after, at most limit; more says that
// there are others.
func (s *Store) ListParts(ctx context.Context, bucket, key, id string, after, limit int) (u Upload, parts []Part, more bool, err error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return u, nil, false, err
	}
	err = s.kv.View(ctx, func(r kv.Reader) error {
		parts, more = nil, false
		if u, err = upload(r, b, key, id); err != nil {
			return err
		}
		return eachSegment(r, id, int64(after)+1, func(g *segment) bool {
			more = len(parts) == limit
			if !more {
				parts = append(parts, g.part())
			}
			return !more
		})
	})
	return u, parts, more, err
}

// eachSegment walks a run of segments from n on, until fn says no.
func eachSegment(r kv.Reader, data string, n int64, fn func(g *segment) bool) error {
	for more := true; more; {
		list, some, err := scanSegments(r, data, n, 1000)
		if err != nil {
			return err
		}
		for i := range list {
			if !fn(&list[i]) {
				return nil
			}
			n = list[i].n + 1
		}
		more = some
	}
	return nil
}

// CompleteInput says of which parts an object is made.
type CompleteInput struct {
	Parts   []PartRef // in rising order
	All     bool      // all that were uploaded, instead of Parts
	MinPart int64     // bytes that each part but the last must have
	// Docs makes the object's own of the upload's and of the parts, or refuses; nil keeps the upload's.
	Docs func(of map[string]string, parts []Part) (map[string]string, error)
	Condition
}

// PartRef names a part. An empty ETag is not checked.
type PartRef struct {
	Number int
	ETag   string
}

// Complete makes the object of an upload from its parts, without moving a byte of them. Its ETag is
// the MD5 of the parts' MD5s, "-" and their count. Parts that are not named are dropped.
func (s *Store) Complete(ctx context.Context, bucket, key, id string, in CompleteInput) (Object, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return Object{}, err
	}
	var (
		o    Object
		old  leftover
		drop []string
	)
	err = s.change(ctx, b, locks(objectKey(b.ID, key), uploadKey(b.ID, key, id)), func(tx kv.Txn, tell tell) error {
		drop = nil
		u, err := upload(tx, b, key, id)
		if err != nil {
			return err
		}
		cur, err := current(tx, b, key)
		if err != nil {
			return err
		}
		in.NoOverwrite = in.NoOverwrite || u.NoOverwrite
		if err := in.check(bucket, key, cur); err != nil {
			return err
		}
		o = Object{Key: key, Modified: s.clock(), Header: u.Header, Meta: u.Meta, ACL: u.ACL, Docs: u.Docs, Kind: Multipart, Body: id}
		parts, err := assemble(tx, bucket, &o, in, &drop)
		if err != nil {
			return err
		}
		if in.Docs != nil {
			if o.Docs, err = in.Docs(u.Docs, parts); err != nil {
				return err
			}
		}
		if old, err = s.place(tx, b, cur, &o); err != nil {
			return err
		}
		tx.Delete(uploadKey(b.ID, key, id))
		return tell(ByComplete, &o, cur)
	})
	if err != nil {
		return Object{}, err
	}
	s.removeBodies(ctx, drop)
	s.clear(ctx, old)
	return o, nil
}

// assemble checks the parts against those named and fills in what they make of o.
func assemble(tx kv.Txn, bucket string, o *Object, in CompleteInput, drop *[]string) (made []Part, err error) {
	fault := func(r Reason, part int) error {
		return &Error{Reason: r, Bucket: bucket, Key: o.Key, Upload: o.Body, Part: part}
	}
	for i := 1; i < len(in.Parts); i++ {
		if in.Parts[i].Number <= in.Parts[i-1].Number {
			return nil, fault(PartOrder, in.Parts[i].Number)
		}
	}
	want := in.Parts
	sum := md5.New()
	last := Part{}
	var wrong error
	err = eachSegment(tx, o.Body, 1, func(g *segment) bool {
		if !in.All && (len(want) == 0 || int64(want[0].Number) > g.n) {
			dropSegment(tx, o.Body, g, drop)
			return true
		}
		p := g.part()
		if !in.All {
			if want[0].Number != p.Number || want[0].ETag != "" && !strings.EqualFold(want[0].ETag, p.ETag) {
				wrong = fault(BadPart, want[0].Number)
				return false
			}
			want = want[1:]
		}
		if o.Parts > 0 && last.Size < in.MinPart {
			wrong = fault(PartTooSmall, last.Number)
			return false
		}
		sum.Write(g.MD5)
		o.CRC64 = combine(o.CRC64, p.CRC64, p.Size)
		o.Size += p.Size
		o.Parts++
		last = p
		if in.Docs != nil {
			made = append(made, p)
		}
		return true
	})
	switch {
	case err != nil:
		return nil, err
	case wrong != nil:
		return nil, wrong
	case len(want) > 0:
		return nil, fault(BadPart, want[0].Number)
	case o.Parts == 0:
		return nil, fault(BadPart, 0)
	}
	o.ETag = fmt.Sprintf("%x-%d", sum.Sum(nil), o.Parts)
	return made, nil
}

// Abort drops an upload and its parts.
func (s *Store) Abort(ctx context.Context, bucket, key, id string) error {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return err
	}
	err = s.kv.View(ctx, func(r kv.Reader) error {
		_, err := upload(r, b, key, id)
		return err
	})
	if err != nil {
		return err
	}
	return s.abort(ctx, uploadKey(b.ID, key, id), id)
}

// abort drops the upload in a row. When it was completed or aborted meanwhile, there is nothing to do.
func (s *Store) abort(ctx context.Context, row []byte, id string) error {
	var old leftover
	err := s.kv.Update(ctx, locks(row), func(tx kv.Txn) error {
		old = leftover{}
		_, ok, err := tx.Get(row)
		if err != nil || !ok {
			return err
		}
		tx.Delete(row)
		tx.Put(deadKey(id), nil)
		old = leftover{data: id, dead: true}
		return nil
	})
	if err != nil {
		return err
	}
	s.clear(ctx, old)
	return nil
}

// UploadListing is a page of the uploads under way, in the order of keys and then of ids.
type UploadListing struct {
	Uploads   []Upload
	Prefixes  []string
	Truncated bool
	NextKey   string // with NextID the After and afterID of the next page, when Truncated
	NextID    string // "" when NextKey is a common prefix
}

// ListUploads lists uploads as List lists objects. With afterID it goes on within the uploads of the
// key in.After; without, after all of them.
func (s *Store) ListUploads(ctx context.Context, bucket string, in ListInput, afterID string) (*UploadListing, error) {
	b, err := s.Bucket(ctx, bucket)
	if err != nil {
		return nil, err
	}
	switch {
	case in.After == "" || commonPrefix(in.After, in) == in.After:
	case afterID != "":
		in.After += "\x00" + afterID
	default:
		in.After += "\x00\xff" // after every id of this key
	}
	var l *UploadListing
	err = s.kv.View(ctx, func(r kv.Reader) error {
		l = &UploadListing{}
		return walkKeys(r, uploadKey(b.ID, "", ""), 1+32, in, func(key, prefix string, val []byte) (bool, error) {
			if len(l.Uploads)+len(l.Prefixes) >= in.Max {
				l.Truncated = in.Max > 0
				return false, nil
			}
			if prefix != "" {
				l.Prefixes = append(l.Prefixes, prefix)
				l.NextKey, l.NextID = prefix, ""
				return true, nil
			}
			var u Upload
			if err := decodeRow([]byte(key), val, &u); err != nil {
				return false, err
			}
			l.Uploads = append(l.Uploads, u)
			l.NextKey, l.NextID = u.Key, u.ID
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	if !l.Truncated {
		l.NextKey, l.NextID = "", ""
	}
	return l, nil
}
