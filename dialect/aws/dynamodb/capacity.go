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

// onDemandPartitions is how many partitions AWS gives a new table that is billed by request.
const onDemandPartitions = 4

// partSizes is how many bytes one page has read of each partition between its first and its last. Every one
// that was looked into costs at least as much as the smallest read.
type partSizes struct {
	first, last int
	bytes       []int
}

// partitions are those that a range of r leads through: for queries one, for scans those of the segment.
func (r *read) partitions(rg table.Range) *partSizes {
	if !r.walk || !r.d.desc.onDemandMode() {
		return &partSizes{bytes: make([]int, 1)}
	}
	s := &partSizes{last: onDemandPartitions - 1, bytes: make([]int, onDemandPartitions)}
	if rg.Parts > 0 {
		s.first, s.last = rg.Part*onDemandPartitions/rg.Parts, ((rg.Part+1)*onDemandPartitions-1)/rg.Parts
	}
	if rg.From != nil {
		s.first = s.of(rg.From[0])
	}
	return s
}

// of is the partition of a partition key.
func (s *partSizes) of(key table.Value) int {
	part, _ := table.PartOf(key, len(s.bytes)) // what is stored, and what a walk went on from, can be a key
	return part
}

func (s *partSizes) add(key table.Value, size int) { s.bytes[s.of(key)] += size }

// end says that nothing was looked into behind a key.
func (s *partSizes) end(key table.Value) { s.last = s.of(key) }

func (s *partSizes) units(consistent bool) float64 {
	sum := 0.0
	for _, n := range s.bytes[s.first : s.last+1] {
		sum += readUnits(n, consistent)
	}
	return sum
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
