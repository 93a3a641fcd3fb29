package tablestore

import (
	"strings"

	"github.com/sluicehq/sluice/table"
)

// field is a field of a search index under its whole name: that of a nested one begins with the names
// of the nested fields around it.
type field struct {
	fieldSchema
	path string // the nested field that it is in; "" when it is a column
}

// leaf is the field's name within its nested field.
func (f *field) leaf() string {
	if f.path == "" {
		return f.Name
	}
	return f.Name[len(f.path)+1:]
}

// fieldSet are the fields of an index by their whole names.
type fieldSet map[string]*field

func newFields(schemas []fieldSchema) fieldSet {
	set := fieldSet{}
	set.add(schemas, "")
	return set
}

func (set fieldSet) add(schemas []fieldSchema, path string) {
	for _, s := range schemas {
		f := &field{fieldSchema: s, path: path}
		if path != "" {
			f.Name = path + "." + s.Name
		}
		set[f.Name] = f
		if f.objects() {
			set.add(f.Fields, f.Name)
		}
	}
}

// objects reports whether the field holds objects, in whose properties its own fields are.
func (f *fieldSchema) objects() bool { return f.Type == fieldNested || f.Type == fieldJSON }

// nests reports whether queries can be on single elements of the field.
func (f *fieldSchema) nests() bool {
	return f.Type == fieldNested || f.Type == fieldJSON && f.JSON == jsonNested
}

// document is a row as a search index sees it, or an element of one of its nested fields.
type document struct {
	fields  fieldSet
	columns columns
	key     table.Key
	root    *document // nil for a row
	path    string    // the nested field of an element
	node    map[string]any
}

// values are those of a field: of all its occurrences, when it is nested deeper than the document.
func (d *document) values(f *field) []table.Value {
	if f.objects() {
		if len(d.elements(f)) == 0 {
			return nil
		}
		return []table.Value{{}} // all that a query can ask is whether there are any
	}
	if f.path != "" {
		var values []table.Value
		for _, e := range d.elements(d.fields[f.path]) {
			values = append(values, f.fromJSON(e.node[f.leaf()])...)
		}
		return values
	}
	names := []string{f.Name}
	if f.Virtual {
		names = f.Sources
	}
	var values []table.Value
	for _, name := range names {
		if cells := d.columns(name); len(cells) > 0 {
			values = append(values, f.of(cells[0].Value)...) // the newest version alone
		}
	}
	return values
}

// elements are those of a nested field within the document; of the whole row when the document is not
// around the field.
func (d *document) elements(f *field) []*document {
	switch {
	case d.path == f.Name:
		return []*document{d}
	case d.root != nil && !strings.HasPrefix(f.Name, d.path+"."):
		return d.root.elements(f)
	}
	var list []*document
	if f.path == "" {
		if cells := d.columns(f.Name); len(cells) > 0 && cells[0].Value.Type == table.String {
			list = d.element(list, f, parseJSON(cells[0].Value.Str))
		}
		return list
	}
	for _, parent := range d.elements(d.fields[f.path]) {
		list = parent.element(list, f, parent.node[f.leaf()])
	}
	return list
}

// element adds the objects in a piece of JSON.
func (d *document) element(list []*document, f *field, v any) []*document {
	switch v := v.(type) {
	case map[string]any:
		root := d.root
		if root == nil {
			root = d
		}
		list = append(list, &document{fields: d.fields, columns: d.columns, root: root, path: f.Name, node: v})
	case []any:
		for _, one := range v {
			if _, deeper := one.([]any); !deeper {
				list = d.element(list, f, one)
			}
		}
	}
	return list
}
