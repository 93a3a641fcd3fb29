package vtl

import (
	"encoding/json"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// List is a list that templates can change.
type List struct{ Items []any }

// MarshalJSON writes the list as JSON.
func (l *List) MarshalJSON() ([]byte, error) { return document.Marshal(l.Items), nil }

// entry is one of a map's entrySet.
type entry struct {
	key   string
	value any
}

// show is how a value is printed: nothing for null, lists as JSON, maps as Java prints them.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1e7 {
			return strconv.FormatFloat(v, 'f', 1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case json.Number:
		return string(v)
	case *document.Object:
		var b strings.Builder
		b.WriteByte('{')
		for i, k := range v.Keys() {
			if i > 0 {
				b.WriteString(", ")
			}
			m, _ := v.Get(k)
			b.WriteString(k + "=" + nested(m))
			if b.Len() > maxOutput {
				break
			}
		}
		return b.String() + "}"
	case entry:
		return v.key + "=" + nested(v.value)
	case Object:
		return ""
	}
	return encode(v)
}

// nested is a value within a map that is printed.
func nested(v any) string {
	if v == nil {
		return "null"
	}
	if o, ok := v.(*document.Object); ok {
		return encode(o)
	}
	return show(v)
}

// encode writes a value as JSON. One that holds itself has no end, and one that is too big is not
// wanted: they are an ellipsis.
func encode(v any) string {
	room := maxOutput
	if !fits(v, &room, maxDepth) {
		return "…"
	}
	return string(document.Marshal(v))
}

// fits reports whether the JSON of a value is about as small as room, which it uses up, and not deeper
// than depth.
func fits(v any, room *int, depth int) bool {
	var items []any
	*room -= 2
	switch v := v.(type) {
	case string:
		*room -= len(v)
	case *document.Object:
		for _, k := range v.Keys() {
			*room -= len(k)
		}
		items = each(v)
	case *List:
		items = v.Items
	case []any:
		items = v
	case entry:
		items = []any{v.value}
	}
	for _, e := range items {
		if *room < 0 || depth == 0 || !fits(e, room, depth-1) {
			return false
		}
	}
	return *room >= 0
}

// truth is what #if makes of a value.
func truth(v any) bool {
	if b, ok := v.(bool); ok {
		return b
	}
	return v != nil
}

func toInt(v any) (int64, bool) {
	switch n := number(v).(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	}
	return 0, false
}

// number is a value as an int64 or a float64; nil when it is no number.
func number(v any) any {
	switch n := v.(type) {
	case int64, float64:
		return n
	case int:
		return int64(n)
	case json.Number:
		if i, err := n.Int64(); err == nil {
			return i
		}
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return nil
}

func toFloat(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	f, _ := v.(float64)
	return f
}

// arithmetic calculates. Text is joined by +; what cannot be calculated is null.
func arithmetic(op string, a, b any) any {
	x, y := number(a), number(b)
	if x == nil || y == nil {
		_, left := a.(string)
		_, right := b.(string)
		if op == "+" && (left || right) {
			return show(a) + show(b)
		}
		return nil
	}
	i, whole := x.(int64)
	j, also := y.(int64)
	if whole && also {
		switch op {
		case "+":
			return i + j
		case "-":
			return i - j
		case "*":
			return i * j
		}
		if j == 0 || j == -1 && i == math.MinInt64 {
			return nil
		}
		if op == "/" {
			return i / j
		}
		return i % j
	}
	f, g := toFloat(x), toFloat(y)
	switch op {
	case "+":
		return f + g
	case "-":
		return f - g
	case "*":
		return f * g
	}
	if g == 0 {
		return nil
	}
	if op == "/" {
		return f / g
	}
	return math.Mod(f, g)
}

func equal(a, b any) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	if x, y := number(a), number(b); x != nil && y != nil {
		return toFloat(x) == toFloat(y)
	}
	return show(a) == show(b)
}

// compare is false for what has no order.
func compare(op string, a, b any) bool {
	var order int
	if x, y := number(a), number(b); x != nil && y != nil {
		switch f, g := toFloat(x), toFloat(y); {
		case f < g:
			order = -1
		case f > g:
			order = 1
		}
	} else {
		s, ok := a.(string)
		t, also := b.(string)
		if !ok || !also {
			return false
		}
		order = strings.Compare(s, t)
	}
	switch op {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}

// each is what #foreach goes over.
func each(v any) []any {
	switch v := v.(type) {
	case *List:
		return append([]any(nil), v.Items...)
	case []any:
		return v
	case *document.Object:
		var vals []any
		for _, k := range v.Keys() {
			m, _ := v.Get(k)
			vals = append(vals, m)
		}
		return vals
	}
	return nil
}

// index is v[key].
func index(v, key any) any {
	switch v := v.(type) {
	case *document.Object:
		m, _ := v.Get(show(key))
		return m
	case *List:
		return item(v.Items, key)
	case []any:
		return item(v, key)
	case Object:
		return found(v.Property(show(key)))
	}
	return nil
}

func item(items []any, key any) any {
	i, ok := toInt(key)
	if !ok {
		return nil
	}
	if i < 0 {
		i += int64(len(items))
	}
	if i < 0 || i >= int64(len(items)) {
		return nil
	}
	return items[i]
}

// found is a value that is there, or null.
func found(v any, ok bool) any {
	if !ok {
		return nil
	}
	return v
}

// property is v.name.
func property(v any, name string) any {
	switch v := v.(type) {
	case *document.Object:
		m, _ := v.Get(name)
		return m
	case Object:
		return found(v.Property(name))
	case entry:
		return call(v, name, nil)
	}
	if name == "empty" {
		return call(v, "isEmpty", nil)
	}
	return nil
}

// call is v.method(args); null when the value has no such method.
func call(v any, method string, args []any) any {
	switch v := v.(type) {
	case nil:
		return nil
	case Object:
		return found(v.Call(method, args))
	case string:
		return callText(v, method, args)
	case *document.Object:
		return callMap(v, method, args)
	case *List:
		return callList(v, method, args)
	case []any:
		return callList(&List{v}, method, args)
	case entry:
		switch method {
		case "key", "getKey":
			return v.key
		case "value", "getValue":
			return v.value
		}
	}
	switch method {
	case "toString":
		return show(v)
	case "equals":
		return len(args) == 1 && equal(v, args[0])
	case "intValue", "longValue":
		if n, ok := toInt(v); ok {
			return n
		}
	}
	return nil
}

func callMap(o *document.Object, method string, args []any) any {
	switch key := show(arg(args, 0)); method {
	case "get":
		v, _ := o.Get(key)
		return v
	case "getOrDefault":
		if v, ok := o.Get(key); ok {
			return v
		}
		return arg(args, 1)
	case "put":
		before, _ := o.Get(key)
		if len(args) == 2 {
			o.Set(key, args[1])
		}
		return before
	case "remove":
		before, _ := o.Get(key)
		o.Delete(key)
		return before
	case "containsKey":
		_, ok := o.Get(key)
		return ok
	case "size":
		return int64(o.Len())
	case "isEmpty":
		return o.Len() == 0
	case "keySet":
		l := &List{}
		for _, k := range o.Keys() {
			l.Items = append(l.Items, k)
		}
		return l
	case "values":
		return &List{each(o)}
	case "entrySet":
		l := &List{}
		for _, k := range o.Keys() {
			v, _ := o.Get(k)
			l.Items = append(l.Items, entry{k, v})
		}
		return l
	case "toString":
		return show(o)
	case "equals":
		return len(args) == 1 && equal(o, args[0])
	}
	return nil
}

func callList(l *List, method string, args []any) any {
	switch method {
	case "size", "length":
		return int64(len(l.Items))
	case "isEmpty":
		return len(l.Items) == 0
	case "get":
		return item(l.Items, arg(args, 0))
	case "add":
		l.Items = append(l.Items, arg(args, 0))
		return true
	case "contains":
		for _, v := range l.Items {
			if equal(v, arg(args, 0)) {
				return true
			}
		}
		return false
	case "indexOf":
		for i, v := range l.Items {
			if equal(v, arg(args, 0)) {
				return int64(i)
			}
		}
		return int64(-1)
	case "toString":
		return show(l)
	}
	return nil
}

func arg(args []any, i int) any {
	if i < len(args) {
		return args[i]
	}
	return nil
}

// callText is a method of a text. Places in it are counted in characters.
func callText(s, method string, args []any) any {
	first, second := show(arg(args, 0)), show(arg(args, 1))
	switch method {
	case "length":
		return int64(utf8.RuneCountInString(s))
	case "isEmpty":
		return s == ""
	case "toString":
		return s
	case "equals":
		other, ok := arg(args, 0).(string)
		return ok && s == other
	case "equalsIgnoreCase":
		return strings.EqualFold(s, first)
	case "contains":
		return strings.Contains(s, first)
	case "startsWith":
		return strings.HasPrefix(s, first)
	case "endsWith":
		return strings.HasSuffix(s, first)
	case "indexOf":
		return place(s, strings.Index(s, first))
	case "lastIndexOf":
		return place(s, strings.LastIndex(s, first))
	case "toLowerCase":
		return strings.ToLower(s)
	case "toUpperCase":
		return strings.ToUpper(s)
	case "trim":
		return strings.TrimSpace(s)
	case "concat":
		return s + first
	case "substring":
		return substring(s, args)
	case "replace":
		if grows(s, first, second) {
			return nil
		}
		return strings.ReplaceAll(s, first, second)
	case "replaceAll", "replaceFirst", "matches", "split":
		return callRegexp(s, method, first, second)
	}
	return nil
}

// grows reports whether replacing may make a text that nobody wants.
func grows(s, old, with string) bool {
	return (strings.Count(s, old)+1)*len(with)+len(s) > maxOutput
}

func place(s string, at int) int64 {
	if at < 0 {
		return -1
	}
	return int64(utf8.RuneCountInString(s[:at]))
}

func substring(s string, args []any) any {
	runes := []rune(s)
	from, ok := toInt(arg(args, 0))
	to := int64(len(runes))
	if len(args) > 1 {
		var also bool
		to, also = toInt(args[1])
		ok = ok && also
	}
	if !ok || from < 0 || to > int64(len(runes)) || from > to {
		return nil
	}
	return string(runes[from:to])
}

// callRegexp is a method that takes a regular expression, as Java writes them.
func callRegexp(s, method, pattern, with string) any {
	if method == "matches" {
		pattern = "^(?:" + pattern + ")$"
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	switch method {
	case "matches":
		return re.MatchString(s)
	case "split":
		parts := re.Split(s, -1)
		for len(parts) > 1 && parts[len(parts)-1] == "" { // Java leaves them away
			parts = parts[:len(parts)-1]
		}
		l := &List{}
		for _, p := range parts {
			l.Items = append(l.Items, p)
		}
		return l
	}
	if (len(s)+2)*(len(with)+1) > 16*maxOutput {
		return nil
	}
	template := replacement(with)
	if method == "replaceAll" {
		return re.ReplaceAllString(s, template)
	}
	at := re.FindStringSubmatchIndex(s)
	if at == nil {
		return s
	}
	return s[:at[0]] + string(re.ExpandString(nil, template, s, at)) + s[at[1]:]
}

// replacement turns Java's replacement ($1 is a group, a backslash makes the next character plain) into
// ours.
func replacement(with string) string {
	var b strings.Builder
	for i := 0; i < len(with); i++ {
		c := with[i]
		switch {
		case c == '\\' && i+1 < len(with):
			i++
			if with[i] == '$' {
				b.WriteByte('$')
			}
			b.WriteByte(with[i])
		case c == '$' && i+1 < len(with) && with[i+1] >= '0' && with[i+1] <= '9':
			i++
			b.WriteString("${" + string(with[i]) + "}")
		case c == '$':
			b.WriteString("$$")
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
