package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
)

// apply reads an update and applies it; what comes back is JSON or an error's text.
func apply(t testing.TB, src, values, old string) string {
	t.Helper()
	before := item(t, old)
	keep := item(t, old)
	u, err := args(t, map[string]string{"#x": "x.y"}, values).Update(src)
	if err != nil {
		return err.Error()
	}
	after, err := u.Apply(before)
	if cmp.Diff(keep, before) != "" {
		t.Errorf("%s changed the old item: %s", src, cmp.Diff(keep, before))
	}
	if err != nil {
		return err.Error()
	}
	return string(attr.AppendItem(nil, after))
}

func TestUpdatesChangeItems(t *testing.T) {
	const values = `{":n":{"N":"2"},":s":{"S":"s"},":l":{"L":[{"N":"7"}]},":m":{"M":{}},":ss":{"SS":["b","c"]},":all":{"SS":["a","b","c"]},":ns":{"NS":["1.0","3"]},":big":{"N":"9E125"},":zero":{"N":"0"}}`
	for _, c := range []struct{ src, old, want string }{
		{"SET a = :n", ``, `{"a":{"N":"2"}}`},
		{"SET a = :n", `{"a":{"S":"x"},"b":{"S":"y"}}`, `{"a":{"N":"2"},"b":{"S":"y"}}`},
		{"set a = a + :n, b = a - :n, c = :n - a", `{"a":{"N":"0.5"}}`, `{"a":{"N":"2.5"},"b":{"N":"-1.5"},"c":{"N":"1.5"}}`},
		{"SET a = b, b = a", `{"a":{"N":"1"},"b":{"N":"2"}}`, `{"a":{"N":"2"},"b":{"N":"1"}}`},
		{"SET a = if_not_exists(a, :zero) + :n", ``, `{"a":{"N":"2"}}`},
		{"SET a = if_not_exists(a, if_not_exists(b, :n))", `{"b":{"S":"b"}}`, `{"a":{"S":"b"},"b":{"S":"b"}}`},
		{"SET a = if_not_exists(b, gone)", `{"b":{"S":"b"}}`, `{"a":{"S":"b"},"b":{"S":"b"}}`},
		{"SET a = list_append(a, :l), b = list_append(:l, a)", `{"a":{"L":[{"S":"x"}]}}`, `{"a":{"L":[{"S":"x"},{"N":"7"}]},"b":{"L":[{"N":"7"},{"S":"x"}]}}`},
		{"SET a = ((m.k)+(:n))", `{"m":{"M":{"k":{"N":"1"}}}}`, `{"a":{"N":"3"},"m":{"M":{"k":{"N":"1"}}}}`},
		{"SET m.k = :s, m.fresh = :n REMOVE m.past", `{"m":{"M":{"k":{"N":"1"},"past":{"N":"1"}}}}`, `{"m":{"M":{"fresh":{"N":"2"},"k":{"S":"s"}}}}`},
		{"SET #x.k = :s", `{"x.y":{"M":{}}}`, `{"x.y":{"M":{"k":{"S":"s"}}}}`},
		{"SET l[1] = :s", `{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"}]}}`, `{"l":{"L":[{"N":"0"},{"S":"s"},{"N":"2"}]}}`},
		{"SET l[99] = :s", `{"l":{"L":[{"N":"0"}]}}`, `{"l":{"L":[{"N":"0"},{"S":"s"}]}}`},
		{"SET l[9] = :s, l[5] = :n", `{"l":{"L":[{"N":"0"}]}}`, `{"l":{"L":[{"N":"0"},{"N":"2"},{"S":"s"}]}}`},
		{"SET l[0] = :s", `{"l":{"L":[]}}`, `{"l":{"L":[{"S":"s"}]}}`},
		{"REMOVE l[0], l[2], l[7]", `{"l":{"L":[{"N":"0"},{"N":"1"},{"N":"2"},{"N":"3"}]}}`, `{"l":{"L":[{"N":"1"},{"N":"3"}]}}`},
		{"REMOVE l[0] SET l[1] = :s, l[9] = :n", `{"l":{"L":[{"N":"0"},{"N":"1"}]}}`, `{"l":{"L":[{"S":"s"},{"N":"2"}]}}`},
		{"SET l[0].k = l[1] REMOVE l[1]", `{"l":{"L":[{"M":{}},{"N":"1"}]}}`, `{"l":{"L":[{"M":{"k":{"N":"1"}}}]}}`},
		{"REMOVE a, gone", `{"a":{"S":"x"},"b":{"S":"y"}}`, `{"b":{"S":"y"}}`},
		{"REMOVE a", ``, `{}`},
		{"ADD a :n", ``, `{"a":{"N":"2"}}`},
		{"ADD a :n, m.k :n", `{"a":{"N":"-5"},"m":{"M":{}}}`, `{"a":{"N":"-3"},"m":{"M":{"k":{"N":"2"}}}}`},
		{"ADD a :ss", `{"a":{"SS":["a","b"]}}`, `{"a":{"SS":["a","b","c"]}}`},
		{"ADD a :ns", `{"a":{"NS":["1","2"]}}`, `{"a":{"NS":["3","2","1"]}}`},
		{"ADD a :ss", ``, `{"a":{"SS":["b","c"]}}`},
		{"ADD l[5] :n", `{"l":{"L":[{"N":"0"}]}}`, `{"l":{"L":[{"N":"0"},{"N":"2"}]}}`},
		{"DELETE a :ss", `{"a":{"SS":["a","b"]}}`, `{"a":{"SS":["a"]}}`},
		{"DELETE a :all", `{"a":{"SS":["a","b"]}}`, `{}`},
		{"DELETE a :ss", `{"b":{"S":"x"}}`, `{"b":{"S":"x"}}`},
		{"REMOVE b DELETE c :ss ADD d :n, e :ss SET f = :s", `{"b":{"S":""},"c":{"SS":["b"]},"d":{"N":"1"}}`, `{"d":{"N":"3"},"e":{"SS":["b","c"]},"f":{"S":"s"}}`},

		{"SET a = gone", ``, noSource},
		{"SET a = l[5]", `{"l":{"L":[]}}`, noSource},
		{"SET a = gone + :n", ``, noSource},
		{"SET a = a + :n", `{"a":{"S":"1"}}`, wrongOperand},
		{"SET a = list_append(a, :l)", `{"a":{"S":"1"}}`, wrongOperand},
		{"SET a.b = :s", ``, wrongPath},
		{"SET a.b = :s", `{"a":{"S":"x"}}`, wrongPath},
		{"SET a.b = :s", `{"a":{"L":[]}}`, wrongPath},
		{"SET a[0] = :s", `{"a":{"M":{}}}`, wrongPath},
		{"SET a[0].b = :s", `{"a":{"L":[]}}`, wrongPath},
		{"REMOVE a.b", ``, wrongPath},
		{"ADD a.b :n", ``, wrongPath},
		{"ADD a :n", `{"a":{"S":"1"}}`, wrongOperand},
		{"ADD a :ss", `{"a":{"NS":["1"]}}`, wrongOperand},
		{"DELETE a :ss", `{"a":{"S":"b"}}`, wrongOperand},
		{"SET a = :big + :big", ``, "Number overflow. Attempting to store a number with magnitude larger than supported range"},
		{"ADD a :big", `{"a":{"N":"1"}}`, "Number overflow. Attempting to store a number with magnitude larger than supported range"},
	} {
		if got := apply(t, c.src, values, c.old); got != c.want {
			t.Errorf("%s to %s:\n got %s\nwant %s", c.src, c.old, got, c.want)
		}
	}
	if got, err := (*Update)(nil).Apply(nil); err != nil || len(got) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

func TestUpdatesMayNotNestTooDeep(t *testing.T) {
	deep := func(n int) string {
		return strings.Repeat(`{"L":[`, n-1) + `{"S":"x"}` + strings.Repeat(`]}`, n-1)
	}
	for levels, want := range map[int]string{31: "", 32: attr.TooNested().Message} {
		u, err := args(t, nil, `{":v":`+deep(levels)+`}`).Update("SET a.b = :v")
		if err != nil {
			t.Fatal(err)
		}
		_, err = u.Apply(item(t, `{"a":{"M":{}}}`))
		if got := fmt.Sprint(err); want != "" && got != want || want == "" && err != nil {
			t.Errorf("%d levels: %v", levels, err)
		}
	}
}

func TestUpdatesAreRefusedInAWSWords(t *testing.T) {
	names := map[string]string{"#c": "c", "#d": "[3]"}
	const values = `{":s":{"S":"a"},":n":{"N":"1"},":b":{"B":"YQ=="},":bool":{"BOOL":true},":null":{"NULL":true},":ss":{"SS":["a"]},":m":{"M":{}},":l":{"L":[]}}`
	syntax := func(token, near string) string {
		return `Syntax error; token: "` + token + `", near: "` + near + `"`
	}
	overlap := func(kind, one, two string) string {
		return "Two document paths " + kind + " with each other; must remove or rewrite one of these paths; path one: " + one + ", path two: " + two
	}
	operand := func(verb, t string) string {
		return "Incorrect operand type for operator or function; operator: " + verb + ", operand type: " + t
	}
	for src, want := range map[string]string{
		"":                             "The expression can not be empty;",
		"whatever":                     syntax("whatever", "whatever"),
		"INVALID SYNTAX HERE":          syntax("INVALID", "INVALID SYNTAX"),
		"set a":                        syntax("<EOF>", "a"),
		"SET":                          syntax("<EOF>", "SET"),
		"set a=set":                    syntax("set", "=set"),
		"remove a = b":                 syntax("=", "a = b"),
		"add a = b":                    syntax("=", "a = b"),
		"delete a b":                   syntax("b", "a b"),
		"add abort b":                  syntax("b", "abort b"),
		"add a if_not_exist(b)":        syntax("if_not_exist", "a if_not_exist("),
		"set :a = b":                   syntax(":a", "set :a ="),
		"set a = b / c":                syntax("/", "b / c"),
		"set a[1] = 1":                 syntax("1", "= 1"),
		"SET a = if_not_exist(a, 100)": syntax("100", ", 100)"),
		"SET if_not_exist(a, b) = a":   syntax("(", "if_not_exist(a"),
		"set (a = (b + c))":            syntax("(", "set (a"),
		"set a = (b.c).d + e":          syntax(".", ").d"),
		"set a = (b.c)[0] + e":         syntax("[", ")[0"),
		"set a = b + c + d":            syntax("+", "c + d"),
		"set a = (b + c) + d":          syntax("+", ") + d"),
		"set a = :s,":                  syntax("<EOF>", ","),

		" set #c = :c set abOrt = true ":      "Attribute name is a reserved keyword; reserved keyword: abOrt",
		" remove Absolute ":                   "Attribute name is a reserved keyword; reserved keyword: Absolute",
		"set #x = if_not_exist(:c) set c = d": "Invalid function name; function: if_not_exist",
		"set a = size(b)":                     "The function is not allowed in an update expression; function: size",
		"set a = #x set c = :d":               `The "SET" section can only be used once in an update expression;`,
		"delete #x :e set a = b delete #e :f": `The "DELETE" section can only be used once in an update expression;`,
		"SET #e = if_not_exists(:c)":          undefinedName + "#e",
		"SET a = if_not_exists(:c), b = #e":   undefinedName + "#e",
		"SET a = if_not_exists(:c)":           undefinedValue + ":c",

		"set d[1] = a, d.b = a, c[1].a = a, #c = if_not_exists(a)": overlap("overlap", "[c, [1], a]", "[c]"),
		"set #c[3].#d = a, #c[3] = a":                              overlap("overlap", "[c, [3], [3]]", "[c, [3]]"),
		"set a = :s remove a":                                      overlap("overlap", "[a]", "[a]"),
		"set #c[3].#d = a, #c.#d[3] = if_not_exists(a)":            overlap("conflict", "[c, [3], [3]]", "[c, [3], [3]]"),
		"remove a.#c set a[1] = #d":                                overlap("conflict", "[a, c]", "[a, [1]]"),

		"set b = list_append(:s, a), c = if_not_exists(a) add a.b :s": operand("ADD", "STRING"),
		"delete a.b :s":                operand("DELETE", "STRING"),
		"add a :null":                  operand("ADD", "NULL"),
		"add a :bool":                  operand("ADD", "BOOLEAN"),
		"add a :b":                     operand("ADD", "BINARY"),
		"add a :m":                     operand("ADD", "MAP"),
		"add a :l":                     operand("ADD", "LIST"),
		"delete a :n":                  operand("DELETE", "NUMBER"),
		"set a = if_not_exists(c)":     wrongCount("if_not_exists", 1),
		"set a = list_append(c)":       wrongCount("list_append", 1),
		"set a = if_not_exists(:s, c)": noPath + "if_not_exists",
		"set a = if_not_exists(if_not_exists(a, b), c)": noPath + "if_not_exists",
		"set a = list_append(:s, a)":                    wrongType("list_append", "S"),
		"set a = list_append(a, :n)":                    wrongType("list_append", "N"),
		"set a = a + :s":                                wrongType("+", "S"),
		"set a = :b - :s":                               wrongType("-", "B"),
		"set a = a - :l":                                wrongType("-", "L"),
		"set a = list_append(a, b) + :n":                wrongType("+", "L"),
	} {
		_, err := args(t, names, values).Update(src)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if want = "Invalid UpdateExpression: " + want; got != want {
			t.Errorf("%s:\n got %s\nwant %s", src, got, want)
		}
	}
	u, err := args(t, names, values).Update("SET a = :s, b.c = :n, d = a REMOVE e[3]")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(u.Paths()); got != "[[a] [b, c] [d] [e, [3]]]" {
		t.Error(got)
	}
	if got := fmt.Sprint(u.Reads()); got != "[[a]]" {
		t.Error(got)
	}
}

func TestUpdatesTellWhatTypesTheyMake(t *testing.T) {
	const values = `{":s":{"S":"a"},":n":{"N":"1"},":l":{"L":[]},":ss":{"SS":["a"]}}`
	u, err := args(t, nil, values).Update("SET s = :s, tally = a - :n, l = list_append(x, :l), copied = s, maybe = if_not_exists(y, :s), m.k = :s ADD n :n DELETE ss :ss REMOVE gone")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"s": "string", "tally": "decimal", "l": "list", "n": "decimal", "copied": "", "maybe": "", "m": "", "ss": "", "gone": "", "other": ""} {
		got := ""
		if is, ok := u.Makes(name); ok {
			got = is.String()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestProjectionsKeepShapes(t *testing.T) {
	it := item(t, `{"a":{"S":"x"},"b":{"M":{"c":{"N":"1"},"d":{"M":{"e":{"S":"y"}}}}},"l":{"L":[{"N":"0"},{"M":{"k":{"S":"1"},"j":{"S":"2"}}},{"N":"2"},{"L":[{"S":"in"}]}]},"h.i":{"S":"dot"}}`)
	names := map[string]string{"#dot": "h.i", "#d": "d"}
	for src, want := range map[string]string{
		"a":                         `{"a":{"S":"x"}}`,
		"a, gone, b.gone, l[9]":     `{"a":{"S":"x"}}`,
		"b.#d.e":                    `{"b":{"M":{"d":{"M":{"e":{"S":"y"}}}}}}`,
		"l[2], l[0]":                `{"l":{"L":[{"N":"0"},{"N":"2"}]}}`,
		"l[1].j,l[3][0], b.c, #dot": `{"b":{"M":{"c":{"N":"1"}}},"h.i":{"S":"dot"},"l":{"L":[{"M":{"j":{"S":"2"}}},{"L":[{"S":"in"}]}]}}`,
		"gone":                      `{}`,
		"b[0], l.k, a.b":            `{}`,
	} {
		paths, err := args(t, names, "").Projection(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := string(attr.AppendItem(nil, Project(it, paths))); got != want {
			t.Errorf("%s: %s, want %s", src, got, want)
		}
	}
	overlap := "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a]"
	conflict := "Two document paths conflict with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, [0]]"
	for src, want := range map[string]string{
		"":                    "The expression can not be empty;",
		"a b":                 `Syntax error; token: "b", near: "a b"`,
		"a,":                  `Syntax error; token: "<EOF>", near: ","`,
		":a":                  `Syntax error; token: ":a", near: ":a"`,
		"(a)":                 `Syntax error; token: "(", near: "(a"`,
		"a, set":              "Attribute name is a reserved keyword; reserved keyword: set",
		"a, #gone":            undefinedName + "#gone",
		"a.b, c, a":           overlap,
		"a.b, a[0]":           conflict,
		"a.b, a[0], a.b.c, a": "Two document paths overlap with each other; must remove or rewrite one of these paths; path one: [a, b], path two: [a, b, c]",
	} {
		_, err := args(t, names, "").Projection(src)
		if err == nil || err.Error() != "Invalid ProjectionExpression: "+want {
			t.Errorf("%s: %v, want %s", src, err, want)
		}
	}
	if _, err := AttributesToGet([]string{"a", "b", "a"}); err == nil || err.Error() != "One or more parameter values were invalid: Duplicate value in attribute name: a" {
		t.Error(err)
	}
	paths, err := AttributesToGet([]string{"a", "h.i"})
	if got := string(attr.AppendItem(nil, Project(it, paths))); err != nil || got != `{"a":{"S":"x"},"h.i":{"S":"dot"}}` {
		t.Error(got, err)
	}
}
