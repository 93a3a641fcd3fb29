package dynamodb

import (
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// params are the conditions, updates and projections of a request, in expressions or in the older
// parameters.
type params struct {
	condition  *expr.Condition // of writes
	filter     *expr.Condition // of Query and Scan
	keys       []expr.KeyTest  // of Query
	update     *expr.Update
	projection []expr.Path // nil is everything
	tellOld    bool        // ReturnValuesOnConditionCheckFailure
	blind      bool        // the answer to a write does not tell what was there
}

// holds refuses a write whose condition does not hold.
func (p *params) holds(d *described, cur *table.Row) error {
	if p.condition == nil {
		return nil
	}
	item := d.item(cur)
	if p.condition.Eval(item) {
		return nil
	}
	if !p.tellOld {
		item = nil
	}
	return conditionFailed(item)
}

// The parameters that cannot be used together, in the order in which messages list them.
var (
	olderParams = []string{"AttributesToGet", "AttributeUpdates", "QueryFilter", "ScanFilter", "Expected", "ConditionalOperator", "KeyConditions"}
	expressions = []string{"ProjectionExpression", "FilterExpression", "UpdateExpression", "ConditionExpression", "KeyConditionExpression"}
)

// checkStyles refuses to mix expressions and older parameters, and names or values without expressions.
// valued are the expressions of the operation that may use values.
func checkStyles(req *node, valued []string) error {
	var older, newer []string
	for _, name := range expressions {
		if req.has(name) {
			newer = append(newer, name)
		}
	}
	for _, name := range olderParams {
		if req.has(name) && (name != "KeyConditions" || req.has("KeyConditionExpression")) {
			older = append(older, name)
		}
	}
	if len(older) > 0 && len(newer) > 0 {
		return invalid("Can not use both expression and non-expression parameters in the same request: Non-expression parameters: {" +
			strings.Join(older, ", ") + "} Expression parameters: {" + strings.Join(newer, ", ") + "}")
	}
	if req.has("ExpressionAttributeNames") && len(newer) == 0 {
		return invalid("ExpressionAttributeNames can only be specified when using expressions")
	}
	if !req.has("ExpressionAttributeValues") {
		return nil
	}
	if req.hasAny(valued) {
		return nil
	}
	are := " is null"
	if len(valued) > 1 {
		are = " are null"
	}
	return invalid("ExpressionAttributeValues can only be specified when using expressions: " + strings.Join(valued, " and ") + are)
}

// readParams reads what a request for one item says. subject is its member that has attribute values:
// Item or Key.
func readParams(req *node, subject string) (*params, error) {
	return readWrite(req, subject, []string{"ConditionExpression"})
}

// readUpdateParams is readParams for UpdateItem.
func readUpdateParams(req *node) (*params, error) {
	return readWrite(req, "Key", []string{"UpdateExpression", "ConditionExpression"})
}

func readWrite(req *node, subject string, valued []string) (*params, error) {
	if err := checkStyles(req, valued); err != nil {
		return nil, err
	}
	if bad := req.get(subject).bad; bad != nil {
		return nil, bad
	}
	p := &params{tellOld: req.text("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"}
	if subject == "Item" || len(valued) == 1 {
		switch req.text("ReturnValues") {
		case "", "NONE", "ALL_OLD":
		default:
			return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
		}
	}
	if subject == "Item" {
		if err := checkSize(req.get("Item").item); err != nil {
			return nil, err
		}
	}
	if err := p.readOlder(req); err != nil {
		return nil, err
	}
	return p, p.readExpressions(req)
}

// readOlder reads AttributesToGet, AttributeUpdates and Expected.
func (p *params) readOlder(req *node) (err error) {
	if req.has("AttributesToGet") {
		if p.projection, err = expr.AttributesToGet(req.texts("AttributesToGet")); err != nil {
			return err
		}
	}
	if n := req.get("AttributeUpdates"); n != nil {
		changes := readChanges(n)
		for _, c := range changes {
			if err := attr.CheckName(c.Name); err != nil {
				return badValue(err.Message)
			}
		}
		if err := expr.CheckChanges(changes); err != nil {
			return err
		}
		p.update = expr.NewUpdate(changes)
	}
	if n := req.get("Expected"); n != nil {
		tests := readTests(n)
		if err := expr.CheckExpected(tests); err != nil {
			return err
		}
		if err := checkOperator(req, len(tests)); err != nil {
			return err
		}
		p.condition = expr.NewCondition(tests, req.text("ConditionalOperator"))
	} else if req.has("ConditionalOperator") {
		return checkOperator(req, 0)
	}
	return nil
}

// checkOperator checks the use of ConditionalOperator with n conditions.
func checkOperator(req *node, n int) error {
	switch {
	case !req.has("ConditionalOperator") || n > 1:
		return nil
	case n == 0:
		return badValue("ConditionalOperator cannot be used without Filter or Expected")
	}
	return badValue("ConditionalOperator can only be used when Filter or Expected has two or more elements")
}

// readArgs reads the names and values of expressions.
func readArgs(req *node) (*expr.Args, error) {
	var values attr.Item
	var bad *attr.Error
	if n := req.get("ExpressionAttributeValues"); n != nil {
		values, bad = n.item, n.bad
		if values == nil {
			values = attr.Item{}
		}
	}
	return expr.NewArgs(req.strings("ExpressionAttributeNames"), values, bad)
}

// readExpressions reads the expressions of a request for one item.
func (p *params) readExpressions(req *node) error {
	if !req.hasAny(expressions) && !req.has("ExpressionAttributeNames") && !req.has("ExpressionAttributeValues") {
		return nil
	}
	args, err := readArgs(req)
	if err != nil {
		return err
	}
	if n := req.get("UpdateExpression"); n != nil {
		if p.update, err = args.Update(n.str); err != nil {
			return err
		}
	}
	if n := req.get("ConditionExpression"); n != nil {
		if p.condition, err = args.Condition("ConditionExpression", n.str); err != nil {
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

// readTests reads Expected, KeyConditions or a filter.
func readTests(n *node) []expr.Test {
	tests := make([]expr.Test, 0, len(n.list))
	for i, name := range n.keys {
		m := &n.list[i]
		t := expr.Test{Name: name, Op: m.text("ComparisonOperator"), Value: readInput(m.get("Value"))}
		if l := m.get("AttributeValueList"); l != nil {
			t.List = []attr.Input{}
			for j := range l.list {
				t.List = append(t.List, *readInput(&l.list[j]))
			}
		}
		if m.has("Exists") {
			t.Exists = new(m.bool("Exists", false))
		}
		tests = append(tests, t)
	}
	return tests
}

// readInput is an attribute value whose ValidationException is still to be told.
func readInput(n *node) *attr.Input {
	if n == nil {
		return nil
	}
	return &attr.Input{Value: *n.value, Err: n.bad}
}

// readChanges reads AttributeUpdates.
func readChanges(n *node) []expr.Change {
	changes := make([]expr.Change, 0, len(n.list))
	for i, name := range n.keys {
		m := &n.list[i]
		changes = append(changes, expr.Change{Name: name, Action: m.text("Action"), Value: readInput(m.get("Value"))})
	}
	return changes
}
