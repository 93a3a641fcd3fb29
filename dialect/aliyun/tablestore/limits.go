package tablestore

import (
	"math"
	"unicode/utf8"

	"github.com/sluicehq/sluice/table"
)

// The service's limits (spec 5.7). Sizes are bytes.
const (
	maxTables        = 64
	maxKeyColumns    = 4
	maxKeySize       = 1024
	maxAttributeSize = 2 << 20
	maxAttributes    = 1024 // written per row and request
	maxColumnsToGet  = 1024
	maxRequestSize   = 4 << 20 // of the data in one write
	maxGetRows       = 100
	maxWriteRows     = 200
	maxRangeRows     = 5000
	maxRangeSize     = 4 << 20
	maxBody          = 5 << 20
	maxFilters       = 32
	maxDefined       = 32
	maxThroughput    = 100000
	maxStreamHours   = 168
	maxNameSize      = 255

	defaultDeviation = 86400 // seconds
	maxTimestamp     = math.MaxInt64 / 1000
)

func checkTableName(name string) error {
	ok := len(name) >= 1 && len(name) <= maxNameSize
	for i := range len(name) {
		c := name[i]
		ok = ok && (c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || i > 0 && c >= '0' && c <= '9')
	}
	if !ok {
		return invalid("Invalid table name: '%s'.", name)
	}
	return nil
}

// checkColumnName is laxer than the documentation, as the service is.
func checkColumnName(name string) error {
	if len(name) < 1 || len(name) > maxNameSize || name[0] == '#' || !utf8.ValidString(name) {
		return invalid("Invalid column name: '%s'.", name)
	}
	return nil
}

// checkAttribute checks a value that is to be stored, or compared with one.
func checkAttribute(column string, kind variant, v table.Value) error {
	switch kind {
	case vtDouble:
		if math.IsNaN(v.Float) {
			return invalid("NaN can't be set to double value.")
		}
		if math.IsInf(v.Float, 0) {
			return invalid("Infinity can't be set to double value.")
		}
	case vtString, vtBlob:
		if n := valueSize(v); n > maxAttributeSize {
			return invalid("The length of attribute column: '%s' exceeds the MaxLength:%d with CurrentLength:%d.", column, maxAttributeSize, n)
		}
		if kind == vtString && !utf8.ValidString(v.Str) {
			return invalid("Value of column '%s' must be UTF8 encoding.", column)
		}
	case vtInfMin, vtInfMax, vtAuto:
		return invalid("%s is an invalid type for the attribute column.", kind)
	}
	return nil
}

func checkSize(operation string, n int) error {
	if n > maxRequestSize {
		return invalid("The total data size of %s request exceeds the limit, limit size: %d, data size: %d.", operation, maxRequestSize, n)
	}
	return nil
}
