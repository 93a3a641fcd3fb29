package fc

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
)

// hookLimit is for pre-stop and pre-freeze, unless the function says.
const hookLimit = 3 * time.Second

// instance is one running server.
type instance struct {
	*function.Program
	keys     Keys
	constant http.Header // of its calls
	address  string
	client   transport
	fetches  bool // it fetches its calls (go1): it gets HTTP requests in a header, and brackets calls in its log itself

	mu     sync.Mutex // guards the fields below
	creds  access.Credentials
	doomed bool // is killed when its last call has ended
}

// transport takes calls to the process.
type transport interface {
	http.RoundTripper
	CloseIdleConnections()
}

// errNotTaken is a transport's error for a call that the process has never seen.
var errNotTaken = errors.New("the process has ended")

// bracket writes the line with which a call begins or ends.
func (in *instance) bracket(request, what string) {
	if !in.fetches {
		in.log(request, "FC "+what+" RequestId: "+request)
	}
}

// log writes a line of the platform's own.
func (in *instance) log(request, text string) { in.Log(request, sluice.LevelPlatform, text) }

// end counts a call out.
func (in *instance) end(id string) {
	if in.End(id) > 0 {
		return
	}
	in.mu.Lock()
	doomed := in.doomed
	in.mu.Unlock()
	if doomed {
		in.Process.Kill()
	} else if in.Version.Spec.PreFreeze != "" {
		in.Go(func() { in.hook(context.Background(), "PreFreeze", "/pre-freeze", in.Version.Spec.FreezeTime) })
	}
}

// Invoke passes one call to the server.
func (in *instance) Invoke(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if !in.Begin(inv.RequestID) {
		return sluice.Result{}, function.ErrInstanceGone
	}
	began := time.Now()
	in.bracket(inv.RequestID, "Invoke Start")
	res, err := in.call(ctx, inv)
	took := time.Since(began)
	if inv.Attrs[attrTail] != "" {
		in.Settle(ctx)
	}
	in.end(inv.RequestID)
	mb := in.Process.PeakMB()
	if errors.Is(err, function.ErrInstanceGone) {
		in.Spoil()
		return res, err
	}
	in.bracket(inv.RequestID, "Invoke End")
	ms := float64(took.Microseconds()) / 1000
	in.log(inv.RequestID, fmt.Sprintf("Duration: %.2f ms, Billed Duration: %d ms, Memory Size: %d MB, Max Memory Used: %.2f MB",
		ms, int(ms)+1, in.Version.Spec.MemoryMB, float64(mb)))
	res.Instance, res.Took, res.MemoryMB = in.ID(), took, mb
	if f := res.Failure; f != nil {
		switch f.Kind {
		case sluice.TimedOut:
			f.Message = fmt.Sprintf("Function timed out after %d seconds (maxMemoryUsage: %dMB)", int(in.Version.Spec.Timeout.Seconds()), mb)
		case sluice.Crashed:
			f.Message = strings.ReplaceAll(f.Message, "$duration", strconv.FormatInt(took.Milliseconds(), 10))
			f.Message = strings.ReplaceAll(f.Message, "$memory", strconv.Itoa(mb))
		}
	}
	return res, err
}

// call makes the request and reads its answer.
func (in *instance) call(ctx context.Context, inv *sluice.Invocation) (sluice.Result, error) {
	if t := in.Version.Spec.Timeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	req, err := in.request(ctx, inv)
	if err != nil {
		return sluice.Result{}, err
	}
	res, err := in.client.RoundTrip(req)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(res.Body, maxPayload+1))
		res.Body.Close()
	}
	if err != nil {
		return in.broken(ctx, err)
	}
	if len(body) > maxPayload {
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TooBig, Type: "ResponseSizeTooLarge",
			Message: fmt.Sprintf("the answer exceeds %d bytes", maxPayload)}}, nil
	}
	return answer(inv, res, body), nil
}

// answer makes the result of what the server said.
func answer(inv *sluice.Invocation, res *http.Response, body []byte) sluice.Result {
	out := sluice.Result{Payload: body}
	status := res.Header.Get("X-Fc-Status")
	if inv.Kind == sluice.InvokeHTTP {
		dropPrivate(res.Header)
		out.HTTP = &sluice.HTTPResponse{Status: res.StatusCode, Header: res.Header}
	} else if status == "" && res.StatusCode >= 400 {
		status = strconv.Itoa(res.StatusCode)
	}
	if status != "" && status != "200" {
		out.Failure = saidFailure(status, body)
	}
	return out
}

// saidFailure reads the error that a function told of itself.
func saidFailure(status string, body []byte) *sluice.Failure {
	f := &sluice.Failure{Kind: sluice.Handled, Type: "Error", Message: "the function answered " + status}
	var said struct {
		Message string          `json:"errorMessage"`
		Type    string          `json:"errorType"`
		Stack   json.RawMessage `json:"stackTrace"`
	}
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		f.Message, f.Body = said.Message, body
		if said.Type != "" {
			f.Type = said.Type
		}
		if json.Unmarshal(said.Stack, &f.Stack) != nil {
			f.Stack = nil // other runtimes print objects; Body has them
		}
		return f
	}
	if text := bytes.TrimSpace(body); len(text) > 0 {
		f.Message += ": " + strings.ToValidUTF8(string(text[:min(len(text), 512)]), "")
	}
	return f
}

// broken finds out why a call has no answer.
func (in *instance) broken(ctx context.Context, err error) (sluice.Result, error) {
	if ctx.Err() != nil {
		in.abort()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return sluice.Result{Failure: &sluice.Failure{Kind: sluice.TimedOut, Type: "FunctionTimeout"}}, nil
		}
		return sluice.Result{}, ctx.Err()
	}
	var op *net.OpError
	if errors.Is(err, errNotTaken) || errors.As(err, &op) && op.Op == "dial" {
		in.abort()
		return sluice.Result{}, function.ErrInstanceGone
	}
	if in.ExitsSoon() {
		return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Type: "CAExited",
			Message: "Process exited unexpectedly before completing request (duration: $durationms, maxMemoryUsage: $memoryMB) (" + in.Process.ExitText() + ")"}}, nil
	}
	return sluice.Result{Failure: &sluice.Failure{Kind: sluice.Crashed, Type: "FunctionUnhandledError",
		Message: "the function's server gave no answer: " + err.Error()}}, nil
}

// abort stops the work of a call that has run out of time. With one call at a time the process goes
// at once; else it takes no more calls and goes when the others, which have limits of their own, end.
func (in *instance) abort() {
	in.Spoil()
	in.mu.Lock()
	in.doomed = true
	in.mu.Unlock()
	if in.Busy() <= 1 {
		in.Process.Kill()
	}
}

// request is the call as the server gets it.
func (in *instance) request(ctx context.Context, inv *sluice.Invocation) (*http.Request, error) {
	method, u, control := http.MethodPost, &url.URL{Path: "/invoke"}, "/invoke"
	header := make(http.Header, 32)
	isHTTP := inv.Kind == sluice.InvokeHTTP && inv.HTTP != nil
	switch {
	case isHTTP && in.fetches:
		control = "/http-invoke"
	case isHTTP:
		method, control = inv.HTTP.Method, "/http-invoke"
		maps.Copy(header, inv.HTTP.Header)
		dropPrivate(header)
		parsed, err := url.ParseRequestURI(inv.HTTP.Path)
		if err != nil || !strings.HasPrefix(inv.HTTP.Path, "/") || parsed.Host != "" {
			parsed = &url.URL{Path: "/" + strings.TrimLeft(inv.HTTP.Path, "/")}
		}
		parsed.RawQuery = inv.HTTP.RawQuery
		u = parsed
	default:
		header["Content-Type"] = []string{"application/octet-stream"}
	}
	u.Scheme, u.Host = "http", in.address
	req, err := http.NewRequestWithContext(ctx, method, "", bytes.NewReader(inv.Payload))
	if err != nil {
		return nil, sluice.Errorf(sluice.Invalid, "call function %q: %w", in.Version.Spec.Name, err)
	}
	if len(inv.Payload) == 0 && inv.Kind == sluice.InvokeHTTP {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	req.URL, req.Host, req.Header = u, u.Host, header
	if inv.HTTP != nil && inv.HTTP.Host != "" {
		req.Host = inv.HTTP.Host
	}
	if _, ok := header["User-Agent"]; !ok {
		header["User-Agent"] = none // instead of Go's
	}
	in.platform(header, inv.RequestID, control, inv.Qualifier)
	if isHTTP && in.fetches {
		header.Set(httpParams, encodeParams(inv.HTTP))
	}
	return req, nil
}

// none is a header without a value; nobody changes it.
var none = []string{""}

// private are headers of one connection, or that the transport sets.
var private = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length"}

// dropPrivate takes out headers of one connection and those that only the platform may set.
func dropPrivate(h http.Header) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if strings.HasPrefix(name, "X-Fc-") {
			delete(h, name)
		}
	}
	for _, name := range private {
		delete(h, name)
	}
}

// platform sets the headers by which a function knows where and as whom it runs.
func (in *instance) platform(h http.Header, request, control, qualifier string) {
	maps.Copy(h, in.constant)
	c := in.credentials()
	values := [...]string{request, c.ID, c.Secret, c.Token, control, cmp.Or(qualifier, latest)}
	for i, name := range [...]string{
		"X-Fc-Request-Id", "X-Fc-Access-Key-Id", "X-Fc-Access-Key-Secret", "X-Fc-Security-Token", "X-Fc-Control-Path", "X-Fc-Qualifier",
	} {
		h[name] = values[i : i+1 : i+1]
	}
}

// constant are the platform's headers that are the same in all calls of a version.
func constant(v *function.Version) http.Header {
	h := http.Header{}
	for name, value := range map[string]string{
		"X-Fc-Function-Name":          string(v.Spec.Name),
		"X-Fc-Function-Handler":       cmp.Or(v.Spec.Handler, defaultHandler),
		"X-Fc-Function-Memory":        strconv.Itoa(v.Spec.MemoryMB),
		"X-Fc-Function-Timeout":       strconv.Itoa(int(v.Spec.Timeout.Seconds())),
		"X-Fc-Function-Initializer":   v.Spec.Initializer,
		"X-Fc-Initialization-Timeout": strconv.Itoa(int(initTimeout(&v.Spec).Seconds())),
		"X-Fc-Region":                 v.Env["FC_REGION"],
		"X-Fc-Account-Id":             Account,
		"X-Fc-Service-Name":           v.Spec.Group,
		"X-Fc-Service-Logproject":     "",
		"X-Fc-Service-Logstore":       "",
		"X-Fc-Version-Id":             "",
		"X-Fc-Retry-Count":            "0",

		"X-Fc-Instance-Lifecycle-Pre-Stop-Handler":   v.Spec.PreStop,
		"X-Fc-Instance-Lifecycle-Pre-Freeze-Handler": v.Spec.PreFreeze,
	} {
		h.Set(name, value)
	}
	return h
}

// initialize runs the initializer, when there is one: run, or the server's own.
func (in *instance) initialize(ctx context.Context, run func(ctx context.Context) *sluice.Failure) error {
	id := sluice.NewRequestID()
	if run == nil {
		run = func(ctx context.Context) *sluice.Failure { return in.control(ctx, id, http.MethodPost, "/initialize") }
		if in.Version.Spec.Initializer == "" {
			return nil
		}
	}
	limit := initTimeout(&in.Version.Spec)
	ictx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in.bracket(id, "Initialize Start")
	f := run(ictx)
	in.bracket(id, "Initialize End")
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case f == nil:
		return nil
	case ictx.Err() != nil:
		f.Message = fmt.Sprintf("Function initialization timed out after %d seconds", int(limit.Seconds()))
	}
	f.Kind = sluice.InitFail
	return &function.StartError{Failure: *f}
}

// control calls one of the platform's own paths; nil when the server says that it went well.
func (in *instance) control(ctx context.Context, id, method, path string) *sluice.Failure {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+in.address+path, http.NoBody)
	if err != nil {
		return &sluice.Failure{Kind: sluice.Crashed, Type: "FunctionUnhandledError", Message: err.Error()}
	}
	in.platform(req.Header, id, path, "")
	res, err := in.client.RoundTrip(req)
	if err != nil {
		what := "gave no answer to " + path + ": " + err.Error()
		if ctx.Err() == nil && in.ExitsSoon() { // then its last words are there, too
			what = "exited in " + path + " (" + in.Process.ExitText() + ")"
		}
		f := in.startFailure("FunctionUnhandledError", what)
		return &f
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	status := res.Header.Get("X-Fc-Status")
	if status == "" {
		status = strconv.Itoa(res.StatusCode)
	}
	if err != nil || status != "200" {
		return saidFailure(status, body)
	}
	return nil
}

// hook runs a life cycle hook and logs it; that it fails changes nothing.
func (in *instance) hook(ctx context.Context, name, path string, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(limit, hookLimit))
	defer cancel()
	id := sluice.NewRequestID()
	in.bracket(id, name+" Start")
	if f := in.control(ctx, id, http.MethodGet, path); f != nil {
		in.log(id, name+": "+f.Message)
	}
	in.bracket(id, name+" End")
}

// Stop runs the pre-stop hook and ends the process.
func (in *instance) Stop(ctx context.Context) {
	in.Spoil()
	select {
	case <-in.Process.Exited():
	default:
		if in.Version.Spec.PreStop != "" {
			in.hook(ctx, "PreStop", "/pre-stop", in.Version.Spec.StopTime)
		}
	}
	in.Program.Stop(ctx)
	in.client.CloseIdleConnections()
}

// Kill ends the process and waits until nothing of the instance runs any more.
func (in *instance) Kill() {
	in.Program.Kill()
	in.client.CloseIdleConnections()
}
