package document

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestValuesKeepOrderAndNumbers(t *testing.T) {
	const in = ` {"b":1.0,"a":[1e3,-0,"x\u00e9<>",null,true,{}],"\"":"\\/","b":2} `
	v, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(Marshal(v)), `{"b":2,"a":[1e3,-0,"xé<>",null,true,{}],"\"":"\\/"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTextThatIsNoJSON(t *testing.T) {
	for _, in := range []string{"", " ", "{", `{"a"}`, `{"a":1,}`, "[1,]", "[1 2]", "{} x", "01", "1.", "+1", "-", "nul", "truex", `"a`, "\"\n\"", `"\x"`, `{a:1}`, "'a'", strings.Repeat("[", 600) + strings.Repeat("]", 600)} {
		if v, err := Parse([]byte(in)); err == nil {
			t.Errorf("%.20q: %v", in, v)
		}
	}
}

func TestPathsFindParts(t *testing.T) {
	doc, err := Parse([]byte(`{"a":{"b":[{"c":1},{"c":"x"}],"d-e":null},"t":true,"list":["p",2,[3]]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ path, want string }{
		{"", `{"a":{"b":[{"c":1},{"c":"x"}],"d-e":null},"t":true,"list":["p",2,[3]]}`},
		{"$", `{"a":{"b":[{"c":1},{"c":"x"}],"d-e":null},"t":true,"list":["p",2,[3]]}`},
		{".t", "true"},
		{"$.a.b[1].c", `"x"`},
		{"['a']['b'][0]", `{"c":1}`},
		{`["a"].b[-1].c`, `"x"`},
		{".a['d-e']", "null"},
		{".a.d-e", "null"},
		{"$..d-e", "[null]"},
		{".a.b[*].c", `[1,"x"]`},
		{"..c", `[1,"x"]`},
		{".list[0:2]", `["p",2]`},
		{".a.b[?(@.c == 'x')]", `[{"c":"x"}]`},
		{".nope", "-"},
		{".a.b[7]", "-"},
		{".t.x", "-"},
	} {
		p, err := ParsePath(tc.path)
		if err != nil {
			t.Errorf("%s: %v", tc.path, err)
			continue
		}
		got := "-"
		if v, ok := p.Find(doc); ok {
			got = string(Marshal(v))
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.path, got, tc.want)
		}
	}
	for _, bad := range []string{".a[", "[?(", "$$$["} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestTextOfValues(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`"s"`, "s"}, {"1.50", "1.50"}, {"true", "true"},
		{`["item1","item2",3]`, "[item1, item2, 3]"}, {"[]", "[]"},
	} {
		v, err := Parse([]byte(tc.in))
		if err != nil {
			t.Fatal(err)
		}
		if got := Text(v); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestTextOfNullAndObjectsUnverified(t *testing.T) {
	if got := Text(nil); got != "" {
		t.Errorf("null: %q", got)
	}
	v, _ := Parse([]byte(`{"b": 1, "a": "x"}`))
	if got := Text(v); got != `{"b":1,"a":"x"}` {
		t.Errorf("object: %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\ud83d\ude00",null]}`, `"\ud800"`, "[[[]]]", "-0.0E+1", `{"a":1}x`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Parse(b)
		if (err == nil) != json.Valid(b) && !bytes.Contains(b, []byte("[[[[")) && !bytes.Contains(b, []byte(`{"":{"":`)) {
			t.Fatalf("we say %v, encoding/json says %v: %q", err, json.Valid(b), b)
		}
		if err != nil {
			return
		}
		again, err := Parse(Marshal(v))
		if err != nil || !bytes.Equal(Marshal(again), Marshal(v)) {
			t.Fatalf("%q becomes %q: %v", b, Marshal(v), err)
		}
	})
}

func FuzzPath(f *testing.F) {
	doc, err := Parse([]byte(`{"a":{"b":[{"c":1},{"c":"x"}]},"list":["p",2,[3]]}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"$.a.b[0].c", "..c", "[?(@.c>1)]", "['a','list']", "[::-1]", "[(@.length-1)]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePath(s); err == nil {
			p.Find(doc)
		}
	})
}
