// Package yamlvalue reads YAML as templates have it: values with their places, in their order, with mistakes
// told by line.
package yamlvalue

import "go.yaml.in/yaml/v3"

// typed is the value of a scalar as JSON has it: nil, bool, int64, float64 or string. Dates and the like
// stay text, and so do numbers that JSON lacks.
func typed(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int":
		var i int64
		if n.Decode(&i) == nil {
			return i
		}
	case "!!float":
		var f float64
		if n.Decode(&f) == nil && f-f == 0 { // neither infinite nor not a number
			return f
		}
	}
	return n.Value
}
