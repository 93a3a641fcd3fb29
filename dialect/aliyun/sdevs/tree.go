package sdevs

import (
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

// merge lays over upon v, deeply: maps join, everything else is replaced.
func merge(v, over *value) *value {
	if !v.IsMap() || !over.IsMap() {
		return over
	}
	out := &value{At: over.At, Fields: append([]field{}, v.Fields...)}
next:
	for _, f := range over.Fields {
		for i := range out.Fields {
			if out.Fields[i].Key == f.Key {
				out.Fields[i].Value = merge(out.Fields[i].Value, f.Value)
				continue next
			}
		}
		out.Fields = append(out.Fields, f)
	}
	return out
}
