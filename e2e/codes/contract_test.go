package codes

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/e2e/browser"
	"github.com/sluicehq/sluice/e2e/live"
)

// rows reads the keys of a table of codes, and one row's columns.
func rows(t *testing.T, s *live.Server, table string) (keys []string, columns map[string]any) {
	t.Helper()
	out, err := s.Sluice("table", "query", table, "--limit", "5000", "--json")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out) {
		var r struct {
			Key     []string
			Columns map[string]any
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		keys, columns = append(keys, r.Key[0]), r.Columns
	}
	return keys, columns
}

// contract is what old callers expect of the four functions, of whichever edition. The campaign of 2017 is
// over, the other lasts.
func contract(t *testing.T, s *server, table string) {
	t.Helper()
	id := func(uuid string) string { return `{"uuid":"` + uuid + `"}` }
	if got := s.invoke("gen_code", `{"num":1000,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00"}`); got != "ok" {
		t.Fatal(got)
	}
	old, row := rows(t, s.Server, table)
	if len(old) != 1000 || row["status"] != "UNACTIVED" || row["start"] != 1513900800.0 || row["end"] != 1514419200.0 {
		t.Fatalf("%d codes, one of them %v", len(old), row)
	}
	if got := s.invoke("query_code", id(old[0])); got != "TIMEINVALID" {
		t.Errorf("an old code: %q", got)
	}
	if got := s.invoke("gen_code", `{"num":3,"start period":"2017-12-22 00:00:00","end period":"2097-12-28 00:00:00"}`); got != "ok" {
		t.Fatal(got)
	}
	known := map[string]bool{}
	for _, k := range old {
		known[k] = true
	}
	all, _ := rows(t, s.Server, table)
	var fresh []string
	for _, k := range all {
		if !known[k] {
			fresh = append(fresh, k)
		}
	}
	if len(fresh) != 3 {
		t.Fatalf("%d new codes", len(fresh))
	}
	for _, step := range []struct{ name, function, code, want string }{
		{"a new code", "query_code", fresh[0], "UNACTIVED"},
		{"its use", "use_code", fresh[0], "SUCCEED"},
		{"its second use", "use_code", fresh[0], "FAILED"},
		{"what it is then", "query_code", fresh[0], "ACTIVED"},
		{"its end", "del_code", fresh[0], "SUCCEED"},
		{"its second end", "del_code", fresh[0], "SUCCEED"},
		{"it is gone", "query_code", fresh[0], "NO EXISTED"},
		{"it cannot be used", "use_code", fresh[0], "FAILED"},
		{"the end of an unused one", "del_code", fresh[1], "SUCCEED"},
		{"one that never was is queried", "query_code", "never", "NO EXISTED"},
		{"one that never was is used", "use_code", "never", "FAILED"},
		{"one that never was is deleted", "del_code", "never", "SUCCEED"},
		{"an old code is used all the same", "use_code", old[1], "SUCCEED"},
	} {
		if got := s.invoke(step.function, id(step.code)); got != step.want {
			t.Errorf("%s: %q, want %q", step.name, got, step.want)
		}
	}
}

func TestTheFourFunctionsKeepTheirContract(t *testing.T) {
	s := start(t, "")
	contract(t, s, "codes/code")
	// Over the gateway: two for everybody, two for applications only.
	code := s.codes("/api/campaigns/classic", 5)[4]
	for _, step := range []struct{ function, body, want string }{
		{"use_code", `{"uuid":"` + code + `"}`, "SUCCEED"}, {"use_code", `{"uuid":"` + code + `"}`, "FAILED"},
		{"query_code", `{"uuid":"` + code + `"}`, "TIMEINVALID"}, {"query_code", `{"uuid":7}`, "invalid"}, {"use_code", `nonsense`, "invalid"},
	} {
		if _, b, err := s.send(http.DefaultClient, "POST", "/"+step.function, step.body, ""); err != nil || !strings.Contains(string(b), step.want) {
			t.Errorf("%s %s: %s %v", step.function, step.body, b, err)
		}
	}
	s.token = ""
	for _, f := range []string{"gen_code", "del_code"} {
		if status, b, err := s.send(http.DefaultClient, "POST", "/"+f, `{"uuid":"`+code+`"}`, ""); err != nil || status < 400 {
			t.Errorf("%s answers strangers: %d %s %v", f, status, b, err)
		}
	}
}

// TestThePythonEditionRunsUnmodified deploys the four functions as they are written with the official
// tablestore package, which the deploy installs.
func TestThePythonEditionRunsUnmodified(t *testing.T) {
	want, err := os.ReadFile("../requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	if has, err := os.ReadFile("../.venv/requirements.txt"); err != nil || !bytes.Equal(want, has) {
		t.Skip("the Python packages are not installed: run .ci/python, which \"make test\" does, where a package registry is reached")
	}
	s := &server{t: t, Server: live.Launch(t, "", "dev", "../testdata/codes-python", "--no-reload")}
	// A busy machine may take its time to import what the package needs.
	for _, f := range []string{"use_code", "del_code", "query_code", "gen_code"} {
		browser.Eventually(t, 2*time.Minute, f+" has loaded", func() bool {
			_, err := s.Sluice("invoke", f, "--data-text", `{"num":0,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00","uuid":"none"}`)
			if err != nil {
				time.Sleep(time.Second)
			}
			return err == nil || !strings.Contains(err.Error(), "loading the function")
		})
	}
	contract(t, s, "codes-python/activation_code")
}
