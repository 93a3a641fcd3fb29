package tables

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// wire is a server of DynamoDB's protocol.
type wire struct {
	name, base string
	err        error // why it cannot be had
}

// start installs and starts dynalite, whose tables are in memory.
func (x *wire) start(ctx context.Context, w *measure.Workshop) (stop func(), versions map[string]string) {
	stop = func() {}
	npm, err := w.Installed(ctx, "dynalite@4")
	if err != nil {
		x.err = err
		return stop, nil
	}
	port, err := measure.FreePort()
	if err != nil {
		x.err = err
		return stop, nil
	}
	p, err := measure.Start(exec.Command(filepath.Join(npm, "node_modules/.bin/dynalite"), "--port", fmt.Sprint(port), "--createTableMs", "0"), true)
	if err != nil {
		x.err = err
		return stop, nil
	}
	x.base = fmt.Sprintf("http://127.0.0.1:%d", port)
	x.err = measure.Answers(x.base, 20*time.Second)
	return p.Kill, measure.NpmVersions(npm, "dynalite")
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: writers}, Timeout: 20 * time.Second}

// call sends one operation with a signature that nobody checks.
func (x *wire) call(operation, body string) error {
	r, err := http.NewRequest("POST", x.base, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	r.Header.Set("X-Amz-Date", "20260101T000000Z")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s answered %s: %s", x.name, operation, resp.Status, said)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// prepare makes the tables and their rows: single ones, and a hundred under one key.
func (x *wire) prepare() error {
	if err := x.call("CreateTable", `{"TableName":"bench","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST"}`); err != nil {
		return err
	}
	time.Sleep(time.Second) // until it is active
	for i := range 2000 {
		if err := x.call("PutItem", item(fmt.Sprint("r", i), 0)); err != nil {
			return err
		}
	}
	for i := range 100 {
		if err := x.call("PutItem", item("q", i)); err != nil {
			return err
		}
	}
	return nil
}

func item(p string, c int) string {
	return fmt.Sprintf(`{"TableName":"bench","Item":{"p":{"S":%q},"c":{"N":"%d"},"v":{"S":"%s"},"n":{"N":"1"}}}`, p, c, value)
}

func (x *wire) side(workers int, do func(*rand.Rand) error) measure.Side {
	return measure.Side{Name: x.name, Take: func() (float64, error) {
		if x.err != nil {
			return 0, x.err
		}
		return perSecond(workers, do)
	}}
}

func (x *wire) puts() measure.Side {
	return x.side(writers, func(rnd *rand.Rand) error { return x.call("PutItem", item(fmt.Sprint("r", rnd.IntN(2000)), 0)) })
}

func (x *wire) gets() measure.Side {
	return x.side(writers, func(rnd *rand.Rand) error {
		return x.call("GetItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}}}`, rnd.IntN(2000)))
	})
}

func (x *wire) queries() measure.Side {
	return x.side(4, func(*rand.Rand) error {
		return x.call("Query", `{"TableName":"bench","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"q"}}}`)
	})
}
