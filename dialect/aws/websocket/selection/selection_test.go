package selection

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// message is a source that knows a message and some variables.
type message struct {
	text string
	vars map[string]string
}

func (m message) Find(p *document.Path) (any, bool) {
	v, _, err := p.In([]byte(m.text))
	return v, err == nil
}
func (m message) Text() string                { return m.text }
func (m message) Variable(name string) string { return m.vars[name] }

func TestExpressionsOfTheDocumentation(t *testing.T) {
	m := message{`{"service":"chat","action":"join","data":{"room":"r"},"list":[{"b":"x"},2],"n":1,"f":1.0,"t":true,"items":["item1","item2"],"a-b":"dash"}`, map[string]string{
		"context.routeKey": "k", "request.header.x-api-key": "secret", "integration.response.statuscode": "200",
	}}
	for _, tc := range []struct{ expr, want string }{
		{"$request.body.action", "join"},
		{"${request.body.action}", "join"},
		{"${request.body.service}/${request.body.action}", "chat/join"},
		{"${request.body.action}-${request.body.nope}", "join-"},
		{"$request.body.service-$request.body.action", "chat-join"},
		{"$request.body.service/$request.body.action.", "chat/join."},
		{"action", "action"},
		{`\$default`, "$default"},
		{`\$request.body.action`, "$request.body.action"},
		{"", ""},
		{"$", "$"},
		{"5$ or $$", "5$ or $$"},
		{"$request.body.data.room", "r"},
		{"$request.body.list[0].b", "x"},
		{"$request.body['action']", "join"},
		{`${request.body["action"]}!`, "join!"},
		{"$request.body['a-b']", "dash"},
		{"$request.body.a-b", "dash"},
		{"$request.body.n", "1"},
		{"$request.body.f", "1.0"},
		{"$request.body.t", "true"},
		{"$request.body.items", "[item1, item2]"},
		{"$request.body.nope", ""},
		{"$request.header.x-api-key", "secret"},
		{"$context.routeKey", "k"},
		{"${integration.response.statuscode}", "200"},
		{"$request.body", m.text},
		{"$request.bodyguard", ""},
	} {
		e, err := Parse(tc.expr)
		if err != nil {
			t.Errorf("%s: %v", tc.expr, err)
			continue
		}
		if got, ok := e.Eval(m); got != tc.want || !ok {
			t.Errorf("%s: got %q %t, want %q", tc.expr, got, ok, tc.want)
		}
	}
}

func TestAValueIsNotEvaluatedAgain(t *testing.T) {
	e, _ := Parse("$request.body.a")
	if got, _ := e.Eval(message{text: `{"a":"$request.body.b ${x} \\$","b":"no"}`}); got != `$request.body.b ${x} \$` {
		t.Errorf("got %q", got)
	}
}

func TestMessagesThatAreNotJSON(t *testing.T) {
	e, _ := Parse("x$request.body.a")
	for _, text := range []string{"", "hello", `{"a":1} x`, `{"a"`} {
		if got, ok := e.Eval(message{text: text}); ok {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{"1", "[]", `"a"`, "null"} {
		if got, ok := e.Eval(message{text: text}); got != "x" || !ok {
			t.Errorf("%q: %q", text, got)
		}
	}
	if e, _ := Parse("always"); e == nil || !e.Static() {
		t.Error("no variable, but not static")
	} else if got, ok := e.Eval(message{text: "hello"}); got != "always" || !ok {
		t.Errorf("static: %q %t", got, ok)
	}
}

func TestBrokenExpressions(t *testing.T) {
	for _, s := range []string{"${request.body.a", "$request.body['a", "${a['}", "$request.body.[[", "${request.body.a[?(}", "a${ }"} {
		if _, err := Parse(s); err == nil {
			t.Errorf("%s is taken", s)
		}
	}
}

func FuzzExpression(f *testing.F) {
	f.Add("${request.body.a}/$request.body['b']", `{"a":1,"b":[1,null]}`)
	f.Add(`\$default$x${y}`, "text")
	f.Add("${}", "0")
	f.Add("$request.body..a[?(@.b>1)]", `[{"a":{"b":2}}]`)
	f.Fuzz(func(t *testing.T, expr, text string) {
		e, err := Parse(expr)
		if err != nil {
			return
		}
		got, ok := e.Eval(message{text: text})
		if ok && e.Static() && got != strings.ReplaceAll(expr, `\$`, "$") {
			t.Fatalf("static %q becomes %q", expr, got)
		}
	})
}
