package fc

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

const (
	v2016       = "/2016-08-15"
	v2023       = "/2023-03-30"
	proxyPrefix = v2016 + "/proxy/"
)

// NoService stands in a path for the service of a function of FC 3.0, which has none.
const NoService = "-"

// Functions is what the API needs of the function room.
type Functions interface {
	Invoker
	List(app sluice.AppName) []function.Status
	Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool)
}

// Options are what the API and the triggers work with. Functions and Keys are required.
type Options struct {
	Functions Functions
	Keys      Keys
	Later     *function.Queue                 // for asynchronous calls; nil refuses them
	Apps      Apps                            // for functions made through the API; nil refuses them
	Objects   Objects                         // needed with Apps
	Dir       string                          // where code packages are kept, absolute; needed with Apps
	Public    func(app sluice.AppName) string // host[:port] of an app; may be nil
	Log       *slog.Logger                    // nil discards
	Now       func() time.Time                // nil is time.Now
}

// API serves Function Compute's API (sections 3.11, 3.12): functions are made, altered and called. The
// principal that signs sees the functions of its own app; the operator sees all.
type API struct {
	o        Options
	changing chan struct{} // holds a token while what is deployed is changed
}

// New makes the API's handler.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &API{o, make(chan struct{}, 1)}
}

// Claims reports whether a request on a shared listener is for Function Compute.
func Claims(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, v2016+"/") || strings.HasPrefix(r.URL.Path, v2023+"/")
}

// exposed are the response headers that pages of other origins may read.
const exposed = "Date,x-fc-request-id,x-fc-error-type,x-fc-code-checksum,x-fc-invocation-duration,x-fc-max-memory-usage,x-fc-log-result,x-fc-invocation-code-version"

// ServeHTTP serves one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := sluice.NewRequestID()
	w.Header().Set("X-Fc-Request-Id", id)
	if err := a.serve(w, r, id); err != nil {
		refuse(w, a.o.Log, id, strings.HasPrefix(r.URL.Path, v2023), err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, id string) error {
	if strings.HasPrefix(r.URL.Path, proxyPrefix) {
		return a.proxy(w, r, id)
	}
	if !strings.HasSuffix(r.URL.Path, "/invocations") {
		return a.manage(w, r)
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	who, err := authenticate(r.Context(), a.o.Keys, r, body, a.o.Now())
	if err != nil {
		return err
	}
	var service, name, qualifier string
	switch p := strings.Split(strings.TrimPrefix(r.URL.Path, "/"), "/"); {
	case len(p) == 6 && p[1] == "services" && p[3] == "functions" && p[5] == "invocations":
		service, qualifier, _ = strings.Cut(p[2], ".")
		name = p[4]
	case len(p) == 4 && p[0] == v2023[1:] && p[1] == "functions" && p[3] == "invocations":
		name, qualifier = p[2], r.URL.Query().Get("qualifier")
	default:
		return faultf("PathNotSupported", "path %q is not supported", r.URL.Path)
	}
	if r.Method != http.MethodPost {
		return faultf("MethodNotSupported", "method %s is not supported", r.Method)
	}
	v, err := find(a.o.Functions, who.App, service, name, qualifier)
	if err != nil {
		return a.notFound(r.Context(), who, service, name, err)
	}
	inv := sluice.Invocation{App: v.App, Function: v.Spec.Name, Qualifier: qualifier, RequestID: id, Payload: body}
	switch kind := r.Header.Get("X-Fc-Invocation-Type"); kind {
	case "", "Sync":
	case "Async":
		return later(w, r, a.o, inv)
	default:
		return faultf("InvalidArgument", "invocation type %q is not supported", kind)
	}
	tail := r.Header.Get("X-Fc-Log-Type") == "Tail"
	if tail {
		inv.Attrs = map[string]string{attrTail: "1"}
	}
	res, err := a.o.Functions.Invoke(r.Context(), inv)
	if err != nil {
		return err
	}
	h := w.Header()
	resultHeader(h, res)
	if sum := checksumOf(v.Spec.Code); sum != "" {
		h.Set("X-Fc-Code-Checksum", sum)
	}
	h.Set("Content-Type", "application/octet-stream")
	if tail {
		h.Set("X-Fc-Log-Result", base64.StdEncoding.EncodeToString(res.LogTail))
	}
	payload := res.Payload
	if f := res.Failure; f != nil {
		h.Set("X-Fc-Error-Type", errorType(f))
		h.Set("Content-Type", "application/json")
		payload = failureBody(f)
	}
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	w.WriteHeader(http.StatusOK)
	w.Write(payload)
	return nil
}

// later queues a call whose result nobody waits for.
func later(w http.ResponseWriter, r *http.Request, o Options, inv sluice.Invocation) error {
	switch {
	case o.Later == nil:
		return faultf("ServiceUnavailable", "this server keeps no queue for asynchronous calls")
	case len(inv.Payload) > maxAsync:
		return faultf("InvalidArgument", "the payload of an asynchronous call exceeds %d bytes", maxAsync)
	}
	if err := o.Later.Put(r.Context(), inv); err != nil {
		return err
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// resultHeader tells how a call went.
func resultHeader(h http.Header, res sluice.Result) {
	h.Set("X-Fc-Invocation-Duration", strconv.FormatInt(max(res.Took.Milliseconds(), 1), 10))
	h.Set("X-Fc-Max-Memory-Usage", fmt.Sprintf("%.2f", float64(res.MemoryMB)))
	h.Set("X-Fc-Invocation-Service-Version", latest)
	h.Set("X-Fc-Invocation-Code-Version", latest)
	if res.Instance != "" {
		h.Set("X-Fc-Instance-Id", res.Instance)
	}
	h.Set("Access-Control-Expose-Headers", exposed)
}

// readBody reads a request's body whole.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return nil, faultf("InvalidArgument", "the payload exceeds %d bytes", maxPayload)
	case err != nil:
		return nil, faultf("InvalidArgument", "the payload could not be read: %v", err)
	}
	return body, nil
}

// find finds a function among those of an app, or of all apps when app is "". service is "" in FC 3.0,
// where functions that came from FC 2.0 are named {service}${function}.
func find(all Functions, app sluice.AppName, service, name, qualifier string) (*function.Version, error) {
	if s, f, ok := strings.Cut(name, "$"); ok && service == "" {
		service, name = s, f
	}
	services := false
	list := all.List(app)
	other := func(f function.Status) int { // without a service, those that have none go first
		if f.Group != service {
			return 1
		}
		return 0
	}
	slices.SortFunc(list, func(a, b function.Status) int {
		return cmp.Or(cmp.Compare(other(a), other(b)), cmp.Compare(a.App, b.App))
	})
	for _, f := range list {
		if service != "" && f.Group != service {
			continue
		}
		services = true
		if string(f.Name) != name {
			continue
		}
		if qualifier != "" && qualifier != latest {
			return nil, faultf("AliasNotFound", "alias '%s' does not exist in service '%s'", qualifier, service)
		}
		if v, ok := all.Version(f.App, f.Name); ok {
			return v, nil
		}
	}
	if service != "" && !services {
		return nil, faultf("ServiceNotFound", "service '%s' does not exist", service)
	}
	return nil, faultf("FunctionNotFound", "function '%s' does not exist in service '%s'", name, service)
}

// proxy calls an HTTP function by its path.
func (a *API) proxy(w http.ResponseWriter, r *http.Request, id string) error {
	service, qualifier, name, path := splitProxy(r.URL.EscapedPath())
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	// A function with an anonymous trigger answers everybody; who signs must be known all the same.
	var app sluice.AppName
	signed := r.Header.Get("Authorization") != "" || r.URL.Query().Has("x-fc-signature")
	if signed {
		who, err := authenticate(r.Context(), a.o.Keys, r, body, a.o.Now())
		if err != nil {
			return err
		}
		app = who.App
	}
	v, err := find(a.o.Functions, app, service, name, qualifier)
	if err != nil {
		return err
	}
	if t := v.Spec.HTTP; t == nil {
		return faultf("TriggerNotFound", "function '%s' has no http trigger", name)
	} else if t.Auth != "anonymous" && !signed {
		return faultf("AccessDenied", "the http trigger of function '%s' needs a signature", name)
	}
	if IsCustom(v.Spec.Runtime) && service != "" {
		path = r.URL.EscapedPath() // custom runtimes see all of it (section 2.7)
	}
	return invokeHTTP(w, r, a.o, call{app: v.App, f: &v.Spec, id: id, path: path, body: body})
}

// splitProxy takes /2016-08-15/proxy/{service}[.{qualifier}]/{function}{path} apart. path is encoded
// and at least "/".
func splitProxy(p string) (service, qualifier, name, path string) {
	rest := strings.TrimPrefix(p, proxyPrefix)
	service, rest, _ = strings.Cut(rest, "/")
	service, qualifier, _ = strings.Cut(service, ".")
	if service == NoService {
		service = ""
	}
	name, path, _ = strings.Cut(rest, "/")
	return service, qualifier, name, "/" + path
}
