package tablestore

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// start is the moment at which tests begin.
var start = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// server is a handler over tables in memory, with its clock in the test's hands.
type server struct {
	*httptest.Server
	t      testing.TB
	keys   *access.Keys
	tables *table.Tables
	store  *brittle     // of the tables
	ms     atomic.Int64 // the time
}

// brittle is a store that does as it is told: it fails, or its readers wait.
type brittle struct {
	kv.Store
	err  atomic.Pointer[error]
	gate atomic.Pointer[gate]
}

// gate holds a reader up until it opens, or the reader gives up.
type gate struct{ reached, open chan struct{} }

func (s *brittle) View(ctx context.Context, fn func(kv.Reader) error) error {
	if g := s.gate.Swap(nil); g != nil {
		close(g.reached)
		select {
		case <-g.open:
		case <-ctx.Done():
		}
	}
	if err := s.err.Load(); err != nil {
		return *err
	}
	return s.Store.View(ctx, fn)
}

func (s *server) now() time.Time { return time.UnixMilli(s.ms.Load()).UTC() }

func (s *server) pass(d time.Duration) { s.ms.Add(d.Milliseconds()) }

func newServer(t testing.TB, change func(*Options)) *server {
	t.Helper()
	return newServerOn(t, memory.New(), change)
}

// newServerOn is newServer on a store, which is closed when the test is over.
func newServerOn(t testing.TB, store kv.Store, change func(*Options)) *server {
	t.Helper()
	s := &server{t: t}
	s.ms.Store(start.UnixMilli())
	clock := s.now
	s.store = &brittle{Store: store}
	log := slog.New(slog.DiscardHandler)
	tables, err := table.Open(t.Context(), s.store, table.Options{Log: log, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	s.tables = tables
	if s.keys, err = access.Open(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	o := Options{Tables: tables, Keys: s.keys, Log: log, Now: clock}
	if change != nil {
		change(&o)
	}
	s.Server = httptest.NewServer(New(o))
	t.Cleanup(func() { s.Close(); store.Close() })
	return s
}

// client is somebody who calls operations on one instance.
type client struct {
	*server
	cred     access.Credentials
	instance string
}

// operator is a client that may do everything.
func (s *server) operator(instance string) *client {
	s.t.Helper()
	cred, err := s.keys.AppKey(context.Background(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	return &client{s, cred, instance}
}

// request makes a signed request (V2).
func (c *client) request(operation string, body []byte) *http.Request {
	c.t.Helper()
	r, err := http.NewRequest("POST", c.URL+"/"+operation, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set(headDate, c.now().Format("2006-01-02T15:04:05.000Z"))
	r.Header.Set(headVersion, "2015-12-31")
	r.Header.Set(headKey, c.cred.ID)
	r.Header.Set(headMD5, contentMD5(body))
	r.Header.Set(headInstance, c.instance)
	if c.cred.Token != "" {
		r.Header.Set(headToken, c.cred.Token)
	}
	c.sign(r)
	return r
}

func (c *client) sign(r *http.Request) {
	op := r.URL.Path[1:]
	if region := r.Header.Get(headRegion); region != "" {
		r.Header.Set(headSignV4, signatureV4(op, r.Header, v4Key(c.cred.Secret, r.Header.Get(headSignDay), region)))
		return
	}
	r.Header.Set(headSign, signatureV2(op, r.Header, c.cred.Secret))
}

// send sends a request and checks the headers of the answer as the strictest SDK does.
func (c *client) send(r *http.Request) (int, []byte) {
	c.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, name := range []string{headDate, headRequest, headType, headMD5} {
		if resp.Header.Get(name) == "" {
			c.t.Errorf("%s: answer has no %s", r.URL.Path, name)
		}
	}
	if resp.Header.Get(headMD5) != contentMD5(body) {
		c.t.Errorf("%s: answer has the MD5 of something else", r.URL.Path)
	}
	if auth := resp.Header.Get("Authorization"); auth != "" {
		key := c.cred.Secret
		if region := r.Header.Get(headRegion); region != "" {
			key = v4Key(key, r.Header.Get(headSignDay), region)
		}
		if want := "OTS " + c.cred.ID + ":" + signAnswer(r.URL.Path[1:], resp.Header, key); auth != want {
			c.t.Errorf("%s: answer is signed %q, want %q", r.URL.Path, auth, want)
		}
	} else if resp.StatusCode == 200 {
		c.t.Errorf("%s: answer is not signed", r.URL.Path)
	}
	return resp.StatusCode, body
}

// try calls an operation; the fault is nil when it succeeded. A []byte is a message already encoded.
func (c *client) try(operation string, req, resp any) *fault {
	c.t.Helper()
	body, ok := req.([]byte)
	if !ok {
		body = marshal(req)
	}
	return c.result(operation, c.request(operation, body), resp)
}

func (c *client) result(operation string, r *http.Request, resp any) *fault {
	c.t.Helper()
	status, answer := c.send(r)
	if status != 200 {
		var e errorMessage
		if err := unmarshal(answer, &e); err != nil {
			c.t.Fatalf("%s: error %d with body %q: %v", operation, status, answer, err)
		}
		return &fault{status, e.Code, e.Message}
	}
	if resp != nil {
		if err := unmarshal(answer, resp); err != nil {
			c.t.Fatalf("%s: answer %x: %v", operation, answer, err)
		}
	}
	return nil
}

// do calls an operation that has to succeed.
func (c *client) do(operation string, req, resp any) {
	c.t.Helper()
	if f := c.try(operation, req, resp); f != nil {
		c.t.Fatalf("%s: %v", operation, f)
	}
}

// plainOptions are those that a strict server insists on.
var plainOptions = &tableOptions{TimeToLive: new(int32(-1)), MaxVersions: new(int32(1))}

// createTable makes a table with that key.
func (c *client) createTable(name string, options *tableOptions, key ...keySchema) {
	c.t.Helper()
	c.do("CreateTable", &createTableRequest{Meta: tableMeta{Name: name, Key: key}, Options: options}, nil)
}

func plainRow(row wireRow) []byte { return appendRow(appendHeader(nil), row) }

func keyRow(cells ...cell) []byte { return plainRow(wireRow{Key: cells}) }

// rows reads the rows of an answer.
func (s *server) rows(b []byte) []wireRow {
	s.t.Helper()
	if len(b) == 0 {
		return nil
	}
	r := newReader(b)
	if r.int32() != plainHeader {
		s.t.Fatalf("rows begin with %x", b[:min(4, len(b))])
	}
	var rows []wireRow
	for len(r.b) > 0 {
		row := r.row()
		if r.err != nil {
			s.t.Fatalf("rows of the answer: %v", r.err)
		}
		rows = append(rows, row)
	}
	return rows
}
