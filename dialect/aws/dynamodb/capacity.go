package dynamodb

import (
	"slices"
	"strconv"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// usage is the capacity that an operation has consumed on one table.
type usage struct {
	d       *described
	table   float64
	indexes map[string]float64 // by name; also those of which nothing was consumed but that were read
}

func newUsage(d *described) *usage { return &usage{d: d} }

// consumption is ReturnConsumedCapacity: TOTAL, INDEXES or "" for none.
func consumption(req *node) string {
	if how := req.text("ReturnConsumedCapacity"); how != "NONE" {
		return how
	}
	return ""
}

// readUnits are what reading size bytes costs.
func readUnits(size int, consistent bool) float64 {
	units := float64(max(1, (size+4095)/4096))
	if !consistent {
		units /= 2
	}
	return units
}

func writeUnits(size int) float64 { return float64(max(1, (size+1023)/1024)) }

// write adds what turning the item before into after costs; either may be nil.
func (u *usage) write(before, after attr.Item) {
	u.table += writeUnits(max(attr.ItemSize(before), attr.ItemSize(after)))
	for i := range u.d.indexes {
		x := &u.d.indexes[i]
		was, had := x.project(u.d, before)
		is, has := x.project(u.d, after)
		moved := had && has && slices.ContainsFunc(x.Key, func(c table.KeyColumn) bool { return !attr.Equal(was[c.Name], is[c.Name]) })
		switch {
		case moved:
			u.add(x.Name, writeUnits(attr.ItemSize(was))+writeUnits(attr.ItemSize(is)))
		case had != has || had && !attr.EqualItems(was, is):
			u.add(x.Name, writeUnits(max(attr.ItemSize(was), attr.ItemSize(is))))
		}
	}
}

func (u *usage) add(index string, units float64) {
	if u.indexes == nil {
		u.indexes = map[string]float64{}
	}
	u.indexes[index] += units
}

// times multiplies everything.
func (u *usage) times(n float64) {
	u.table *= n
	for name := range u.indexes {
		u.indexes[name] *= n
	}
}

func (u *usage) total() float64 {
	sum := u.table
	for _, n := range u.indexes {
		sum += n
	}
	return sum
}

// append writes a ConsumedCapacity: in total, or with how INDEXES in parts, too. Transactions tell what
// kind of units they are, Read or Write; kind is "" elsewhere.
func (u *usage) append(b []byte, how, kind string) []byte {
	units := func(b []byte, n float64) []byte {
		if kind != "" {
			b = append(strconv.AppendFloat(append(b, `"`+kind+`CapacityUnits":`...), n, 'f', -1, 64), ',')
		}
		return strconv.AppendFloat(append(b, `"CapacityUnits":`...), n, 'f', -1, 64)
	}
	b = units(append(b, '{'), u.total())
	b = attr.AppendString(append(b, `,"TableName":`...), u.d.spec.Name)
	if how != "INDEXES" {
		return append(b, '}')
	}
	b = append(units(append(b, `,"Table":{`...), u.table), '}')
	for _, local := range []bool{true, false} {
		began := false
		for i := range u.d.indexes {
			x := &u.d.indexes[i]
			n, ok := u.indexes[x.Name]
			if !ok || x.Local != local {
				continue
			}
			switch {
			case began:
				b = append(b, ',')
			case local:
				b = append(b, `,"LocalSecondaryIndexes":{`...)
			default:
				b = append(b, `,"GlobalSecondaryIndexes":{`...)
			}
			began = true
			b = append(attr.AppendString(b, x.Name), ':', '{')
			b = append(units(b, n), '}')
		}
		if began {
			b = append(b, '}')
		}
	}
	return append(b, '}')
}
