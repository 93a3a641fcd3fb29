package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// slow writes a text as encoding/json does.
func slow(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s) // a text cannot fail
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func FuzzTextsAreThoseOfEncodingJSON(f *testing.F) {
	for _, s := range []string{"", "plain", "\"\\/\b\f\n\r\t\x00\x1f\x7f<>&", "é漢😀\u2028\u2029\u2027", "\xff\xe2\x80\xc0\xaf a", "\xed\xa0\x80", `\u00e9\ud83d\ude00\ud83dx\ude00\ud83d\u0041`, `\"\\\/\b\f\n\r\t\U`, `\u12`, `\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := slow(s)
		if got := AppendText(nil, s); !bytes.Equal(got, want) {
			t.Errorf("%q is written %s, want %s", s, got, want)
		}
		if got := AppendText([]byte("x"), []byte(s)); !bytes.Equal(got[1:], want) {
			t.Errorf("the bytes %q are written %s, want %s", s, got, want)
		}
		// As what stands between quotes it may be anything.
		quoted := []byte(`"` + s + `"`)
		v, err := Parse(quoted)
		var read string
		if bad := json.Unmarshal(quoted, &read); (bad == nil) != (err == nil) {
			t.Errorf("%s: %v, encoding/json says %v", quoted, err, bad)
		} else if err == nil && v != read {
			t.Errorf("%s is read %q, want %q", quoted, v, read)
		}
	})
}

func FuzzMembersAreFoundInText(f *testing.F) {
	for _, s := range []string{
		`{"a":{"b":"x\n"},"a":{"b":[1,{"a":2}]}}`, ` {"\u0061" : {"b":null} , "c":1} `, `{"a":1}`, `{"a":{"b":1}}x`, `{"a":{"b":1},}`, `[{"a":{"b":1}}]`, `"a"`, "", `{"a":{"b":01}}`, `{"a":{"b":"\x"}}`,
	} {
		f.Add([]byte(s))
	}
	var paths []*Path
	for _, s := range []string{"", ".a", "$.a.b", "['a']['b']", "..b", ".a[0]", ".a.b[?(@.a)]"} {
		p, err := ParsePath(s)
		if err != nil {
			f.Fatal(err)
		}
		paths = append(paths, p)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		doc, bad := Parse(b)
		for i, p := range paths {
			v, ok, err := p.In(b)
			if (err == nil) != (bad == nil) {
				t.Fatalf("path %d in %q: %v, parsed %v", i, b, err, bad)
			}
			if bad != nil {
				continue
			}
			if want, found := p.Find(doc); found != ok || !bytes.Equal(Marshal(want), Marshal(v)) {
				t.Errorf("path %d in %q: %s %t, want %s %t", i, b, Marshal(v), ok, Marshal(want), found)
			}
		}
	})
}

func TestItemsStandAsTheyDo(t *testing.T) {
	for _, tc := range []struct {
		text, want string
		err        error
	}{
		{` [ "a" ,1.0, {"b":[2]},null] `, `"a";1.0;{"b":[2]};null;`, nil},
		{"[]", "", nil},
		{"null", "", nil},
		{`{"a":[1]}`, "", nil},
		{"[1,]", "1;", ErrSyntax},
		{"[1] 2", "1;", ErrSyntax},
		{"[1", "1;", ErrSyntax},
		{"", "", ErrSyntax},
	} {
		var got string
		err := Items([]byte(tc.text), func(raw []byte) error { got += string(raw) + ";"; return nil })
		if got != tc.want || err != tc.err {
			t.Errorf("%s: %s %v", tc.text, got, err)
		}
	}
}

func TestMembersStandAsTheyDo(t *testing.T) {
	var got string
	note := func(key, raw []byte) error {
		text, ok := Unquote(raw)
		if ok {
			raw = text
		}
		got += string(key) + "=" + string(raw) + ";"
		return nil
	}
	if err := Members([]byte(`{"a" : [1, {"b":2}] ,"\"":"x\"y","n":null, "a":1.0}`), note); err != nil || got != `a=[1, {"b":2}];"=x"y;n=null;a=1.0;` {
		t.Errorf("%s %v", got, err)
	}
	got = ""
	for _, s := range []string{"null", "[1]", `"a"`, " 7 "} {
		if err := Members([]byte(s), note); err != nil || got != "" {
			t.Errorf("%s: %s %v", s, got, err)
		}
	}
	stop := errors.New("stop")
	if err := Members([]byte(`{"a":1}`), func(_, _ []byte) error { return stop }); err != stop {
		t.Error(err)
	}
	for _, s := range []string{"", `{"a":1} 2`, `{"a":}`, `{"a"}`, "7 8"} {
		if err := Members([]byte(s), note); err != ErrSyntax {
			t.Errorf("%s: %v", s, err)
		}
	}
}
