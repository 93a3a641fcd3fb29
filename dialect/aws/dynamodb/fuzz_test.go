package dynamodb

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzRequests sends strangers' requests to tables that have one item each: whatever comes, the answer is
// a success or the client's mistake, and it is JSON.
func FuzzRequests(f *testing.F) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(script)) {
			if op, body, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(line, " ") && op != "#" && op != "pass" {
				f.Add(op, []byte(body))
			}
		}
	}
	w := newWorld(f)
	w.ok("CreateTable", modelTable)
	w.ok("PutItem", `{"TableName":"Tab","Item":{"p":{"S":"a"},"c":{"N":"1"},"g":{"S":"b"},"n":{"N":"2"},"m":{"M":{"l":{"L":[]}}}}}`)
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		if op == "CreateTable" || op == "DeleteTable" { // would only make the others dull
			op = "DescribeTable"
		}
		status, out, err := w.h.Do(t.Context(), op, body)
		if err != nil || status != 200 && status != 400 || len(out) > 0 && !json.Valid(out) {
			t.Fatalf("%s %s: %d %s, %v", op, body, status, out, err)
		}
	})
}

// FuzzValidJSON compares with the standard library what is JSON and what is not.
func FuzzValidJSON(f *testing.F) {
	for _, text := range []string{``, ` `, `{}`, ` {"a" : [1, -0.5e+3, "\u00e9\n\"", true, false, null, {}], "b":[]} `, `{"a":1,}`, `[1,]`, `[,1]`, `{"a"}`, `{a:1}`,
		`01`, `-`, `1.`, `.5`, `1e`, `+1`, `nul`, `"\x"`, `"\u12"`, "\"\t\"", `"`, `"\`, `[`, `{"a":`, `1 2`, `[1}`, `{"a":1]`,
		strings.Repeat("[", maxNested) + strings.Repeat("]", maxNested), strings.Repeat("[", maxNested+1) + strings.Repeat("]", maxNested+1)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if got, want := validJSON(text), json.Valid(text); got != want {
			t.Errorf("%.200q is valid: %t, want %t", text, got, want)
		}
	})
}
