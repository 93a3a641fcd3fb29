package endtoend

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// offline starts serverless-offline, each time with a dynalite of its own for the chat's table.
type offline struct {
	npm, dir string
	err      error // why it cannot be had
}

func newOffline(ctx context.Context, w *measure.Workshop) (o *offline) {
	o = &offline{}
	if o.npm, o.err = w.Installed(ctx, "serverless@3", "serverless-offline@13", "dynalite@4", "@aws-sdk/client-dynamodb", "@aws-sdk/lib-dynamodb", "@aws-sdk/client-apigatewaymanagementapi"); o.err != nil {
		return o
	}
	o.dir = filepath.Join(o.npm, "chat")
	os.RemoveAll(o.dir)
	o.err = os.CopyFS(o.dir, os.DirFS(filepath.Join(w.Source, "bench/endtoend/chat")))
	return o
}

func (o *offline) versions() map[string]string {
	return measure.NpmVersions(o.npm, "serverless", "serverless-offline", "dynalite")
}

// start waits until it listens.
func (o *offline) start() (p *place, err error) {
	if o.err != nil {
		return nil, o.err
	}
	p = &place{name: "serverless-offline", path: "/", late: true}
	var running []*measure.Process
	p.stop = func() {
		for _, r := range running {
			r.Kill()
		}
	}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	var ports [4]int
	for i := range ports {
		if ports[i], err = measure.FreePort(); err != nil {
			return nil, err
		}
	}
	tables := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	run := func(program string, args ...string) (*measure.Process, error) {
		cmd := exec.Command(filepath.Join(o.npm, "node_modules/.bin", program), args...)
		cmd.Dir = o.dir
		cmd.Env = append(os.Environ(), fmt.Sprintf("BENCH_SOCKETS=%d", ports[1]), "BENCH_TABLES="+tables, "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off")
		r, err := measure.Start(cmd, true)
		if err == nil {
			running = append(running, r)
		}
		return r, err
	}
	if _, err = run("dynalite", "--port", fmt.Sprint(ports[0]), "--createTableMs", "0"); err != nil {
		return nil, err
	}
	if err = measure.Answers(tables, 20*time.Second); err != nil {
		return nil, err
	}
	if err = makeTable(tables); err != nil {
		return nil, err
	}
	server, err := run("serverless", "offline", "start", "--websocketPort", fmt.Sprint(ports[1]), "--httpPort", fmt.Sprint(ports[2]), "--lambdaPort", fmt.Sprint(ports[3]), "--host", "127.0.0.1")
	if err != nil {
		return nil, err
	}
	p.addr = fmt.Sprintf("127.0.0.1:%d", ports[1])
	p.cost = func() (sum time.Duration) {
		for _, r := range running {
			sum += r.CPUOfAll()
		}
		return sum
	}
	p.memory = server.Share
	if err = measure.Answers("http://"+p.addr, 40*time.Second); err != nil {
		return nil, fmt.Errorf("serverless-offline does not start: %w: %s", err, server.Said())
	}
	return p, nil
}

// makeTable makes the chat's table in dynalite.
func makeTable(url string) error {
	r, err := http.NewRequest("POST", url, strings.NewReader(`{"TableName":"people","AttributeDefinitions":[{"AttributeName":"connectionId","AttributeType":"S"}],"KeySchema":[{"AttributeName":"connectionId","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.CreateTable")
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("dynalite makes no table: %s", resp.Status)
	}
	return nil
}
