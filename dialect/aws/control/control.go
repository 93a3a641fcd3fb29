// Package control serves the control planes that make and describe APIs without a template: API Gateway
// v2 (aws.md 1.1), so that the AWS CLI and SDKs can create a WebSocket or HTTP API and use it at once;
// CloudFormation (7.4), so that tools which deploy by it find a cloud here; and what such tools ask besides: who they are
// (STS), what functions have logged lately (CloudWatch Logs), where a function answers (Cloud Control), and whether there are images to delete (ECR), of which there are none.
//
// An API that is made here is an app of its own with one endpoint. What clients said of it stands in the
// endpoint's description as records (book.go), beside what the data plane serves: each change compiles the
// records and deploys the app, so that everything survives a restart and a failed change changes nothing.
// APIs of templates can be read, and nothing of them changed: their template says what they are. Domain
// names and stacks are known by one app each, which has nothing but its Spec.
package control

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
)

const (
	account = "000000000000"
	maxBody = 10 << 20
)

// Apps is what the control plane needs of the deploy room.
type Apps interface {
	// List is every app as it is deployed now.
	List(ctx context.Context) ([]*sluice.App, error)
	// Deploy puts an app into service in place of what has its name. A failed one changes nothing.
	Deploy(ctx context.Context, app *sluice.App) error
	// Remove takes an app away.
	Remove(ctx context.Context, app sluice.AppName) error
}

// Options are what a Control is made of. Keys is needed.
type Options struct {
	Apps Apps   // nil: nothing can be managed
	Dir  string // where the code of stacks is kept, absolute; "": there are no stacks
	Keys sigv4.Keys
	// Objects has the templates and the code of stacks; nil: they come within requests only.
	Objects Objects
	// Installed is sam.Options.Installed.
	Installed func(ctx context.Context, program string) string
	Logs      Logs // nil: none are kept
	// URL is the address of a function that an app may know, by its ARN or name. nil: it is not told.
	URL    func(app sluice.AppName, function string) (string, error)
	Quotas apispec.Quotas   // of APIs, made here or in a stack
	Now    func() time.Time // nil is time.Now
	Log    *slog.Logger
}

// Control is an http.Handler. It has no state but a lock.
type Control struct {
	o         Options
	gateway   *sigv4.Verifier
	sts       *sigv4.Verifier
	stacks    *sigv4.Verifier
	images    *sigv4.Verifier
	logs      *sigv4.Verifier
	resources *sigv4.Verifier
	changing  chan struct{} // held while what is deployed is read, altered and deployed again
}

// New makes a Control.
func New(o Options) *Control {
	o.Quotas = o.Quotas.Filled()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Control{o: o, gateway: sigv4.New(o.Keys, "apigateway").At(o.Now), sts: sigv4.New(o.Keys, "sts").At(o.Now),
		stacks: sigv4.New(o.Keys, "cloudformation").At(o.Now), images: sigv4.New(o.Keys, "ecr").At(o.Now),
		logs: sigv4.New(o.Keys, "logs").At(o.Now), resources: sigv4.New(o.Keys, "cloudcontrolapi").At(o.Now), changing: make(chan struct{}, 1)}
}

// service is which of ours a request on a shared listener is for, by its host or by the scope of its
// signature (aws.md 0); "" is none.
func service(r *http.Request) string {
	for _, s := range []string{"apigateway", "sts", "cloudformation", "ecr", "logs", "cloudcontrolapi"} {
		if strings.HasPrefix(r.Host, s+".") || strings.HasPrefix(r.Host, "api."+s+".") || strings.Contains(r.Header.Get("Authorization"), "/"+s+"/aws4_request") || strings.Contains(r.URL.RawQuery, "%2F"+s+"%2Faws4_request") {
			return s
		}
	}
	for _, p := range []string{"/v2/apis", "/v2/domainnames", "/v2/tags"} {
		if strings.HasPrefix(r.URL.Path+"/", p+"/") && r.Header.Get("Authorization") == "" && r.URL.RawQuery == "" {
			return "apigateway"
		}
	}
	return ""
}

// Claims reports whether a request on a shared listener is for one of these control planes.
func Claims(r *http.Request) bool { return service(r) != "" }

// ServeHTTP serves one request.
func (c *Control) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", id)
	serve, refuse := c.serveGateway, refuseGateway
	switch service(r) {
	case "sts":
		serve, refuse = c.serveSTS, refuseQuery(stsNamespace)
	case "cloudformation":
		serve, refuse = c.serveStacks, refuseQuery(cfnNamespace)
	case "ecr":
		serve, refuse = c.serveImages, refuseJSON
	case "logs":
		serve, refuse = c.serveLogs, refuseJSON
	case "cloudcontrolapi":
		serve, refuse = c.serveResources, refuseJSON
	}
	if err := serve(w, r, id); err != nil {
		f := faultOf(err)
		if f.status >= 500 {
			c.o.Log.Error("control plane request failed", "request", id, "path", r.URL.Path, "err", err)
		}
		refuse(w, f, id)
	}
}

// fault is an error of a control plane.
type fault struct {
	status   int
	kind     string // x-amzn-ErrorType
	msg      string
	resource string
}

// Error is the message.
func (f *fault) Error() string { return f.msg }

func invalidf(format string, args ...any) *fault {
	return &fault{status: http.StatusBadRequest, kind: "BadRequestException", msg: fmt.Sprintf(format, args...)}
}

func conflictf(format string, args ...any) *fault {
	return &fault{status: http.StatusConflict, kind: "ConflictException", msg: fmt.Sprintf(format, args...)}
}

func missingf(resource, format string, args ...any) *fault {
	return &fault{status: http.StatusNotFound, kind: "NotFoundException", msg: fmt.Sprintf(format, args...), resource: resource}
}

// faultOf words an error of ours.
func faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	switch sluice.KindOf(err) {
	case sluice.Invalid, sluice.TooMuch:
		return invalidf("%s", err)
	case sluice.Missing:
		return missingf("", "%s", err)
	case sluice.Exists, sluice.Conflict:
		return conflictf("%s", err)
	}
	return &fault{status: http.StatusInternalServerError, kind: "InternalServerException", msg: "Internal server error"}
}

func refuseGateway(w http.ResponseWriter, f *fault, _ string) {
	body := map[string]string{"message": f.msg}
	if f.resource != "" {
		body["resourceType"] = f.resource
	}
	w.Header().Set("X-Amzn-Errortype", f.kind)
	answer(w, f.status, body)
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	w.Write(b)
	return nil
}

// identify checks a request's signature.
func identify(v *sigv4.Verifier, r *http.Request, body []byte) (*sigv4.Signed, error) {
	s, bad := v.Verify(r, body)
	if bad == nil {
		return s, nil
	}
	f := &fault{status: http.StatusForbidden, kind: "InvalidSignatureException", msg: bad.Message}
	switch bad.Reason {
	case sigv4.Missing:
		f.kind = "MissingAuthenticationTokenException"
	case sigv4.Incomplete:
		f.kind = "IncompleteSignatureException"
	case sigv4.UnknownKey, sigv4.BadToken:
		f.kind = "UnrecognizedClientException"
	case sigv4.TokenExpired:
		f.kind = "ExpiredTokenException"
	case sigv4.Internal:
		f.status, f.kind = http.StatusInternalServerError, "InternalServerException"
	}
	return nil, f
}

// admit reads a request and finds out who sent it.
func admit(v *sigv4.Verifier, w http.ResponseWriter, r *http.Request) (who *sigv4.Signed, body []byte, err error) {
	if body, err = read(w, r); err == nil {
		who, err = identify(v, r, body)
	}
	return who, body, err
}

// read takes a request's body.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return nil, &fault{status: http.StatusRequestEntityTooLarge, kind: "RequestTooLargeException", msg: "Request body is too large"}
	case err != nil:
		return nil, invalidf("Could not read the request: %v", err)
	}
	if body == nil {
		body = []byte{}
	}
	return body, nil
}

// segments are the parts of a path, each decoded once.
func segments(r *http.Request) ([]string, error) {
	parts := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i, p := range parts {
		var err error
		if parts[i], err = url.PathUnescape(p); err != nil {
			return nil, invalidf("malformed path")
		}
	}
	return parts, nil
}

// newID is a random id of n characters [a-z0-9], the first a letter (aws.md 0).
func newID(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, n)
	for i := range out {
		size := int64(len(alphabet))
		if i == 0 {
			size = 26
		}
		k, err := rand.Int(rand.Reader, big.NewInt(size))
		if err != nil {
			panic(err) // crypto/rand never fails
		}
		out[i] = alphabet[k.Int64()]
	}
	return string(out)
}

// query is one request to API Gateway whose signer is known.
type query struct {
	r      *http.Request
	who    access.Principal
	region string
	body   record
}
