package object

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluicehq/sluice/kv"
)

// Store is the room. It is safe for concurrent use.
type Store struct {
	kv     kv.Store
	bodies Body
	log    *slog.Logger
	now    func() time.Time
	notify Notify
	pins   pins

	mu    sync.Mutex // guards rules
	rules map[string]func(doc []byte) []Rule
}

// Options are a Store's settings; the zero value is good.
type Options struct {
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
	Notify Notify           // is told of objects that come and go; may be nil
}

// Open makes the room on a store and an engine. It starts nothing: see Run.
func Open(ctx context.Context, store kv.Store, body Body, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Store{kv: store, bodies: body, log: o.Log, now: o.Now, notify: o.Notify, rules: map[string]func([]byte) []Rule{}, pins: pins{readers: map[string]int{}, after: map[string]func(){}}}
	// A store that cannot be read should be known now, not at the first request.
	err := store.View(ctx, func(r kv.Reader) error {
		_, _, err := r.Get(bucketKey(""))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open object room: %w", err)
	}
	return s, nil
}

// The room's keys. id is a bucket's 4 bytes; data is the 32 hex digits that name a run of segments,
// which is the upload id of a multipart object.
//
//	Ob name           Bucket
//	On                counter of bucket ids
//	Oo id key         Object
//	Od data n         segment; the 8 bytes n are its offset, or its number in a multipart object
//	Or body           empty: the body is in use
//	Ou id key 0 data  Upload
//	Ov id key 0 sort  Object: a version that does not stand at its key; sort is 32 hex digits
//	Ox data           empty: nothing names these segments any more
const (
	bucketSpace  = "Ob"
	objectSpace  = "Oo"
	segmentSpace = "Od"
	bodySpace    = "Or"
	uploadSpace  = "Ou"
	versionSpace = "Ov"
	deadSpace    = "Ox"
	bucketIDs    = "On"
)

func bucketKey(name string) []byte { return []byte(bucketSpace + name) }
func bodyKey(id string) []byte     { return []byte(bodySpace + id) }
func deadKey(data string) []byte   { return []byte(deadSpace + data) }

func objectKey(bucket uint32, key string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte(objectSpace), bucket), key...)
}

func uploadKey(bucket uint32, key, data string) []byte {
	return rowKey(uploadSpace, bucket, key, data)
}

// rowKey is a row of which a key may have several, told apart by what follows it.
func rowKey(space string, bucket uint32, key, tail string) []byte {
	b := append(binary.BigEndian.AppendUint32([]byte(space), bucket), key...)
	if tail != "" {
		b = append(append(b, 0), tail...)
	}
	return b
}

func segmentKey(data string, n int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(segmentSpace+data), uint64(n))
}

func newData() string {
	b := make([]byte, 16)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// segment is a run of bytes of an object: in the row itself, or a body of the engine.
type segment struct {
	Size   int64     `json:"s"`
	MD5    []byte    `json:"m,omitempty"`
	CRC64  uint64    `json:"c"`
	At     time.Time `json:"t"`
	Body   string    `json:"b,omitempty"`
	Inline []byte    `json:"-"` // follows the JSON, as it is

	Docs map[string]string `json:"d,omitempty"` // of a part

	n int64 // from the key
}

// maxInline is how many bytes a segment may have to be kept in its row.
const maxInline = 16 << 10

func (g *segment) encode() []byte {
	head, _ := json.Marshal(g) // plain fields: cannot fail
	b := binary.AppendUvarint(make([]byte, 0, 3+len(head)+len(g.Inline)), uint64(len(head)))
	return append(append(b, head...), g.Inline...)
}

func decodeSegment(key, val []byte) (segment, error) {
	var g segment
	n, w := binary.Uvarint(val)
	if w <= 0 || n > uint64(len(val)-w) || len(key) < 8 || json.Unmarshal(val[w:w+int(n)], &g) != nil {
		return g, fmt.Errorf("object segment %q: %w", key, kv.ErrCorrupt)
	}
	g.n = int64(binary.BigEndian.Uint64(key[len(key)-8:]))
	if g.Body == "" {
		g.Inline = append([]byte(nil), val[w+int(n):]...)
		if int64(len(g.Inline)) != g.Size {
			return g, fmt.Errorf("object segment %q: %w", key, kv.ErrCorrupt)
		}
	}
	return g, nil
}

// putSegment writes a segment and marks its body as used.
func putSegment(tx kv.Txn, data string, g *segment) {
	tx.Put(segmentKey(data, g.n), g.encode())
	if g.Body != "" {
		tx.Put(bodyKey(g.Body), nil)
	}
}

// scanSegments reads up to limit segments of a run, from n on; more says that there are others.
func scanSegments(r kv.Reader, data string, n int64, limit int) (list []segment, more bool, err error) {
	hi := kv.PrefixEnd([]byte(segmentSpace + data))
	it := r.Scan(segmentKey(data, n), hi, kv.ScanOpts{Limit: limit, MaxBytes: 1 << 20})
	defer it.Close()
	for it.Next() {
		g, err := decodeSegment(it.Key(), it.Value())
		if err != nil {
			return nil, false, err
		}
		list = append(list, g)
	}
	if err := it.Err(); err != nil || len(list) == 0 {
		return nil, false, err
	}
	// A full page or one cut by its bytes may have a successor; one more look tells.
	last := r.Scan(segmentKey(data, list[len(list)-1].n+1), hi, kv.ScanOpts{Limit: 1, KeysOnly: true})
	defer last.Close()
	more = last.Next()
	return list, more, last.Err()
}

// getJSON reads a row; ok is false when there is none.
func getJSON(r kv.Reader, key []byte, into any) (ok bool, err error) {
	v, ok, err := r.Get(key)
	if err != nil || !ok {
		return false, err
	}
	return true, decodeRow(key, v, into)
}

func decodeRow(key, val []byte, into any) error {
	if err := json.Unmarshal(val, into); err != nil {
		return fmt.Errorf("object row %q: %w", key, kv.ErrCorrupt)
	}
	return nil
}

func putJSON(tx kv.Txn, key []byte, row any) error {
	v, err := json.Marshal(row)
	if err != nil {
		return err
	}
	tx.Put(key, v)
	return nil
}

// sameBucket checks inside a transaction that a bucket is still the one that was looked up before, and
// finds out how it keeps versions now.
func sameBucket(tx kv.Reader, b *Bucket) error {
	var now Bucket
	ok, err := getJSON(tx, bucketKey(b.Name), &now)
	if err != nil {
		return err
	}
	if !ok || now.ID != b.ID {
		return &Error{Reason: NoSuchBucket, Bucket: b.Name}
	}
	b.Versions = now.Versions
	return nil
}

func locks(keys ...[]byte) kv.Locks { return kv.Locks{Keys: keys} }

// clock is the time that rows carry: milliseconds, as listings show them.
func (s *Store) clock() time.Time { return s.now().UTC().Truncate(time.Millisecond) }
