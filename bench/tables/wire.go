package tables

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// wireRows is how many rows the tables of servers have, and variants how many items are put in each: a put of
// what is there already need not write anything.
const (
	wireRows = 2000
	variants = 8
)

// wire is a server with the requests that it is asked.
type wire struct {
	name, addr      string
	err             error // why it cannot be had
	put, get, query [][]byte
	lines           chan *line // connections that nobody uses now
}

func newWire(name, addr string) *wire {
	return &wire{name: name, addr: addr, lines: make(chan *line, writers)}
}

// as is the server that gets the requests of another one.
func (x *wire) as(o *wire) *wire {
	x.put, x.get, x.query, x.err = o.put, o.get, o.query, o.err
	return x
}

// ask sends a request over a connection that is free, or a new one.
func (x *wire) ask(req []byte) error {
	for {
		l, err := x.line()
		if err != nil {
			return err
		}
		answered, err := l.ask(req)
		if err != nil {
			l.conn.Close()
			if l.used && !answered {
				continue // Node ends connections that have been idle for 5 s
			}
			return fmt.Errorf("%s %w", x.name, err)
		}
		l.used = true
		select {
		case x.lines <- l:
		default:
			l.conn.Close()
		}
		return nil
	}
}

func (x *wire) line() (*line, error) {
	select {
	case l := <-x.lines:
		return l, nil
	default:
		return dial(x.addr)
	}
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
	x.addr = fmt.Sprintf("127.0.0.1:%d", port)
	x.err = measure.Answers("http://"+x.addr, 20*time.Second)
	return p.Kill, measure.NpmVersions(npm, "dynalite")
}

// dynamo is a request with a signature that nobody checks.
func dynamo(operation, body string) []byte {
	return request("/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810."+operation, "X-Amz-Date", "20260101T000000Z",
		"Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
}

// prepare makes a table, its rows and the requests: single rows, and a hundred under one key.
func (x *wire) prepare() error {
	if err := x.ask(dynamo("CreateTable", `{"TableName":"bench","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST"}`)); err != nil {
		return err
	}
	time.Sleep(time.Second) // until it is active
	for i := range wireRows {
		for n := range variants {
			x.put = append(x.put, dynamo("PutItem", item(fmt.Sprint("r", i), 0, n)))
		}
		x.get = append(x.get, dynamo("GetItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}}}`, i)))
		if err := x.ask(x.put[i*variants]); err != nil {
			return err
		}
	}
	for i := range 100 {
		if err := x.ask(dynamo("PutItem", item("q", i, 0))); err != nil {
			return err
		}
	}
	x.query = [][]byte{dynamo("Query", `{"TableName":"bench","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"q"}}}`)}
	return nil
}

func item(p string, c, n int) string {
	return fmt.Sprintf(`{"TableName":"bench","Item":{"p":{"S":%q},"c":{"N":"%d"},"v":{"S":"%s"},"n":{"N":"%d"}}}`, p, c, value, n)
}

// rate is how many of some requests so many workers get answered in a second.
func (x *wire) rate(workers int, of func(*wire) [][]byte) measure.Side {
	return measure.Side{Name: x.name, Take: func() (float64, error) {
		if x.err != nil {
			return 0, x.err
		}
		return perSecond(workers, x.one(of))
	}}
}

// p99 is how long, in ms, all but one of a hundred of them take at most.
func (x *wire) p99(workers int, of func(*wire) [][]byte) measure.Side {
	return measure.Side{Name: x.name, Take: func() (float64, error) {
		if x.err != nil {
			return 0, x.err
		}
		took, err := times(workers, x.one(of))
		return measure.Percentile(took, 99), err
	}}
}

// one asks one of the requests.
func (x *wire) one(of func(*wire) [][]byte) func(*rand.Rand) error {
	list := of(x)
	return func(rnd *rand.Rand) error { return x.ask(list[rnd.IntN(len(list))]) }
}

func puts(x *wire) [][]byte    { return x.put }
func gets(x *wire) [][]byte    { return x.get }
func queries(x *wire) [][]byte { return x.query }
