package pebble_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/pebble"
)

// The test binary is its own victim: with this variable set it works in that folder until it is killed.
const victimEnv = "SLUICE_TEST_VICTIM"

func TestMain(m *testing.M) {
	for env, work := range map[string]func(string) error{victimEnv: victim, idleEnv: idle} {
		if dir := os.Getenv(env); dir != "" {
			if err := work(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// victim writes and reads for ever. It prints every key whose write was acknowledged, and every key
// that a reader saw.
func victim(dir string) error {
	s, err := pebble.Open(dir, pebble.Options{Log: discard})
	if err != nil {
		return err
	}
	ctx := context.Background() // it works until it is killed
	run := fmt.Sprint(os.Getpid())
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				key := fmt.Sprintf("%s-%02d-%d", run, w, n)
				err := s.Update(ctx, kv.Locks{}, func(tx kv.Txn) error {
					tx.Put([]byte(key), []byte(strings.Repeat("v", 100)))
					tx.Put(fmt.Append(nil, "last-", run, w), []byte(key))
					return nil
				})
				if err != nil {
					panic(err)
				}
				os.Stdout.WriteString(key + "\n")
			}
		})
		wg.Go(func() {
			for {
				err := s.View(ctx, func(r kv.Reader) error {
					key, ok, err := r.Get(fmt.Append(nil, "last-", run, w))
					if ok {
						os.Stdout.WriteString(string(key) + "\n")
					}
					return err
				})
				if err != nil {
					panic(err)
				}
				time.Sleep(time.Millisecond) // most of the output shall be writes
			}
		})
	}
	wg.Wait()
	return nil
}

func TestKilledProcessLosesNothingAcknowledgedOrRead(t *testing.T) { loseNothing(t, 5) }

func TestSoakAHundredKills(t *testing.T) {
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("takes minutes: make soak runs it")
	}
	loseNothing(t, 100)
}

// loseNothing kills a process that writes and reads, so many times, and looks for what it said.
func loseNothing(t *testing.T, kills int) {
	t.Parallel()
	dir := t.TempDir()
	seen := map[string]bool{}
	for range kills {
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
		lines := bufio.NewScanner(out)
		for stop := len(seen) + 300 + rand.IntN(2000); lines.Scan(); {
			seen[lines.Text()] = true
			if len(seen) == stop {
				cmd.Process.Kill()
			}
		}
		cmd.Wait() // it was killed
		s := open(t, dir)
		for key := range seen { // a view of all could take too long on a busy machine
			err := s.View(t.Context(), func(r kv.Reader) error {
				_, ok, err := r.Get([]byte(key))
				if !ok {
					t.Errorf("%s is lost", key)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) < 1000 {
		t.Errorf("only %d keys were written", len(seen))
	}
	t.Logf("%d keys survived %d kills", len(seen), kills)
}

func TestFolderInUseIsOneClearLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victimEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Scan() // it is at work
	check := func() {
		t.Helper()
		_, err := pebble.Open(dir, pebble.Options{Log: discard})
		if want := "folder " + dir + " is in use by another process"; err == nil || err.Error() != want || sluice.HintOf(err) == "" || sluice.KindOf(err) != sluice.Unavailable {
			t.Errorf("error is %v, want %s and a hint", err, want)
		}
	}
	check()
	cmd.Process.Kill()
	for lines.Scan() {
	}
	cmd.Wait()
	s := open(t, dir)
	defer s.Close()
	check()
}
