package tablestore

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/table"
)

// terms are what a value is found by: itself, or the words of a text.
func (f *fieldSchema) terms(v table.Value) []table.Value {
	if f.Type != fieldText {
		return []table.Value{v}
	}
	var terms []table.Value
	for _, w := range f.words(v.Str) {
		terms = append(terms, table.Value{Type: table.String, Str: w})
	}
	return terms
}

// coerce reads a string that is compared with numbers or booleans as one of them, as the cloud does.
func (f *fieldSchema) coerce(v table.Value) table.Value {
	if f.Type == fieldDate {
		if at, ok := f.date(v); ok {
			return at
		}
	}
	if v.Type != table.String {
		return v
	}
	switch f.Type {
	case fieldLong:
		if n, err := strconv.ParseInt(v.Str, 10, 64); err == nil {
			return table.Value{Type: table.Int, Int: n}
		}
	case fieldDouble:
		if x, err := strconv.ParseFloat(v.Str, 64); err == nil {
			return table.Value{Type: table.Float, Float: x}
		}
	case fieldBoolean:
		switch v.Str {
		case "true":
			return table.Value{Type: table.Bool, Int: 1}
		case "false":
			return table.Value{Type: table.Bool}
		}
	}
	return v
}

// of is a column's value as the field sees it: none when it has another type than the field.
func (f *fieldSchema) of(v table.Value) []table.Value {
	if f.Array && v.Type == table.String {
		return f.items(v.Str)
	}
	fits := false
	switch f.Type {
	case fieldLong:
		fits = v.Type == table.Int
	case fieldDouble:
		fits = v.Type == table.Float
	case fieldBoolean:
		fits = v.Type == table.Bool
	case fieldKeyword, fieldText, fieldFuzzy, fieldIP, fieldVector:
		fits = v.Type == table.String
	case fieldDate:
		v, fits = f.date(v)
	case fieldGeo:
		_, fits = parsePoint(v.Str)
		fits = fits && v.Type == table.String
	}
	if !fits {
		return nil
	}
	return []table.Value{v}
}

// items are the elements of an array, which a column holds as JSON.
func (f *fieldSchema) items(text string) []table.Value {
	list, ok := parseJSON(text).([]any)
	if !ok {
		return nil
	}
	return f.fromJSON(list)
}

// fromJSON are the values in a piece of JSON: of an array those of its elements.
func (f *fieldSchema) fromJSON(item any) []table.Value {
	scalar := *f
	scalar.Array = false
	switch item := item.(type) {
	case []any:
		var out []table.Value
		for _, one := range item {
			if _, deeper := one.([]any); !deeper {
				out = append(out, f.fromJSON(one)...)
			}
		}
		return out
	case string:
		return scalar.of(table.Value{Type: table.String, Str: item})
	case bool:
		v := table.Value{Type: table.Bool}
		if item {
			v.Int = 1
		}
		return scalar.of(v)
	case json.Number:
		if n, err := item.Int64(); err == nil && f.Type != fieldDouble {
			return scalar.of(table.Value{Type: table.Int, Int: n})
		}
		if x, err := item.Float64(); err == nil {
			return scalar.of(table.Value{Type: table.Float, Float: x})
		}
	}
	return nil
}

// parseJSON reads a text that holds one JSON value; nil when it does not.
func parseJSON(text string) any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

// dateWords turns the letters of a date format into Go's layout.
var dateWords = strings.NewReplacer("yyyy", "2006", "MM", "01", "dd", "02", "HH", "15", "mm", "04", "ss", "05", "SSS", "000", "'", "")

// epochs are the units of dates that are numbers.
var epochs = map[string]time.Duration{
	"epoch_second": time.Second, "epoch_millis": time.Millisecond,
	"epoch_micros": time.Microsecond, "epoch_nanos": time.Nanosecond,
}

// date is a value as unix ms; false when it fits none of the field's formats.
func (f *fieldSchema) date(v table.Value) (table.Value, bool) {
	for _, format := range f.Dates {
		unit, epoch := epochs[format]
		switch {
		case epoch && v.Type == table.Int && unit == time.Second:
			return table.Value{Type: table.Int, Int: v.Int * 1000}, v.Int > math.MinInt64/1000 && v.Int < math.MaxInt64/1000
		case epoch && v.Type == table.Int:
			return table.Value{Type: table.Int, Int: v.Int / int64(time.Millisecond/unit)}, true
		case !epoch && v.Type == table.String:
			layout := dateWords.Replace(format)
			// Parse is lenient about hours and fractions.
			if at, err := time.Parse(layout, v.Str); err == nil && at.Format(layout) == v.Str {
				return table.Value{Type: table.Int, Int: at.UnixMilli()}, true
			}
		}
	}
	return v, len(f.Dates) == 0 && (v.Type == table.Int || v.Type == table.String)
}
