// Package rest is the XML-over-HTTP protocol that the object stores of all clouds have in common, in the
// object room's terms. S3, OSS and COS differ in addresses, signatures, the names of headers, the words
// of errors and some elements: a [Front] says in which.
//
// A request becomes a [Call]: who asks (Front.Identify), for which bucket and key, which operation (the
// Front's tables). What all clouds do is a method of Call; what one alone does is a function of its
// dialect on the same Call. The package has no goroutine and keeps nothing.
package rest

import (
	"context"
	"encoding/xml"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/object"
)

// Front is one cloud's way to speak of objects. Objects, Name, Prefix, Names, NewID and Identify are
// needed; a nil func means that the cloud has no such thing.
type Front struct {
	Objects *object.Store
	Log     *slog.Logger // nil discards

	Name      string // begins the names of what is kept among a bucket's Docs: "oss"
	Prefix    string // of the cloud's headers: "x-oss-"
	Server    string // the Server header
	RequestID string // the header with a request's id; "" is Prefix + "request-id"
	Namespace string // of documents other than errors
	Home      string // the region of buckets that tell none
	Storage   string // the class of every object: "STANDARD"
	Upper     bool   // ETags and upload ids are shown in upper case
	CRC       bool   // answers have the CRC-64 of the bytes
	Slashes   bool   // names that are encoded keep their slashes
	Clamp     bool   // numbers of elements beyond their limits are taken as the limits, and 0 is one
	MaxKeys   int    // elements of a page of a listing, unless the request says another number
	MinPart   int64  // bytes of every part but the last
	Whole     bool   // a deletion of many objects is refused as a whole, and a quiet one has no document
	ObjectACL string // the header with an object's access rule, without Prefix; a bucket's is "acl"
	Parts     bool   // objects can be read part by part
	Groups    string // begins the URIs of groups of users: "http://acs.amazonaws.com"
	Versions  bool   // requests may name versions of objects
	// Exact refuses forms of values that other clouds let pass, and leaves empty elements out.
	Exact bool
	// Apart says that access rules of buckets and objects have nothing to do with each other: a bucket's says who
	// may list and write, an object's who may read it, and one without is private.
	Apart bool
	Rules bool // websites have routing rules, and the indexes of their folders
	// AppendSum is the header, without Prefix, with the MD5 of bytes that were appended; "" is none.
	AppendSum string
	// ErrorHeader takes the error document, in base64, of an answer to HEAD; "" has none.
	ErrorHeader string

	Names *regexp.Regexp // of buckets
	// Words are what the cloud calls the room's reasons, where it is not as Words of this package have it.
	Words map[object.Reason]Fault

	Service, Buckets, Keys map[string]Operation // by method and sub-resource: "GET", "PUT acl"
	Subs                   []string             // query parameters that are sub-resources, the first of a query counts

	NewID func() string // of a request
	// Identify finds out who asks for what: it sets Who, Bucket and Key of the call, or refuses.
	Identify func(c *Call) error
	// Region is that of a bucket to be made.
	Region func(c *Call, constraint string) string
	// Again answers who makes a bucket that is there and theirs; nil: as if it were made now.
	Again func(c *Call) error
	// CheckKey refuses keys that the room would take.
	CheckKey func(key string) error
	// Type is the content type of an object that comes without; nil is application/octet-stream.
	Type func(key string) string
	// Kind is what the cloud calls the kind of an object.
	Kind func(o *object.Object) string
	// ACL reads an access rule's name; nil takes the room's names.
	ACL func(value string) (acl string, ok bool)
	// Grantee refuses who cannot be granted anything; nil: of lists of grants only what they open to everybody is
	// kept.
	Grantee func(g Grant) error
	// Closed says whether a bucket takes no access rules for others than its owner, and whether those that there
	// are do not count.
	Closed func(b *object.Bucket) (refuses, ignores bool)
	// Input reads what the cloud alone says about an object that is written.
	Input func(c *Call, in *object.PutInput) error
	// Complete reads what the cloud alone says when an upload is completed. A request that names no parts
	// has none.
	Complete func(c *Call, in *object.CompleteInput, parts []CompletePart) error
	// Seal may change the bytes that are kept, and fill in Docs, when all else of the input is known.
	Seal func(c *Call, in *object.PutInput) error
	// Opened is what Seal has made of an object's bytes before they were kept, for an answer or as the source of a
	// copy; nil: they are as they are kept. It may refuse to tell them.
	Opened func(c *Call, o *object.Content, source bool) (io.ReadSeeker, error)
	// Stored sets the headers that tell of bytes, in the answers to writes and reads; o is nil for a part.
	Stored func(c *Call, o *object.Object)
	// Described sets more headers of answers to reads.
	Described func(c *Call, o *object.Object)
	// Inherit says which of the source's Docs a copy has; nil: see object.CopyInput.
	Inherit func(c *Call, name, value string, replace bool) bool
	// Sums are the elements that tell an object's checksums, or a part's, in the answers to copies and completed
	// uploads; it may set headers, too.
	Sums func(c *Call, o *object.Object) []Element
	// Create reads what the cloud alone says of a bucket that is made.
	Create func(c *Call, b *object.Bucket) error
	// Versioned may refuse a change of how the bucket keeps versions; nil takes any.
	Versioned func(c *Call, how string) error
	// Removable refuses the removal of an object (nil: there is none) or, with its id, of a version for good.
	Removable func(c *Call, o *object.Object, version string, cond Removal) error
	// Source makes a bucket's name of the first element of a copy's source; nil takes it as it is.
	Source func(first string) string
	// Lenient reports whether a range that is not wholly within an object means all of it.
	Lenient func(c *Call) bool
	// Public reports whether everybody may do something by other rules than access rules; an error is that they
	// may not, whatever those say. It is asked of owners, too, for whom the error alone counts.
	Public func(c *Call, b *object.Bucket, key string, need Right) (bool, error)
	// Signer finds out who lets a form be: it sets Who of the call, and the form's Policy when it has one.
	Signer func(c *Call, f *Form) error
	// Framed puts what the headers promise of a form's file around the body, as Identify does of other requests.
	Framed func(c *Call, f *Form) error
	// IsPage reports whether a request is a browser's for a page of the bucket's website.
	IsPage func(c *Call) bool
	// Start is called before the head of an answer is written.
	Start func(c *Call)
	// Explain is the elements of an error document in their order; nil: code, message, fields, request.
	Explain func(c *Call, f *Fault) []Field
}

// Call is one request on its way. What it knows grows as it goes: see [Front.Serve].
type Call struct {
	*Front
	W           http.ResponseWriter
	R           *http.Request
	Ctx         context.Context
	ID          string
	Bucket, Key string // both are empty for the service, Key for the bucket
	Query       url.Values
	Sub         string         // the sub-resource asked for: acl, uploads …
	Who         *Who           // nil when anonymous
	B           *object.Bucket // nil for the service, and for a bucket that is to be made
	Page        bool           // a page of a website is asked for
	Part        *object.Part   // of the object, when one is read
	Docs        map[string]string
	Began       time.Time
	Status      int // of the answer, once it is written
}

// Who is who signed a request.
type Who struct {
	App    sluice.AppName // "" is the operator
	Region string         // of the signature, "" when it names none
}

// Operation is one thing to do, and what it takes to be allowed to.
type Operation struct {
	Run  func(*Call) error
	Need Right
}

// NewCall begins a call.
func (f *Front) NewCall(w http.ResponseWriter, r *http.Request, bucket, key string) *Call {
	r = r.WithContext(r.Context()) // its body may be replaced, and the server goes by its own
	c := &Call{Front: f, W: w, R: r, Ctx: r.Context(), ID: f.NewID(), Bucket: bucket, Key: key, Query: r.URL.Query(),
		Docs: map[string]string{}, Began: time.Now()}
	if f.Server != "" {
		c.Set("Server", f.Server)
	}
	id := f.RequestID
	if id == "" {
		id = f.Prefix + "request-id"
	}
	c.Set(id, c.ID)
	return c
}

// Serve answers one request, which likely is for that bucket and key.
func (f *Front) Serve(w http.ResponseWriter, r *http.Request, bucket, key string) {
	c := f.NewCall(w, r, bucket, key)
	c.Finish(c.serve())
}

// Finish tells of an error, and logs the call.
func (c *Call) Finish(err error) {
	if err != nil {
		c.Fail(err)
	}
	c.logger().DebugContext(c.Ctx, c.Name, "request", c.ID, "bucket", c.Bucket, "method", c.R.Method, "key", c.Key,
		"sub", c.Sub, "status", c.Status, "took", time.Since(c.Began))
}

func (c *Call) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// Set sets an answer's header with its name as the cloud spells it.
func (c *Call) Set(name, value string) { c.W.Header()[name] = []string{value} }

// Header is the value of one of the cloud's own headers of the request, by its name without prefix.
func (c *Call) Header(name string) string { return c.R.Header.Get(c.Prefix + name) }

// Begin writes the answer's head.
func (c *Call) Begin(status int) {
	if c.Start != nil {
		c.Start(c)
	}
	c.Status = status
	c.W.WriteHeader(status)
}

// Empty answers without a body.
func (c *Call) Empty(status int) error {
	if status != http.StatusNoContent {
		c.Set("Content-Length", "0")
	}
	c.Begin(status)
	return nil
}

// Done is Empty, unless err is an error.
func (c *Call) Done(err error, status int) error {
	if err != nil {
		return err
	}
	return c.Empty(status)
}

// Answer answers 200 with a document.
func (c *Call) Answer(v any) error {
	body, err := marshal(v, c.Namespace)
	if err != nil {
		return err
	}
	return c.Send(http.StatusOK, "application/xml", body)
}

// Send answers with a body.
func (c *Call) Send(status int, kind string, body []byte) error {
	c.Set("Content-Type", kind)
	c.Set("Content-Length", strconv.Itoa(len(body)))
	c.Begin(status)
	if c.R.Method != http.MethodHead {
		c.W.Write(body)
	}
	return nil
}

func (c *Call) serve() error {
	if c.R.Method == http.MethodOptions {
		return c.preflight()
	}
	if err := c.Identify(c); err != nil {
		return err
	}
	c.Ctx = object.From(c.Ctx, c.origin())
	if c.Bucket != "" {
		if !c.Names.MatchString(c.Bucket) {
			return &object.Error{Reason: object.BadBucketName, Bucket: c.Bucket}
		}
		var err error
		c.B, err = c.Objects.Bucket(c.Ctx, c.Bucket)
		if err != nil && object.ReasonOf(err) != object.NoSuchBucket {
			return err
		}
		c.allowOrigin()
	}
	for _, name := range c.Subs {
		if c.Query.Has(name) {
			c.Sub = name
			break
		}
	}
	op, ok := c.route()
	if !ok {
		return c.Unknown()
	}
	if c.B == nil && c.Bucket != "" && op.Need != Creator {
		return &object.Error{Reason: object.NoSuchBucket, Bucket: c.Bucket}
	}
	if c.IsPage != nil && c.IsPage(c) {
		return c.Site(c.Key)
	}
	if err := c.checkKey(c.Key); err != nil {
		return err
	}
	if err := c.allow(op.Need); err != nil {
		return err
	}
	return op.Run(c)
}

func (c *Call) checkKey(key string) error {
	if c.CheckKey == nil {
		return nil
	}
	return c.CheckKey(key)
}

// origin says who asks, for those who are told of what comes of it.
func (c *Call) origin() object.Origin {
	ip, _, _ := net.SplitHostPort(c.R.RemoteAddr)
	o := object.Origin{Request: c.ID, IP: ip}
	if c.Who != nil {
		o.Who = string(c.Who.App)
	}
	return o
}

// route finds the operation of a request by level, method and sub-resource.
func (c *Call) route() (op Operation, ok bool) {
	ops := c.Keys
	switch {
	case c.Bucket == "":
		ops = c.Service
	case c.Key == "":
		ops = c.Buckets
	}
	op, ok = ops[strings.TrimSuffix(c.R.Method+" "+c.Sub, " ")]
	return op, ok
}

// Unknown says why a request has no operation: nothing serves its sub-resource, or not with its method.
func (c *Call) Unknown() error {
	served := c.Sub == ""
	for _, ops := range []map[string]Operation{c.Service, c.Buckets, c.Keys} {
		for name := range ops {
			_, sub, _ := strings.Cut(name, " ")
			served = served || sub == c.Sub
		}
	}
	if !served {
		return NotImplemented(c.Sub)
	}
	kind := "OBJECT"
	if c.Key == "" {
		kind = "BUCKET"
	}
	if c.Bucket == "" {
		kind = "SERVICE"
	}
	return Refuse(http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource.").
		With("Method", c.R.Method).With("ResourceType", kind)
}

// Element is an element with text, of any name.
type Element struct {
	XMLName xml.Name
	Value   string `xml:",chardata"`
}

// Document is a document that is a list of elements with text.
func Document(root string, fields []Field) any {
	doc := struct {
		XMLName xml.Name
		Fields  []Element
	}{XMLName: xml.Name{Local: root}}
	for _, f := range fields {
		doc.Fields = append(doc.Fields, Element{xml.Name{Local: f.Name}, f.Value})
	}
	return doc
}
