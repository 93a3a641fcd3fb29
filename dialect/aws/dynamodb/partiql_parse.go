package dynamodb

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// statement is a PartiQL statement, in the terms of the operation that does the same: its conditions and
// changes are expressions over names and values of its own.
type statement struct {
	verb         string // SELECT, INSERT, UPDATE or DELETE
	table, index string
	projection   string    // of a SELECT; "" is everything
	columns      []column  // of a SELECT that looks inside of attributes, instead of projection
	item         attr.Item // of an INSERT
	update       string    // of an UPDATE
	returning    string    // ReturnValues of an UPDATE or DELETE
	where        *clause   // nil is none
	backwards    bool      // ORDER BY … DESC
	names        map[string]string
	values       attr.Item
}

// column is one value that a SELECT asks for. It is named after the end of its path.
type column struct {
	name string
	path expr.Path
}

// cut is what a SELECT shows of an item, both as JSON.
func (s *statement) cut(raw []byte) []byte {
	if s.columns == nil {
		return raw
	}
	item, err := attr.DecodeItem(raw)
	if err != nil {
		return raw // never: we have written it
	}
	part := attr.Item{}
	for _, c := range s.columns {
		if v, ok := c.path.Get(item); ok {
			part[c.name] = v
		}
	}
	return attr.AppendItem(nil, part)
}

// partiql reads one statement. After the first fault it reads nothing more.
type partiql struct {
	src    string
	at     int
	params []node // attribute values for question marks, in their order
	used   int
	steps  expr.Path // of the path that was read last
	st     *statement
	err    error
}

// parseStatement reads a PartiQL statement whose question marks stand for params.
func parseStatement(src string, params []node) (*statement, error) {
	p := &partiql{src: src, params: params, st: &statement{names: map[string]string{}, values: attr.Item{}}}
	p.statement()
	if p.space(); p.err == nil && p.at < len(p.src) {
		p.fault()
	}
	if p.err == nil && p.used != len(params) {
		p.err = invalid("Number of parameters in request and statement don't match.")
	}
	return p.st, p.err
}

func (p *partiql) fault() {
	if p.err == nil {
		p.err = invalid("Statement wasn't well formed, can't be processed: Unexpected token at offset " + strconv.Itoa(p.at))
	}
	p.at = len(p.src)
}

func (p *partiql) refuse(message string) {
	if p.err == nil {
		p.err = invalid(message)
	}
	p.at = len(p.src)
}

func (p *partiql) space() {
	for p.at < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.src)-1 && p.src[p.at] == ';' {
		p.at++
	}
}

// take reads a sign if it is next.
func (p *partiql) take(sign string) bool {
	if p.space(); p.err == nil && strings.HasPrefix(p.src[p.at:], sign) {
		p.at += len(sign)
		return true
	}
	return false
}

func (p *partiql) want(sign string) {
	if !p.take(sign) {
		p.fault()
	}
}

// wordLen is the length of the bare word at p.at.
func (p *partiql) wordLen() int {
	n := 0
	for _, c := range p.src[p.at:] {
		if c != '_' && (c < '0' || c > '9' || n == 0) && (c|0x20 < 'a' || c|0x20 > 'z') && c < utf8.RuneSelf {
			break
		}
		n += utf8.RuneLen(c)
	}
	return min(n, len(p.src)-p.at)
}

// keyword reads one of some words, in any case, if it is next.
func (p *partiql) keyword(words ...string) bool {
	at := p.at
	for _, w := range words {
		p.space()
		if n := p.wordLen(); p.err != nil || !strings.EqualFold(p.src[p.at:p.at+n], w) {
			p.at = at
			return false
		}
		p.at += len(w)
	}
	return true
}

func (p *partiql) needKeyword(word string) {
	if !p.keyword(word) {
		p.fault()
	}
}

// quoted reads what stands between two quotes of a kind; two of them are one.
func (p *partiql) quoted(quote string) string {
	var b strings.Builder
	for {
		i := strings.Index(p.src[p.at:], quote)
		if i < 0 {
			p.fault()
			return ""
		}
		b.WriteString(p.src[p.at : p.at+i])
		p.at += i + 1
		if !strings.HasPrefix(p.src[p.at:], quote) {
			return b.String()
		}
		b.WriteString(quote)
		p.at++
	}
}

// ident reads a name, bare or in double quotes.
func (p *partiql) ident() string {
	if p.take(`"`) {
		return p.quoted(`"`)
	}
	p.space()
	n := p.wordLen()
	if p.err != nil || n == 0 {
		p.fault()
		return ""
	}
	p.at += n
	return p.src[p.at-n : p.at]
}

// name is the placeholder of an attribute's name.
func (p *partiql) name(s string) string {
	key := "#p" + strconv.Itoa(len(p.st.names))
	for k, v := range p.st.names {
		if v == s {
			return k
		}
	}
	p.st.names[key] = s
	return key
}

// bind is the placeholder of a value.
func (p *partiql) bind(v table.Value) string {
	key := ":p" + strconv.Itoa(len(p.st.values))
	p.st.values[key] = v
	return key
}

// path reads a document path; top is its attribute, when it is no more than that.
func (p *partiql) path() (text, top string) {
	top = p.ident()
	text = p.name(top)
	p.steps = expr.Path{{Name: top}}
	for p.err == nil {
		switch {
		case p.take("."):
			name := p.ident()
			text += "." + p.name(name)
			p.steps = append(p.steps, expr.Step{Name: name})
		case p.take("["):
			p.space()
			n := 0
			for p.at+n < len(p.src) && p.src[p.at+n] >= '0' && p.src[p.at+n] <= '9' {
				n++
			}
			text += "[" + p.src[p.at:p.at+n] + "]"
			i, _ := strconv.Atoi(p.src[p.at : p.at+n])
			p.steps = append(p.steps, expr.Step{List: true, Index: i})
			p.at += n
			p.want("]")
		default:
			return text, top
		}
		top = ""
	}
	return text, ""
}

// column is the path that was read last.
func (p *partiql) column() column {
	c := column{path: p.steps}
	for i := len(c.path) - 1; i >= 0; i-- {
		s := c.path[i]
		if !s.List {
			c.name = s.Name + c.name
			break
		}
		c.name = "[" + strconv.Itoa(s.Index) + "]" + c.name
	}
	return c
}

func (p *partiql) statement() {
	switch {
	case p.keyword("SELECT"):
		p.st.verb = "SELECT"
		if !p.take("*") {
			var paths []string
			nested := false
			for first := true; first || p.take(","); first = false {
				text, top := p.path()
				paths = append(paths, text)
				p.st.columns = append(p.st.columns, p.column())
				nested = nested || top == ""
			}
			if !nested {
				p.st.projection, p.st.columns = strings.Join(paths, ", "), nil
			}
		}
		p.needKeyword("FROM")
		p.source()
		p.optionalWhere()
		if p.keyword("ORDER", "BY") {
			p.ident()
			p.st.backwards = p.keyword("DESC")
			if !p.st.backwards {
				p.keyword("ASC")
			}
		}
	case p.keyword("INSERT", "INTO"):
		p.st.verb = "INSERT"
		p.source()
		p.needKeyword("VALUE")
		v := p.literal()
		if p.err == nil && v.Type != table.Map {
			p.fault()
		}
		p.st.item = v.Map
	case p.keyword("UPDATE"):
		p.st.verb = "UPDATE"
		p.source()
		p.changes()
		p.optionalWhere()
		p.returning()
	case p.keyword("DELETE", "FROM"):
		p.st.verb = "DELETE"
		p.source()
		p.optionalWhere()
		p.returning()
	default:
		p.fault()
	}
}

// source reads a table and, after a dot, its index.
func (p *partiql) source() {
	p.st.table = p.ident()
	if p.take(".") {
		p.st.index = p.ident()
	}
}

func (p *partiql) optionalWhere() {
	if p.keyword("WHERE") {
		p.st.where = p.or()
	}
}

func (p *partiql) returning() {
	if !p.keyword("RETURNING") {
		return
	}
	for phrase, values := range map[string]string{"ALL OLD": "ALL_OLD", "ALL NEW": "ALL_NEW", "MODIFIED OLD": "UPDATED_OLD", "MODIFIED NEW": "UPDATED_NEW"} {
		if p.keyword(strings.Fields(phrase)...) {
			p.st.returning = values
		}
	}
	if p.st.returning == "" {
		p.fault()
	}
	p.want("*")
}

// changes reads the SETs and REMOVEs of an UPDATE.
func (p *partiql) changes() {
	sections := map[string][]string{}
	for p.err == nil {
		switch {
		case p.keyword("SET"):
			for first := true; first || p.take(","); first = false {
				verb, text := p.assignment()
				sections[verb] = append(sections[verb], text)
			}
			continue
		case p.keyword("REMOVE"):
			for first := true; first || p.take(","); first = false {
				text, _ := p.path()
				sections["REMOVE"] = append(sections["REMOVE"], text)
			}
			continue
		}
		break
	}
	for _, verb := range []string{"SET", "REMOVE", "ADD", "DELETE"} {
		if list := sections[verb]; list != nil {
			p.st.update += " " + verb + " " + strings.Join(list, ", ")
		}
	}
	if p.st.update = strings.TrimSpace(p.st.update); p.st.update == "" {
		p.fault()
	}
}

// assignment reads path = value. Additions to sets and removals from them are sections of their own.
func (p *partiql) assignment() (verb, text string) {
	target, _ := p.path()
	p.want("=")
	for fn, verb := range map[string]string{"set_add": "ADD", "set_delete": "DELETE"} {
		if p.keyword(fn) {
			p.want("(")
			from, _ := p.path()
			p.want(",")
			v := p.bind(p.literal())
			if p.want(")"); from != target {
				p.fault()
			}
			return verb, target + " " + v
		}
	}
	left := p.operand()
	for _, sign := range []string{"+", "-"} {
		if p.take(sign) {
			return "SET", target + " = " + left.text + " " + sign + " " + p.operand().text
		}
	}
	return "SET", target + " = " + left.text
}

// literal reads a value.
func (p *partiql) literal() (v table.Value) { return p.nested(0) }

func (p *partiql) nested(depth int) (v table.Value) {
	if depth > attr.MaxDepth {
		p.refuse(attr.TooNested().Message)
		return v
	}
	switch {
	case p.take("?"):
		if p.used >= len(p.params) {
			p.refuse("Number of parameters in request and statement don't match.")
			return v
		}
		n := &p.params[p.used]
		if p.used++; n.bad != nil && p.err == nil {
			p.err = n.bad
		}
		return *n.value
	case p.take("'"):
		return attr.String(p.quoted("'"))
	case p.take("<<"):
		return p.set(depth)
	case p.take("["):
		v = table.Value{Type: table.List, List: []table.Value{}}
		for first := true; p.err == nil && !p.take("]"); first = false {
			if !first {
				p.want(",")
			}
			v.List = append(v.List, p.nested(depth+1))
		}
		return v
	case p.take("{"):
		v = table.Value{Type: table.Map, Map: attr.Item{}}
		for first := true; p.err == nil && !p.take("}"); first = false {
			if !first {
				p.want(",")
			}
			key := ""
			if p.take("'") {
				key = p.quoted("'")
			} else {
				key = p.ident()
			}
			p.want(":")
			v.Map[key] = p.nested(depth + 1)
		}
		return v
	case p.keyword("TRUE"):
		return table.Value{Type: table.Bool, Int: 1}
	case p.keyword("FALSE"):
		return table.Value{Type: table.Bool}
	case p.keyword("NULL"):
		return table.Value{Type: table.Null}
	}
	p.space()
	n := 0
	for p.at+n < len(p.src) && strings.IndexByte("0123456789.eE+-", p.src[p.at+n]) >= 0 {
		n++
	}
	if n == 0 || p.err != nil {
		p.fault()
		return v
	}
	number, err := attr.ParseNumber(p.src[p.at : p.at+n])
	if p.at += n; err != nil && p.err == nil {
		p.err = err
	}
	return attr.Number(number)
}

// set reads what is left of a set.
func (p *partiql) set(depth int) table.Value {
	var list []table.Value
	for first := true; p.err == nil && !p.take(">>"); first = false {
		if !first {
			p.want(",")
		}
		list = append(list, p.nested(depth+1))
	}
	kinds := map[table.Type]table.Type{table.String: table.StringSet, table.Decimal: table.NumberSet, table.Binary: table.BinarySet}
	if len(list) == 0 || kinds[list[0].Type] == 0 {
		p.fault()
		return table.Value{}
	}
	for _, v := range list {
		if v.Type != list[0].Type {
			p.fault()
			return table.Value{}
		}
	}
	return attr.NewSet(kinds[list[0].Type], list)
}
