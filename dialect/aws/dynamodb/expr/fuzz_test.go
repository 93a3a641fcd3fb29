package expr

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
)

const fuzzItem = `{"a":{"S":"x"},"b":{"M":{"c":{"N":"1"}}},"l":{"L":[{"N":"0"},{"M":{"k":{"S":"1"}}}]},"ss":{"SS":["p","q"]},"n":{"N":"5"}}`

const fuzzValues = `{":s":{"S":"x"},":n":{"N":"7"},":l":{"L":[{"N":"1"}]},":ss":{"SS":["q","r"]},":m":{"M":{"k":{"N":"1"}}},":t":{"S":"N"}}`

// FuzzExpressions reads any text as every kind of expression, and applies what can be read.
func FuzzExpressions(f *testing.F) {
	for _, s := range []string{
		"a = :s AND (b.c < :n OR NOT contains(ss, :s))", "((a)) = :s", "a between :n and b.#c", "size(l[1].k) in (:n, a)",
		"begins_with(a, :s) or attribute_type(#a, :t)", "SET a = if_not_exists(b.c, :n) + :n, l[9] = list_append(:l, l) REMOVE b.c ADD n :n DELETE ss :ss",
		"SET a=(b.c)-(n)", "a, b.c, l[0], #a[1]", "add b.x :n remove l[0]", "a = #", "(((((", "NOT NOT NOT", "a.b.", "ü", "set a = :", "l[99999999999999999999]",
	} {
		f.Add(s)
	}
	it, values := item(f, fuzzItem), item(f, fuzzValues)
	before := string(attr.AppendItem(nil, it))
	f.Fuzz(func(t *testing.T, src string) {
		refused := func(err error) bool {
			if e := new(attr.Error); err != nil && (!errors.As(err, &e) || e.Code != attr.Validation || e.Message == "") {
				t.Fatalf("%q: %T %v", src, err, err)
			}
			return err != nil
		}
		fresh := func() *Args {
			a, err := NewArgs(map[string]string{"#a": "a", "#c": "c"}, values, nil)
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		if c, err := fresh().Condition("FilterExpression", src); !refused(err) {
			c.Eval(it)
			c.Eval(nil)
			c.Paths()
			_, err := c.KeyTests()
			refused(err)
		}
		if paths, err := fresh().Projection(src); !refused(err) {
			part := Project(it, paths)
			if attr.ItemSize(part) > attr.ItemSize(it) {
				t.Fatalf("%q: the part is more than the whole: %v", src, part)
			}
		}
		if u, err := fresh().Update(src); !refused(err) {
			for _, old := range []attr.Item{it, nil} {
				after, err := u.Apply(old)
				if refused(err) {
					continue
				}
				again, err := attr.DecodeItem(attr.AppendItem(nil, after))
				if err != nil || !attr.EqualItems(after, again) {
					t.Fatalf("%q leaves what is no item: %v", src, err)
				}
				Project(after, u.Paths())
			}
		}
		if now := string(attr.AppendItem(nil, it)); now != before {
			t.Fatalf("%q changed the item: %s", src, now)
		}
	})
}

// TestConditionsAgreeWithANaiveReading writes random trees of AND, OR and NOT as text, with no more
// parentheses than needed and sometimes with more, and compares what they amount to.
func TestConditionsAgreeWithANaiveReading(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	facts := []struct {
		text string
		is   bool
	}{
		{"n = :n", false}, {"a = :s", true}, {"contains(ss, :s)", false}, {"b.c < :n", true}, {"attribute_exists(l[1].k)", true},
		{"n BETWEEN b.c AND :n", true}, {"a IN (:n, :ss)", false}, {"size(l) > :n", false}, {"absent <> :n", true},
	}
	// tree returns text, truth and how strongly the text binds: 0 OR, 1 AND, 2 NOT, 3 anything in parentheses.
	var tree func(depth int) (string, bool, int)
	tree = func(depth int) (string, bool, int) {
		wrap := func(least int) (string, bool) {
			s, is, binds := tree(depth - 1)
			if binds < least || r.IntN(4) == 0 && binds < 4 {
				s = "(" + s + ")"
			}
			return s, is
		}
		kind := r.IntN(4)
		if depth == 0 || kind == 3 {
			f := facts[r.IntN(len(facts))]
			return f.text, f.is, 3
		}
		if kind == 2 {
			s, is := wrap(2)
			return "NOT " + s, !is, 2
		}
		x, isX := wrap(kind)
		y, isY := wrap(kind + 1) // the right side of a chain
		if kind == 0 {
			return x + " OR " + y, isX || isY, 0
		}
		return x + " AND " + y, isX && isY, 1
	}
	it := item(t, fuzzItem)
	for range 2000 {
		src, want, _ := tree(5)
		if len(src) > maxSize {
			continue
		}
		c, err := args(t, nil, fuzzValues).Condition("FilterExpression", src)
		if err != nil {
			t.Fatalf("%s: %v", src, err)
		}
		if got := c.Eval(it); got != want {
			t.Fatalf("%s: %v", src, got)
		}
	}
}

// TestListsAgreeWithANaiveUpdate compares random SETs and REMOVEs of places in a list with plain
// slices: set all, append what is past the end in order, and take out what is removed last.
func TestListsAgreeWithANaiveUpdate(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		size := r.IntN(6)
		list := make([]string, size)
		for i := range list {
			list[i] = fmt.Sprint("e", i)
		}
		sets, removes := []string{}, []string{}
		past, gone := map[int]bool{}, map[int]bool{}
		want := append([]string(nil), list...)
		for _, at := range r.Perm(9)[:1+r.IntN(5)] {
			switch {
			case r.IntN(2) == 0:
				removes = append(removes, fmt.Sprintf("l[%d]", at))
				gone[at] = true
			case at < size:
				sets = append(sets, fmt.Sprintf("l[%d] = :v%d", at, at))
				want[at] = fmt.Sprint("v", at)
			default:
				sets = append(sets, fmt.Sprintf("l[%d] = :v%d", at, at))
				past[at] = true
			}
		}
		var left []string
		for i, e := range want {
			if !gone[i] {
				left = append(left, e)
			}
		}
		for i := range 9 {
			if past[i] {
				left = append(left, fmt.Sprint("v", i))
			}
		}
		src := ""
		if len(sets) > 0 {
			src += "SET " + strings.Join(sets, ", ")
		}
		if len(removes) > 0 {
			src += " REMOVE " + strings.Join(removes, ", ")
		}
		values := attr.Item{}
		for i := range 9 {
			values[fmt.Sprint(":v", i)] = attr.String(fmt.Sprint("v", i))
		}
		a, err := NewArgs(nil, values, nil)
		if err != nil {
			t.Fatal(err)
		}
		u, err := a.Update(src)
		if err != nil {
			t.Fatal(err)
		}
		old := item(t, `{"l":{"L":[]}}`)
		l := old["l"]
		for _, e := range list {
			l.List = append(l.List, attr.String(e))
		}
		old["l"] = l
		got, err := u.Apply(old)
		if err != nil {
			t.Fatal(err)
		}
		var have []string
		for _, e := range got["l"].List {
			have = append(have, e.Str)
		}
		if fmt.Sprint(have) != fmt.Sprint(left) {
			t.Fatalf("%s of %v: %v, want %v", src, list, have, left)
		}
	}
}

func BenchmarkCondition(b *testing.B) {
	values := item(b, fuzzValues)
	it := item(b, fuzzItem)
	b.ReportAllocs()
	for b.Loop() {
		a, _ := NewArgs(map[string]string{"#a": "a"}, values, nil)
		c, err := a.Condition("ConditionExpression", "#a = :s AND (b.c < :n OR attribute_not_exists(pk))")
		if err != nil || !c.Eval(it) {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	values := item(b, fuzzValues)
	it := item(b, fuzzItem)
	b.ReportAllocs()
	for b.Loop() {
		a, _ := NewArgs(nil, values, nil)
		u, err := a.Update("SET a = :s, n = n + :n")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := u.Apply(it); err != nil {
			b.Fatal(err)
		}
	}
}
