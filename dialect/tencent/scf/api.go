package scf

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/tencent/tc3"
	"github.com/sluicehq/sluice/function"
)

// apiVersion is that of the API.
const apiVersion = "2018-04-16"

// maxBody is how many bytes a request has: an event of the largest size, which is a text within JSON.
const maxBody = 16 << 20

// Apps is the deploy room, for actions that change functions.
type Apps interface {
	List(ctx context.Context) ([]*sluice.App, error)
	Deploy(ctx context.Context, app *sluice.App) error
}

// Options are what the API works with. SCF and Keys are required.
type Options struct {
	SCF   *SCF
	Keys  Keys
	Later *function.Queue  // for asynchronous calls; nil refuses them
	Apps  Apps             // nil refuses changes of functions
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
}

// API serves SCF's part of API 3.0 (section 2.9). Every request has to be signed.
type API struct {
	o      Options
	verify *tc3.Verifier
}

// New makes the API's handler.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &API{o, tc3.New(o.Keys, "scf").At(o.Now)}
}

// Claims reports whether a request on a shared listener is for SCF.
func Claims(r *http.Request) bool {
	if host := strings.ToLower(r.Host); strings.HasPrefix(host, "scf.") && strings.Contains(host, "tencentcloudapi.com") {
		return true
	}
	return strings.Contains(r.Header.Get("Authorization"), "/scf/tc3_request") || r.Header.Get("X-TC-Action") != "" && r.Header.Get("X-TC-Version") == apiVersion
}

// fault is an error as answers have it.
type fault struct{ code, text string }

// Error is the message.
func (f *fault) Error() string { return f.text }

func faultf(code, format string, a ...any) *fault { return &fault{code, fmt.Sprintf(format, a...)} }

// faultOf words an error of ours.
func faultOf(err error) *fault {
	var f *fault
	var q *qualifierError
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &q):
		return faultf("ResourceNotFound.Qualifier", "The version or alias %s of function %s is not found.", q.qualifier, q.name)
	}
	switch sluice.KindOf(err) {
	case sluice.Missing:
		return faultf("ResourceNotFound.Function", "%v", err)
	case sluice.Invalid:
		return faultf("InvalidParameterValue", "%v", err)
	}
	return faultf("InternalError", "An internal error has occurred. Retry your request, but if the problem persists, look at the server's log.")
}

// ServeHTTP serves one request. Answers have status 200, whatever they say.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := NewRequestID()
	out, err := a.serve(w, r)
	if err != nil {
		f := faultOf(err)
		if f.code == "InternalError" {
			a.o.Log.Error("scf request failed", "request", id, "action", r.Header.Get("X-TC-Action"), "err", err)
		}
		out = map[string]any{"Error": map[string]string{"Code": f.code, "Message": f.text}}
	}
	out["RequestId"] = id
	w.Header().Set("Content-Type", "application/json")
	w.Write(plain(map[string]any{"Response": out}))
}

// serve finds out who calls, and does what they ask for.
func (a *API) serve(w http.ResponseWriter, r *http.Request) (map[string]any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return nil, faultf("RequestSizeLimitExceeded", "The request has more than %d bytes.", big.Limit)
		}
		return nil, faultf("InvalidParameter", "The request cannot be read: %v", err)
	}
	who, bad := a.verify.Verify(r, body)
	if bad != nil {
		if bad.Err != nil {
			return nil, bad.Err
		}
		return nil, &fault{bad.Code, bad.Message}
	}
	action := r.Header.Get("X-TC-Action")
	do, ok := actions[action]
	switch v := r.Header.Get("X-TC-Version"); {
	case action == "":
		return nil, faultf("MissingParameter", "The request header X-TC-Action is missing.")
	case v != "" && v != apiVersion:
		return nil, faultf("NoSuchVersion", "The API version %s does not exist.", v)
	case !ok:
		return nil, faultf("InvalidAction", "The action %s does not exist, or sluice does not have it.", action)
	}
	p := params{Namespace: DefaultNamespace}
	if r.Method == http.MethodGet {
		body = fromQuery(r)
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, &p); err != nil {
		var t *json.UnmarshalTypeError
		if errors.As(err, &t) && t.Field != "" {
			return nil, faultf("InvalidParameter", "The type of parameter `%s` is not valid.", t.Field)
		}
		return nil, faultf("InvalidParameter", "The request's body is not valid JSON.")
	}
	p.Namespace = cmp.Or(p.Namespace, DefaultNamespace)
	return do(a, r.Context(), who.App, &p)
}

// fromQuery is the parameters of a GET request as a body has them; numbers are told from texts by the
// parameter.
func fromQuery(r *http.Request) []byte {
	m := map[string]any{}
	for name, values := range r.URL.Query() {
		if (name == "Limit" || name == "Offset") && json.Valid([]byte(values[0])) {
			m[name] = json.RawMessage(values[0])
		} else {
			m[name] = values[0]
		}
	}
	return plain(m)
}

// params are the parameters of all actions.
type params struct {
	FunctionName   string
	Namespace      string
	Qualifier      string
	InvocationType string
	ClientContext  string
	Event          string
	LogType        string

	Offset, Limit *int
	SearchKey     string
	Order         string

	Description *string
	MemorySize  *int
	Timeout     *int
	Environment *struct{ Variables []variable }
	Role        *string
}

// variable is one of a function's environment.
type variable struct{ Key, Value string }

// actions are what the API does, by its names.
var actions = map[string]func(a *API, ctx context.Context, app sluice.AppName, p *params) (map[string]any, error){
	"Invoke":                      (*API).invoke,
	"InvokeFunction":              (*API).invokeFunction,
	"GetFunction":                 (*API).getFunction,
	"ListFunctions":               (*API).listFunctions,
	"UpdateFunctionConfiguration": (*API).updateFunction,
}

// result is what came of a call.
type result struct {
	Log               string
	RetMsg            string
	ErrMsg            string
	MemUsage          int64   // bytes
	Duration          float64 // ms
	BillDuration      int64   // ms
	FunctionRequestID string  `json:"FunctionRequestId"`
	InvokeResult      int     // 0 is good
}

// invoke calls a function, and waits for it or not.
func (a *API) invoke(ctx context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	switch p.InvocationType {
	case "", "RequestResponse":
		return a.call(ctx, app, p, p.ClientContext, "ClientContext")
	case "Event":
		return a.later(ctx, app, p)
	}
	return nil, faultf("InvalidParameterValue", "InvocationType is RequestResponse or Event, not %q.", p.InvocationType)
}

// invokeFunction calls a function and waits for it.
func (a *API) invokeFunction(ctx context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	return a.call(ctx, app, p, p.Event, "Event")
}

// checkEvent checks what a call shall carry.
func checkEvent(p *params, event, name string, limit int) error {
	switch {
	case p.FunctionName == "":
		return faultf("MissingParameter", "The parameter `FunctionName` is missing.")
	case p.LogType != "" && p.LogType != "None" && p.LogType != "Tail":
		return faultf("InvalidParameterValue", "LogType is None or Tail, not %q.", p.LogType)
	case len(event) > limit:
		return faultf("InvalidParameterValue", "%s has %d bytes, more than %d.", name, len(event), limit)
	case event != "" && !json.Valid([]byte(event)):
		return faultf("InvalidParameterValue", "%s is not a JSON text.", name)
	}
	return nil
}

// find is the function that a request names.
func (a *API) find(app sluice.AppName, p *params) (*function.Version, error) {
	v, err := a.o.SCF.Find(app, p.Namespace, p.FunctionName)
	if err == nil {
		return v, nil
	}
	if p.Namespace != DefaultNamespace && !slices.ContainsFunc(a.all(), func(v *function.Version) bool { return Namespace(&v.Spec) == p.Namespace }) {
		return nil, faultf("ResourceNotFound.Namespace", "The namespace %s is not found.", p.Namespace)
	}
	return nil, faultf("ResourceNotFound.Function", "The function %s is not found in namespace %s.", p.FunctionName, p.Namespace)
}

func (a *API) call(ctx context.Context, app sluice.AppName, p *params, event, name string) (map[string]any, error) {
	if err := checkEvent(p, event, name, maxSync); err != nil {
		return nil, err
	}
	if _, err := a.find(app, p); err != nil {
		return nil, err
	}
	c := Call{App: app, Namespace: p.Namespace, Name: p.FunctionName, Qualifier: p.Qualifier, RequestID: NewRequestID(), Payload: []byte(event)}
	v, inv, err := a.o.SCF.invocation(c)
	if err != nil {
		return nil, err
	}
	out, err := a.o.SCF.run(ctx, v, inv)
	if err != nil {
		return nil, err
	}
	ms := float64(out.Took.Microseconds()) / 1000
	r := result{RetMsg: string(out.Payload), ErrMsg: out.ErrMsg, MemUsage: int64(out.MemoryMB) << 20, Duration: ms,
		BillDuration: int64(math.Ceil(ms)), FunctionRequestID: out.RequestID}
	if !out.OK() {
		r.InvokeResult = 1
	}
	if p.LogType == "Tail" {
		r.Log = strings.ToValidUTF8(string(out.Log), "")
	}
	return map[string]any{"Result": r}, nil
}

// later queues a call whose result nobody waits for.
func (a *API) later(ctx context.Context, app sluice.AppName, p *params) (map[string]any, error) {
	if a.o.Later == nil {
		return nil, faultf("UnsupportedOperation", "This server keeps no queue for asynchronous calls.")
	}
	if err := checkEvent(p, p.ClientContext, "ClientContext", maxAsync); err != nil {
		return nil, err
	}
	if _, err := a.find(app, p); err != nil {
		return nil, err
	}
	c := Call{App: app, Namespace: p.Namespace, Name: p.FunctionName, Qualifier: p.Qualifier, RequestID: NewRequestID(), Payload: []byte(p.ClientContext)}
	_, inv, err := a.o.SCF.invocation(c)
	if err != nil {
		return nil, err
	}
	if err := a.o.Later.Put(ctx, inv); err != nil {
		return nil, err
	}
	return map[string]any{"Result": result{FunctionRequestID: c.RequestID}}, nil
}
