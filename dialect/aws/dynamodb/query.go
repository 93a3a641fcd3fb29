package dynamodb

import (
	"context"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/table"
)

// checkLimit refuses the limit that a query words otherwise than all other broken constraints.
func checkLimit(_ *Handler, req *node) error {
	if req.has("Limit") && req.number("Limit", 0) == 0 {
		return invalid("1 validation error detected: Value at 'Limit' failed to satisfy constraint: Member must have value greater than or equal to 1")
	}
	return nil
}

// query answers Query.
func (h *Handler) query(ctx context.Context, req *node) ([]byte, error) {
	p, err := readQuery(req)
	if err != nil {
		return nil, err
	}
	r, err := h.openRead(ctx, req, p)
	if err != nil {
		return nil, err
	}
	start, hasStart := r.startItem()
	if hasStart {
		if err := r.checkStartHash(start); err != nil {
			return nil, err
		}
	}
	want, err := r.keyTests(p.keys)
	if err != nil {
		return nil, err
	}
	var startKey table.Key
	if hasStart {
		if startKey, err = r.startKey(start); err != nil {
			return nil, err
		}
		if err := r.checkStartRange(start, want); err != nil {
			return nil, err
		}
	}
	if err := r.checkFilter(); err != nil {
		return nil, err
	}
	if err := r.checkSelect(); err != nil {
		return nil, err
	}
	if err := r.d.checkScalars(p.filter.Paths(), p.projection); err != nil {
		return nil, err
	}
	r.one = r.x == nil && want.sort != nil && want.sort.Op == "EQ"
	low, high := want.cuts()
	rg := table.Range{From: low, To: high, Reverse: !req.bool("ScanIndexForward", true)}
	if rg.Reverse {
		rg.From, rg.To = high, low
	}
	if startKey != nil {
		rg.From = after(startKey, rg.Reverse)
	}
	return r.page(ctx, h, rg)
}

// readQuery reads what a query says, and checks it as far as the table does not matter.
func readQuery(req *node) (*params, error) {
	if err := checkStyles(req, []string{"FilterExpression", "KeyConditionExpression"}); err != nil {
		return nil, err
	}
	p := &params{}
	var err error
	if n := req.get("QueryFilter"); n != nil {
		if err := p.readFilter(req, n); err != nil {
			return nil, err
		}
	}
	if req.has("AttributesToGet") {
		if p.projection, err = expr.AttributesToGet(req.texts("AttributesToGet")); err != nil {
			return nil, err
		}
	}
	if err := checkStart(req); err != nil {
		return nil, err
	}
	if n := req.get("KeyConditions"); n != nil {
		tests := readTests(n)
		if err := expr.CheckFilter(tests); err != nil {
			return nil, err
		}
		p.keys = expr.KeyTests(tests)
	}
	if err := checkSelected(req, "1 validation error detected: "); err != nil {
		return nil, err
	}
	args, err := readArgs(req)
	if err != nil {
		return nil, err
	}
	var keys *expr.Condition
	if n := req.get("KeyConditionExpression"); n != nil {
		if keys, err = args.Condition("KeyConditionExpression", n.str); err != nil {
			return nil, err
		}
	}
	if err := p.readFilterAndProjection(req, args); err != nil {
		return nil, err
	}
	if keys != nil {
		if p.keys, err = keys.KeyTests(); err != nil {
			return nil, err
		}
	} else if !req.has("KeyConditions") {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if len(p.keys) < 1 || len(p.keys) > 2 && !req.has("IndexName") {
		return nil, invalid(oneOrTwo)
	}
	return p, nil
}

// readFilter reads a QueryFilter or ScanFilter.
func (p *params) readFilter(req, n *node) error {
	tests := readTests(n)
	if err := expr.CheckFilter(tests); err != nil {
		return err
	}
	if err := checkOperator(req, len(tests)); err != nil {
		return err
	}
	p.filter = expr.NewCondition(tests, req.text("ConditionalOperator"))
	return nil
}

func (p *params) readFilterAndProjection(req *node, args *expr.Args) (err error) {
	if n := req.get("FilterExpression"); n != nil {
		if p.filter, err = args.Condition("FilterExpression", n.str); err != nil {
			return err
		}
	}
	if n := req.get("ProjectionExpression"); n != nil {
		if p.projection, err = args.Projection(n.str); err != nil {
			return err
		}
	}
	return args.Unused()
}

// checkStart tells what is wrong with the values of ExclusiveStartKey.
func checkStart(req *node) error {
	n := req.get("ExclusiveStartKey")
	if n == nil || n.bad == nil {
		return nil
	}
	// AWS does not say of these what they are in.
	for _, alone := range []string{"numeric value", "duplicates", "significant digits", "Number overflow", "Number underflow", "An number set"} {
		if strings.Contains(n.bad.Message, alone) {
			return n.bad
		}
	}
	return invalid(badStart + ": " + n.bad.Message)
}

const badStart = "The provided starting key is invalid"

const oneOrTwo = "Conditions can be of length 1 or 2 only"

// keyRange is what a query's key conditions leave: the keys that begin with some values, and whose next
// attribute passes a test, if there is one.
type keyRange struct {
	equal []table.Value
	sort  *expr.KeyTest
}

// keyTests is what the tests of key attributes come to.
func (r *read) keyTests(tests []expr.KeyTest) (want keyRange, err error) {
	cols := r.cols
	of := func(name string) *expr.KeyTest {
		if i := slices.IndexFunc(tests, func(t expr.KeyTest) bool { return t.Name == name }); i >= 0 {
			return &tests[i]
		}
		return nil
	}
	if r.hash > 1 || len(cols) > 2 {
		return r.longKeyTests(tests, of)
	}
	hash, sort := of(cols[0].Name), (*expr.KeyTest)(nil)
	if len(cols) > 1 {
		sort = of(cols[1].Name)
	}
	switch {
	case len(tests) > 2:
		return want, invalid(oneOrTwo)
	case len(tests) > len(cols):
		return want, invalid("Query key condition not supported")
	case hash == nil:
		return want, invalid("Query condition missed key schema element: " + cols[0].Name)
	case len(tests) > 1 && sort == nil:
		return want, invalid("Query condition missed key schema element: " + cols[1].Name)
	}
	for i, t := range []*expr.KeyTest{hash, sort} {
		if t != nil {
			if err := checkKeyTest(t, cols[i]); err != nil {
				return want, err
			}
		}
	}
	if hash.Op != "EQ" {
		return want, invalid("Query key condition not supported")
	}
	for _, t := range []*expr.KeyTest{hash, sort} {
		if err := checkNotEmpty(t); err != nil {
			return want, err
		}
	}
	return keyRange{hash.Values[:1], sort}, nil
}

// longKeyTests is keyTests for an index whose partition or sort key has several attributes: those of the sort
// key may be tested from the first one on, all but the last for equality.
func (r *read) longKeyTests(tests []expr.KeyTest, of func(name string) *expr.KeyTest) (want keyRange, err error) {
	used, next := 0, ""
	for i, c := range r.cols {
		t := of(c.Name)
		if t == nil {
			if i < r.hash {
				return want, invalid("Query key condition not supported: every HASH key attribute must have an equality condition; missing: " + c.Name)
			}
			next = "; missing: " + c.Name
			break
		}
		used++
		if err := checkKeyTest(t, c); err != nil {
			return want, err
		}
		if err := checkNotEmpty(t); err != nil {
			return want, err
		}
		if t.Op == "EQ" {
			want.equal = append(want.equal, t.Values[0])
			continue
		}
		if i < r.hash {
			return want, invalid("Query key condition not supported: every HASH key attribute must have an equality condition: " + c.Name)
		}
		want.sort = t
		break
	}
	if used < len(tests) {
		return want, invalid("Query key condition not supported: RANGE key attributes must be given in their order, and all but the last one with an equality condition" + next)
	}
	return want, nil
}

// checkKeyTest checks the operator and the types of a test of one key attribute.
func checkKeyTest(t *expr.KeyTest, c table.KeyColumn) error {
	switch t.Op {
	case "NULL", "NOT_NULL", "NE", "CONTAINS", "NOT_CONTAINS", "IN":
		return invalid("Attempted conditional constraint is not an indexable operation")
	}
	for _, v := range t.Values {
		if v.Type != c.Type {
			return badValue("Condition parameter type does not match schema type")
		}
	}
	return nil
}

// checkNotEmpty refuses values that no key has. Everything begins with nothing.
func checkNotEmpty(t *expr.KeyTest) error {
	if t == nil || t.Op == "BEGINS_WITH" {
		return nil
	}
	for _, v := range t.Values {
		if err := attr.EmptyKey(t.Name, v); err != nil {
			return err
		}
	}
	return nil
}

var (
	least = table.Value{Type: table.Min}
	most  = table.Value{Type: table.Max}
)

// cuts are where the keys begin and end.
func (r keyRange) cuts() (low, high table.Key) {
	key := func(more ...table.Value) table.Key { return slices.Concat(r.equal, more) }
	low, high = key(least), key(most)
	sort := r.sort
	if sort == nil {
		return low, high
	}
	v := sort.Values[0]
	from, below := key(v, least), key(v, most)
	switch sort.Op {
	case "EQ":
		return from, below
	case "LT":
		return low, from
	case "LE":
		return low, below
	case "GT":
		return below, high
	case "GE":
		return from, high
	case "BETWEEN":
		return from, key(sort.Values[1], most)
	}
	// BEGINS_WITH
	end := v
	if end.Str = string(kv.PrefixEnd([]byte(v.Str))); end.Str != "" {
		high = key(end, least)
	}
	return from, high
}

// after is where a walk goes on behind a key.
func after(key table.Key, reverse bool) table.Key {
	if reverse {
		return append(slices.Clone(key), least)
	}
	return append(slices.Clone(key), most)
}
