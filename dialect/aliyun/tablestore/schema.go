package tablestore

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/table"
)

// Types of key columns and defined columns on the wire, and the option of a key column.
const (
	keyInteger    = 1
	keyString     = 2
	keyBinary     = 3
	autoIncrement = 1

	definedInteger = 1
	definedDouble  = 2
	definedBoolean = 3
	definedString  = 4
	definedBlob    = 7

	statusActive = 1
)

// extra is what a table has that only Tablestore understands; it is kept in table.Spec.Extra.
type extra struct {
	Defined      []definedColumn `json:"defined,omitempty"`
	Options      tableOptions    `json:"options"`
	Read         int32           `json:"read,omitempty"` // reserved throughput: echoed, never enforced
	Write        int32           `json:"write,omitempty"`
	LastIncrease int64           `json:"lastIncrease,omitempty"` // unix s
	LastDecrease int64           `json:"lastDecrease,omitempty"`
	LocalTxn     *bool           `json:"localTxn,omitempty"` // as asked for; nil when nothing was said
	Search       []searchIndex   `json:"search,omitempty"`
}

// streamExtra is kept in table.Stream.Extra.
type streamExtra struct {
	Enabled int64    `json:"enabled"` // unix µs
	Columns []string `json:"columns,omitempty"`
}

// extraOf reads a table's extra. A table that another dialect or an operator made has none.
func extraOf(spec *table.Spec) extra {
	var e extra
	if len(spec.Extra) > 0 {
		json.Unmarshal(spec.Extra, &e)
	}
	return e
}

// knownExtra is the extra of a version of a table.
type knownExtra struct {
	version uint64
	extra
}

// extraOf is what the function reads, remembered, for every write asks for it. Nobody may change what is in it.
func (h *handler) extraOf(spec *table.Spec) extra {
	if k, ok := h.extras.Load(spec.ID); ok && k.(knownExtra).version == spec.Version {
		return k.(knownExtra).extra
	}
	e := extraOf(spec)
	h.extras.Store(spec.ID, knownExtra{spec.Version, e})
	return e
}

func (e extra) store(spec *table.Spec) {
	spec.Extra, _ = json.Marshal(e) // numbers and strings only: it cannot fail
}

func (e extra) deviation() int64 {
	if e.Options.Deviation == nil {
		return defaultDeviation
	}
	return *e.Options.Deviation
}

func (e extra) allowsUpdate() bool {
	return e.Options.AllowUpdate == nil || *e.Options.AllowUpdate
}

// specOf makes a table's description from the request that creates it. Unless it is strict, the table's options
// need not be given.
func specOf(scope string, req *createTableRequest, now time.Time, strict bool) (*table.Spec, error) {
	spec := &table.Spec{Scope: scope, Name: req.Meta.Name, MaxVersions: 1, TTL: -1, Sessions: req.LocalTxn != nil && *req.LocalTxn}
	if err := checkTableName(spec.Name); err != nil {
		return nil, err
	}
	if err := setKey(spec, req.Meta.Key); err != nil {
		return nil, err
	}
	e := extra{LocalTxn: req.LocalTxn, LastIncrease: now.Unix()}
	if err := e.define(spec, req.Meta.Defined); err != nil {
		return nil, err
	}
	if err := e.reserve(req.Throughput.Unit, now); err != nil {
		return nil, err
	}
	switch o := req.Options; {
	case !strict:
	case o == nil || o.TimeToLive == nil:
		return nil, invalid("Time-to-live is missing while creating table.")
	case o.MaxVersions == nil:
		return nil, invalid("MaxVersions is missing while creating table.")
	}
	for i := range req.Indexes {
		if err := e.addIndex(spec, &req.Indexes[i]); err != nil {
			return nil, err
		}
	}
	if req.Options != nil {
		if err := e.setOptions(spec, req.Options); err != nil {
			return nil, err
		}
	}
	if req.Stream != nil {
		if err := setStream(spec, req.Stream, now.UnixMicro()); err != nil {
			return nil, err
		}
	}
	e.store(spec)
	return spec, nil
}

func setKey(spec *table.Spec, columns []keySchema) error {
	if n := len(columns); n < 1 || n > maxKeyColumns {
		return invalid("The number of primary key columns must be in range: [1, %d].", maxKeyColumns)
	}
	autos := 0
	for i, k := range columns {
		if err := checkColumnName(k.Name); err != nil {
			return err
		}
		if hasColumn(spec.Key, k.Name) {
			return invalid("Duplicated primary key name: '%s'.", k.Name)
		}
		col := table.KeyColumn{Name: k.Name}
		switch k.Type {
		case keyInteger:
			col.Type = table.Int
		case keyString:
			col.Type = table.String
		case keyBinary:
			col.Type = table.Binary
		default:
			return invalid("%s is an invalid type for the primary key.", strconv.Itoa(int(k.Type)))
		}
		if k.Option != nil && *k.Option == autoIncrement {
			col.AutoIncrement = true
			autos++
			switch {
			case i == 0:
				return invalid("First primary key can't be auto increment, table: %s.", spec.Name)
			case col.Type != table.Int:
				return invalid("AUTO_INCREMENT primary key must be integer.")
			case autos > 1:
				return invalid("AUTO_INCREMENT primary key count must <= 1.")
			}
		}
		spec.Key = append(spec.Key, col)
	}
	return nil
}

// define adds defined columns.
func (e *extra) define(spec *table.Spec, columns []definedColumn) error {
	for _, c := range columns {
		if err := checkColumnName(c.Name); err != nil {
			return err
		}
		if hasColumn(spec.Key, c.Name) {
			return invalid("Duplicated attribute column name with primary key column: '%s'.", c.Name)
		}
		if slices.ContainsFunc(e.Defined, func(o definedColumn) bool { return o.Name == c.Name }) {
			return invalid("Duplicated defined column name: '%s'.", c.Name)
		}
		switch c.Type {
		case definedInteger, definedDouble, definedBoolean, definedString, definedBlob:
		default:
			return invalid("Invalid type of defined column: '%s'.", c.Name)
		}
		e.Defined = append(e.Defined, c)
	}
	if len(e.Defined) > maxDefined {
		return invalid("The number of defined columns exceeds the limit, limit count: %d, column count: %d.", maxDefined, len(e.Defined))
	}
	return nil
}

// reserve sets the given parts of the reserved throughput.
func (e *extra) reserve(u capacityRequest, now time.Time) error {
	set := func(to *int32, given *int32) error {
		if given == nil {
			return nil
		}
		if *given < 0 || *given > maxThroughput {
			return invalid("Reserved throughput must be in range: [0, %d].", maxThroughput)
		}
		if *given > *to {
			e.LastIncrease = now.Unix()
		} else if *given < *to {
			e.LastDecrease = now.Unix()
		}
		*to = *given
		return nil
	}
	if err := set(&e.Read, u.Read); err != nil {
		return err
	}
	return set(&e.Write, u.Write)
}

// setOptions sets the given options.
func (e *extra) setOptions(spec *table.Spec, o *tableOptions) error {
	if o.TimeToLive != nil {
		if *o.TimeToLive == 0 || *o.TimeToLive < -1 {
			return invalid("TimeToLive cannot be 0 or less than -1.")
		}
		spec.TTL = int64(*o.TimeToLive)
	}
	if o.MaxVersions != nil {
		if *o.MaxVersions < 1 {
			return invalid("MaxVersions must be greater than 0.")
		}
		spec.MaxVersions = int(*o.MaxVersions)
	}
	if o.Deviation != nil {
		if *o.Deviation < 1 {
			return invalid("DeviationCellVersionInSec must be greater than 0.")
		}
		e.Options.Deviation = o.Deviation
	}
	if o.BloomFilter != nil {
		e.Options.BloomFilter = o.BloomFilter
	}
	if o.BlockSize != nil {
		e.Options.BlockSize = o.BlockSize
	}
	if o.AllowUpdate != nil {
		e.Options.AllowUpdate = o.AllowUpdate
	}
	if o.UpdateFullRow != nil {
		e.Options.UpdateFullRow = o.UpdateFullRow
	}
	return nil
}

// metaOf is a schema as clients see it.
func metaOf(name string, key []table.KeyColumn, defined []definedColumn) tableMeta {
	m := tableMeta{Name: name, Defined: defined}
	for _, k := range key {
		s := keySchema{Name: k.Name}
		switch k.Type {
		case table.Int:
			s.Type = keyInteger
		case table.String:
			s.Type = keyString
		case table.Binary:
			s.Type = keyBinary
		}
		if k.AutoIncrement {
			s.Option = new(int32(autoIncrement))
		}
		m.Key = append(m.Key, s)
	}
	return m
}

// optionsOf are a table's options with all fields that the Go SDK insists on.
func optionsOf(spec *table.Spec) tableOptions {
	e := extraOf(spec)
	o := e.Options
	ttl := int32(spec.TTL)
	if ttl == 0 {
		ttl = -1
	}
	o.TimeToLive = &ttl
	o.MaxVersions = new(int32(max(1, spec.MaxVersions)))
	o.Deviation = new(e.deviation())
	return o
}

func throughputOf(spec *table.Spec) throughputDetails {
	e := extraOf(spec)
	return throughputDetails{capacityUnit{e.Read, e.Write}, e.LastIncrease, e.LastDecrease}
}
