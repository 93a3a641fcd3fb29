package dynamodb

import (
	"strconv"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
)

// writer writes the members of one JSON object.
type writer struct{ b []byte }

func newWriter() *writer { return &writer{append(make([]byte, 0, 512), '{')} }

// name begins a member; its value is to be appended to b.
func (w *writer) name(s string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.b = append(attr.AppendString(w.b, s), ':')
}

func (w *writer) number(name string, n int) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}

// end closes the object and returns it.
func (w *writer) end() []byte { return append(w.b, '}') }

// appendList writes a JSON list of n elements.
func appendList(b []byte, n int, one func(b []byte, i int) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, i)
	}
	return append(b, ']')
}
