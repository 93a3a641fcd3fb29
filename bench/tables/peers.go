package tables

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

// peer starts a server that speaks DynamoDB. A nil stop is of one that cannot be had.
func peer(name string, rows int, command func(port string) (*exec.Cmd, error)) (x *wire, stop func()) {
	x = newWire(name, "")
	port, err := measure.FreePort()
	if err != nil {
		x.err = err
		return x, nil
	}
	cmd, err := command(fmt.Sprint(port))
	if err != nil {
		x.err = err
		return x, nil
	}
	p, err := measure.Start(cmd, true)
	if err != nil {
		x.err = err
		return x, nil
	}
	x.Addr = fmt.Sprintf("127.0.0.1:%d", port)
	if x.err = measure.Answers("http://"+x.Addr, 20*time.Second); x.err == nil {
		x.err = x.prepare(rows)
	}
	return x, p.Kill
}

// dynalite is its command with some options.
func dynalite(ctx context.Context, w *measure.Workshop, options ...string) func(string) (*exec.Cmd, error) {
	return func(port string) (*exec.Cmd, error) {
		npm, err := w.Installed(ctx, "dynalite@4")
		return exec.Command(filepath.Join(npm, "node_modules/.bin/dynalite"), append(options, "--port", port, "--createTableMs", "0")...), err
	}
}

// moto is its command, of a Python environment of its own, which it is installed into once.
func moto(ctx context.Context, w *measure.Workshop) func(string) (*exec.Cmd, error) {
	return func(port string) (*exec.Cmd, error) {
		bin := filepath.Join(w.Cache, "moto", "bin")
		if _, err := os.Stat(filepath.Join(bin, "moto_server")); err != nil {
			ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
			defer cancel()
			for _, args := range [][]string{{"python3", "-m", "venv", filepath.Dir(bin)}, {filepath.Join(bin, "pip"), "install", "--quiet", "moto[server]"}} {
				if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
					return nil, fmt.Errorf("no moto: %w: %s", err, bytes.TrimSpace(out[max(0, len(out)-200):]))
				}
			}
		}
		return exec.Command(filepath.Join(bin, "moto_server"), "--port", port), nil
	}
}

// motoVersion is that of the one that was installed; "" for none.
func motoVersion(w *measure.Workshop) string {
	out, _ := exec.Command(filepath.Join(w.Cache, "moto", "bin", "python"), "-c", "import importlib.metadata as m; print(m.version('moto'))").Output()
	return strings.TrimSpace(string(out))
}

// filled is a whole sluice's resident memory, in MB, once so many rows were put into it.
func filled(w *measure.Workshop, rows int) (float64, error) {
	s, err := w.Run("serve")
	if err != nil {
		return 0, err
	}
	defer s.Kill()
	if err := s.Keys(); err != nil {
		return 0, err
	}
	keys := access.Credentials{ID: s.Env["AWS_ACCESS_KEY_ID"], Secret: s.Env["AWS_SECRET_ACCESS_KEY"]}
	do := func(operation, body string) error {
		r, err := http.NewRequest("POST", s.Env["AWS_ENDPOINT_URL"], strings.NewReader(body))
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/x-amz-json-1.0")
		r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
		sigv4.Sign(r, []byte(body), keys, s.Env["AWS_REGION"], "dynamodb", time.Now())
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var said bytes.Buffer
		if _, err := said.ReadFrom(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answered %s: %s", operation, resp.Status, said.String())
		}
		return nil
	}
	if err := do("CreateTable", benchTable); err != nil {
		return 0, err
	}
	time.Sleep(time.Second) // until it is active
	for i := 0; i < rows; i += 25 {
		var puts []string
		for n := range 25 {
			puts = append(puts, fmt.Sprintf(`{"PutRequest":{"Item":%s}}`, attributes(fmt.Sprint("r", i+n), 0, n)))
		}
		if err := do("BatchWriteItem", `{"RequestItems":{"bench":[`+strings.Join(puts, ",")+`]}}`); err != nil {
			return 0, err
		}
	}
	time.Sleep(3 * time.Second)
	return s.Resident() / 1e6, nil
}
