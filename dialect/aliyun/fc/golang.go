package fc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

const (
	runtimeAPI = "/2020-11-11/runtime/invocation/"
	httpParams = "X-Fc-Http-Params" // carries the head of an HTTP request, and of the answer to it
	handled    = "404"              // of X-Fc-Status: the function itself has failed (section 3.8)
)

// Go starts functions of runtime go1 (section 3.9): executables that fetch their calls from an HTTP
// server, one for each instance, on a port of this machine.
type Go struct {
	Keys Keys
	// Ready is how long a program may take to ask for its first call; 0 is 120 s.
	Ready time.Duration
}

var _ function.Starter = (*Go)(nil)

// Runs reports whether it is Alibaba's runtime for Go.
func (g *Go) Runs(dialect, runtime string) bool { return dialect == "aliyun" && runtime == "go1" }

// Start starts the function's program, waits until it asks for a call, and runs its initializer.
func (g *Go) Start(ctx context.Context, v *function.Version, s function.Spawner, logs function.LogSink) (function.Instance, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for function %q: %w", v.Spec.Name, err)
	}
	calls := &desk{waiting: make(chan *task), asked: make(chan struct{}), taken: map[string]*task{}}
	in := &instance{keys: g.Keys, address: ln.Addr().String(), client: calls, fetches: true}
	path := filepath.Join(v.Root, cmp.Or(v.Spec.Handler, "main"))
	if err := in.run(ctx, v, s, logs, path, nil, map[string]string{"FC_RUNTIME_API": in.address}); err != nil {
		ln.Close()
		return nil, err
	}
	calls.exited = in.Process.Exited()
	in.Serve(ln, calls.routes())
	if err := g.await(ctx, in, calls); err != nil {
		in.Kill()
		return nil, err
	}
	if err := in.initialize(ctx, nil); err != nil {
		in.Kill()
		return nil, err
	}
	return in, nil
}

// await returns when the program has asked for its first call.
func (g *Go) await(ctx context.Context, in *instance, calls *desk) error {
	limit := cmp.Or(g.Ready, 120*time.Second)
	late := time.NewTimer(limit)
	defer late.Stop()
	var f sluice.Failure
	select {
	case <-calls.asked:
		return nil
	case <-in.Process.Exited():
		f = in.startFailure("CAExited", "exited before it asked for a call ("+in.Process.ExitText()+")")
	case <-late.C:
		f = in.startFailure("FunctionNotStarted", fmt.Sprintf("has not asked for a call after %v", limit))
	case <-ctx.Done():
		return ctx.Err()
	}
	return &function.StartError{Failure: f}
}

// desk is where one program fetches its calls and hands in what came of them: the server of its runtime
// API, and the transport of its instance. Programs ask for the next call before they have done the last:
// how many they work on is up to who hands out (the pool, by the function's concurrency).
type desk struct {
	waiting chan *task    // calls to be fetched
	asked   chan struct{} // closed when the program asks for the first time
	first   sync.Once
	exited  <-chan struct{} // the process

	mu    sync.Mutex       // guards taken
	taken map[string]*task // calls that the program works on, by request id
}

// task is one call, on its way through the program.
type task struct {
	header http.Header
	body   []byte
	done   chan *http.Response // takes one
}

// types are the kinds of calls (x-fc-function-type) by the control paths of servers.
var types = map[string]string{"/initialize": "1", "/pre-stop": "2", "/pre-freeze": "3"}

// RoundTrip lets the program fetch a call, and waits for what it hands in.
func (d *desk) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	t := &task{header: req.Header.Clone(), done: make(chan *http.Response, 1)}
	var err error
	if t.body, err = io.ReadAll(req.Body); err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(24 * time.Hour)
	}
	t.header.Set("X-Fc-Function-Deadline", strconv.FormatInt(deadline.UnixMilli(), 10))
	t.header.Set("X-Fc-Function-Type", cmp.Or(types[req.Header.Get("X-Fc-Control-Path")], "0"))
	select {
	case d.waiting <- t:
	case <-d.exited:
		return nil, errNotTaken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case res := <-t.done:
		return res, nil
	case <-d.exited:
		select {
		case res := <-t.done: // its last act
			return res, nil
		default:
			return nil, errors.New("the process has exited")
		}
	case <-ctx.Done():
		d.take(t.header.Get("X-Fc-Request-Id"))
		return nil, ctx.Err()
	}
}

// CloseIdleConnections does nothing: the connections are the program's.
func (d *desk) CloseIdleConnections() {}

// routes is the runtime API. Its clients know no status but 200, and ask again at once after any other.
func (d *desk) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimeAPI+"next", d.next)
	mux.HandleFunc("POST "+runtimeAPI+"{id}/response", func(w http.ResponseWriter, r *http.Request) { d.hand(w, r, "") })
	mux.HandleFunc("POST "+runtimeAPI+"{id}/error", func(w http.ResponseWriter, r *http.Request) { d.hand(w, r, handled) })
	return mux
}

// next answers with a call as soon as there is one.
func (d *desk) next(w http.ResponseWriter, r *http.Request) {
	d.first.Do(func() { close(d.asked) })
	select {
	case t := <-d.waiting:
		d.mu.Lock()
		d.taken[t.header.Get("X-Fc-Request-Id")] = t
		d.mu.Unlock()
		h := w.Header()
		for name, v := range t.header {
			h[name] = v
		}
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(len(t.body)))
		w.Write(t.body)
	case <-r.Context().Done():
	}
}

// take takes a call out of those that the program works on; nil when it is none of them.
func (d *desk) take(id string) *task {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.taken[id]
	delete(d.taken, id)
	return t
}

// hand takes what came of a call: its result, or with status its failure.
func (d *desk) hand(w http.ResponseWriter, r *http.Request, status string) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	t := d.take(r.PathValue("id"))
	if t == nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"errorMessage":"no such call is under way","errorType":"InvalidRequestID"}`)
		return
	}
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}
	if status == "" && t.header.Get(httpParams) != "" {
		decodeParams(res, r.Header.Get(httpParams))
	}
	if status != "" {
		res.Header.Set("X-Fc-Status", status)
	}
	t.done <- res
}

// requestParams is the head of a request to an HTTP function (section 3.8).
type requestParams struct {
	Path       string      `json:"path"`
	Method     string      `json:"method"`
	RequestURI string      `json:"requestURI"`
	ClientIP   string      `json:"clientIP"`
	Host       string      `json:"host"`
	QueriesMap url.Values  `json:"queriesMap"`
	HeadersMap http.Header `json:"headersMap"`
}

// encodeParams writes the head of a request as one header.
func encodeParams(q *sluice.HTTPRequest) string {
	h := q.Header.Clone()
	if h == nil {
		h = http.Header{}
	}
	dropPrivate(h)
	path, err := url.PathUnescape(q.Path)
	if err != nil {
		path = q.Path
	}
	queries, _ := url.ParseQuery(q.RawQuery) // what can be read of it
	b, _ := json.Marshal(requestParams{      // strings only
		Path: path, Method: q.Method, RequestURI: q.URI, ClientIP: q.Remote, Host: q.Host, QueriesMap: queries, HeadersMap: h,
	})
	return base64.StdEncoding.EncodeToString(b)
}

// decodeParams sets the head of an answer as a program tells it in one header: what cannot be read or
// was never set leaves a plain 200.
func decodeParams(res *http.Response, params string) {
	var said struct {
		Status     int                 `json:"status"`
		HeadersMap map[string][]string `json:"headersMap"`
	}
	b, err := base64.StdEncoding.DecodeString(params)
	if err != nil || json.Unmarshal(b, &said) != nil {
		return
	}
	if said.Status >= 200 && said.Status <= 599 {
		res.StatusCode = said.Status
	}
	for name, vals := range said.HeadersMap {
		for _, v := range vals {
			res.Header.Add(name, v)
		}
	}
	dropPrivate(res.Header)
}
