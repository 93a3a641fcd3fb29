package dynamodb

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// The limits of a table.
const (
	maxGlobal     = 20
	maxLocal      = 5
	maxParts      = 4 // attributes of a global index's partition key, and of its sort key
	maxThroughput = 1_000_000_000_000
)

// indexSpec is an index as a request has it.
type indexSpec struct {
	name       string
	local      bool
	keys       []keyElement
	projection projectionSpec
	throughput *throughputState
	onDemand   *onDemandLimit
	warm       *warmState
}

func readKeys(n *node) []keyElement {
	var keys []keyElement
	for i := range n.get("KeySchema").items() {
		k := &n.get("KeySchema").list[i]
		keys = append(keys, keyElement{k.text("AttributeName"), k.text("KeyType")})
	}
	return keys
}

func readIndex(n *node, local bool) indexSpec {
	p := n.get("Projection")
	return indexSpec{
		name:       n.text("IndexName"),
		local:      local,
		keys:       readKeys(n),
		projection: projectionSpec{p.text("ProjectionType"), p.texts("NonKeyAttributes")},
		throughput: readThroughput(n),
		onDemand:   readOnDemand(n),
		warm:       readWarm(n),
	}
}

// readThroughput is the ProvisionedThroughput of n; nil when it has none.
func readThroughput(n *node) *throughputState {
	t := n.get("ProvisionedThroughput")
	if t == nil {
		return nil
	}
	return &throughputState{ReadCapacityUnits: t.number("ReadCapacityUnits", 0), WriteCapacityUnits: t.number("WriteCapacityUnits", 0)}
}

func readOnDemand(n *node) *onDemandLimit {
	t := n.get("OnDemandThroughput")
	if t == nil {
		return nil
	}
	limit := &onDemandLimit{}
	for name, to := range map[string]**int64{"MaxReadRequestUnits": &limit.MaxReadRequestUnits, "MaxWriteRequestUnits": &limit.MaxWriteRequestUnits} {
		if t.has(name) {
			*to = new(t.number(name, 0))
		}
	}
	return limit
}

// What AWS has warm from the beginning in a table on demand, in units a second.
const (
	warmReads  = 12_000
	warmWrites = 4_000
)

// readWarm is the WarmThroughput of n; nil when it has none.
func readWarm(n *node) *warmState {
	t := n.get("WarmThroughput")
	if t == nil {
		return nil
	}
	return &warmState{t.number("ReadUnitsPerSecond", warmReads), t.number("WriteUnitsPerSecond", warmWrites)}
}

// checkWarm refuses for a table or index on demand what is less than it has anyway.
func checkWarm(w *warmState, of string, onDemand bool) error {
	low := ""
	switch {
	case w == nil || !onDemand:
		return nil
	case w.ReadUnitsPerSecond < warmReads:
		low = "Read"
	case w.WriteUnitsPerSecond < warmWrites:
		low = "Write"
	default:
		return nil
	}
	return badValue("Requested " + low + "UnitsPerSecond for WarmThroughput for " + of + " is lower than initial throughput for OnDemand")
}

func readAttributes(n *node) []attributeDefinition {
	var defs []attributeDefinition
	for i := range n.get("AttributeDefinitions").items() {
		a := &n.get("AttributeDefinitions").list[i]
		defs = append(defs, attributeDefinition{a.text("AttributeName"), a.text("AttributeType")})
	}
	return defs
}

// checkThroughput refuses what nobody can have.
func checkThroughput(t *throughputState) error {
	switch {
	case t == nil:
		return nil
	case t.ReadCapacityUnits > maxThroughput:
		return outOfBounds(t.ReadCapacityUnits, "ReadCapacityUnits")
	case t.WriteCapacityUnits > maxThroughput:
		return outOfBounds(t.WriteCapacityUnits, "WriteCapacityUnits")
	}
	return nil
}

func outOfBounds(n int64, what string) error {
	return invalid("Given value " + strconv.FormatInt(n, 10) + " for " + what + " is out of bounds")
}

// hashes is how many attributes the partition key has.
func hashes(keys []keyElement) int {
	n := 0
	for n < len(keys) && keys[n].KeyType == "HASH" {
		n++
	}
	return n
}

const sameName = "Both the Hash Key and the Range Key element in the KeySchema have the same name"

// checkLongKeys checks the key of a global index that has several attributes for its partition or its sort key.
func checkLongKeys(keys []keyElement) error {
	for i, k := range keys {
		if slices.ContainsFunc(keys[:i], func(o keyElement) bool { return o.AttributeName == k.AttributeName }) {
			return invalid(sameName)
		}
	}
	n := hashes(keys)
	switch {
	case n == 0:
		return invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case slices.ContainsFunc(keys[n:], func(k keyElement) bool { return k.KeyType == "HASH" }):
		return invalid("Invalid KeySchema: All HASH key types must precede all RANGE key types")
	case n > maxParts:
		return invalid("Invalid KeySchema: An index can have at most 4 HASH key attributes")
	case len(keys)-n > maxParts:
		return invalid("Invalid KeySchema: An index can have at most 4 RANGE key attributes")
	}
	return nil
}

// checkKeys checks the key of a table or an index. long allows several attributes of a kind, as global indexes
// do.
func checkKeys(keys []keyElement, defs []attributeDefinition, long bool) error {
	defined := func(k keyElement) bool {
		return slices.ContainsFunc(defs, func(d attributeDefinition) bool { return d.AttributeName == k.AttributeName })
	}
	if i := slices.IndexFunc(keys, func(k keyElement) bool { return !defined(k) }); i >= 0 {
		return badValue("Some index key attributes are not defined in AttributeDefinitions. Keys: [" + keyNames(keys) +
			"], AttributeDefinitions: [" + definedNames(defs) + "]")
	}
	if long && (len(keys) > 2 || hashes(keys) == 2) {
		return checkLongKeys(keys)
	}
	switch {
	case keys[0].KeyType != "HASH":
		return invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
	case len(keys) > 1 && keys[0].AttributeName == keys[1].AttributeName:
		return invalid(sameName)
	case len(keys) > 1 && keys[1].KeyType != "RANGE":
		return invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
	}
	return nil
}

func keyNames(keys []keyElement) string {
	var names []string
	for _, k := range keys {
		names = append(names, k.AttributeName)
	}
	return strings.Join(names, ", ")
}

func definedNames(defs []attributeDefinition) string {
	var names []string
	for _, d := range defs {
		names = append(names, d.AttributeName)
	}
	return strings.Join(names, ", ")
}

// checkIndex checks an index of a table with these keys.
func checkIndex(x indexSpec, keys []keyElement, defs []attributeDefinition) error {
	if x.local && len(keys) < 2 {
		return badValue("Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex")
	}
	// AWS told two HASH keys before it told a missing projection, when it did not know several of them.
	if err := checkKeys(x.keys, defs, !x.local && x.projection.ProjectionType != ""); err != nil {
		return err
	}
	if x.local {
		switch {
		case len(x.keys) < 2:
			return badValue("Index KeySchema does not have a range key for index: " + x.name)
		case x.keys[0] != keys[0]:
			return badValue("Index KeySchema does not have the same leading hash key as table KeySchema for index: " + x.name +
				". index hash key: " + x.keys[0].AttributeName + ", table hash key: " + keys[0].AttributeName)
		}
	}
	p := x.projection
	switch {
	case p.ProjectionType == "":
		return badValue("Unknown ProjectionType: null")
	case p.ProjectionType != "INCLUDE" && p.NonKeyAttributes != nil:
		return badValue("ProjectionType is " + p.ProjectionType + ", but NonKeyAttributes is specified")
	case p.ProjectionType == "INCLUDE" && p.NonKeyAttributes == nil:
		return badValue("ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
	}
	for i, name := range p.NonKeyAttributes {
		if slices.Contains(p.NonKeyAttributes[:i], name) {
			return badValue("Duplicate value in NonKeyAttributes: " + name)
		}
	}
	return nil
}

// checkAttributes refuses definitions of attributes that are in no key.
func checkAttributes(defs []attributeDefinition, keys []keyElement, indexes []indexSpec) error {
	for i, d := range defs {
		if slices.ContainsFunc(defs[:i], func(o attributeDefinition) bool { return o.AttributeName == d.AttributeName }) {
			return badValue("Cannot have duplicated AttributeName in AttributeDefinitions: " + d.AttributeName)
		}
	}
	used := slices.Clone(keys)
	for _, x := range indexes {
		used = append(used, x.keys...)
	}
	unused := slices.ContainsFunc(defs, func(d attributeDefinition) bool {
		return !slices.ContainsFunc(used, func(k keyElement) bool { return k.AttributeName == d.AttributeName })
	})
	switch {
	case len(indexes) == 0 && (unused || len(defs) != len(keys)):
		return badValue("Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions")
	case unused:
		slices.SortFunc(used, func(a, b keyElement) int { return strings.Compare(a.AttributeName, b.AttributeName) })
		used = slices.CompactFunc(used, func(a, b keyElement) bool { return a.AttributeName == b.AttributeName })
		return badValue("Some AttributeDefinitions are not used. AttributeDefinitions: [" + definedNames(defs) + "], keys used: [" + keyNames(used) + "]")
	}
	return nil
}

// columns are the columns that keys mean to the room of tables.
func columns(keys []keyElement, defs []attributeDefinition) []table.KeyColumn {
	var cols []table.KeyColumn
	for _, k := range keys {
		for _, d := range defs {
			if d.AttributeName == k.AttributeName {
				t, _ := attr.TypeOf(d.AttributeType)
				cols = append(cols, table.KeyColumn{Name: k.AttributeName, Type: t})
				break
			}
		}
	}
	return cols
}

// roomIndex is an index as the room of tables has it.
func roomIndex(x indexSpec, defs []attributeDefinition) table.Index {
	d := indexDescription{Local: x.local, KeySchema: x.keys, Projection: x.projection, OnDemand: x.onDemand, Warm: x.warm}
	if x.throughput != nil {
		d.Throughput = *x.throughput
	}
	var sizes []int
	for i := range x.keys {
		if sizes = append(sizes, maxHash); i >= hashes(x.keys) {
			sizes[i] = maxRange
		}
	}
	return table.Index{
		Name:    x.name,
		Sizes:   sizes,
		Key:     columns(x.keys, defs),
		All:     x.projection.ProjectionType == "ALL",
		Project: slices.Sorted(slices.Values(x.projection.NonKeyAttributes)),
		Hash:    true,
		Scatter: !x.local,
		Extra:   marshal(d),
	}
}
