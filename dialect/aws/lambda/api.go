package lambda

import (
	"cmp"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function"
)

// maxAsync is how many bytes an asynchronous call carries (section 3.1).
const maxAsync = 1 << 20

// maxClient is how many bytes a client context has as it is sent, in base64 (section 3.1).
const maxClient = 3583

// Options are what the API works with. Lambda and Keys are required.
type Options struct {
	Lambda *Lambda
	Keys   Keys
	Later  *function.Queue // for asynchronous calls; nil refuses them
	// Apps, with Dir, is what functions that clients describe are deployed with; nil: they cannot be.
	Apps    Apps
	Dir     string           // for their code packages, absolute
	Stacks  string           // the folder of apps that are CloudFormation's stacks, whose functions may be changed too
	Objects Objects          // that code may come from; nil: it cannot
	Streams Streams          // of tables; nil: no event source mappings can be made
	Log     *slog.Logger     // nil discards
	Now     func() time.Time // nil is time.Now
}

// API serves Lambda's API (sections 3.1, 3.2). Every request has to be signed.
type API struct {
	o        Options
	verify   *sigv4.Verifier
	changing chan struct{} // holds one token while functions are changed
}

// New makes the API's handler.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &API{o, sigv4.New(o.Keys, "lambda").At(o.Now), make(chan struct{}, 1)}
}

var apiPath = regexp.MustCompile(`^/20\d\d-\d\d-\d\d/(functions|event-source-mappings|layers|tags|account-settings)(/|$)`)

// Claims reports whether a request on a shared listener is for Lambda.
func Claims(r *http.Request) bool {
	return strings.HasPrefix(r.Host, "lambda.") || strings.HasPrefix(r.URL.Path, codePath) || apiPath.MatchString(r.URL.Path) && (strings.Contains(r.Header.Get("Authorization"), "/lambda/aws4_request") || strings.Contains(r.URL.RawQuery, "%2Flambda%2Faws4_request"))
}

// ServeHTTP serves one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := NewRequestID()
	w.Header().Set("X-Amzn-RequestId", id)
	if err := a.serve(w, r, id); err != nil {
		if faultOf(err).status >= 500 {
			a.o.Log.Error("lambda request failed", "request", id, "path", r.URL.Path, "err", err)
		}
		refuse(w, err)
	}
}

func (a *API) serve(w http.ResponseWriter, r *http.Request, id string) error {
	if strings.HasPrefix(r.URL.Path, codePath) && r.Method == http.MethodGet {
		return a.download(w, r)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 70<<20)) // code packages come through here, too
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			return tooLarge(big.Limit)
		}
		return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Could not read the request: %v", err)
	}
	who, bad := a.verify.Verify(r, body)
	if bad != nil {
		return signatureFault(bad)
	}
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i, p := range parts {
		if parts[i], err = url.PathUnescape(p); err != nil {
			return invalidf("malformed path")
		}
	}
	if len(parts) == 4 && parts[1] == "functions" && r.Method == http.MethodPost {
		switch parts[3] {
		case "invocations":
			return a.invoke(w, r, who.App, id, parts[2], body)
		case "invoke-async":
			return a.later(w, r, Call{App: who.App, Name: parts[2], RequestID: id, Payload: body})
		case "response-streaming-invocations":
			return a.stream(w, r, Call{App: who.App, Name: parts[2], Qualifier: r.URL.Query().Get("Qualifier"), RequestID: id, Payload: body})
		}
	}
	return a.manage(w, r, who.Principal, who.Region, parts, body)
}

// Whole reports whether the answer to a request is one piece: a call of a function, which goes on when its caller leaves.
func Whole(r *http.Request) bool {
	return strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/") && strings.HasSuffix(r.URL.Path, "/invocations")
}

func tooLarge(limit int64) error {
	return faultf(http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request must be smaller than %d bytes for the InvokeFunction operation", limit)
}

// signatureFault words a refused signature.
func signatureFault(e *sigv4.Error) error {
	kind := "InvalidSignatureException"
	switch e.Reason {
	case sigv4.Missing:
		kind = "MissingAuthenticationTokenException"
	case sigv4.Incomplete:
		kind = "IncompleteSignatureException"
	case sigv4.UnknownKey, sigv4.BadToken:
		kind = "UnrecognizedClientException"
	case sigv4.TokenExpired:
		kind = "ExpiredTokenException"
	case sigv4.Internal:
		return faultf(http.StatusInternalServerError, "ServiceException", "%s", e.Message)
	}
	return faultf(http.StatusForbidden, kind, "%s", e.Message)
}

// invoke calls a function (section 3.1).
func (a *API) invoke(w http.ResponseWriter, r *http.Request, app sluice.AppName, id, name string, body []byte) error {
	c := Call{App: app, Name: name, Qualifier: r.URL.Query().Get("Qualifier"), RequestID: id, Payload: body}
	if len(body) > maxPayload {
		return tooLarge(maxPayload)
	}
	if err := a.context(r, &c); err != nil {
		return err
	}
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
	case "Event":
		return a.later(w, r, c)
	case "DryRun":
		return a.dry(w, c)
	default:
		return invalidf("1 validation error detected: Value '%s' at 'invocationType' failed to satisfy constraint: Member must satisfy enum value set: [Event, RequestResponse, DryRun]", kind)
	}
	f, res, err := a.o.Lambda.Invoke(r.Context(), c)
	if err != nil {
		return err
	}
	_, q, _ := ParseName(name)
	payload := a.header(w, f, cmp.Or(c.Qualifier, q), &res, c)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
	w.WriteHeader(http.StatusOK)
	w.Write(payload)
	return nil
}

// header tells how a call went, and returns what it answers.
func (a *API) header(w http.ResponseWriter, f *Function, qualifier string, res *sluice.Result, c Call) []byte {
	h := w.Header()
	h.Set("X-Amz-Executed-Version", f.version(qualifier))
	h.Set("X-Amzn-Trace-Id", c.Trace)
	if c.Tail {
		h.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString(res.LogTail))
	}
	switch {
	case res.Failure != nil:
		h.Set("X-Amz-Function-Error", "Unhandled")
		return FailureBody(res.Failure, c.RequestID, f.Spec.Timeout)
	case len(res.Payload) == 0:
		return []byte("null")
	}
	return res.Payload
}
