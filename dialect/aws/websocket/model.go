package websocket

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/selection"
)

// model checks messages of a route against JSON schemas. A nil model takes everything.
type model struct {
	expr  *selection.Expression
	byKey map[string]*jsonschema.Schema
}

// modelAddress begins the addresses by which models refer to each other.
const modelAddress = "https://apigateway.amazonaws.com/restapis/"

// newModel compiles what a route's messages are checked against; nil when that is nothing.
func newModel(r *apispec.Route, models []apispec.Model) (*model, error) {
	if len(r.RequestModels) == 0 {
		return nil, nil
	}
	expr := r.ModelSelectionExpression
	if expr == "" {
		expr = `\$default`
	}
	m := &model{byKey: map[string]*jsonschema.Schema{}}
	var err error
	if m.expr, err = selection.Parse(expr); err != nil {
		return nil, err
	}
	known := schemas{}
	for _, one := range models {
		known[one.Name] = one.Schema
	}
	for key, name := range r.RequestModels {
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft4)
		c.UseLoader(known)
		compiled, err := c.Compile(modelAddress + "models/" + name)
		if err != nil {
			return nil, fmt.Errorf("model %q: %w", name, err)
		}
		m.byKey[strings.TrimPrefix(key, `\`)] = compiled
	}
	return m, nil
}

// schemas loads models by the addresses that stand for them.
type schemas map[string]string

// Load finds the model that an address ends with.
func (s schemas) Load(address string) (any, error) {
	name := address[strings.LastIndexByte(address, '/')+1:]
	text, ok := s[name]
	if !ok {
		return nil, fmt.Errorf("there is no model %q", name)
	}
	return jsonschema.UnmarshalJSON(strings.NewReader(text))
}

// check refuses a message that its model does not describe.
func (m *model) check(c *call) error {
	if m == nil {
		return nil
	}
	key, _ := m.expr.Eval(c)
	schema := m.byKey[key]
	if schema == nil {
		if schema = m.byKey[routeDefault]; schema == nil {
			return nil
		}
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(c.data))
	if err == nil {
		err = schema.Validate(doc)
	}
	if err != nil {
		return &fault{status: http.StatusBadRequest, text: "Bad request body", named: true, detail: err.Error()}
	}
	return nil
}
