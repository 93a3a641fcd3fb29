package expr

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// inputs reads a list of values; "" is none.
func inputs(t testing.TB, s string) []attr.Input {
	t.Helper()
	if s == "" {
		return nil
	}
	list := []attr.Input{}
	for _, v := range item(t, `{"l":{"L":`+s+`}}`)["l"].List {
		list = append(list, attr.Input{Value: v})
	}
	return list
}

func TestFiltersAreCheckedInAWSWords(t *testing.T) {
	count := func(op string) string {
		return badParameter + "Invalid number of argument(s) for the " + op + " ComparisonOperator"
	}
	kind := func(op, t string) string {
		return badParameter + "ComparisonOperator " + op + " is not valid for " + t + " AttributeValue type"
	}
	for _, c := range []struct{ op, list, want string }{
		{"EQ", "", count("EQ")},
		{"EQ", `[{"S":"a"},{"S":"b"}]`, count("EQ")},
		{"NULL", `[{"S":"a"}]`, count("NULL")},
		{"IN", `[]`, count("IN")},
		{"BETWEEN", `[{"S":"a"}]`, count("BETWEEN")},
		{"IN", `[{"S":"a"},{"N":"1"}]`, badParameter + "AttributeValues inside AttributeValueList must be of same type"},
		{"BETWEEN", `[{"N":"10"},{"N":"9"}]`, "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"},
		{"LT", `[{"BOOL":true}]`, kind("LT", "BOOL")},
		{"IN", `[{"SS":["a"]}]`, kind("IN", "SS")},
		{"CONTAINS", `[{"L":[]}]`, kind("CONTAINS", "L")},
		{"BEGINS_WITH", `[{"N":"1"}]`, kind("BEGINS_WITH", "N")},
		{"BETWEEN", `[{"M":{}},{"M":{}}]`, kind("BETWEEN", "M")},
		{"EQ", `[{"L":[]}]`, ""},
		{"CONTAINS", `[{"BOOL":true}]`, ""},
		{"NOT_NULL", "", ""},
		{"BETWEEN", `[{"N":"9"},{"N":"10"}]`, ""},
	} {
		err := CheckFilter([]Test{{Name: "a", Op: c.op, List: inputs(t, c.list)}})
		if got := text(err); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.op, c.list, got, c.want)
		}
	}
	bad := attr.Invalid("bad")
	if err := CheckFilter([]Test{{Op: "EQ", List: []attr.Input{{}, {Err: bad}}}}); err != bad {
		t.Error(err)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestExpectedIsCheckedInAWSWords(t *testing.T) {
	yes, no := true, false
	v := &attr.Input{Value: attr.String("x")}
	list := []attr.Input{*v}
	for _, c := range []struct {
		test Test
		want string
	}{
		{Test{List: list, Value: v}, "Value and AttributeValueList cannot be used together for Attribute: a"},
		{Test{Op: "LT", Exists: &yes}, "Exists and ComparisonOperator cannot be used together for Attribute: a"},
		{Test{Op: "LT"}, "Value or AttributeValueList must be used with ComparisonOperator: LT for Attribute: a"},
		{Test{Op: "EQ", List: []attr.Input{}}, "Invalid number of argument(s) for the EQ ComparisonOperator"},
		{Test{Op: "NULL", Value: v}, "Invalid number of argument(s) for the NULL ComparisonOperator"},
		{Test{Exists: &yes, List: list}, "AttributeValueList can only be used with a ComparisonOperator for Attribute: a"},
		{Test{}, "Value must be provided when Exists is null for Attribute: a"},
		{Test{Exists: &yes}, "Value must be provided when Exists is true for Attribute: a"},
		{Test{Exists: &no, Value: v}, "Value cannot be used when Exists is false for Attribute: a"},
		{Test{Op: "EQ", Value: v}, ""},
		{Test{Value: v}, ""},
		{Test{Exists: &no}, ""},
		{Test{Op: "NOT_NULL"}, ""},
	} {
		c.test.Name = "a"
		if c.want != "" {
			c.want = badParameter + c.want
		}
		if got := text(CheckExpected([]Test{c.test})); got != c.want {
			t.Errorf("%+v: %q, want %q", c.test, got, c.want)
		}
	}
}

func TestOlderConditionsHoldOrNot(t *testing.T) {
	it := item(t, `{"s":{"S":"hello"},"n":{"N":"5"},"ss":{"SS":["a","b"]},"t":{"BOOL":true}}`)
	yes, no := true, false
	for _, c := range []struct {
		name, op, list string
		want           bool
	}{
		{"s", "EQ", `[{"S":"hello"}]`, true},
		{"s", "NE", `[{"S":"hello"}]`, false},
		{"gone", "NE", `[{"S":"x"}]`, true},
		{"n", "LT", `[{"N":"10"}]`, true},
		{"n", "GE", `[{"N":"5.0"}]`, true},
		{"n", "GT", `[{"S":"1"}]`, false},
		{"n", "LE", `[{"N":"4"}]`, false},
		{"gone", "NULL", "", true},
		{"s", "NULL", "", false},
		{"s", "NOT_NULL", "", true},
		{"s", "BEGINS_WITH", `[{"S":"he"}]`, true},
		{"s", "CONTAINS", `[{"S":"ell"}]`, true},
		{"ss", "CONTAINS", `[{"S":"b"}]`, true},
		{"ss", "NOT_CONTAINS", `[{"S":"c"}]`, true},
		{"n", "NOT_CONTAINS", `[{"S":"c"}]`, true},
		{"gone", "NOT_CONTAINS", `[{"S":"c"}]`, false},
		{"s", "IN", `[{"S":"x"},{"S":"hello"}]`, true},
		{"n", "BETWEEN", `[{"N":"5"},{"N":"6"}]`, true},
	} {
		tests := []Test{{Name: c.name, Op: c.op, List: inputs(t, c.list)}}
		if got := NewCondition(tests, "").Eval(it); got != c.want {
			t.Errorf("%s %s %s: %v", c.name, c.op, c.list, got)
		}
	}
	hello, five := &attr.Input{Value: attr.String("hello")}, &attr.Input{Value: attr.Number("6")}
	both := []Test{{Name: "s", Value: hello}, {Name: "n", Value: five, Exists: &yes}, {Name: "s", Exists: &no}}
	for operator, want := range map[string]bool{"": false, "AND": false, "OR": true} {
		if got := NewCondition(both, operator).Eval(it); got != want {
			t.Errorf("%s: %v", operator, got)
		}
	}
	if !NewCondition(nil, "OR").Eval(nil) {
		t.Error("no tests do not hold")
	}
	want := []KeyTest{{"h", "EQ", []table.Value{attr.String("x")}}}
	if got := KeyTests([]Test{{Name: "h", Op: "EQ", List: inputs(t, `[{"S":"x"}]`)}}); cmp.Diff(want, got) != "" {
		t.Error(got)
	}
}

func TestAttributeUpdates(t *testing.T) {
	value := func(s string) *attr.Input {
		if s == "" {
			return nil
		}
		return &attr.Input{Value: inputs(t, "["+s+"]")[0].Value}
	}
	for _, c := range []struct{ action, value, old, want string }{
		{"", `{"S":"x"}`, ``, `{"a":{"S":"x"}}`},
		{"PUT", `{"S":"x"}`, `{"a":{"N":"1"}}`, `{"a":{"S":"x"}}`},
		{"ADD", `{"N":"1"}`, `{"a":{"N":"1"}}`, `{"a":{"N":"2"}}`},
		{"ADD", `{"N":"1"}`, ``, `{"a":{"N":"1"}}`},
		{"ADD", `{"L":[{"S":"y"}]}`, `{"a":{"L":[{"S":"x"}]}}`, `{"a":{"L":[{"S":"x"},{"S":"y"}]}}`},
		{"ADD", `{"SS":["x"]}`, `{"a":{"SS":["x","y"]}}`, `{"a":{"SS":["x","y"]}}`},
		{"ADD", `{"N":"1"}`, `{"a":{"S":"1"}}`, "Type mismatch for attribute to update"},
		{"DELETE", ``, `{"a":{"S":"1"}}`, `{}`},
		{"DELETE", `{"SS":["x"]}`, `{"a":{"SS":["x","y"]}}`, `{"a":{"SS":["y"]}}`},
		{"DELETE", `{"SS":["x"]}`, `{"a":{"SS":["x"]}}`, `{}`},
		{"DELETE", `{"SS":["x"]}`, `{"a":{"NS":["1"]}}`, "Type mismatch for attribute to update"},
		{"PUT", ``, ``, badParameter + "Only DELETE action is allowed when no attribute value is specified"},
		{"DELETE", `{"S":"x"}`, ``, badParameter + "DELETE action with value is not supported for the type S"},
		{"ADD", `{"S":"x"}`, ``, badParameter + "ADD action is not supported for the type S"},
	} {
		changes := []Change{{Name: "a", Action: c.action, Value: value(c.value)}}
		err := CheckChanges(changes)
		var got attr.Item
		if err == nil {
			got, err = NewUpdate(changes).Apply(item(t, c.old))
		}
		answer := text(err)
		if err == nil {
			answer = string(attr.AppendItem(nil, got))
		}
		if answer != c.want {
			t.Errorf("%s %s: %s, want %s", c.action, c.value, answer, c.want)
		}
	}
}
