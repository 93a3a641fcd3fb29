package table_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/kv/pebble"
	"github.com/sluicehq/sluice/table"
)

// The test binary is its own victim: with this variable set it writes to the store in that folder
// until it is killed.
const victimEnv = "SLUICE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		if err := victim(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// victim puts rows with counted keys for ever, and deletes every third again. It prints "+n" for an
// acknowledged row and "-n" for an acknowledged delete. Beside that it writes pairs of rows in sessions.
func victim(dir string) error {
	ctx := context.Background() // it works until it is killed
	store, err := pebble.Open(dir, pebble.Options{Log: discard})
	if err != nil {
		return err
	}
	tables, err := table.Open(ctx, store, table.Options{Log: discard})
	if err != nil {
		return err
	}
	spec, err := tables.Lookup(ctx, "inst", "chat")
	if isMissing(err) {
		want := counting()
		want.Stream = &table.Stream{Hours: 1}
		want.Indexes = []table.Index{{Name: "by n", Key: []table.KeyColumn{{Name: "n", Type: table.Int}}}}
		spec, err = tables.Create(ctx, want)
	}
	if err != nil {
		return err
	}
	ledger, err := tables.Lookup(ctx, "inst", "ledger")
	if isMissing(err) {
		want := held()
		want.Name = "ledger"
		ledger, err = tables.Create(ctx, want)
	}
	if err != nil {
		return err
	}
	errs := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() {
		mine := str(fmt.Sprint(os.Getpid())) // what a killed process held is held for its minute
		for i := int64(0); ; i += 2 {
			s, err := tables.Begin(ctx, ledger, mine, time.Minute)
			for n := range int64(2) {
				if err == nil {
					_, err = s.Apply(ctx, []table.Op{put(ledger, table.Key{mine, num(i + n)}, cols(1, "n", num(i))...)})
				}
			}
			if err == nil {
				err = s.Commit(ctx)
			}
			if err != nil {
				errs <- err
			}
		}
	})
	for w := range int64(16) {
		wg.Go(func() {
			for i := 0; ; i++ {
				ch, err := tables.Apply(ctx, put(spec, table.Key{str("a"), lowest}, cols(1, "n", num(w))...))
				if err != nil {
					errs <- err
				}
				fmt.Fprintf(os.Stdout, "+%d\n", ch.Key[1].Int)
				if i%3 == 0 {
					if _, err := tables.Apply(ctx, remove(spec, ch.Key)); err != nil {
						errs <- err
					}
					fmt.Fprintf(os.Stdout, "-%d\n", ch.Key[1].Int)
				}
			}
		})
	}
	return <-errs
}

func TestKilledProcessKeepsRowsIndexesStreamsAndCounters(t *testing.T) { keepAll(t, 5) }

func TestSoakAHundredKills(t *testing.T) {
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("takes minutes: make soak runs it")
	}
	keepAll(t, 100)
}

// keepAll kills a process that writes, so many times, and looks at its tables.
func keepAll(t *testing.T, kills int) {
	t.Parallel()
	dir := t.TempDir()
	there := map[int64]bool{} // false: deleted
	highest := int64(0)
	for round := range kills {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), victimEnv+"="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		before, n := highest, 0
		for lines := bufio.NewScanner(out); lines.Scan(); n++ {
			var id int64
			if _, err := fmt.Sscan(lines.Text()[1:], &id); err != nil {
				t.Fatal(err)
			}
			if lines.Text()[0] == '-' {
				there[id] = false
			} else {
				if _, seen := there[id]; seen || id <= before {
					t.Errorf("number %d came again", id)
				}
				there[id] = true
				highest = max(highest, id)
			}
			if n == 400+300*(round%5) {
				cmd.Process.Kill()
			}
		}
		cmd.Wait() // it was killed
		inspect(t, dir, there)
	}
	t.Logf("%d rows survived %d kills", len(there), kills)
}

func inspect(t *testing.T, dir string, there map[int64]bool) {
	t.Helper()
	store, err := pebble.Open(dir, pebble.Options{Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	tables := open(t, store, nil)
	spec, err := tables.Lookup(t.Context(), "inst", "chat")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int64]bool{}
	for _, row := range all(t, tables, table.Range{Table: spec}) {
		found[row.Key[1].Int] = true
	}
	lost := 0
	for id, is := range there {
		if is && !found[id] {
			lost++ // or its delete was done, and the word of it not heard
		}
		if !is && found[id] {
			t.Errorf("row %d was deleted and is back", id)
		}
	}
	if lost > 16 {
		t.Errorf("%d acknowledged rows are lost, more than 16 writers can have been deleting", lost)
	}
	sameIndex(t, tables, "inst", "chat")
	ledger, err := tables.Lookup(t.Context(), "inst", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	pairs := map[string]int{}
	for _, row := range all(t, tables, table.Range{Table: ledger}) {
		pairs[fmt.Sprint(row.Key[0].Str, " ", value(&row))]++
	}
	for pair, n := range pairs {
		if n != 2 {
			t.Errorf("session %s left %d of its two rows", pair, n)
		}
	}
	// The stream is whole, and playing it gives the table; so a row that is not there was deleted.
	played := map[int64]bool{}
	next := uint64(1)
	for {
		recs, err := tables.ReadStream(t.Context(), spec, next, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(recs) == 0 {
			break
		}
		for _, r := range recs {
			if r.Seq != next {
				t.Fatalf("record %d, want %d", r.Seq, next)
			}
			next++
			if _, again := played[r.Key[1].Int]; again && r.After != nil {
				t.Errorf("number %d came again", r.Key[1].Int)
			}
			if played[r.Key[1].Int] = r.After != nil; r.After == nil {
				if is, known := there[r.Key[1].Int]; known && is {
					there[r.Key[1].Int] = false
				}
			}
		}
	}
	for id, is := range played {
		if is != found[id] {
			t.Errorf("row %d: the stream says %v, the table %v", id, is, found[id])
		}
	}
	for id, is := range there {
		if is && !found[id] {
			t.Errorf("row %d is lost", id)
		}
	}
}
