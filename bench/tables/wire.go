package tables

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/post"
)

// wireRows is how many rows the tables of servers have, fewRows those of one that takes 24 requests a second, ten
// times as many those of one that syncs each, and variants how many items are put in each: a put of what is there
// already need not write anything.
const (
	wireRows = 2000
	fewRows  = 10
	variants = 8
)

// wire is a server with the requests that it is asked.
type wire struct {
	*post.Server
	name                    string
	err                     error // why it cannot be had
	put, get, update, query requests
}

// requests are alike, and so are their answers: none is shorter than least.
type requests struct {
	all   [][]byte
	least int
}

func newWire(name, addr string) *wire { return &wire{Server: post.To(addr, writers), name: name} }

// as is the server that gets the requests of another one, and does nothing about them.
func (x *wire) as(o *wire) *wire {
	x.put, x.get, x.update, x.query, x.err = requests{all: o.put.all}, requests{all: o.get.all}, requests{all: o.update.all}, requests{all: o.query.all}, o.err
	return x
}

// ask sends a request whose answer has to have a number of bytes.
func (x *wire) ask(req []byte, least int) error {
	err := x.Ask(req, func(body []byte) error {
		if len(body) < least {
			return fmt.Errorf("answered %d bytes where there are %d: %.200s", len(body), least, body)
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("%s %w", x.name, err)
	}
	return err
}

// dynamo is a request with a signature that nobody checks.
func dynamo(operation, body string) []byte {
	return post.Request("/", body, "Content-Type", "application/x-amz-json-1.0", "X-Amz-Target", "DynamoDB_20120810."+operation, "X-Amz-Date", "20260101T000000Z",
		"Authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x")
}

const benchTable = `{"TableName":"bench","AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"c","AttributeType":"N"}],"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"c","KeyType":"RANGE"}],"BillingMode":"PAY_PER_REQUEST"}`

// prepare makes a table, so many rows and the requests: for single rows, and for a hundred under one key.
func (x *wire) prepare(rows int) error {
	if err := x.ask(dynamo("CreateTable", benchTable), 2); err != nil {
		return err
	}
	time.Sleep(time.Second) // until it is active
	x.put.least, x.get.least, x.update.least, x.query.least = 2, len(value), 2, 100*len(value)
	for i := range rows {
		for n := range variants {
			x.put.all = append(x.put.all, dynamo("PutItem", item(fmt.Sprint("r", i), 0, n)))
		}
		x.get.all = append(x.get.all, dynamo("GetItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}}}`, i)))
		x.update.all = append(x.update.all, dynamo("UpdateItem", fmt.Sprintf(`{"TableName":"bench","Key":{"p":{"S":"r%d"},"c":{"N":"0"}},"UpdateExpression":"ADD n :one","ConditionExpression":"attribute_exists(p)","ExpressionAttributeValues":{":one":{"N":"1"}}}`, i)))
		if err := x.ask(x.put.all[i*variants], 2); err != nil {
			return err
		}
	}
	for i := range 100 {
		if err := x.ask(dynamo("PutItem", item("q", i, 0)), 2); err != nil {
			return err
		}
	}
	x.query.all = [][]byte{dynamo("Query", `{"TableName":"bench","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"q"}}}`)}
	return x.check()
}

// check asks one of each, and whether what was written is read, what was counted was added and what is not there
// is refused.
func (x *wire) check() error {
	for _, of := range []requests{x.put, x.update} { // n is 0, then 1
		if err := x.ask(of.all[0], of.least); err != nil {
			return err
		}
	}
	err := x.Ask(x.get.all[0], func(body []byte) error {
		var said struct{ Item map[string]map[string]string }
		if err := json.Unmarshal(body, &said); err != nil || said.Item["v"]["S"] != value || said.Item["n"]["N"] != "1" {
			return fmt.Errorf("reads %s where an item with n 1 was written (%v)", body, err)
		}
		return nil
	})
	if err == nil {
		err = x.Ask(x.query.all[0], func(body []byte) error {
			var said struct{ Count int }
			if err := json.Unmarshal(body, &said); err != nil || said.Count != 100 {
				return fmt.Errorf("finds %d of 100 (%v)", said.Count, err)
			}
			return nil
		})
	}
	if err == nil {
		missing := bytes.Replace(x.update.all[0], []byte(`"r0"`), []byte(`"no"`), 1)
		if e := x.Ask(missing, nil); e == nil || !strings.Contains(e.Error(), "ConditionalCheckFailed") {
			err = fmt.Errorf("updates a row that is not there: %v", e)
		}
	}
	if err != nil {
		err = fmt.Errorf("%s %w", x.name, err)
	}
	return err
}

func item(p string, c, n int) string {
	return `{"TableName":"bench","Item":` + attributes(p, c, n) + `}`
}

func attributes(p string, c, n int) string {
	return fmt.Sprintf(`{"p":{"S":%q},"c":{"N":"%d"},"v":{"S":"%s"},"n":{"N":"%d"}}`, p, c, value, n)
}

// rate is how many of some requests so many workers get answered in a second.
func (x *wire) rate(workers int, of func(*wire) requests) measure.Side {
	return measure.Side{Name: x.name, Take: func() (float64, error) {
		if x.err != nil {
			return 0, x.err
		}
		return perSecond(workers, x.one(of))
	}}
}

// p99 is how long, in ms, all but one of a hundred of them take at most.
func (x *wire) p99(workers int, of func(*wire) requests) measure.Side {
	return measure.Side{Name: x.name, Take: func() (float64, error) {
		if x.err != nil {
			return 0, x.err
		}
		took, err := times(workers, x.one(of))
		return measure.Percentile(took, 99), err
	}}
}

// one asks one of the requests.
func (x *wire) one(of func(*wire) requests) func(*rand.Rand) error {
	list := of(x)
	return func(rnd *rand.Rand) error { return x.ask(list.all[rnd.IntN(len(list.all))], list.least) }
}

func puts(x *wire) requests    { return x.put }
func gets(x *wire) requests    { return x.get }
func updates(x *wire) requests { return x.update }
func queries(x *wire) requests { return x.query }
