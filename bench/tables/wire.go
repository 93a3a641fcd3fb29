package tables

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// wireRows is how many rows the tables of servers have, fewRows those of one that takes 24 requests a second, and variants how many items are put in each: a put of
// what is there already need not write anything.
const (
	wireRows = 2000
	fewRows  = 10
	variants = 8
)

// wire is a server with the requests that it is asked.
type wire struct {
	name, addr              string
	err                     error // why it cannot be had
	put, get, update, query [][]byte
	lines                   chan *line // connections that nobody uses now
}

func newWire(name, addr string) *wire {
	return &wire{name: name, addr: addr, lines: make(chan *line, writers)}
}

// as is the server that gets the requests of another one.
func (x *wire) as(o *wire) *wire {
	x.put, x.get, x.update, x.query, x.err = o.put, o.get, o.update, o.query, o.err
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
		if l.over {
			return l.conn.Close()
		}
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

// dynamo is a request with a signature that nobody checks.
func dynamo(operation, body string) []byte {
	return request("/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810."+operation, "X-Amz-Date", "20260101T000000Z",
		"Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
}

const benchTable = `{"TableName":"bench","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST"}`

// prepare makes a table, so many rows and the requests: for single rows, and for a hundred under one key.
func (x *wire) prepare(rows int) error {
	if err := x.ask(dynamo("CreateTable", benchTable)); err != nil {
		return err
	}
	time.Sleep(time.Second) // until it is active
	for i := range rows {
		for n := range variants {
			x.put = append(x.put, dynamo("PutItem", item(fmt.Sprint("r", i), 0, n)))
		}
		x.get = append(x.get, dynamo("GetItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}}}`, i)))
		x.update = append(x.update, dynamo("UpdateItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}},"UpdateExpression":"ADD n :one","ConditionExpression":"attribute_exists(p)","ExpressionAttributeValues":{":one":{"N":"1"}}}`, i)))
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
	return `{"TableName":"bench","Item":` + attributes(p, c, n) + `}`
}

func attributes(p string, c, n int) string {
	return fmt.Sprintf(`{"p":{"S":%q},"c":{"N":"%d"},"v":{"S":"%s"},"n":{"N":"%d"}}`, p, c, value, n)
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
func updates(x *wire) [][]byte { return x.update }
func queries(x *wire) [][]byte { return x.query }
