package websocket

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/dialect/aws/websocket/selection"
)

// templateVariables are what mapping templates see (aws.md 1.9). body is the message, or the backend's
// answer.
func (c *call) templateVariables(body []byte, answer bool) map[string]any {
	vars := &document.Object{}
	for name, v := range c.st.spec.Variables {
		vars.Set(name, v)
	}
	in := &input{c: c, body: string(body)}
	in.doc, in.err = document.Parse(body)
	if !answer && c.encoded {
		in.body = c.base64
	}
	return map[string]any{"context": c.context(), "input": in, "util": util{}, "stageVariables": vars}
}

// input is $input.
type input struct {
	c    *call
	body string
	doc  any
	err  error // body is not JSON
}

// Property knows body.
func (in *input) Property(name string) (any, bool) { return in.body, name == "body" }

// Call knows json, path and params.
func (in *input) Call(method string, args []any) (any, bool) {
	first := ""
	if len(args) > 0 {
		first, _ = args[0].(string)
	}
	switch method {
	case "json":
		if v, ok := in.find(first); ok {
			return string(document.Marshal(v)), true
		}
		return missingJSON, true
	case "path":
		return in.find(first)
	case "params":
		all := in.params()
		if len(args) == 0 {
			return all, true
		}
		for _, kind := range [...]string{"path", "querystring", "header"} {
			group, _ := all.Get(kind)
			if v, ok := group.(*document.Object).Get(first); ok {
				return v, true
			}
			if len(args) > 0 && kind == first {
				return group, true
			}
		}
		return "", true
	}
	return nil, false
}

func (in *input) find(path string) (any, bool) {
	if in.err != nil {
		return nil, false
	}
	p, err := document.ParsePath(path)
	if err != nil {
		return nil, false
	}
	return p.Find(in.doc)
}

// params are the handshake's parameters, while that is being answered.
func (in *input) params() *document.Object {
	header, query := &document.Object{}, &document.Object{}
	if in.c.ev.Kind == sluice.Open && in.c.ev.Conn.Handshake != nil {
		for _, group := range [...]struct {
			to   *document.Object
			from map[string][]string
		}{{header, headers(in.c.ev, in.c.domain())}, {query, queryOf(in.c.ev)}} {
			for name, vals := range group.from {
				group.to.Set(name, vals[len(vals)-1])
			}
		}
	}
	all := &document.Object{}
	all.Set("path", &document.Object{})
	all.Set("querystring", query)
	all.Set("header", header)
	return all
}

// util is $util.
type util struct{}

// Property knows nothing.
func (util) Property(string) (any, bool) { return nil, false }

// Call knows the functions of aws.md 1.9.
func (util) Call(method string, args []any) (any, bool) {
	if len(args) != 1 {
		return nil, false
	}
	s := text(args[0])
	switch method {
	case "escapeJavaScript":
		return escapeJavaScript(s), true
	case "parseJson":
		v, err := document.Parse([]byte(s))
		return v, err == nil
	case "urlEncode":
		return urlEncode.Replace(url.QueryEscape(s)), true
	case "urlDecode":
		out, err := url.QueryUnescape(s)
		return out, err == nil
	case "base64Encode":
		return base64.StdEncoding.EncodeToString([]byte(s)), true
	case "base64Decode":
		out, err := base64.StdEncoding.DecodeString(s)
		return string(out), err == nil
	}
	return nil, false
}

// urlEncode makes what net/url escapes what Java does.
var urlEncode = strings.NewReplacer("%2A", "*", "~", "%7E")

// text is an argument as text.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return string(document.Marshal(v))
}

// escapeJavaScript escapes as Java's StringEscapeUtils does.
func escapeJavaScript(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\'' || r == '"' || r == '\\' || r == '/':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\b':
			b.WriteString(`\b`)
		case r == '\f':
			b.WriteString(`\f`)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04X\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		case r < ' ' || r > '~':
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// answered makes a backend's answer visible to selection expressions.
func (c *call) answered(b backend) selection.Source { return &answeredCall{c, b} }

type answeredCall struct {
	*call
	b backend
}

// Variable knows the answer's status, headers and body, and what the call knows.
func (a *answeredCall) Variable(name string) string {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "integration."), "response.")
	if !ok {
		return a.call.Variable(name)
	}
	if rest == "statuscode" {
		return strconv.Itoa(a.b.status)
	}
	src, err := newSource("integration.response." + rest)
	if err != nil {
		return ""
	}
	if vals := src.values(a.call, &a.b); len(vals) > 0 {
		return vals[len(vals)-1]
	}
	return ""
}
