package dynamodb

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
)

// PartiQL is done by the operations that do the same: a statement becomes the parameters of PutItem,
// UpdateItem, DeleteItem, Query or Scan.

var (
	partiqlText   = must("Statement", text(1, 8192))
	partiqlParams = may("Parameters", list(value, 1, 0))

	executeParams = structure("ExecuteStatementInput", partiqlText, partiqlParams, consistent, consumed,
		may("NextToken", text(1, 32768)), may("Limit", whole(1, 0)), onFailure)

	batchExecuteParams = structure("BatchExecuteStatementInput", consumed,
		must("Statements", list(structure("BatchStatementRequest", partiqlText, partiqlParams, consistent, onFailure), 1, 25)))

	executeTransactionParams = structure("ExecuteTransactionInput", consumed, token,
		must("TransactStatements", list(structure("ParameterizedStatement", partiqlText, partiqlParams, onFailure), 1, 100)))
)

// prepared is a statement and the table it is about.
type prepared struct {
	*statement
	req *node
	d   *described
}

func (h *Handler) prepare(ctx context.Context, req *node) (*prepared, error) {
	st, err := parseStatement(req.text("Statement"), req.get("Parameters").items())
	if err != nil {
		return nil, err
	}
	d, err := h.open(ctx, st.table)
	if err != nil {
		return nil, err
	}
	return &prepared{st, req, d}, nil
}

// key takes the tests of the whole primary key out of the conditions; rest are the others. ok is false when
// they do not say it all.
func (s *prepared) key() (key attr.Item, rest []*clause, ok bool) {
	key = attr.Item{}
	for _, c := range s.where.terms() {
		if _, twice := key[c.name]; s.d.isKey(c.name) && c.test == "=" && !twice {
			key[c.name] = c.values[0]
			continue
		}
		rest = append(rest, c)
	}
	return key, rest, len(key) == len(s.d.spec.Key)
}

// conditionOf is what clauses say together.
func conditionOf(list []*clause) string {
	return (&clause{op: "AND", parts: list}).render()
}

// body begins a request with the statement's expressions; only the names and values that they use go with
// them.
func (s *prepared) body(expressions map[string]string) *writer {
	w := newWriter()
	w.name("TableName")
	w.b = attr.AppendString(w.b, s.d.spec.Name)
	all := ""
	for _, name := range slices.Sorted(maps.Keys(expressions)) {
		if e := expressions[name]; e != "" {
			w.name(name)
			w.b = attr.AppendString(w.b, e)
			all += " " + e + " "
		}
	}
	used := func(key string) bool {
		for i := strings.Index(all, key); i >= 0; {
			end := i + len(key)
			if end == len(all) || all[end] < '0' || all[end] > '9' {
				return true
			}
			next := strings.Index(all[end:], key)
			if next < 0 {
				break
			}
			i = end + next
		}
		return false
	}
	names, values := map[string]string{}, attr.Item{}
	for k, v := range s.names {
		if used(k) {
			names[k] = v
		}
	}
	for k, v := range s.values {
		if used(k) {
			values[k] = v
		}
	}
	if len(names) > 0 {
		w.name("ExpressionAttributeNames")
		w.b = append(w.b, marshal(names)...)
	}
	if len(values) > 0 {
		w.name("ExpressionAttributeValues")
		w.b = attr.AppendItem(w.b, values)
	}
	w.pass(s.req, "ReturnValuesOnConditionCheckFailure", "ReturnConsumedCapacity")
	return w
}

// pass copies members of a request that are there.
func (w *writer) pass(req *node, names ...string) {
	for _, name := range names {
		if n := req.get(name); n != nil {
			w.name(name)
			w.b = append(w.b, n.raw...)
		}
	}
}

const wholeKey = "Where clause does not contain a mandatory equality on all key attributes"

// write is a statement that writes as an operation on one item: PutItem, UpdateItem or DeleteItem.
func (s *prepared) write() (op string, w *writer, err error) {
	if s.verb == "INSERT" {
		w = s.body(map[string]string{"ConditionExpression": "attribute_not_exists(" + s.placeholder(s.d.hash.Name) + ")"})
		w.name("Item")
		w.b = attr.AppendItem(w.b, s.item)
		return "PutItem", w, nil
	}
	key, rest, ok := s.key()
	if !ok {
		return "", nil, invalid(wholeKey)
	}
	expressions := map[string]string{"ConditionExpression": conditionOf(rest)}
	if op = "DeleteItem"; s.verb == "UPDATE" {
		op = "UpdateItem"
		expressions["UpdateExpression"] = s.update
		rest = append(rest, &clause{text: "attribute_exists(" + s.placeholder(s.d.hash.Name) + ")"})
		expressions["ConditionExpression"] = conditionOf(rest)
	}
	w = s.body(expressions)
	w.name("Key")
	w.b = attr.AppendItem(w.b, key)
	return op, w, nil
}

// placeholder is a name for an attribute in the statement's expressions.
func (s *prepared) placeholder(name string) string {
	p := partiql{st: s.statement}
	return p.name(name)
}

// read is a SELECT as a Query, when its conditions have a partition key, or as a Scan.
func (s *prepared) read() (op string, w *writer, err error) {
	cols, hashes := s.d.spec.Key, 1
	if s.index != "" {
		x := s.d.index(s.index)
		if x == nil {
			return "", nil, invalid("The table does not have the specified index")
		}
		cols, hashes = x.Key, x.hashes
	}
	rest := s.where.terms()
	var keys []string
	for _, c := range cols {
		i := slices.IndexFunc(rest, func(t *clause) bool {
			return t.name == c.Name && t.test != "" && t.test != "<>" && (t.test == "=" || len(keys) >= hashes)
		})
		if i < 0 {
			break
		}
		test := rest[i].test
		keys, rest = append(keys, rest[i].text), slices.Delete(rest, i, i+1)
		if test != "=" {
			break
		}
	}
	expressions := map[string]string{"ProjectionExpression": s.projection}
	if op = "Query"; len(keys) >= hashes {
		expressions["KeyConditionExpression"] = strings.Join(keys, " AND ")
		expressions["FilterExpression"] = conditionOf(rest)
	} else if op = "Scan"; s.where != nil {
		expressions["FilterExpression"] = s.where.render()
	}
	w = s.body(expressions)
	if s.index != "" {
		w.name("IndexName")
		w.b = attr.AppendString(w.b, s.index)
	}
	if s.backwards && op == "Query" {
		w.name("ScanIndexForward")
		w.b = append(w.b, "false"...)
	}
	w.pass(s.req, "ConsistentRead", "Limit")
	return op, w, nil
}

// perform runs an operation whose parameters are written.
func (h *Handler) perform(ctx context.Context, op string, w *writer) (*node, error) {
	o, ok := pick(operations, op)
	req, valid := parseJSON(w.end())
	if !ok || !valid {
		return nil, errors.New("dynamodb: a statement became no operation")
	}
	out, err := h.do(ctx, o, req)
	if err != nil {
		return nil, err
	}
	answer, ok := parseJSON(out)
	if !ok {
		return nil, errors.New("dynamodb: an operation's own answer is not JSON")
	}
	return answer, nil
}

// execute does one statement; items are the raw items that it returns.
func (h *Handler) execute(ctx context.Context, req *node) (s *prepared, items [][]byte, answer *node, err error) {
	if s, err = h.prepare(ctx, req); err != nil {
		return nil, nil, nil, err
	}
	var op string
	var w *writer
	if s.verb == "SELECT" {
		if op, w, err = s.read(); err != nil {
			return s, nil, nil, err
		}
		if next := req.text("NextToken"); next != "" {
			start, err := base64.RawURLEncoding.DecodeString(next)
			if err != nil || !json.Valid(start) {
				return s, nil, nil, invalid("Given NextToken is invalid")
			}
			w.name("ExclusiveStartKey")
			w.b = append(w.b, start...)
		}
	} else if op, w, err = s.write(); err != nil {
		return s, nil, nil, err
	} else if s.returning != "" {
		w.name("ReturnValues")
		w.b = attr.AppendString(w.b, s.returning)
	}
	if answer, err = h.perform(ctx, op, w); err != nil {
		return s, nil, nil, s.reword(err)
	}
	if list := answer.get("Items"); list != nil {
		list.open()
		for i := range list.list {
			items = append(items, s.cut(list.list[i].raw))
		}
	}
	if old := answer.get("Attributes"); old != nil {
		items = append(items, old.raw)
	}
	return s, items, answer, nil
}

// reword makes the refusal of an INSERT what PartiQL calls it.
func (s *prepared) reword(err error) error {
	var f *fault
	if s.verb == "INSERT" && errors.As(err, &f) && strings.HasSuffix(f.kind, "#ConditionalCheckFailedException") {
		again := newFault(service+"DuplicateItemException", "Duplicate primary key exists in table")
		again.item = f.item
		return again
	}
	return err
}

// executeStatement answers ExecuteStatement.
func (h *Handler) executeStatement(ctx context.Context, req *node) ([]byte, error) {
	_, items, answer, err := h.execute(ctx, req)
	if err != nil {
		return nil, err
	}
	w := newWriter()
	w.name("Items")
	w.b = appendList(w.b, len(items), func(b []byte, i int) []byte { return append(b, items[i]...) })
	if last := answer.get("LastEvaluatedKey"); last != nil {
		w.name("NextToken")
		w.b = attr.AppendString(w.b, base64.RawURLEncoding.EncodeToString(last.raw))
		w.pass(answer, "LastEvaluatedKey")
	}
	w.pass(answer, "ConsumedCapacity")
	return w.end(), nil
}

// batchExecuteStatement answers BatchExecuteStatement: each statement is for itself, and about one item.
func (h *Handler) batchExecuteStatement(ctx context.Context, req *node) ([]byte, error) {
	statements := req.get("Statements").items()
	w := newWriter()
	w.name("Responses")
	var failed error
	w.b = appendList(w.b, len(statements), func(b []byte, i int) []byte {
		one := newWriter()
		s, items, err := h.single(ctx, &statements[i])
		if err != nil {
			f, theirs := faultOf(err)
			if !theirs {
				failed = err
			}
			one.name("Error")
			one.b = f.appendStatementError(one.b)
		}
		if s != nil {
			one.name("TableName")
			one.b = attr.AppendString(one.b, s.d.spec.Name)
		}
		if len(items) > 0 {
			one.name("Item")
			one.b = append(one.b, items[0]...)
		}
		return append(b, one.end()...)
	})
	if failed != nil {
		return nil, failed
	}
	return w.end(), nil
}

// single does a statement that may only be about one item.
func (h *Handler) single(ctx context.Context, req *node) (*prepared, [][]byte, error) {
	s, err := h.prepare(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	if _, _, ok := s.key(); s.verb == "SELECT" && (!ok || s.index != "") {
		return s, nil, invalid("Select statements within BatchExecuteStatement must specify the primary key in the where clause.")
	}
	s, items, _, err := h.execute(ctx, req)
	return s, items, err
}

// appendStatementError writes a BatchStatementError.
func (f *fault) appendStatementError(b []byte) []byte {
	code := strings.TrimSuffix(f.kind[strings.IndexByte(f.kind, '#')+1:], "Exception")
	switch code {
	case "ConditionalCheckFailed", "DuplicateItem":
	case "Validation":
		code = "ValidationError"
	case "ResourceNotFound":
	default:
		code = "InternalServerError"
	}
	w := newWriter()
	w.name("Code")
	w.b = attr.AppendString(w.b, code)
	w.name("Message")
	w.b = attr.AppendString(w.b, f.message)
	if f.item != nil {
		w.name("Item")
		w.b = attr.AppendItem(w.b, f.item)
	}
	return append(b, w.end()...)
}

// executeTransaction answers ExecuteTransaction, whose statements all read or all write.
func (h *Handler) executeTransaction(ctx context.Context, req *node) ([]byte, error) {
	statements := req.get("TransactStatements").items()
	all := make([]*prepared, len(statements))
	reads := 0
	w := newWriter()
	w.pass(req, "ReturnConsumedCapacity")
	var failed error
	w.name("TransactItems")
	w.b = appendList(w.b, len(statements), func(b []byte, i int) []byte {
		s, err := h.prepare(ctx, &statements[i])
		if err == nil {
			all[i] = s
			if s.verb == "SELECT" {
				reads++
			}
			b, err = s.appendAction(b)
		}
		failed = errors.Join(failed, err)
		return b
	})
	switch {
	case failed != nil:
		return nil, failed
	case reads > 0 && reads < len(statements):
		return nil, invalid("All statements in a transaction must be of the same type: reads or writes")
	case reads > 0:
		answer, err := h.perform(ctx, "TransactGetItems", w)
		if err != nil {
			return nil, err
		}
		out := newWriter()
		out.name("Responses")
		responses := answer.get("Responses")
		responses.open()
		out.b = appendList(out.b, len(statements), func(b []byte, i int) []byte {
			one := &responses.list[i]
			if one.open(); !one.has("Item") {
				return append(b, "{}"...)
			}
			return append(append(append(b, `{"Item":`...), all[i].cut(one.get("Item").raw)...), '}')
		})
		out.pass(answer, "ConsumedCapacity")
		return out.end(), nil
	}
	w.pass(req, "ClientRequestToken")
	answer, err := h.perform(ctx, "TransactWriteItems", w)
	var f *fault
	if errors.As(err, &f) && f.reasons != nil {
		for i, r := range f.reasons {
			if all[i].verb == "INSERT" && r.code == "ConditionalCheckFailed" {
				f.reasons[i].code, f.reasons[i].message = "DuplicateItem", "Duplicate primary key exists in table"
			}
		}
		return nil, cancelled(f.reasons)
	}
	if err != nil {
		return nil, err
	}
	out := newWriter()
	out.name("Responses")
	out.b = appendList(out.b, len(statements), func(b []byte, _ int) []byte { return append(b, "{}"...) })
	out.pass(answer, "ConsumedCapacity")
	return out.end(), nil
}

// appendAction writes a statement as an item of a transaction.
func (s *prepared) appendAction(b []byte) ([]byte, error) {
	kind, w := "Get", (*writer)(nil)
	if s.verb == "SELECT" {
		key, rest, ok := s.key()
		if !ok || len(rest) > 0 || s.index != "" {
			return b, invalid("Select statements within ExecuteTransaction must specify the primary key in the where clause.")
		}
		w = s.body(map[string]string{"ProjectionExpression": s.projection})
		w.name("Key")
		w.b = attr.AppendItem(w.b, key)
	} else {
		op, body, err := s.write()
		if err != nil {
			return b, err
		}
		kind, w = strings.TrimSuffix(op, "Item"), body
	}
	b = append(attr.AppendString(append(b, '{'), kind), ':')
	return append(append(b, w.end()...), '}'), nil
}
