package functions

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/function"
)

const (
	pidJS     = `exports.handler = async () => process.pid`
	pidPython = "import os\ndef handler(event, context): return os.getpid()"
	idlePyMod = "import os, sys, importlib, time\nsys.path.insert(0, sys.argv[1])\nimportlib.import_module('index')\nos.write(1, b'x')\ntime.sleep(600)"
	idleJSMod = `require(process.argv[2]); require('fs').writeSync(1, 'x'); setInterval(() => {}, 1e6)`
	apart     = 8 // instances whose memory is looked at
)

// private is what a process has in memory for itself alone, in MB.
func private(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	sum := 0.0
	for line := range strings.Lines(string(b)) {
		if name, rest, ok := strings.Cut(line, ":"); ok && (name == "Private_Clean" || name == "Private_Dirty") {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				return 0, err
			}
			sum += kb / 1e3
		}
	}
	return sum, nil
}

// density is the private memory of an idle instance, with some of them there.
func (r *room) density(name, runtime, file, code string) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		var each []float64
		var pids []int
		for i := range apart {
			v, err := r.function(fmt.Sprint(name, i), "aws", runtime, file, code, 1)
			if err == nil {
				err = r.Deploy(r.ctx, v)
			}
			if err != nil {
				return 0, err
			}
			defer r.Remove(r.ctx, v.App, v.Spec.Name)
			pid, err := r.pid(v)
			if err != nil {
				return 0, err
			}
			pids = append(pids, pid)
		}
		time.Sleep(time.Second)
		for _, pid := range pids {
			mb, err := private(pid)
			if err != nil {
				return 0, err
			}
			each = append(each, mb)
		}
		return measure.Median(each), nil
	}}
}

// pid calls a function that answers with its process.
func (r *room) pid(v *function.Version) (int, error) {
	res, err := r.Invoke(r.ctx, sluice.Invocation{App: v.App, Function: v.Spec.Name, Payload: event})
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(res.Payload))
}

// bareDensity is the private memory of a program that has loaded the same module and waits.
func bareDensity(temp, file, code, program string, args ...string) measure.Side {
	return measure.Side{Name: filepath.Base(program) + " with the module", Take: func() (float64, error) {
		dir, err := os.MkdirTemp(temp, "bare-*")
		if err != nil {
			return 0, err
		}
		if err := os.WriteFile(filepath.Join(dir, file), []byte(code), 0o644); err != nil {
			return 0, err
		}
		var each []float64
		for range apart {
			cmd := exec.Command(program, append(args, dir)...)
			cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				return 0, err
			}
			defer func() { cmd.Process.Kill(); cmd.Wait() }()
			if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
				return 0, err
			}
			time.Sleep(200 * time.Millisecond)
			mb, err := private(cmd.Process.Pid)
			if err != nil {
				return 0, err
			}
			each = append(each, mb)
		}
		return measure.Median(each), nil
	}}
}

// killed is the median time in ms from the kill of a busy instance to its caller's error.
func (r *room) killed(v *function.Version) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		var took []float64
		for range 5 {
			pid, err := r.pid(v)
			if err != nil {
				return 0, err
			}
			failed := make(chan error, 1)
			go func() { // waited for below
				res, err := r.Invoke(r.ctx, sluice.Invocation{App: v.App, Function: v.Spec.Name, Payload: []byte(`{"hang":true}`)})
				if err == nil && res.Failure == nil {
					err = fmt.Errorf("a call of a killed instance has answered %s", res.Payload)
				}
				failed <- err
			}()
			time.Sleep(50 * time.Millisecond)
			t := time.Now()
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				return 0, err
			}
			if err := <-failed; err != nil {
				return 0, err
			}
			took = append(took, time.Since(t).Seconds()*1e3)
		}
		return measure.Median(took), nil
	}}
}

const hangJS = `exports.handler = (event, context, cb) => { if (!event.hang) cb(null, process.pid); else setTimeout(cb, 1e6) }`

// savedTemplate has one function with an address.
const savedTemplate = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs20.x, Handler: index.handler, CodeUri: src/, FunctionUrlConfig: { AuthType: NONE } } }
Outputs:
  Url: { Value: !GetAtt HelloUrl.FunctionUrl }
`

// saved is the median time in ms from a file's saving to the first answer of the new code, under sluice dev.
func saved(ctx context.Context, w *measure.Workshop) measure.Side {
	return measure.Side{Name: "sluice", Take: func() (float64, error) {
		dir, err := os.MkdirTemp(w.Temp, "saved-*")
		if err == nil {
			err = os.Mkdir(filepath.Join(dir, "src"), 0o755)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "template.yaml"), []byte(savedTemplate), 0o644)
		}
		if err != nil {
			return 0, err
		}
		write := func(n int) error {
			return os.WriteFile(filepath.Join(dir, "src/index.js"), fmt.Appendf(nil, "exports.handler = async () => ({ statusCode: 200, body: '%d' })", n), 0o644)
		}
		if err := write(0); err != nil {
			return 0, err
		}
		s, err := w.Run("dev", dir)
		if err != nil {
			return 0, err
		}
		defer s.Kill()
		host := ""
		for _, o := range s.App.Outputs {
			if h, ok := strings.CutPrefix(o.Value, "https://"); ok && o.Name == "Url" {
				host = strings.TrimSuffix(h, "/")
			}
		}
		var took []float64
		for n := 1; n <= 7; n++ {
			if err := answers(ctx, s.Host(), host, n-1); err != nil {
				return 0, err
			}
			time.Sleep(500 * time.Millisecond)
			t := time.Now()
			if err := write(n); err != nil {
				return 0, err
			}
			if err := answers(ctx, s.Host(), host, n); err != nil {
				return 0, err
			}
			took = append(took, time.Since(t).Seconds()*1e3)
		}
		return measure.Median(took), nil
	}}
}

// answers asks until the answer is n.
func answers(ctx context.Context, addr, host string, n int) error {
	var said []byte
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+addr+"/", nil)
		if err != nil {
			return err
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		said, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return err
		}
		if string(bytes.TrimSpace(said)) == strconv.Itoa(n) {
			return nil
		}
	}
	return fmt.Errorf("the new code never answers, but %.200q", said)
}
