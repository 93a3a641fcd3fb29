// Package scf speaks Tencent's Serverless Cloud Function (tencent.md section 2): the runtimes that only
// this cloud has, what a function finds in its environment, the codes by which it says how a call went,
// and the API with which functions are called and described.
//
// SCF calls functions of the room by the names that the cloud knows them by. CustomRuntime, Go1 and Web are
// function.Starters; runtimes for Node and Python are function/process's, with our shims. Nothing here
// keeps state but the instances, each of which owns the goroutines that its Stop waits for.
package scf

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/function"
)

// What accounts and regions are called (section 0).
const (
	AppID         = "1250000000"
	UIN           = "100000000001"
	DefaultRegion = "ap-guangzhou"
)

// DefaultNamespace is the namespace of functions that name none.
const DefaultNamespace = "default"

// The qualifiers of a function that nobody has published: both are its newest code.
const (
	Latest  = "$LATEST"
	Default = "$DEFAULT"
)

// dialect is the name under which functions of ours are deployed.
const dialect = "tencent"

// How many bytes a call carries (section 2.9).
const (
	maxSync  = 6 << 20 // either way
	maxAsync = 128 << 10
)

// Functions is what the package needs of the function room.
type Functions interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
	List(app sluice.AppName) []function.Status
	Version(app sluice.AppName, name sluice.FunctionName) (*function.Version, bool)
}

// Keys makes and checks credentials: access.Keys.
type Keys interface {
	Temporary(prefix string, p access.Principal, ttl time.Duration) access.Credentials
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// SCF calls functions by their names. It is safe for concurrent use.
type SCF struct {
	functions Functions
	logs      function.LogSink
	log       *slog.Logger

	mu    sync.RWMutex // guards known
	known map[asked]*function.Version
}

// asked is a name as somebody of an app used it for a function of that app.
type asked struct {
	app             sluice.AppName
	namespace, name string
}

// NewSCF makes an SCF. logs gets the lines that frame calls; nil is nobody. log may be nil.
func NewSCF(f Functions, logs function.LogSink, log *slog.Logger) *SCF {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &SCF{functions: f, logs: logs, log: log, known: map[asked]*function.Version{}}
}

// Call is one call of a function.
type Call struct {
	App       sluice.AppName // whose functions go first; "" is the operator
	Namespace string         // "" is DefaultNamespace
	Name      string         // of the function, as the cloud knows it
	Qualifier string         // "", Latest, Default, or a version or alias of its
	RequestID string         // "" makes one
	Payload   []byte         // the event, JSON; of an HTTP call the body
	HTTP      *sluice.HTTPRequest
	Conn      sluice.ConnID // the connection that caused it; may be zero
}

// Outcome is what came of a call.
type Outcome struct {
	// Status is the function's status code (section 2.6): OK, or why it failed, as told in error bodies. It
	// is not an HTTP status.
	Status int
	// Payload is what the function returned, JSON (of a web function called by HTTP, the body); of a call
	// that failed the error body of section 2.6.
	Payload   []byte
	HTTP      *sluice.HTTPResponse // of a web function called by HTTP that answered
	ErrMsg    string               // of a call that failed: its stack or message
	RequestID string
	Took      time.Duration // in the function
	MemoryMB  int           // peak, 0 when unknown
	Log       []byte        // the last 4 KB of the call's log
}

// OK reports whether the function has answered without a failure.
func (o *Outcome) OK() bool { return o.Status == StatusOK }

// Invoke runs one call to its end, and frames it in the function's log. What goes wrong is told by the
// outcome's status, also that there is no such function (StatusNoFunction), or no room for the call
// (StatusBusy). An error means that the caller has left (ctx) or that this server is stopping.
func (s *SCF) Invoke(ctx context.Context, c Call) (Outcome, error) {
	c.RequestID = cmp.Or(c.RequestID, NewRequestID())
	v, inv, err := s.invocation(c)
	if err != nil {
		return outcomeOf(c.RequestID, nil, sluice.Result{}, err), nil
	}
	return s.run(ctx, v, inv)
}

// run runs a call between the lines that frame it.
func (s *SCF) run(ctx context.Context, v *function.Version, inv sluice.Invocation) (Outcome, error) {
	res, err := s.call(ctx, v, inv)
	if err != nil && (ctx.Err() != nil || sluice.KindOf(err) == sluice.Internal) {
		return Outcome{RequestID: inv.RequestID}, err
	}
	return outcomeOf(inv.RequestID, v, res, err), nil
}

func (s *SCF) call(ctx context.Context, v *function.Version, inv sluice.Invocation) (sluice.Result, error) {
	if len(inv.Payload) > maxSync {
		return sluice.Result{}, sluice.Errorf(sluice.TooMuch, "the event has %d bytes, more than %d", len(inv.Payload), maxSync)
	}
	for _, l := range begun(inv.RequestID) {
		s.write(v, inv.RequestID, l)
	}
	res, err := s.functions.Invoke(ctx, inv)
	s.frame(v, inv.RequestID, &res, err)
	return res, err
}

// Find is the function that a name means for somebody of an app: its own go first, then everybody's.
// Missing is its error.
func (s *SCF) Find(app sluice.AppName, namespace, name string) (*function.Version, error) {
	ask := asked{app, cmp.Or(namespace, DefaultNamespace), name}
	s.mu.RLock()
	v := s.known[ask]
	s.mu.RUnlock()
	if v != nil {
		if now, _ := s.functions.Version(v.App, v.Spec.Name); now == v {
			return v, nil
		}
	}
	if v = s.search(ask); v == nil {
		return nil, sluice.Errorf(sluice.Missing, "no function %s in namespace %s", name, ask.namespace)
	}
	if v.App == app { // another's gives way to one of its own that may come
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.known) > 10000 {
			clear(s.known)
		}
		s.known[ask] = v
	}
	return v, nil
}

func (s *SCF) search(ask asked) *function.Version {
	var other *function.Version
	for _, st := range s.functions.List("") {
		v, ok := s.functions.Version(st.App, st.Name)
		if !ok || v.Dialect != dialect || Name(&v.Spec) != ask.name || Namespace(&v.Spec) != ask.namespace {
			continue
		}
		if v.App == ask.app {
			return v
		}
		other = cmp.Or(other, v)
	}
	return other
}

// invocation is a call in the function room's terms.
func (s *SCF) invocation(c Call) (*function.Version, sluice.Invocation, error) {
	v, err := s.Find(c.App, c.Namespace, c.Name)
	if err != nil {
		return nil, sluice.Invocation{}, err
	}
	if !has(&v.Spec, c.Qualifier) {
		return nil, sluice.Invocation{}, &qualifierError{c.Name, c.Qualifier}
	}
	inv := sluice.Invocation{App: v.App, Function: v.Spec.Name, Qualifier: c.Qualifier, RequestID: c.RequestID, Payload: c.Payload, Conn: c.Conn}
	if c.HTTP != nil {
		inv.Kind, inv.HTTP = sluice.InvokeHTTP, c.HTTP
	}
	return v, inv, nil
}

// qualifierError says that a function has no such version or alias.
type qualifierError struct{ name, qualifier string }

// Error names both.
func (e *qualifierError) Error() string {
	return fmt.Sprintf("function %s has no version or alias %s", e.name, e.qualifier)
}

// Kind is Missing.
func (e *qualifierError) Kind() sluice.Kind { return sluice.Missing }

func (s *SCF) write(v *function.Version, id, text string) {
	if s.logs != nil {
		s.logs.Log(sluice.LogLine{Time: time.Now(), App: v.App, Function: v.Spec.Name, Request: id, Level: sluice.LevelPlatform, Text: text})
	}
}

// frame writes the lines that end a call, and puts all of them around the call's own last lines.
func (s *SCF) frame(v *function.Version, id string, res *sluice.Result, err error) {
	end := "END RequestId: " + id
	if err != nil {
		s.log.Warn("a call has not reached its function", "app", v.App, "function", v.Spec.Name, "request", id, "err", err)
		s.write(v, id, end+" ("+err.Error()+")")
		return
	}
	var lines []string
	if f := res.Failure; f != nil {
		status, text, stack := failed(f, v)
		lines = append(lines, "ERROR RequestId: "+id+" Result: "+string(errorBody(id, status, text, stack)))
	}
	lines = append(lines, end, fmt.Sprintf("Report RequestId: %s Duration:%dms Memory:%dMB MaxMemoryUsed:%.4fMB",
		id, res.Took.Milliseconds(), v.Spec.MemoryMB, float64(res.MemoryMB)))
	var tail bytes.Buffer
	for _, l := range begun(id) {
		tail.WriteString(l + "\n")
	}
	tail.Write(res.LogTail)
	if len(res.LogTail) > 0 && res.LogTail[len(res.LogTail)-1] != '\n' {
		tail.WriteByte('\n')
	}
	for _, l := range lines {
		s.write(v, id, l)
		tail.WriteString(l + "\n")
	}
	res.LogTail = tail.Bytes()[max(0, tail.Len()-4<<10):]
}

// begun are the lines with which a call begins.
func begun(id string) []string { return []string{"START RequestId: " + id, "Event RequestId: " + id} }

// Name is a function's name on the cloud.
func Name(f *sluice.Function) string { return cmp.Or(f.Physical, string(f.Name)) }

// Namespace is a function's namespace on the cloud.
func Namespace(f *sluice.Function) string { return cmp.Or(f.Group, DefaultNamespace) }

// NewRequestID makes a request id: a UUID v4 in lower case (section 0).
func NewRequestID() string { return uuid.NewString() }

// has reports whether a qualifier names a version or alias of a function.
func has(f *sluice.Function, qualifier string) bool {
	return qualifier == "" || qualifier == Latest || qualifier == Default || slices.Contains(extraOf(f).Aliases, qualifier)
}
