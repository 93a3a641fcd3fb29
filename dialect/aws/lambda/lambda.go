// Package lambda speaks AWS Lambda (aws.md section 3): its API, with which functions are called and
// described; its runtime API, from which programs of the provided runtimes fetch their calls; what a
// function finds in its environment; and the lines that frame a call in its log.
package lambda

import (
	"cmp"
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
)

// Account is the account id that ARNs show (section 0).
const Account = "000000000000"

// Latest is the version of a function that nobody has published.
const Latest = "$LATEST"

// dialect is the name under which functions of ours are deployed.
const dialect = "aws"

// maxPayload is how much a synchronous call carries either way; a response may have 100 bytes more
// (sections 3.1, 3.5).
const (
	maxPayload  = 6 << 20
	maxResponse = maxPayload + 100
)

// Functions is what the package needs of the function room.
type Functions interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	Refuse(app sluice.AppName, name sluice.FunctionName) error
	List(app sluice.AppName) []function.Status
	Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool)
}

// Keys makes and checks credentials: access.Keys.
type Keys interface {
	Temporary(prefix string, p access.Principal, ttl time.Duration) access.Credentials
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Lambda calls functions by their names and ARNs. It is safe for concurrent use.
type Lambda struct {
	functions Functions
	logs      function.LogSink
	log       *slog.Logger

	mu    sync.RWMutex // guards known
	known map[asked]meaning

	busy    sync.Mutex // guards running
	running map[place]int
}

// place is a function of whose calls only so many run at once.
type place struct {
	app  sluice.AppName
	name sluice.FunctionName
}

// asked is a name as somebody of an app used it: see ParseName.
type asked struct {
	app  sluice.AppName
	name string
}

// meaning is what that stands for.
type meaning struct {
	f         *Function
	qualifier string
}

// Function is a deployed function with what the cloud knows of it. It is not changed: a deploy makes a
// new one.
type Function struct {
	*function.Version
	Extra *Extra
	Name  string // on the cloud
	ARN   string // without a qualifier
	logs  logFormat
}

// NewLambda makes a Lambda. logs gets the lines that frame calls; nil is nobody.
func NewLambda(f Functions, logs function.LogSink, log *slog.Logger) *Lambda {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Lambda{functions: f, logs: logs, log: log, known: map[asked]meaning{}, running: map[place]int{}}
}

// ARN is the name of a function for everybody (section 0).
func ARN(region, name string) string {
	return "arn:aws:lambda:" + cmp.Or(region, "us-east-1") + ":" + Account + ":function:" + name
}

// PhysicalName is a function's name on the cloud.
func PhysicalName(f *sluice.Function) string { return cmp.Or(f.Physical, string(f.Name)) }

var names = regexp.MustCompile(`^(?:arn:aws[a-z-]*:lambda:([a-z0-9-]+):)?(?:(\d{12}):)?(?:function:)?([A-Za-z0-9-_]+)(?::(\$LATEST|[A-Za-z0-9-_]+))?$`)

// ParseName takes apart how a function is named: a name, name:qualifier, a partial or a full ARN.
func ParseName(s string) (name, qualifier string, ok bool) {
	m := names.FindStringSubmatch(s)
	if m == nil {
		return "", "", false
	}
	return m[3], m[4], true
}

// TargetOf is the function in the URI of an integration or of an authorizer (section 0); the ARN of a
// function stands for itself.
func TargetOf(uri string) string {
	if _, rest, ok := strings.Cut(uri, ":path/2015-03-31/functions/"); ok {
		return strings.TrimSuffix(rest, "/invocations")
	}
	return uri
}

// Find is the function that a name means for somebody of an app: its own functions go first, by the
// name in its template, then everybody's, by the name on the cloud. The operator ("") may use any.
func (l *Lambda) Find(app sluice.AppName, name string) (*Function, error) {
	v := l.search(app, name)
	if v == nil {
		return nil, sluice.Errorf(sluice.Missing, "Function not found: %s", ARN("", name))
	}
	return describe(v), nil
}

func describe(v *function.Version) *Function {
	name := PhysicalName(&v.Spec)
	extra := extraOf(&v.Spec)
	return &Function{v, extra, name, ARN(v.Env["AWS_REGION"], name), extra.logFormat()}
}

func (l *Lambda) search(app sluice.AppName, name string) *function.Version {
	if app != "" {
		if v, ok := l.functions.Version(app, sluice.FunctionName(name)); ok && v.Dialect == dialect {
			return v
		}
	}
	var other, logical *function.Version
	for _, s := range l.functions.List("") {
		v, ok := l.functions.Version(s.App, s.Name)
		if !ok || v.Dialect != dialect {
			continue
		}
		switch {
		case PhysicalName(&v.Spec) == name && v.App == app:
			return v
		case PhysicalName(&v.Spec) == name:
			other = cmp.Or(other, v)
		case app == "" && string(v.Spec.Name) == name:
			logical = cmp.Or(logical, v)
		}
	}
	return cmp.Or(other, logical)
}

// Call is one call of a function.
type Call struct {
	App       sluice.AppName // whose template's names count; "" is the operator
	Name      string         // of the function: see ParseName
	Qualifier string         // of the version or alias; goes before one in Name
	RequestID string         // "" makes one
	Payload   []byte
	Client    string        // X-Amz-Client-Context, decoded
	Trace     string        // X-Amzn-Trace-Id
	Tail      bool          // the result's LogTail is wanted, with the lines that frame the call
	Conn      sluice.ConnID // the connection that caused it
	Stream    sluice.Stream // takes the answer of a function that streams; nil has it whole
}

// Resolve is the function that a name (see ParseName) and a qualifier mean for somebody of an app.
// Missing is its error when there is no such function, version or alias.
func (l *Lambda) Resolve(app sluice.AppName, named, qualifier string) (*Function, error) {
	f, _, err := l.resolve(app, named, qualifier)
	return f, err
}

func (l *Lambda) resolve(app sluice.AppName, named, qualifier string) (f *Function, q string, err error) {
	m, err := l.meaning(asked{app, named})
	if err != nil {
		return nil, "", err
	}
	if q = cmp.Or(qualifier, m.qualifier); q != "" && !m.f.Extra.has(q) {
		return nil, "", sluice.Errorf(sluice.Missing, "Function not found: %s:%s", m.f.ARN, q)
	}
	return m.f, q, nil
}

// meaning is what a name stands for, which is remembered until the function's next deploy.
func (l *Lambda) meaning(a asked) (m meaning, err error) {
	l.mu.RLock()
	m = l.known[a]
	l.mu.RUnlock()
	if m.f != nil {
		if v, _ := l.functions.Version(m.f.App, m.f.Spec.Name); v == m.f.Version {
			return m, nil
		}
	}
	name, qualifier, ok := ParseName(a.name)
	if !ok {
		return m, sluice.Errorf(sluice.Missing, "Function not found: %s", a.name)
	}
	f, err := l.Find(a.app, name)
	if err != nil {
		return m, err
	}
	m = meaning{f, qualifier}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.known) > 10000 {
		clear(l.known)
	}
	l.known[a] = m
	return m, nil
}

// Invoke runs one call to its end, and frames it in the function's log (section 3.6). Missing is its
// error when there is no such function, version or alias.
func (l *Lambda) Invoke(ctx context.Context, c Call) (*Function, sluice.Result, error) {
	f, inv, err := l.invocation(c)
	if err != nil {
		return nil, sluice.Result{}, err
	}
	res, err := l.run(ctx, f, inv)
	return f, res, err
}

// invocation is a call in the function room's terms.
func (l *Lambda) invocation(c Call) (*Function, sluice.Invocation, error) {
	f, qualifier, err := l.resolve(c.App, c.Name, c.Qualifier)
	if err != nil {
		return nil, sluice.Invocation{}, err
	}
	arn := f.ARN
	if qualifier != "" {
		arn += ":" + qualifier
	}
	if len(c.Payload) == 0 {
		c.Payload = []byte("{}")
	}
	inv := sluice.Invocation{App: f.App, Function: f.Spec.Name, Qualifier: qualifier, RequestID: cmp.Or(c.RequestID, NewRequestID()), Payload: c.Payload, Conn: c.Conn, Stream: c.Stream,
		Attrs: map[string]string{"arn": arn, "trace": cmp.Or(c.Trace, newTrace())}}
	if c.Client != "" {
		inv.Attrs["client"] = c.Client
	}
	if c.Tail {
		inv.Attrs[attrTail] = "1"
	}
	return f, inv, nil
}

// run runs a call between the lines that frame it. Throttled is its error when as many calls of the
// function run as it has concurrency reserved (section 3.3).
func (l *Lambda) run(ctx context.Context, f *Function, inv sluice.Invocation) (sluice.Result, error) {
	leave, ok := l.enter(f)
	if !ok {
		return sluice.Result{}, errReserved
	}
	defer leave()
	start := f.start(inv.RequestID)
	l.write(f, inv.RequestID, start)
	res, err := l.functions.Invoke(ctx, inv)
	if err == nil && len(res.Payload) > maxResponse {
		res.Payload, res.Failure = nil, &sluice.Failure{Kind: sluice.TooBig, Type: "Function.ResponseSizeTooLarge", Message: "the response is too large"}
	}
	if err != nil {
		l.write(f, inv.RequestID, f.unserved(inv.RequestID, err))
		return res, err
	}
	end := f.end(inv.RequestID, &res)
	l.write(f, inv.RequestID, end...)
	if inv.Attrs[attrTail] != "" {
		res.LogTail = tail(start, res.LogTail, end)
	}
	return res, nil
}

// Refuse is the error with which Invoke would turn a call away at once, Throttled; nil when it would not. It does not
// wait, and leaves nothing in the function's log.
func (l *Lambda) Refuse(app sluice.AppName, named string) error {
	f, _, err := l.resolve(app, named, "")
	if err != nil {
		return nil // Invoke says so
	}
	if f.Extra.Reserved != nil {
		l.busy.Lock()
		full := l.running[place{f.App, f.Spec.Name}] >= *f.Extra.Reserved
		l.busy.Unlock()
		if full {
			return errReserved
		}
	}
	return l.functions.Refuse(f.App, f.Spec.Name)
}

// enter counts a call of a function whose concurrency is limited, until leave; false when it is full.
func (l *Lambda) enter(f *Function) (leave func(), ok bool) {
	if f.Extra.Reserved == nil {
		return func() {}, true
	}
	p := place{f.App, f.Spec.Name}
	l.busy.Lock()
	defer l.busy.Unlock()
	if l.running[p] >= *f.Extra.Reserved {
		return nil, false
	}
	l.running[p]++
	return func() {
		l.busy.Lock()
		defer l.busy.Unlock()
		if l.running[p]--; l.running[p] == 0 {
			delete(l.running, p)
		}
	}, true
}
