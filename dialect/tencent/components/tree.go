package components

import (
	"fmt"
	"strconv"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// maxNodes is how many values a template may have, far above any real one.
const (
	maxNodes = 100_000
	maxDepth = template.MaxDepth
)

type (
	value = template.Value
	field = template.Field
)

// shown is what a value is, for messages.
func shown(v *value) string {
	if v.IsMap() || v.IsList() || v.IsNull() {
		return v.Kind()
	}
	return fmt.Sprintf("%q", v.Text)
}

// of makes a value of what Go has: strings, booleans, integers, lists and maps as pairs.
func of(at sluice.Place, x any) *value {
	switch x := x.(type) {
	case *value:
		return x
	case pairs:
		v := &value{At: at, Fields: []field{}}
		for i := 0; i+1 < len(x); i += 2 {
			v.Fields = append(v.Fields, field{Key: x[i].(string), At: at, Value: of(at, x[i+1])})
		}
		return v
	case []any:
		v := &value{At: at, List: []*value{}}
		for _, e := range x {
			v.List = append(v.List, of(at, e))
		}
		return v
	case []string:
		v := &value{At: at, List: []*value{}}
		for _, e := range x {
			v.List = append(v.List, of(at, e))
		}
		return v
	case int:
		return &value{At: at, Data: int64(x), Text: strconv.Itoa(x)}
	}
	return &value{At: at, Data: x, Text: fmt.Sprint(x)}
}

// pairs is a map: name, value, name, value …
type pairs []any

// orNull is v, or an empty value.
func orNull(v *value, at sluice.Place) *value {
	if v == nil {
		return &value{At: at}
	}
	return v
}
