package dynamodb

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

var update = flag.Bool("update", false, "write the answers of the golden files anew")

// start is when tests begin.
var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a handler over tables in memory.
type world struct {
	t      testing.TB
	tables *table.Tables
	h      *Handler
	at     time.Time
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, at: start}
	now := func() time.Time { return w.at }
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	var err error
	w.tables, err = table.Open(t.Context(), store, table.Options{Log: slog.New(slog.DiscardHandler), Now: now, Sweep: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.h = New(Options{Tables: w.tables, Now: now})
	return w
}

// do does an operation; trouble of our own fails the test.
func (w *world) do(op, body string) (int, string) {
	w.t.Helper()
	status, out, err := w.h.Do(w.t.Context(), op, []byte(body))
	if err != nil {
		w.t.Fatalf("%s %s: %v", op, body, err)
	}
	if op == "CreateTable" && status == 200 {
		var req struct{ TableName string }
		_ = json.Unmarshal([]byte(body), &req)
		w.h.cache.mu.Lock()
		delete(w.h.cache.creating, req.TableName)
		w.h.cache.mu.Unlock()
	}
	return status, string(out)
}

// ok does an operation that has to succeed.
func (w *world) ok(op, body string) string {
	w.t.Helper()
	status, out := w.do(op, body)
	if status != 200 {
		w.t.Fatalf("%s %s: %d %s", op, body, status, out)
	}
	return out
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// TestGoldenAnswers runs the scripts of testdata/golden, each on tables of its own. A line "Operation
// {parameters}" is followed by the answer: a status when it is not 200, and the body. "# " begins a
// comment, "pass 90s" moves the clock.
func TestGoldenAnswers(t *testing.T) {
	files, err := filepath.Glob("testdata/golden/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newWorld(t).play(script)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(script), string(got)); diff != "" {
				t.Errorf("answers (-want +got):\n%s", diff)
			}
		})
	}
}

// play runs a script and returns it with the answers as they are.
func (w *world) play(script []byte) []byte {
	var out bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(script))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		op, body, _ := strings.Cut(line, " ")
		switch {
		case line == "" || op == "#":
			fmt.Fprintln(&out, line)
		case op == "pass":
			d, err := time.ParseDuration(body)
			if err != nil {
				w.t.Fatalf("%q: %v", line, err)
			}
			w.at = w.at.Add(d)
			fmt.Fprintln(&out, line)
		case op == "": // an old answer
		case op[0] >= 'A' && op[0] <= 'Z':
			status, answer := w.do(op, body)
			fmt.Fprintln(&out, line)
			if status != 200 {
				fmt.Fprint(&out, "  ", status, "\n")
			}
			answer = uuid.ReplaceAllString(answer, "{uuid}")
			fmt.Fprint(&out, "  ", answer, "\n")
		default:
			w.t.Fatalf("what is %q?", line)
		}
	}
	return out.Bytes()
}
