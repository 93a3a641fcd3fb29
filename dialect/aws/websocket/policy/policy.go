// Package policy decides what a policy document of IAM allows, as far as authorizers of API Gateway use
// it (aws.md 1.8) and policies of buckets of S3: statements with Effect, Action, Resource (or their Not forms)
// and conditions on the client's address, on texts, numbers and dates. A key has one value.
package policy

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Document is a policy.
type Document struct{ statements []statement }

type statement struct {
	allow      bool
	actions    []string
	notActions bool
	resources  []string
	notRes     bool
	conditions []condition
}

// condition holds when one of its values does; a negative one, when none does.
type condition struct {
	key      string
	negative bool
	ifExists bool
	null     bool // asks whether there is a value at all: holds gets "true" when there is none
	holds    func(value string) bool
}

// Request is what is decided about.
type Request struct {
	Action   string // "execute-api:Invoke"
	Resource string // an ARN
	// Context is what conditions ask about, by names in lower case: "aws:sourceip".
	Context map[string]string
}

// Decision is what a policy says about a request.
type Decision uint8

// The decisions. Nothing that allows is Silent, which denies; an explicit Deny beats every Allow.
const (
	Silent Decision = iota
	Allow
	Deny
)

// values are a text or a list of texts.
type values []string

// UnmarshalJSON reads both forms.
func (v *values) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*v = values{one}
		return nil
	}
	var list []string
	err := json.Unmarshal(b, &list)
	*v = list
	return err
}

// wants are the values of a condition, which may be written as truth values and numbers, too.
type wants []string

// UnmarshalJSON reads all forms.
func (w *wants) UnmarshalJSON(b []byte) error {
	var list []json.RawMessage
	if json.Unmarshal(b, &list) != nil {
		list = []json.RawMessage{b}
	}
	for _, raw := range list {
		text := string(raw)
		switch text[0] {
		case '{', '[', 'n':
			return errors.New("policy: the value of a condition is neither a text nor a list of them")
		case '"':
			if err := json.Unmarshal(raw, &text); err != nil {
				return err
			}
		}
		*w = append(*w, text)
	}
	return nil
}

// Parse reads a policy document. What it cannot decide about is an error: a condition with an operator
// that it does not know, say.
func Parse(b []byte) (*Document, error) {
	var raw struct {
		Statement json.RawMessage
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	type rawStatement struct {
		Effect      string
		Action      values
		NotAction   values
		Resource    values
		NotResource values
		Condition   map[string]map[string]wants
	}
	var list []rawStatement
	if json.Unmarshal(raw.Statement, &list) != nil {
		var one rawStatement
		if err := json.Unmarshal(raw.Statement, &one); err != nil {
			return nil, errors.New("policy: Statement is neither an object nor a list of them")
		}
		list = []rawStatement{one}
	}
	if len(list) == 0 {
		return nil, errors.New("policy: no Statement")
	}
	d := &Document{}
	for _, r := range list {
		s := statement{actions: r.Action, resources: r.Resource, allow: r.Effect == "Allow"}
		if r.Effect != "Allow" && r.Effect != "Deny" {
			return nil, fmt.Errorf("policy: Effect %q", r.Effect)
		}
		if len(r.NotAction) > 0 {
			s.actions, s.notActions = r.NotAction, true
		}
		if len(r.NotResource) > 0 {
			s.resources, s.notRes = r.NotResource, true
		}
		if len(s.actions) == 0 || len(s.resources) == 0 {
			return nil, errors.New("policy: a statement needs Action and Resource")
		}
		for op, keys := range r.Condition {
			for key, vals := range keys {
				c, err := newCondition(op, vals)
				if err != nil {
					return nil, err
				}
				c.key = strings.ToLower(key)
				s.conditions = append(s.conditions, c)
			}
		}
		d.statements = append(d.statements, s)
	}
	return d, nil
}

// newCondition makes the test of an operator.
func newCondition(op string, vals []string) (condition, error) {
	var c condition
	name, ifExists := strings.CutSuffix(strings.TrimPrefix(op, "ForAnyValue:"), "IfExists")
	name, all := strings.CutPrefix(name, "ForAllValues:")
	c.ifExists = ifExists || all
	test := func(match func(value, want string) bool) func(string) bool {
		return func(value string) bool {
			for _, want := range vals {
				if match(value, want) {
					return true
				}
			}
			return false
		}
	}
	switch name {
	case "StringEquals", "StringNotEquals":
		c.holds = test(func(value, want string) bool { return value == want })
	case "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase":
		c.holds = test(strings.EqualFold)
	case "StringLike", "StringNotLike", "ArnLike", "ArnEquals", "ArnNotLike", "ArnNotEquals":
		c.holds = test(func(value, want string) bool { return Match(want, value) })
	case "Bool":
		c.holds = test(strings.EqualFold)
	case "Null":
		c.holds, c.null = test(strings.EqualFold), true
	case "NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals":
		return c, ordered(&c, name, vals, func(s string) (float64, error) { return strconv.ParseFloat(s, 64) }, cmp.Compare[float64])
	case "DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals":
		return c, ordered(&c, name, vals, date, time.Time.Compare)
	case "IpAddress", "NotIpAddress":
		nets := make([]netip.Prefix, len(vals))
		for i, v := range vals {
			var err error
			if nets[i], err = network(v); err != nil {
				return c, fmt.Errorf("policy: %w", err)
			}
		}
		c.holds = func(value string) bool {
			addr, err := netip.ParseAddr(value)
			if err != nil {
				return false
			}
			for _, n := range nets {
				if n.Contains(addr.Unmap()) {
					return true
				}
			}
			return false
		}
	default:
		return c, fmt.Errorf("policy: condition %q is not supported", op)
	}
	c.negative = strings.Contains(name, "Not")
	return c, nil
}

// ordered makes the test of an operator on values that have an order.
func ordered[T any](c *condition, op string, vals []string, read func(string) (T, error), compare func(a, b T) int) error {
	wants := make([]T, len(vals))
	for i, v := range vals {
		var err error
		if wants[i], err = read(v); err != nil {
			return fmt.Errorf("policy: %s: %w", op, err)
		}
	}
	c.negative = strings.Contains(op, "Not")
	c.holds = func(value string) bool {
		v, err := read(value)
		return err == nil && slices.ContainsFunc(wants, func(want T) bool {
			n := compare(v, want)
			return n == 0 && strings.HasSuffix(op, "Equals") || n < 0 && strings.Contains(op, "LessThan") || n > 0 && strings.Contains(op, "GreaterThan")
		})
	}
	return nil
}

// date reads a time, or the seconds since 1970.
func date(s string) (time.Time, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return time.Unix(n, 0), nil
	}
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t, nil
	}
	return time.Parse(time.RFC3339, s)
}

// network reads an address or a range of them.
func network(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// Decide says what the policy makes of a request.
func (d *Document) Decide(r Request) Decision {
	out := Silent
	for i := range d.statements {
		if !d.statements[i].applies(r) {
			continue
		}
		if !d.statements[i].allow {
			return Deny
		}
		out = Allow
	}
	return out
}

func (s *statement) applies(r Request) bool {
	action := strings.ToLower(r.Action)
	if matchesAny(s.actions, action, true) == s.notActions || matchesAny(s.resources, r.Resource, false) == s.notRes {
		return false
	}
	for _, c := range s.conditions {
		value, ok := r.Context[c.key]
		switch {
		case c.null:
			if !c.holds(strconv.FormatBool(!ok)) {
				return false
			}
		case !ok && c.ifExists:
		case !ok && !c.negative, ok && c.holds(value) == c.negative:
			return false
		}
	}
	return true
}

func matchesAny(patterns []string, s string, lower bool) bool {
	for _, p := range patterns {
		if lower {
			p = strings.ToLower(p)
		}
		if Match(p, s) {
			return true
		}
	}
	return false
}

// Match reports whether a pattern, in which * is any text and ? any character, is all of s.
func Match(pattern, s string) bool {
	star, back := -1, 0
	i, j := 0, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, back = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == s[j]):
			i++
			j++
		case star >= 0:
			back++
			i, j = star+1, back
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}
