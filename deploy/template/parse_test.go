package template

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// show writes a tree in one line, with the lines that keys stand in.
func show(n *Value) string {
	var b strings.Builder
	b.WriteString(n.Tag)
	switch {
	case n.List != nil:
		b.WriteString("[")
		for _, e := range n.List {
			b.WriteString(show(e) + " ")
		}
		b.WriteString("]")
	case n.Fields != nil:
		b.WriteString("{")
		for _, f := range n.Fields {
			fmt.Fprintf(&b, "%s@%d:%s ", f.Key, f.At.Line, show(f.Value))
		}
		b.WriteString("}")
	default:
		fmt.Fprintf(&b, "%#v", n.Data)
	}
	return b.String()
}

func TestTreesAreAsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `<nil>`,
		"b: 1\na: [yes, 1.5, ~, '2']": `{b@1:1 a@2:["yes" 1.5 <nil> "2" ] }`,
		"a: !Sub 12":                  `{a@1:!Sub"12" }`,
		"a: !If [x, {}]":              `{a@1:!If["x" {} ] }`,
		"a: &x {k: 1}\nb: *x":         `{a@1:{k@1:1 } b@2:{k@1:1 } }`,
		"a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3": `{a@1:{k@1:1 l@1:2 } b@2:{k@4:3 l@1:2 } }`,
		"a: {<<: [{k: 1}, {k: 2, l: 3}]}":          `{a@1:{k@1:1 l@1:3 } }`,
		"d: 2020-01-01\nn: .inf":                   `{d@1:"2020-01-01" n@2:".inf" }`,
	} {
		n, wrong := Parse("", []byte(text), 100)
		if wrong != nil {
			t.Errorf("%q: %v", text, wrong)
		} else if got := show(n); got != want {
			t.Errorf("%q:\n%s, want\n%s", text, got, want)
		}
	}
}

func TestMistakesHaveTheirLine(t *testing.T) {
	bomb := "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n"
	for text, want := range map[string]string{
		"a: 1\na: 2":       `t.yaml:2: key "a" stands twice, first in line 1`,
		"a: 1\n? [x]\n: 2": "t.yaml:2: a key is not text",
		"a:\n  <<: 1":      "t.yaml:2: << wants a map",
		"a: [":             "t.yaml:1: not valid YAML",
		"a: b\n c: d: e":   "t.yaml:2: not valid YAML",
		bomb:               "t.yaml:1: template expands to more than 100 nodes or 64 levels",
		strings.Repeat("[", 70) + strings.Repeat("]", 70): "t.yaml:1: template expands to more than 100 nodes or 64 levels",
	} {
		if _, err := Parse("t.yaml", []byte(text), 100); err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestFilesThatAreNoTemplates(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, MaxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{big: "has more than", dir: "is not a file", filepath.Join(dir, "none"): "no such file"} {
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a: &a [*a]", "a: {<<: *b}", "- !x y\n- ? z", "%YAML 1.1\n---\na: b\n---\nc: d"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if n, err := Parse("", text, 1000); err == nil {
			show(n)
		}
	})
}
