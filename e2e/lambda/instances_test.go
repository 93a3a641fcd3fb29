package lambda

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/sluicehq/sluice/e2e/live"
)

// noting are functions that write down that each call has begun, and answer a moment later with the process
// that it ran in.
var noting = []struct {
	runtime    types.Runtime
	file, code string
}{
	{types.RuntimeNodejs20x, "index.js", `const fs = require('fs');
exports.handler = async ({ n }) => {
  fs.appendFileSync(process.env.NOTES, n + '\n');
  await new Promise((done) => setTimeout(done, Math.random() * 4));
  return { n, pid: process.pid };
};`},
	{types.RuntimePython311, "index.py", `import os, random, time
def handler(event, context):
    with open(os.environ['NOTES'], 'a') as f:
        f.write('%d\n' % event['n'])
    time.sleep(random.random() / 250)
    return {'n': event['n'], 'pid': os.getpid()}
`},
}

func TestInstancesThatAreKilledLoseNoCallAndRepeatNone(t *testing.T) { killInstances(t, 300) }

func TestSoakTenThousandKilledInstances(t *testing.T) {
	if os.Getenv("SLUICE_SOAK") == "" {
		t.Skip("takes minutes: make soak runs it")
	}
	killInstances(t, 10_000)
}

// killInstances calls a function while its instances are killed at random. Each call is answered once, with
// its own answer or with its instance's end; what was answered has run once, what was not at most once.
func killInstances(t *testing.T, kills int) {
	notes := filepath.Join(t.TempDir(), "notes")
	s := live.Launch(t, "", "serve")
	c := client(t, s)
	for _, f := range noting {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create(f.file)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, f.code)
		z.Close()
		if _, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: functionName(f.runtime), Role: aws.String("arn:aws:iam::000000000000:role/any"), Runtime: f.runtime, Handler: aws.String("index.handler"),
			Code: &types.FunctionCode{ZipFile: b.Bytes()}, Timeout: aws.Int32(20), Environment: &types.Environment{Variables: map[string]string{"NOTES": notes}}}); err != nil {
			t.Fatal(err)
		}
	}

	const callers = 6
	var recent [callers]atomic.Int64 // processes that have answered lately
	var next, crashed atomic.Int64
	var mu sync.Mutex
	answered := map[int64]bool{} // whether by the function
	over := make(chan struct{})
	var wg sync.WaitGroup
	for caller := range callers {
		name := functionName(noting[caller%len(noting)].runtime)
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				n := next.Add(1)
				out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name, Payload: fmt.Appendf(nil, `{"n":%d}`, n)})
				if err != nil {
					t.Errorf("call %d: %v", n, err)
					return
				}
				if out.FunctionError != nil {
					if !strings.Contains(string(out.Payload), "signal: killed") {
						t.Errorf("call %d: %s", n, out.Payload)
					}
					crashed.Add(1)
				} else {
					var said struct{ N, PID int64 }
					if json.Unmarshal(out.Payload, &said); said.N != n {
						t.Errorf("call %d is answered %s", n, out.Payload)
					}
					recent[caller].Store(said.PID)
				}
				mu.Lock()
				answered[n] = out.FunctionError == nil
				mu.Unlock()
			}
		})
	}
	killed := 0
	for began := time.Now(); killed < kills && !t.Failed(); {
		time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
		pid := int(recent[rand.IntN(callers)].Swap(0))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if pid != 0 && bytes.Contains(line, []byte(s.Data)) && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
		if time.Since(began) > time.Minute+time.Duration(kills)*time.Second {
			t.Fatalf("only %d kills since %v", killed, began)
		}
	}
	close(over)
	wg.Wait()

	text, err := os.ReadFile(notes)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[int64]int{}
	for line := range strings.Lines(string(text)) {
		var n int64
		fmt.Sscan(line, &n)
		ran[n]++
	}
	for n, well := range answered {
		if ran[n] > 1 || well && ran[n] != 1 {
			t.Errorf("call %d ran %d times, answered by the function: %v", n, ran[n], well)
		}
	}
	if int64(len(answered)) != next.Load() {
		t.Errorf("%d of %d calls have an answer", len(answered), next.Load())
	}
	t.Logf("%d calls, %d instances killed, %d calls ended by that", len(answered), killed, crashed.Load())
}

// functionName is a runtime's name without what a function's name may not have.
func functionName(r types.Runtime) *string {
	return aws.String(strings.ReplaceAll(string(r), ".", "-"))
}
