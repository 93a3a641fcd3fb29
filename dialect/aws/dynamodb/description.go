package dynamodb

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/table"
)

// description is what only DynamoDB knows of a table. It is kept in table.Spec.Extra, with names of
// the API where there are such.
type description struct {
	TableID       string
	Attributes    []attributeDefinition
	KeySchema     []keyElement
	Billing       billingState
	Throughput    throughputState
	OnDemand      *onDemandLimit `json:",omitempty"`
	Warm          *warmState     `json:",omitempty"`
	Stream        *streamState   `json:",omitempty"`
	Past          []streamState  `json:",omitempty"` // streams that Stream has followed, while they can be read
	TTL           string         `json:",omitempty"` // the attribute; "" is no TTL
	Tags          []tagPair      `json:",omitempty"`
	Protected     *bool          `json:",omitempty"` // DeletionProtectionEnabled
	Class         string         `json:",omitempty"`
	ClassChanged  float64        `json:",omitempty"`
	Encrypted     bool           `json:",omitempty"` // by a key of KMS
	EncryptionKey string         `json:",omitempty"`
	Recovery      *recoveryState `json:",omitempty"` // nil is off
}

// indexDescription is what only DynamoDB knows of an index; kept in table.Index.Extra.
type indexDescription struct {
	Local      bool `json:",omitempty"`
	KeySchema  []keyElement
	Projection projectionSpec
	Throughput throughputState
	OnDemand   *onDemandLimit `json:",omitempty"`
	Warm       *warmState     `json:",omitempty"`
}

type attributeDefinition struct{ AttributeName, AttributeType string }

type keyElement struct{ AttributeName, KeyType string }

type projectionSpec struct {
	ProjectionType   string   `json:",omitempty"`
	NonKeyAttributes []string `json:",omitempty"`
}

// throughputState is a ProvisionedThroughputDescription.
type throughputState struct {
	LastIncreaseDateTime   float64 `json:",omitempty"`
	LastDecreaseDateTime   float64 `json:",omitempty"`
	NumberOfDecreasesToday int64
	ReadCapacityUnits      int64
	WriteCapacityUnits     int64
}

// billingState is a BillingModeSummary; Mode is "" for a table that has always been provisioned.
type billingState struct {
	Mode  string  `json:",omitempty"`
	Since float64 `json:",omitempty"` // unix seconds of the last change to on demand
}

type onDemandLimit struct {
	MaxReadRequestUnits  *int64 `json:",omitempty"`
	MaxWriteRequestUnits *int64 `json:",omitempty"`
}

// warmState is a WarmThroughput, which is kept for templates and tools that ask for it.
type warmState struct{ ReadUnitsPerSecond, WriteUnitsPerSecond int64 }

// streamHours is how long the records of a stream can be read.
const streamHours = 24

// streamState is the stream of a table, which keeps its label when it is switched off.
type streamState struct {
	Enabled  bool
	ViewType string
	Label    string
	Off      int64  `json:",omitempty"` // when it was switched off, in unix milliseconds
	End      uint64 `json:",omitempty"` // of one in Past: the number that the record after its last would have
}

// over reports whether a stream has been off for so long that nothing of it is left.
func (s *streamState) over(now time.Time) bool {
	return !s.Enabled && now.UnixMilli()-s.Off >= (streamHours*time.Hour).Milliseconds()
}

type tagPair struct{ Key, Value string }

// onDemandMode reports whether the table is billed by request.
func (d *description) onDemandMode() bool { return d.Billing.Mode == payPerRequest }

const (
	provisioned   = "PROVISIONED"
	payPerRequest = "PAY_PER_REQUEST"
)

// described is a table with its descriptions parsed. It is shared and never changed.
type described struct {
	spec    *table.Spec
	desc    description
	hash    table.KeyColumn
	sort    *table.KeyColumn // nil when the key is a partition key only
	indexes []indexed
	named   []*indexed // in the order of their names, in which AWS looks at them
}

// indexed is an index of a table.
type indexed struct {
	*table.Index
	indexDescription
	hashes  int               // of its own columns, the first that are its partition key
	columns []table.KeyColumn // of the keys of its rows: its own, then those of the table
}

func describe(spec *table.Spec) (*described, error) {
	d := &described{spec: spec, hash: spec.Key[0]}
	if err := json.Unmarshal(spec.Extra, &d.desc); err != nil {
		return nil, fmt.Errorf("read description of table %s: %w", spec.Name, err)
	}
	if len(spec.Key) > 1 {
		d.sort = &spec.Key[1]
	}
	for i := range spec.Indexes {
		x := indexed{Index: &spec.Indexes[i], columns: spec.IndexColumns(&spec.Indexes[i])}
		if err := json.Unmarshal(x.Extra, &x.indexDescription); err != nil {
			return nil, fmt.Errorf("read description of index %s: %w", x.Name, err)
		}
		x.hashes = hashes(x.KeySchema)
		d.indexes = append(d.indexes, x)
	}
	for i := range d.indexes {
		d.named = append(d.named, &d.indexes[i])
	}
	slices.SortFunc(d.named, func(a, b *indexed) int { return strings.Compare(a.Name, b.Name) })
	return d, nil
}

// index returns the index of that name; nil when there is none.
func (d *described) index(name string) *indexed {
	for i := range d.indexes {
		if d.indexes[i].Name == name {
			return &d.indexes[i]
		}
	}
	return nil
}

// isKey reports whether an attribute is in the table's key.
func (d *described) isKey(name string) bool {
	return name == d.hash.Name || d.sort != nil && name == d.sort.Name
}

// isIndexKey reports whether an attribute is in the key of an index, but not in the table's.
func (d *described) isIndexKey(name string) bool {
	if d.isKey(name) {
		return false
	}
	for i := range d.indexes {
		for _, c := range d.indexes[i].Key {
			if c.Name == name {
				return true
			}
		}
	}
	return false
}

// hasLocal reports whether the table has item collections.
func (d *described) hasLocal() bool {
	for i := range d.indexes {
		if d.indexes[i].Local {
			return true
		}
	}
	return false
}

// cache is what a Handler remembers. It can be lost at any time.
type cache struct {
	mu       sync.Mutex
	parsed   map[string]*described // by name; valid for as long as the room returns the same Spec
	creating map[string]time.Time  // since when new tables have not been described
	counts   map[uint32]count      // of large tables, by id
}

func newCache() cache {
	return cache{parsed: map[string]*described{}, creating: map[string]time.Time{}, counts: map[uint32]count{}}
}

// A new table refuses to be used until somebody has asked for its description, or for creatingTime. The
// first description shows it as active, but comes no sooner than creatingLeast after its making, so that
// what was sent before it is refused.
const (
	creatingTime  = time.Second
	creatingLeast = 50 * time.Millisecond
)

// beginCreating marks a table as being created.
func (h *Handler) beginCreating(name string) {
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	h.cache.creating[name] = time.Now()
}

// endCreating ends what beginCreating began, when it has lasted long enough.
func (h *Handler) endCreating(ctx context.Context, name string) {
	h.cache.mu.Lock()
	since, ok := h.cache.creating[name]
	h.cache.mu.Unlock()
	if !ok {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(time.Until(since.Add(creatingLeast))):
	}
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	delete(h.cache.creating, name)
}

func (h *Handler) isCreating(name string) bool {
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	since, ok := h.cache.creating[name]
	if ok && time.Since(since) >= creatingTime {
		delete(h.cache.creating, name)
		ok = false
	}
	return ok
}

// find returns a table by its name, also one that is being created; a *table.MissingError when there
// is none.
func (h *Handler) find(ctx context.Context, name string) (*described, error) {
	spec, err := h.opt.Tables.Lookup(ctx, h.scope, name)
	if err != nil {
		h.cache.mu.Lock()
		defer h.cache.mu.Unlock()
		delete(h.cache.parsed, name)
		return nil, err
	}
	h.cache.mu.Lock()
	d := h.cache.parsed[name]
	h.cache.mu.Unlock()
	if d != nil && d.spec == spec {
		return d, nil
	}
	if d, err = describe(spec); err != nil {
		return nil, err
	}
	h.cache.mu.Lock()
	defer h.cache.mu.Unlock()
	h.cache.parsed[name] = d
	return d, nil
}

// open returns the table that an operation on items names, by name or ARN.
func (h *Handler) open(ctx context.Context, name string) (*described, error) {
	if table, ok := cutTableARN(name); ok {
		name = table
	}
	if h.isCreating(name) {
		return nil, noTable()
	}
	d, err := h.find(ctx, name)
	if isMissing(err) {
		return nil, noTable()
	}
	return d, err
}

// named returns the table that an operation on tables names.
func (h *Handler) named(ctx context.Context, req *node) (*described, error) {
	name := req.text("TableName")
	if table, ok := cutTableARN(name); ok {
		name = table
	}
	d, err := h.find(ctx, name)
	if isMissing(err) {
		return nil, noTableNamed(name)
	}
	return d, err
}

func isMissing(err error) bool {
	if err == nil {
		return false
	}
	var missing *table.MissingError
	return errors.As(err, &missing)
}

// tableARN is the ARN of a table.
func (h *Handler) tableARN(name string) string {
	return "arn:aws:dynamodb:" + h.opt.Region + ":" + h.opt.Account + ":table/" + name
}

// cutTableARN returns the table's name from its ARN; false for anything else.
func cutTableARN(s string) (name string, ok bool) {
	if !strings.HasPrefix(s, "arn:") {
		return "", false
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) != 6 || parts[2] != "dynamodb" || len(parts[4]) != 12 {
		return "", false
	}
	name, ok = strings.CutPrefix(parts[5], "table/")
	return name, ok && isName(name) && len(name) >= 3 && len(name) <= 255
}

// seconds is a time as the API has it: unix seconds with milliseconds.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// newUUID is a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
