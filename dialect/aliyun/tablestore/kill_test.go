package tablestore

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// The test binary is its own victim: with this variable set TestVictim works on the store in that folder until it
// is killed.
const victimEnv = "SLUICE_TEST_VICTIM"

// onDisk is a client of a server whose store is in dir. The server's clock stands still, over restarts, too.
func onDisk(t *testing.T, dir string) *client {
	t.Helper()
	store, err := pebble.Open(dir, pebble.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return newServerOn(t, store, nil).operator("inst")
}

// TestVictim writes rows with counted keys, changes and deletes some of them, and prints "+n" for an acknowledged key
// and "-n" for an acknowledged delete.
func TestVictim(t *testing.T) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		t.Skip("is for TestKilledServer...")
	}
	c := onDisk(t, dir)
	var list listTableResponse
	if c.do("ListTable", &none{}, &list); len(list.Names) == 0 {
		c.do("CreateTable", &createTableRequest{
			Meta: tableMeta{Name: "t", Defined: []definedColumn{{"n", definedInteger}}, Key: []keySchema{
				{Name: "gid", Type: keyInteger}, {Name: "id", Type: keyInteger, Option: autoIncr},
			}},
			Indexes: []indexMeta{{Name: "by_n", Key: []string{"n"}}},
		}, nil)
		schema := indexSchema{Fields: []fieldSchema{
			{Name: "n", Type: fieldLong}, {Name: "k", Type: fieldKeyword}, {Name: "f", Type: fieldDouble}, {Name: "b", Type: fieldBoolean}, {Name: "id", Type: fieldLong},
		}}
		c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	}
	columns := func(n int64) []cell {
		return []cell{
			intCell("n", n%5), textCell("k", fmt.Sprint("k", n%3)), {Name: "f", Kind: vtDouble, Value: floatValue(float64(n) / 2)},
			{Name: "b", Kind: vtBoolean, Value: table.Value{Type: table.Bool, Int: n % 2}},
		}
	}
	var wg sync.WaitGroup
	for w := range int64(8) {
		wg.Go(func() {
			for i := w; ; i++ {
				var resp rowResponse
				r := put(ignore, wireRow{Key: []cell{intCell("gid", w%2), autoCell("id")}, Cells: columns(i)})
				r.Return = &returnContent{Type: returnKey}
				c.do("PutRow", r, &resp)
				key := c.rows(resp.Row)[0].Key
				id := key[1].Value.Int
				os.Stdout.WriteString(fmt.Sprintf("+%d %d\n", w%2, id))
				switch i % 4 {
				case 0:
					c.do("UpdateRow", put(ignore, wireRow{Key: key, Cells: columns(i + 1)[:3]}), nil)
				case 1:
					c.do("DeleteRow", &rowRequest{Table: "t", Row: plainRow(wireRow{Key: key, Delete: true})}, nil)
					os.Stdout.WriteString(fmt.Sprintf("-%d %d\n", w%2, id))
				}
			}
		})
	}
	wg.Wait()
}

func TestKilledServerKeepsIndexesInStepAndNeverCountsTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := map[string]bool{} // by "gid id"; false: deleted
	highest := map[int64]int64{}
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestVictim$")
		cmd.Env = append(os.Environ(), victimEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, n := map[int64]int64{0: highest[0], 1: highest[1]}, 0
		for lines := bufio.NewScanner(out); lines.Scan(); n++ {
			var gid, id int64
			line := lines.Text()
			if _, err := fmt.Sscan(strings.TrimLeft(line, "+-"), &gid, &id); err != nil {
				t.Fatalf("the victim says %q", line)
			}
			name := fmt.Sprint(gid, " ", id)
			if there[name] = line[0] == '+'; there[name] {
				if id <= before[gid] {
					t.Errorf("round %d: key %s came after %d", round, name, before[gid])
				}
				highest[gid] = max(highest[gid], id)
			}
			if n == 300+200*round {
				cmd.Process.Kill()
			}
		}
		cmd.Wait() // it was killed
		survivors(t, dir, there)
	}
}

// survivors checks what is in the store against what was acknowledged, and every index against the table.
func survivors(t *testing.T, dir string, there map[string]bool) {
	t.Helper()
	c := onDisk(t, dir)
	defer c.server.store.Close()
	spec, err := c.tables.Lookup(t.Context(), "inst", "t")
	if err != nil {
		t.Fatal(err)
	}
	all := func(index string) (rows []table.Row) {
		t.Helper()
		for rg := (table.Range{Table: spec, Index: index, From: table.Key{least}}); rg.From != nil; {
			page, err := c.tables.Scan(t.Context(), rg)
			if err != nil {
				t.Fatal(err)
			}
			rows, rg.From = append(rows, page.Rows...), page.Next
		}
		return rows
	}
	rows := all("")
	found := map[string]bool{}
	for _, row := range rows {
		found[fmt.Sprint(row.Key[0].Int, " ", row.Key[1].Int)] = true
	}
	lost := 0
	for name, is := range there {
		if is && !found[name] {
			lost++ // or its delete was done, and the word of it not heard
		}
		if !is && found[name] {
			t.Errorf("row %s was deleted and is back", name)
		}
	}
	if lost > 4*8 {
		t.Errorf("%d acknowledged rows are lost, more than 8 writers can have been deleting in 4 rounds", lost)
	}
	if len(spec.Indexes) != 6 {
		t.Fatalf("there are %d indexes", len(spec.Indexes))
	}
	for i := range spec.Indexes {
		x := &spec.Indexes[i]
		cols := spec.IndexColumns(x)
		var want []table.Key
		for _, row := range rows {
			key := make(table.Key, len(cols))
			get := columnsOf(spec.Key, row.Key, &row)
			for i, col := range cols {
				key[i] = get(col.Name)[0].Value
			}
			want = append(want, key)
		}
		slices.SortFunc(want, table.CompareKeys)
		var got []table.Key
		for _, row := range all(x.Name) {
			got = append(got, row.Key)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("index %s (-table +index):\n%s", x.Name, diff)
		}
	}
	// Clients see the same.
	for n := range int64(5) {
		want := 0
		for _, row := range rows {
			if row.Column("n").Cells[0].Value.Int == n {
				want++
			}
		}
		q := term("n", intValue(n))
		var resp searchResponse
		c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&searchQuery{Query: &q, Count: true})}, &resp)
		if int(resp.Total) != want {
			t.Errorf("a search finds %d rows with %d, want %d", resp.Total, n, want)
		}
	}
}
