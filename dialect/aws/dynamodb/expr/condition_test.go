package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// item reads an item, or values, from JSON; "" is none.
func item(t testing.TB, s string) attr.Item {
	t.Helper()
	if s == "" {
		return nil
	}
	it, err := attr.DecodeItem([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return it
}

func args(t testing.TB, names map[string]string, values string) *Args {
	t.Helper()
	a, err := NewArgs(names, item(t, values), nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestConditionsHoldOrNot(t *testing.T) {
	it := item(t, `{"a":{"S":"x"},"n":{"N":"5"},"neg":{"N":"-5"},"big":{"N":"123456789012345678901234567890.5"},"s":{"S":"Zebra"},
		"l":{"L":[{"N":"1"},{"M":{"k":{"S":"deep"}}}]},"ss":{"SS":["p","q"]},"ns":{"NS":["1","2"]},"b":{"B":"AAH/"},"bs":{"BS":["AAH/"]},
		"t":{"BOOL":true},"nul":{"NULL":true},"m":{"M":{"k":{"S":"v"}}},"e":{"S":""},"u":{"S":"é𝄞"}}`)
	values := `{":x":{"S":"x"},":five":{"N":"5.0"},":six":{"N":"6"},":p":{"S":"p"},":deep":{"S":"deep"},":ty":{"S":"SS"},":one":{"N":"1"},
		":two":{"N":"2"},":ten":{"N":"10"},":a":{"S":"a"},":bytes":{"B":"AAE="},":whole":{"B":"AAH/"},":set":{"SS":["q","p"]},":yes":{"BOOL":true},
		":null":{"NULL":true},":map":{"M":{"k":{"S":"v"}}},":eb":{"S":"eb"},":Ze":{"S":"Ze"},":big":{"N":"123456789012345678901234567890.50"},":empty":{"S":""},":three":{"N":"3"},
		":elem":{"M":{"k":{"S":"deep"}}},":minus":{"N":"-6"}}`
	for src, want := range map[string]bool{
		"a = :x":                true,
		":x = a":                true,
		"n = :five AND a <> :p": true,
		"n = :x":                false,
		"n <> :x":               true,
		"NOT n < :six":          false,
		"not not n = :five":     true,
		"n < :ten":              true, // as numbers, not as text
		"neg > :minus":          true,
		"big = :big":            true,
		"s < :a":                true, // capitals come first
		"n < :x":                false,
		"n > :x":                false,
		"l[1].k = :deep":        true,
		"l[2] = :one":           false,
		"l.k = :deep":           false,
		"m[0] = :one":           false,
		"absent <> :x":          true,
		"absent = gone":         false,
		"absent <> gone":        true,
		"absent < :x":           false,
		"absent = :x OR n BETWEEN :five AND :six":   true,
		"n BETWEEN :six AND :ten":                   false,
		"n BETWEEN l[0] AND :six":                   true,
		"n BETWEEN :a AND :x":                       false,
		"contains(ss, :p)":                          true,
		"contains(ss, :x)":                          false,
		"contains(ns, :one)":                        true,
		"contains(bs, :whole)":                      true,
		"contains(bs, :bytes)":                      false,
		"contains(b, :bytes)":                       true,
		"contains(s, :eb)":                          true,
		"contains(l, :one)":                         true,
		"contains(l, :elem)":                        true,
		"contains(n, :five)":                        false,
		"contains(absent, :x)":                      false,
		"begins_with(s, :Ze)":                       true,
		"begins_with(s, :eb)":                       false,
		"begins_with(b, :bytes)":                    true,
		"begins_with(b, :Ze)":                       false,
		"begins_with(e, :empty)":                    true,
		"attribute_type(ss, :ty)":                   true,
		"attribute_type(a, :ty)":                    false,
		"attribute_exists(l[1].k)":                  true,
		"attribute_not_exists(l[1].k)":              false,
		"attribute_not_exists(m.x)":                 true,
		"attribute_exists(nul)":                     true,
		"a IN (:p, :x)":                             true,
		"a in (:p, :one, s)":                        false,
		"absent in (gone)":                          false,
		"ss = :set":                                 true,
		"t = :yes AND nul = :null AND m = :map":     true,
		"size(l) < :five":                           true,
		"size(s) = :five":                           true,
		"size(u) = :three":                          true,
		"size(b) > :two":                            true,
		"size(m) = :one AND size(ns) = :two":        true,
		"size(n) = :one":                            false,
		"size(absent) <> :one":                      true,
		"((size(l)) < :five) AND (a = :x)":          true,
		"(a)=(:x)":                                  true,
		"(m).k <> :x and (n)between(:one)and(:ten)": true,
		"a = :p OR a = :x AND n = :six":             false, // AND binds closer
		"(a = :p OR a = :x) AND n = :five":          true,
		"NOT a = :p AND n = :five":                  true,
		"NOT (a = :x AND n = :five)":                false,
		"\n\ta\r = :x ":                             true,
	} {
		c, err := args(t, nil, values).Condition("FilterExpression", src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := c.Eval(it); got != want {
			t.Errorf("%s: %v", src, got)
		}
	}
	if c := (*Condition)(nil); !c.Eval(nil) || c.Paths() != nil {
		t.Error("no condition does not hold")
	}
}

func TestConditionsAreRefusedInAWSWords(t *testing.T) {
	names := map[string]string{"#a": "a", "#b": "b"}
	const values = `{":s":{"S":"1"},":n":{"N":"1"},":m":{"N":"2"},":l":{"L":[]},":bool":{"BOOL":true},":null":{"NULL":true},":ss":{"SS":["x","y"]},":S":{"S":"S"}}`
	syntax := func(token, near string) string {
		return `Syntax error; token: "` + token + `", near: "` + near + `"`
	}
	const redundant = "The expression has redundant parentheses;"
	undefinedV, undefinedN := undefinedValue, undefinedName
	misused := "The function is not allowed to be used this way in an expression; function: "
	distinct := func(op, path string) string {
		return "The first operand must be distinct from the remaining operands for this operator or function; operator: " + op + ", first operand: " + path
	}
	for src, want := range map[string]string{
		"":                                  "The expression can not be empty;",
		" ":                                 syntax("<EOF>", ""),
		"a = :" + strings.Repeat("x", 5000): "Expression size has exceeded the maximum allowed size; expression size: 5005",
		"a = :s" + strings.Repeat(" or a=:s", 200): "The expression contains too many operators; operator count: 401",

		"things are not gonna be ok":          syntax("are", "things are not"),
		"a > 4":                               syntax("4", "> 4"),
		"attribute_exists(Pictures-RearView)": syntax("-", "Pictures-RearView"),
		`attribute_exists("Pictures")`:        syntax(`"`, `("Pictures`),
		"attribute_exists(P..R)":              syntax(".", "..R"),
		"attribute_exists(Pi#ctures)":         syntax("#ctures", "Pi#ctures)"),
		"attribute_exists(asdf[a])":           syntax("a", "[a]"),
		"a in b, c":                           syntax("b", "in b,"),
		"a > between":                         syntax("between", "> between"),
		"a in (b,c,)":                         syntax(")", ",)"),
		"(a)between(b.(c.d))and(c)":           syntax("(", ".(c"),
		"(a)between(b.c.d)and((c)":            syntax("<EOF>", ")"),
		"#$.b > a":                            syntax("$", "#$."),
		"a > :things.stuff":                   syntax(".", ":things.stuff"),
		"b[:a] > a":                           syntax(":a", "[:a]"),
		"ü > a":                               syntax("ü", "ü >"),
		"(a)between(b.c[4.5].#d)and(:a)":      syntax(".", "4.5"),
		"size(a).b > a":                       syntax(".", ").b"),
		"(size(a))[0] > a":                    syntax("[", ")[0"),
		"a":                                   syntax("<EOF>", "a"),
		"a AND a = :s":                        syntax("AND", "a AND a"),
		"(a OR a = :s)":                       syntax("OR", "a OR a"),
		"NOT a":                               syntax("<EOF>", "a"),
		"a = :s AND":                          syntax("<EOF>", "AND"),
		"(a = :s) = :s":                       syntax("=", ") = :s"),
		"a = :s b = :s":                       syntax("b", ":s b ="),
		"f()":                                 syntax(")", "()"),
		"a = :s)":                             syntax(")", ":s)"),

		"a=:s and a > ((views))":           redundant,
		"(a)between(((b.c)).d)and(c)":      redundant,
		"a > whatever((:things), ((a)))":   redundant,
		"a=:s AND ((a=a AND a=a)) AND a=a": redundant,
		"a=:s OR ((a=a OR (a=a OR a=a)))":  redundant,
		"((attribute_exists(a)))":          redundant,

		"a=a and whatever((:things)) > a": "Invalid function name; function: whatever",
		"attRIbute_exIsts((views), #a)":   "Invalid function name; function: attRIbute_exIsts",
		"outer(inner(a))":                 "Invalid function name; function: inner",
		"a = if_not_exists(b, :s)":        "The function is not allowed in a condition expression; function: if_not_exists",

		"a=a and attribute_exists((views), (#a)) > b": misused + "attribute_exists",
		"size(contains(a, b)) > a":                    misused + "contains",
		"size(things)":                                misused + "size",
		"a = :s AND size(things)":                     misused + "size",
		"NOT (size(things))":                          misused + "size",
		"a between b and attribute_exists(t)":         misused + "attribute_exists",
		"a in (b, attribute_exists(t))":               misused + "attribute_exists",

		"attribute_exists(views, #x)": "Attribute name is a reserved keyword; reserved keyword: views",
		":a < abOrT":                  "Attribute name is a reserved keyword; reserved keyword: abOrT",
		"a[4294967295] = :s":          "List index is not within the allowable range; index: [4294967295]",

		"attribute_exists(#P.R, :x) and a=a":   undefinedN + "#P",
		"begins_with(P.#R)":                    undefinedN + "#R",
		"#4g > a":                              undefinedN + "#4g",
		"begins_with(:hello, #x, #y)":          undefinedV + ":hello",
		":_ > a":                               undefinedV + ":_",
		"a = :s" + strings.Repeat(".k", 40):    syntax(".", ":s.k"),
		"a" + strings.Repeat(".k", 32) + "=:s": "The document path has too many nesting levels; nesting levels: 33",

		"attribute_exists(t, a) and a=a":              wrongCount("attribute_exists", 2),
		"begins_with(t, size(a), b)":                  wrongCount("begins_with", 3),
		"size(t, a) > b":                              wrongCount("size", 2),
		"a IN (" + strings.Repeat(":s,", 100) + ":s)": "The IN operator is provided with too many operands; number of operands: 101",

		"a = a AND #a = b AND :v > a":       distinct("=", "[a]"),
		"#a <> a":                           distinct("<>", "[a]"),
		"((a=a) OR (a=a))":                  distinct("=", "[a]"),
		"contains(ab.bc[1].a, ab.bc[1].#a)": distinct("contains", "[ab, bc, [1], a]"),
		"a IN (:s, a)":                      distinct("IN", "[a]"),
		"a BETWEEN b AND a":                 distinct("BETWEEN", "[a]"),

		"attribute_type(a, b)":               wrongType("attribute_type", "{NS,SS,L,BS,N,M,B,BOOL,NULL,S}"),
		"attribute_type(a, size(a)) and a=a": wrongType("attribute_type", "N"),
		"attribute_type(a, :l)":              wrongType("attribute_type", "L"),
		"attribute_type(a, :s)":              "Invalid attribute type name found; type: 1, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
		"begins_with(a, :n)":                 wrongType("begins_with", "N"),
		"begins_with(:ss, a)":                wrongType("begins_with", "SS"),
		"begins_with(a, size(a)) and a=:a":   wrongType("begins_with", "N"),
		"size(size(a)) > :n":                 wrongType("size", "N"),
		"size(:bool) > a":                    wrongType("size", "BOOL"),
		"attribute_not_exists(size(:n))":     wrongType("size", "N"),
		"attribute_not_exists(size(:s))":     noPath + "attribute_not_exists",
		"attribute_exists(:s) and a=a":       noPath + "attribute_exists",
		"a < :bool":                          wrongType("<", "BOOL"),
		":l >= a":                            wrongType(">=", "L"),
		"a between :null and :n":             wrongType("BETWEEN", "NULL"),
		"a between :s and :n":                "The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: AttributeValue: {S:1}, upper bound operand: AttributeValue: {N:1}",
		"a between :m and :n":                "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; lower bound operand: AttributeValue: {N:2}, upper bound operand: AttributeValue: {N:1}",
	} {
		_, err := args(t, names, values).Condition("FilterExpression", src)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want = "Invalid FilterExpression: " + want; got != want {
			t.Errorf("%.100s:\n got %s\nwant %s", src, got, want)
		}
	}
}

func TestNamesAndValuesAreCheckedAndMustBeUsed(t *testing.T) {
	bad := attr.Invalid("so bad")
	bad.Name = ":b"
	for _, c := range []struct {
		names  map[string]string
		values attr.Item
		bad    *attr.Error
		want   string
	}{
		{names: map[string]string{}, values: attr.Item{}, want: "ExpressionAttributeNames must not be empty"},
		{names: map[string]string{"a": "b"}, values: attr.Item{}, want: `ExpressionAttributeNames contains invalid key: Syntax error; key: "a"`},
		{names: map[string]string{"#": "b"}, want: `ExpressionAttributeNames contains invalid key: Syntax error; key: "#"`},
		{names: map[string]string{"#a-b": "b"}, want: `ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"`},
		{names: map[string]string{"#a": ""}, want: "ExpressionAttributeNames contains invalid value: Empty attribute name for key #a"},
		{values: attr.Item{}, want: "ExpressionAttributeValues must not be empty"},
		{values: attr.Item{"b": {}}, bad: bad, want: `ExpressionAttributeValues contains invalid key: Syntax error; key: "b"`},
		{values: attr.Item{":b": {}}, bad: bad, want: "ExpressionAttributeValues contains invalid value: so bad for key :b"},
	} {
		_, err := NewArgs(c.names, c.values, c.bad)
		if err == nil || err.Error() != c.want {
			t.Errorf("%v", err)
		}
	}
	a := args(t, map[string]string{"#a": "a", "#u": "u", "#v": "v"}, `{":a":{"S":"a"},":z":{"S":"z"}}`)
	if _, err := a.Condition("ConditionExpression", "#a = :a"); err != nil {
		t.Fatal(err)
	}
	if err := a.Unused(); err == nil || err.Error() != "Value provided in ExpressionAttributeNames unused in expressions: keys: {#u, #v}" {
		t.Error(err)
	}
	if _, err := a.Projection("#u, #v.x"); err != nil {
		t.Fatal(err)
	}
	if err := a.Unused(); err == nil || err.Error() != "Value provided in ExpressionAttributeValues unused in expressions: keys: {:z}" {
		t.Error(err)
	}
	if _, err := a.Update("SET #a = :z"); err != nil {
		t.Fatal(err)
	}
	if err := a.Unused(); err != nil {
		t.Error(err)
	}
}

func TestConditionsTellTheirPaths(t *testing.T) {
	c, err := args(t, map[string]string{"#a": "a.b"}, `{":x":{"N":"1"}}`).Condition("FilterExpression", "#a[0].c = :x OR contains(d, e)")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Paths()); got != "[[a.b, [0], c] [d] [e]]" {
		t.Error(got)
	}
}

func TestKeyConditionsAreTakenApart(t *testing.T) {
	const values = `{":a":{"S":"1"},":b":{"S":"2"}}`
	one, two := attr.String("1"), attr.String("2")
	for src, want := range map[string][]KeyTest{
		"h = :a":                                      {{"h", "EQ", []table.Value{one}}},
		"h = :a AND r >= :b":                          {{"h", "EQ", []table.Value{one}}, {"r", "GE", []table.Value{two}}},
		":b > r and (h = :a)":                         {{"r", "LT", []table.Value{two}}, {"h", "EQ", []table.Value{one}}},
		":b <= r and :a = h":                          {{"r", "GE", []table.Value{two}}, {"h", "EQ", []table.Value{one}}},
		"(h=:a and r between :a and :b)":              {{"h", "EQ", []table.Value{one}}, {"r", "BETWEEN", []table.Value{one, two}}},
		"begins_with(r,:b)":                           {{"r", "BEGINS_WITH", []table.Value{two}}},
		"(h = :a and r < :a) and (s > :b and t = :b)": {{"h", "EQ", []table.Value{one}}, {"r", "LT", []table.Value{one}}, {"s", "GT", []table.Value{two}}, {"t", "EQ", []table.Value{two}}},
	} {
		c, err := args(t, nil, values).Condition("KeyConditionExpression", src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		got, err := c.KeyTests()
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%s: %v %s", src, err, cmp.Diff(want, got))
		}
	}
	invalid, operator := "Invalid condition in KeyConditionExpression: ", "Invalid operator used in KeyConditionExpression: "
	for src, want := range map[string]string{
		"a > b and size(b) > c or a > c": operator + "OR",
		"a in (b, size(c), d)":           operator + "IN",
		"attribute_exists(a)":            operator + "attribute_exists",
		"contains(a.d, b)":               operator + "contains",
		"not a > b":                      operator + "NOT",
		"a <> b":                         operator + "<>",
		":a between size(b) and size(a) and b > :b": invalid + "BETWEEN operator must have the key attribute as its first operand",
		"begins_with(:a, b) and a > :b":             invalid + "begins_with operator must have the key attribute as its first operand",
		"size(b) > a AND a.b > b AND b > c":         "KeyConditionExpressions cannot contain nested operations",
		"a > size(b.d)":                             "KeyConditionExpressions cannot contain nested operations",
		"a between size(b) and size(a)":             "KeyConditionExpressions cannot contain nested operations",
		"b > a.b":                                   invalid + "Multiple attribute names used in one condition",
		"a between b and size(a)":                   invalid + "Multiple attribute names used in one condition",
		"begins_with(a, b)":                         invalid + "Multiple attribute names used in one condition",
		"b.d > a AND c.d > e.f":                     "KeyConditionExpressions cannot have conditions on nested attributes",
		"b[0] > a":                                  "KeyConditionExpressions cannot have conditions on nested attributes",
		":b > :a AND a < :b":                        invalid + "No key attribute specified",
		"b > :a AND b < :a and c = :a":              "KeyConditionExpressions must only contain one condition per key",
	} {
		c, err := args(t, nil, values).Condition("KeyConditionExpression", src)
		if err == nil {
			_, err = c.KeyTests()
		}
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
}

func TestReservedWords(t *testing.T) {
	if len(reserved) != 573 {
		t.Errorf("%d words, AWS has 573", len(reserved))
	}
	for word := range reserved {
		if !isReserved(word) || !isReserved(strings.ToLower(word)) || isReserved(word+"_") {
			t.Error(word)
		}
	}
}
