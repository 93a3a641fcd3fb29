package sls

import (
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// part is a piece of a text: what stays, or a variable with its sources.
type part struct {
	text    string // of a variable, as written
	sources []source
}

// source is one of the places where a variable looks for its value: a literal, or kind(params):address.
type source struct {
	literal *cfn.Value
	quoted  []part // a literal text with variables in it
	kind    string
	params  [][]part
	address []part
}

// parse takes a text apart. What is wrong it says in its second result.
func parse(s string) ([]part, string) {
	p := &syntax{s: s}
	parts := p.until("", 0)
	return parts, p.wrong
}

type syntax struct {
	s     string
	i     int
	wrong string
}

// until reads parts up to one of the characters in stop, which it leaves; "" reads to the end.
func (p *syntax) until(stop string, depth int) []part {
	var parts []part
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			parts = append(parts, part{text: text.String()})
			text.Reset()
		}
	}
	if depth > 20 {
		p.wrong = "too many variables within each other"
	}
	for p.wrong == "" && p.i < len(p.s) && !strings.ContainsRune(stop, rune(p.s[p.i])) {
		switch {
		case strings.HasPrefix(p.s[p.i:], `\${`):
			text.WriteString("${")
			p.i += 3
		case isVariable(p.s[p.i:]):
			flush()
			start := p.i
			p.i += 2
			sources := p.sources(depth)
			parts = append(parts, part{text: p.s[start:p.i], sources: sources})
		default:
			text.WriteByte(p.s[p.i])
			p.i++
		}
	}
	flush()
	return parts
}

// isVariable reports whether s begins with a variable of the framework. ${AWS::Region} and ${Name} are
// CloudFormation's.
func isVariable(s string) bool {
	rest, ok := strings.CutPrefix(s, "${")
	if !ok {
		return false
	}
	rest = strings.TrimLeft(rest, " \t\r\n")
	n := word(rest)
	return n > 0 && n < len(rest) && (rest[n] == '(' || rest[n] == ':' && !strings.HasPrefix(rest[n:], "::"))
}

// word is how many bytes at the beginning of s are the name of a kind.
func word(s string) int {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return i
		}
	}
	return len(s)
}

// sources reads those of a variable, with the brace that ends it.
func (p *syntax) sources(depth int) []source {
	list := []source{}
	for {
		p.space()
		list = append(list, p.source(depth))
		p.space()
		switch {
		case p.wrong != "":
			return list
		case p.i >= len(p.s):
			p.wrong = "${ without }"
			return list
		case p.s[p.i] == '}':
			p.i++
			return list
		case p.s[p.i] == ',':
			p.i++
		default:
			p.wrong = "a variable goes on after " + strconv.Quote(short(p.s[:p.i]))
			return list
		}
	}
}

func (p *syntax) space() {
	for p.i < len(p.s) && strings.IndexByte(" \t\r\n", p.s[p.i]) >= 0 {
		p.i++
	}
}

func (p *syntax) source(depth int) source {
	rest := p.s[p.i:]
	if rest == "" {
		return source{}
	}
	switch {
	case rest[0] == '\'' || rest[0] == '"':
		return p.quoted(rest[0], depth)
	case strings.HasPrefix(rest, "${"):
		parts := p.until(",}", depth+1)
		if len(parts) > 0 {
			parts[len(parts)-1].text = strings.TrimRight(parts[len(parts)-1].text, " \t\r\n")
		}
		if n := len(parts); n > 1 && parts[n-1].text == "" {
			parts = parts[:n-1]
		}
		return source{quoted: parts}
	}
	n := word(rest)
	if n == 0 || n >= len(rest) || rest[n] != '(' && rest[n] != ':' {
		return p.plain()
	}
	src := source{kind: rest[:n]}
	p.i += n
	if p.s[p.i] == '(' {
		for p.wrong == "" {
			p.i++
			src.params = append(src.params, p.until(",)", depth+1))
			if p.i >= len(p.s) {
				p.wrong = "( without )"
			} else if p.s[p.i] == ')' {
				p.i++
				break
			}
		}
	}
	if p.i < len(p.s) && p.s[p.i] == ':' {
		p.i++
		src.address = p.until(",}", depth+1)
		if n := len(src.address); n > 0 && src.address[n-1].sources == nil {
			src.address[n-1].text = strings.TrimRight(src.address[n-1].text, " \t\r\n")
		}
	}
	return src
}

// quoted reads a text in quotes.
func (p *syntax) quoted(quote byte, depth int) source {
	p.i++
	end := p.i
	for end < len(p.s) && p.s[end] != quote {
		if p.s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(p.s) {
		p.wrong = "a quote is not closed"
		return source{}
	}
	inner := &syntax{s: strings.NewReplacer(`\'`, "'", `\"`, `"`, `\\`, `\`).Replace(p.s[p.i:end])}
	parts := inner.until("", depth+1)
	p.wrong, p.i = inner.wrong, end+1
	if parts == nil {
		parts = []part{{}}
	}
	return source{quoted: parts}
}

// plain reads a number, true, false, null or nothing.
func (p *syntax) plain() source {
	start := p.i
	for p.i < len(p.s) && p.s[p.i] != ',' && p.s[p.i] != '}' {
		p.i++
	}
	s := strings.TrimSpace(p.s[start:p.i])
	at := sluice.Place{}
	switch s {
	case "true", "false":
		return source{literal: template.Bool(at, s == "true")}
	case "null":
		return source{literal: &cfn.Value{}}
	case "":
		return source{literal: template.Text(at, "")}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return source{literal: &cfn.Value{Data: n, Text: s}}
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil && f-f == 0 {
		return source{literal: &cfn.Value{Data: f, Text: s}}
	}
	p.wrong = strconv.Quote(short(s)) + " is neither a variable nor in quotes"
	return source{}
}
