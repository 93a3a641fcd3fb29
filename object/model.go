package object

import (
	"context"
	"io"
	"time"

	"github.com/sluicehq/sluice"
)

// Body stores the bytes of objects; metadata is in kv. Engines: object/disk, later object/remote.
type Body interface {
	// Create takes bytes until Commit makes them durable under a new id, or Abort drops them.
	Create(ctx context.Context) (Writer, error)
	// Open reads length bytes from offset; length -1 is to the end.
	Open(ctx context.Context, id string, offset, length int64) (io.ReadCloser, error)
	Remove(ctx context.Context, id string) error
	// Walk names every stored body and when it was written, so that orphans can be swept.
	Walk(ctx context.Context, fn func(id string, written time.Time) error) error
}

// Writer takes the bytes of one body.
type Writer interface {
	io.Writer
	Commit() (id string, err error) // durable when it returns
	Abort()
}

// Bucket is a named set of objects. Names are one space for all dialects of a server.
type Bucket struct {
	Name     string                     `json:"name"`
	ID       uint32                     `json:"id"` // given by CreateBucket, never reused
	App      sluice.AppName             `json:"app,omitempty"`
	Owner    string                     `json:"owner,omitempty"`
	Region   string                     `json:"region,omitempty"`
	ACL      string                     `json:"acl"` // private, public-read, public-read-write
	Created  time.Time                  `json:"created"`
	Versions string                     `json:"versions,omitempty"` // VersionsOn or VersionsSuspended; "" keeps none
	Website  *sluice.Website            `json:"website,omitempty"`
	Folders  map[string]*sluice.Website `json:"folders,omitempty"` // by prefix, when several sites share the bucket
	Docs     map[string][]byte          `json:"docs,omitempty"`    // a dialect's own settings (CORS, referer), kept unread
}

// The access rules of buckets and objects. An object's own rule may be "": then its bucket's holds.
const (
	Private         = "private"
	PublicRead      = "public-read"
	PublicReadWrite = "public-read-write"
	SignedRead      = "authenticated-read" // for who has signed, of any app
)

// The kinds of objects.
const (
	Normal     = "normal"
	Multipart  = "multipart"
	Appendable = "appendable"
)

// Object is an object's metadata.
type Object struct {
	Key      string            `json:"key"`
	Size     int64             `json:"size"`
	MD5      []byte            `json:"md5,omitempty"` // nil unless Kind is normal
	ETag     string            `json:"etag"`          // without quotes, lower case
	CRC64    uint64            `json:"crc64"`         // ECMA
	Modified time.Time         `json:"modified"`
	Header   map[string]string `json:"header,omitempty"` // Content-Type, Cache-Control …, canonical names
	Meta     map[string]string `json:"meta,omitempty"`   // the user's, lower-case names without the vendor's prefix
	ACL      string            `json:"acl,omitempty"`
	Docs     map[string]string `json:"docs,omitempty"`  // a dialect's own (checksums, tags), kept unread
	Kind     string            `json:"kind"`            // normal, multipart, appendable
	Body     string            `json:"body"`            // names its segments; the room's own
	Parts    int               `json:"parts,omitempty"` // of a multipart object
	Site     string            `json:"site,omitempty"`  // "/" + prefix of the site whose Sync put it

	Version string `json:"version,omitempty"` // sorts versions, the newer before; see VersionID
	Null    bool   `json:"null,omitempty"`    // written while versions were suspended, or before there were any
	Marker  bool   `json:"marker,omitempty"`  // no object, but a mark that the key was deleted
}
