package expr

import (
	"testing"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
)

// item reads an item, or values, from JSON.
func item(t testing.TB, s string) attr.Item {
	t.Helper()
	it, err := attr.DecodeItem([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return it
}

func TestConditionsHoldOrNot(t *testing.T) {
	it := item(t, `{"a":{"S":"x"},"n":{"N":"5"},"l":{"L":[{"N":"1"},{"M":{"k":{"S":"deep"}}}]},"ss":{"SS":["p","q"]}}`)
	values := `{":x":{"S":"x"},":five":{"N":"5.0"},":six":{"N":"6"},":p":{"S":"p"},":deep":{"S":"deep"},":t":{"S":"SS"}}`
	for src, want := range map[string]bool{
		"a = :x":                true,
		"n = :five AND a <> :p": true,
		"n = :x":                false,
		"NOT n < :six":          false,
		"l[1].k = :deep":        true,
		"absent <> :x":          true,
		"absent = :x OR n BETWEEN :five AND :six": true,
		"contains(ss, :p)":                        true,
		"attribute_type(ss, :t)":                  true,
		"a IN (:p, :x)":                           true,
		"size(l) < :five":                         true,
		"((size(l)) < :five) AND (a = :x)":        true,
		"attribute_not_exists(l[1].k)":            false,
	} {
		args, err := NewArgs(nil, item(t, values), nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := args.Condition("FilterExpression", src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got := c.Eval(it); got != want {
			t.Errorf("%s: %v", src, got)
		}
	}
}
