package lambda

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"

	"github.com/sluicehq/sluice/e2e/live"
)

// size is the server's resident memory in KB, and how many descriptors it has.
func size(t *testing.T, s *live.Server) (kb, files int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", s.Cmd.Process.Pid)
	b, err := os.ReadFile(dir + "/status")
	if err != nil {
		t.Fatal(err)
	}
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err = strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb, len(fds)
}

// TestSoakKeepsItsSize calls a function for SLUICE_SOAK_MINUTES, 10 without it, by callers who rest for as long as
// their calls take, and compares the second tenth of the time with the last: memory may be 5 % more, descriptors
// none.
func TestSoakKeepsItsSize(t *testing.T) {
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("set SLUICE_SOAK=1: it takes minutes")
	}
	minutes, err := strconv.Atoi(os.Getenv("SLUICE_SOAK_MINUTES"))
	if err != nil {
		minutes = 10
	}
	tenth := time.Duration(minutes) * time.Minute / 10
	s := live.Launch(t, "", "serve")
	c := client(t, s)
	name := create(t, c, "echo", `exports.handler = async (event) => event`, nil)
	end := time.Now().Add(10 * tenth)
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for time.Now().Before(end) {
				began := time.Now()
				if out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: []byte(`{"n":1}`)}); err != nil || out.FunctionError != nil {
					t.Errorf("%+v %v", out, err)
					return
				}
				time.Sleep(time.Since(began))
			}
		})
	}
	// during is the median size over a tenth.
	during := func() (kb, files int) {
		var kbs, all []int
		for range 20 {
			time.Sleep(tenth / 20)
			k, f := size(t, s)
			kbs, all = append(kbs, k), append(all, f)
		}
		slices.Sort(kbs)
		slices.Sort(all)
		return kbs[10], all[10]
	}
	time.Sleep(tenth)
	kb, files := during()
	time.Sleep(time.Until(end.Add(-tenth)))
	kbAfter, filesAfter := during()
	wg.Wait()
	t.Logf("%d KB and %d descriptors, %d KB and %d at the end", kb, files, kbAfter, filesAfter)
	if kbAfter > kb*105/100 || filesAfter > files {
		t.Errorf("it grew from %d KB and %d descriptors to %d KB and %d", kb, files, kbAfter, filesAfter)
	}
}
