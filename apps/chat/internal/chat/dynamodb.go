package chat

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The key columns of the table, texts.
const (
	columnPK = "pk"
	columnSK = "sk"
)

// DynamoDB is one table of AWS's, or of whoever speaks like it.
type DynamoDB struct {
	client *dynamodb.Client
	table  string
}

var _ Store = (*DynamoDB)(nil)

// NewDynamoDB returns the store in a table.
func NewDynamoDB(client *dynamodb.Client, table string) *DynamoDB {
	return &DynamoDB{client: client, table: table}
}

// Get implements [Store].
func (d *DynamoDB) Get(ctx context.Context, key Key) (Row, error) {
	out, err := d.client.GetItem(ctx, &dynamodb.GetItemInput{TableName: &d.table, Key: item(key), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, err
	}
	return rowOf(out.Item), nil
}

// Query implements [Store].
func (d *DynamoDB) Query(ctx context.Context, q Query) ([]Row, error) {
	in := &dynamodb.QueryInput{TableName: &d.table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(!q.Backward),
		KeyConditionExpression:    aws.String("pk = :pk AND sk BETWEEN :from AND :to"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":pk": value(q.PK), ":from": value(q.From), ":to": value(q.To)}}
	var rows []Row
	for {
		if q.Limit > 0 {
			in.Limit = aws.Int32(int32(q.Limit - len(rows)))
		}
		out, err := d.client.Query(ctx, in)
		if err != nil {
			return nil, err
		}
		for _, i := range out.Items {
			rows = append(rows, rowOf(i))
		}
		if in.ExclusiveStartKey = out.LastEvaluatedKey; len(in.ExclusiveStartKey) == 0 || q.Limit > 0 && len(rows) >= q.Limit {
			return rows, nil
		}
	}
}

// Write implements [Store].
func (d *DynamoDB) Write(ctx context.Context, changes ...Change) (Row, error) {
	if len(changes) > 1 {
		return nil, d.transact(ctx, changes)
	}
	c, e := changes[0], newExpression(&changes[0])
	var out map[string]types.AttributeValue
	var err error
	if c.Delete {
		_, err = d.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &d.table, Key: item(c.Key), ConditionExpression: e.condition, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	} else {
		var res *dynamodb.UpdateItemOutput
		res, err = d.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{TableName: &d.table, Key: item(c.Key), UpdateExpression: e.update, ConditionExpression: e.condition, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValues: types.ReturnValueAllNew, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
		if err == nil {
			out = res.Attributes
		}
	}
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return nil, &ConditionError{Row: rowOf(failed.Item)}
	}
	return rowOf(out), err
}

// transact writes several changes. Transactions that met on a row are tried again.
func (d *DynamoDB) transact(ctx context.Context, changes []Change) error {
	in := &dynamodb.TransactWriteItemsInput{}
	for i := range changes {
		c, e := &changes[i], newExpression(&changes[i])
		if c.Delete {
			in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Delete: &types.Delete{TableName: &d.table, Key: item(c.Key), ConditionExpression: e.condition, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
				ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}})
			continue
		}
		in.TransactItems = append(in.TransactItems, types.TransactWriteItem{Update: &types.Update{TableName: &d.table, Key: item(c.Key), UpdateExpression: e.update, ConditionExpression: e.condition, ExpressionAttributeNames: e.names, ExpressionAttributeValues: e.values,
			ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}})
	}
	for pause := 10 * time.Millisecond; ; pause *= 2 {
		_, err := d.client.TransactWriteItems(ctx, in)
		canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
		if !ok {
			return err
		}
		conflict := false
		for i, reason := range canceled.CancellationReasons {
			switch aws.ToString(reason.Code) {
			case "ConditionalCheckFailed":
				return &ConditionError{Index: i, Row: rowOf(reason.Item)}
			case "TransactionConflict":
				conflict = true
			}
		}
		if !conflict || pause > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		in.ClientRequestToken = nil // it is another try, not the same again
	}
}

// expression is a change in DynamoDB's language. Parts without content are nil.
type expression struct {
	update, condition *string
	names             map[string]string
	values            map[string]types.AttributeValue
}

func newExpression(c *Change) expression {
	var e expression
	name := func(column string) string {
		for n, is := range e.names {
			if is == column {
				return n
			}
		}
		if e.names == nil {
			e.names = map[string]string{}
		}
		n := "#" + strconv.Itoa(len(e.names))
		e.names[n] = column
		return n
	}
	val := func(v any) string {
		if e.values == nil {
			e.values = map[string]types.AttributeValue{}
		}
		n := ":" + strconv.Itoa(len(e.values))
		e.values[n] = value(v)
		return n
	}
	var clauses []string
	clause := func(word string, parts []string) {
		if len(parts) > 0 {
			clauses = append(clauses, word+" "+strings.Join(parts, ", "))
		}
	}
	if !c.Delete {
		var set, add, remove []string
		for _, column := range slices.Sorted(maps.Keys(c.Set)) {
			set = append(set, name(column)+" = "+val(c.Set[column]))
		}
		for _, column := range slices.Sorted(maps.Keys(c.Add)) {
			add = append(add, name(column)+" "+val(c.Add[column]))
		}
		for _, column := range c.Remove {
			remove = append(remove, name(column))
		}
		clause("SET", set)
		clause("ADD", add)
		clause("REMOVE", remove)
		if len(clauses) > 0 {
			e.update = aws.String(strings.Join(clauses, " "))
		}
	}
	var conds []string
	for _, cond := range c.If {
		switch {
		case cond.Less:
			conds = append(conds, name(cond.Column)+" < "+val(cond.Value))
		case cond.Value == nil:
			conds = append(conds, "attribute_not_exists("+name(cond.Column)+")")
		default:
			conds = append(conds, name(cond.Column)+" = "+val(cond.Value))
		}
	}
	if len(conds) > 0 {
		e.condition = aws.String(strings.Join(conds, " AND "))
	}
	return e
}

func item(k Key) map[string]types.AttributeValue {
	return map[string]types.AttributeValue{columnPK: value(k.PK), columnSK: value(k.SK)}
}

// value is a text or a number of DynamoDB.
func value(v any) types.AttributeValue {
	if n, ok := v.(int64); ok {
		return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
	}
	return &types.AttributeValueMemberS{Value: fmt.Sprint(v)}
}

// rowOf is an item without its key; nil when there is none. Columns of other types than the chat's are
// passed over.
func rowOf(item map[string]types.AttributeValue) Row {
	if item == nil {
		return nil
	}
	r := Row{}
	for column, v := range item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			r[column] = v.Value
		case *types.AttributeValueMemberN:
			if n, err := strconv.ParseInt(v.Value, 10, 64); err == nil {
				r[column] = n
			}
		}
	}
	delete(r, columnPK)
	delete(r, columnSK)
	return r
}
