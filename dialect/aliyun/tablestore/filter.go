package tablestore

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/table"
)

// Filter types, comparators and combinators on the wire.
const (
	filterSingle    = 1
	filterComposite = 2
	filterPage      = 3

	cmpEqual        = 1
	cmpNotEqual     = 2
	cmpGreater      = 3
	cmpGreaterEqual = 4
	cmpLess         = 5
	cmpLessEqual    = 6
	cmpExist        = 7
	cmpNotExist     = 8

	logicNot = 1
	logicAnd = 2
	logicOr  = 3
)

type filterMessage struct {
	Type   int32  `pb:"1!"`
	Filter []byte `pb:"2!"`
}

type singleMessage struct {
	Comparator int32            `pb:"1!"`
	Column     string           `pb:"2!"`
	Value      []byte           `pb:"3!"`
	IfMissing  bool             `pb:"4!"`
	Latest     bool             `pb:"5!"`
	Transfer   *transferMessage `pb:"6"`
}

type transferMessage struct {
	Regex string `pb:"1!"`
	Cast  *int32 `pb:"2"`
}

type compositeMessage struct {
	Combinator int32           `pb:"1!"`
	Filters    []filterMessage `pb:"2"`
}

type pageMessage struct {
	Offset int32 `pb:"1!"`
	Limit  int32 `pb:"2!"`
}

// filter decides on one row: a leaf compares one column, a node combines others.
type filter struct {
	combinator int32
	subs       []*filter

	comparator int32
	column     string
	value      table.Value
	missing    bool // result when the column is not there
	latest     bool
	transfer   *regexp.Regexp
	cast       variant
}

// columns finds the versions of a column, newest first; none when it is not there.
type columns func(name string) []table.Cell

// parseFilter reads a Filter: what decides on the row, or a page of its columns.
func parseFilter(b []byte) (*filter, *pageMessage, error) {
	var m filterMessage
	if err := unmarshal(b, &m); err != nil {
		return nil, nil, invalid("Deserialize filter failed.")
	}
	if m.Type == filterPage {
		var p pageMessage
		if err := unmarshal(m.Filter, &p); err != nil {
			return nil, nil, invalid("Deserialize column pagination filter failed.")
		}
		if p.Offset < 0 {
			return nil, nil, invalid("Offset in ColumnPaginationFilter must be greater than or equal to 0.")
		}
		if p.Limit <= 0 {
			return nil, nil, invalid("Limit in ColumnPaginationFilter must be greater than 0.")
		}
		return nil, &p, nil
	}
	budget := maxFilters
	f, err := buildFilter(m, &budget)
	return f, nil, err
}

// buildFilter reads what m carries; budget bounds the number of filters and so the depth.
func buildFilter(m filterMessage, budget *int) (*filter, error) {
	if *budget--; *budget < 0 {
		return nil, invalid("The count of filter exceeds the max: %d.", maxFilters)
	}
	switch m.Type {
	case filterSingle:
		return buildSingle(m.Filter)
	case filterComposite:
		var c compositeMessage
		if err := unmarshal(m.Filter, &c); err != nil || c.Combinator < logicNot || c.Combinator > logicOr {
			return nil, invalid("Deserialize composite filter failed.")
		}
		f := &filter{combinator: c.Combinator}
		for _, sub := range c.Filters {
			s, err := buildFilter(sub, budget)
			if err != nil {
				return nil, err
			}
			f.subs = append(f.subs, s)
		}
		if c.Combinator == logicNot && len(f.subs) != 1 {
			return nil, invalid("Invalid NOT operator: the number of sub-filters must be 1.")
		}
		if c.Combinator != logicNot && len(f.subs) < 2 {
			return nil, invalid("Invalid AND/OR operator: the number of sub-filters must be more than 1.")
		}
		return f, nil
	}
	return nil, invalid("Deserialize filter failed.")
}

func buildSingle(b []byte) (*filter, error) {
	broken := invalid("Deserialize relation filter failed.")
	var m singleMessage
	if err := unmarshal(b, &m); err != nil || m.Comparator < cmpEqual || m.Comparator > cmpNotExist {
		return nil, broken
	}
	if err := checkColumnName(m.Column); err != nil {
		return nil, err
	}
	f := &filter{comparator: m.Comparator, column: m.Column, missing: !m.IfMissing, latest: m.Latest, cast: vtString}
	if m.Comparator < cmpExist {
		r := newReader(m.Value)
		kind, v := r.variant()
		if r.err != nil || len(r.b) > 0 || v.Type == table.Min || v.Type == table.Max {
			return nil, broken
		}
		if err := checkAttribute(m.Column, kind, v); err != nil {
			return nil, err
		}
		f.value = v
	}
	if t := m.Transfer; t != nil {
		re, err := regexp.Compile(t.Regex)
		if err != nil {
			return nil, broken
		}
		f.transfer = re
		if t.Cast != nil {
			f.cast = variant(*t.Cast)
		}
	}
	return f, nil
}

// match evaluates the filter; a nil filter lets everything pass.
func (f *filter) match(get columns) bool {
	switch {
	case f == nil:
		return true
	case f.combinator == logicNot:
		return !f.subs[0].match(get)
	case f.combinator == logicAnd || f.combinator == logicOr:
		for _, s := range f.subs {
			if s.match(get) == (f.combinator == logicOr) {
				return f.combinator == logicOr
			}
		}
		return f.combinator == logicAnd
	}
	cells := get(f.column)
	if f.comparator >= cmpExist {
		return (len(cells) > 0) == (f.comparator == cmpExist)
	}
	if f.latest {
		cells = cells[:min(1, len(cells))]
	}
	found := false
	for _, c := range cells {
		v, ok := f.transferred(c.Value)
		if !ok {
			continue
		}
		if f.compare(v) {
			return true
		}
		found = true
	}
	return !found && f.missing
}

// compare holds a cell against the filter's value. Values of different types match with no
// comparator, not even with NOT_EQUAL.
func (f *filter) compare(v table.Value) bool {
	if v.Type != f.value.Type {
		return false
	}
	var c int
	switch v.Type {
	case table.Int, table.Bool:
		c = cmp.Compare(v.Int, f.value.Int)
	case table.Float:
		c = cmp.Compare(v.Float, f.value.Float)
	case table.String, table.Binary:
		c = strings.Compare(v.Str, f.value.Str)
	}
	switch f.comparator {
	case cmpEqual:
		return c == 0
	case cmpNotEqual:
		return c != 0
	case cmpGreater:
		return c > 0
	case cmpGreaterEqual:
		return c >= 0
	case cmpLess:
		return c < 0
	default:
		return c <= 0
	}
}

// transferred applies the value_trans_rule: the regular expression's first group (or whole match) in
// a string, cast to the rule's type. A value that it does not fit counts as missing.
func (f *filter) transferred(v table.Value) (table.Value, bool) {
	if f.transfer == nil {
		return v, true
	}
	found := f.transfer.FindStringSubmatch(v.Str)
	if v.Type != table.String || found == nil {
		return v, false
	}
	text := found[min(1, len(found)-1)]
	switch f.cast {
	case vtInteger:
		n, err := strconv.ParseInt(text, 10, 64)
		return table.Value{Type: table.Int, Int: n}, err == nil
	case vtDouble:
		x, err := strconv.ParseFloat(text, 64)
		return table.Value{Type: table.Float, Float: x}, err == nil
	case vtBlob:
		return table.Value{Type: table.Binary, Str: text}, true
	}
	return table.Value{Type: table.String, Str: text}, true
}
