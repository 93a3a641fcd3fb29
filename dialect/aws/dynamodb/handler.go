package dynamodb

import (
	"context"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/table"
)

// maxBody and maxHeader are how long a request's body and headers may be, in bytes.
const (
	maxBody   = 16 << 20
	shortBody = 64 << 10 // a client that tells a longer one gets memory as it comes
	maxHeader = 16 << 10
)

// The prefixes of X-Amz-Target.
const (
	target        = "DynamoDB_20120810."
	streamsTarget = "DynamoDBStreams_20120810."
)

// Verifier checks signatures; sigv4.Verifier is one.
type Verifier interface {
	Verify(r *http.Request, body []byte) (*sigv4.Signed, *sigv4.Error)
}

// Options are what a Handler works with. Tables is required.
type Options struct {
	Tables  *table.Tables
	Keys    Verifier // nil takes everything that has a signature, right or wrong
	Account string   // 12 digits; "" is 000000000000
	Region  string   // "" is us-east-1
	Log     *slog.Logger
	Now     func() time.Time // nil is time.Now
}

// Handler answers DynamoDB's operations. It is safe for concurrent use.
type Handler struct {
	opt   Options
	scope string // of the tables in the room
	cache cache
}

// New makes a Handler.
func New(o Options) *Handler {
	if o.Account == "" {
		o.Account = "000000000000"
	}
	if o.Region == "" {
		o.Region = "us-east-1"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Handler{opt: o, scope: Scope(o.Account, o.Region), cache: newCache()}
}

// Scope is where the tables of an account and region lie in the room of tables.
func Scope(account, region string) string { return "dynamodb/" + account + "/" + region }

// Claims reports whether a request on a shared listener is for DynamoDB or its streams, by its target, its
// host or its signature. Of what comes to the listener's own address with none of these, DynamoDB also gets
// what no browser and no other protocol sends: a health check, or a request that is to be told its mistake.
func Claims(r *http.Request) bool {
	t := r.Header.Get("X-Amz-Target")
	switch {
	case strings.HasPrefix(t, target), strings.HasPrefix(t, streamsTarget), strings.HasPrefix(strings.TrimPrefix(r.Host, "streams."), "dynamodb."):
		return true
	case r.URL.Path != "/", strings.Contains(t, "."):
		return false
	}
	if signed := r.Header.Get("Authorization"); signed != "" {
		return strings.Contains(signed, "/dynamodb/aws4_request")
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	form := strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") || strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
	return !form && (host == "localhost" || net.ParseIP(host) != nil) && r.URL.RawQuery == "" && r.Header.Get("X-Tc-Action") == "" &&
		!strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	always := []string{"Server", requestID()}
	head["Server"], head["X-Amzn-Requestid"] = always[:1:1], always[1:]
	if headerSize(r) > maxHeader {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Header.Get("Origin") != "" {
		head.Set("Access-Control-Allow-Origin", "*")
		head.Set("Access-Control-Expose-Headers", "x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date")
		if r.Method == http.MethodOptions {
			preflight(w, r)
			return
		}
	}
	if r.Method == http.MethodGet {
		answer(w, http.StatusOK, "text/plain", []byte("healthy: dynamodb."+h.opt.Region+".amazonaws.com "))
		return
	}
	body, err := readBody(w, r)
	if err != nil {
		tooLarge := new(http.MaxBytesError)
		if errors.As(err, &tooLarge) {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_ = http.NewResponseController(w).Flush() // AWS sends no length
			return
		}
		answer(w, http.StatusBadRequest, "application/json", serialization("").body()) // it was cut off
		return
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.TrimSpace(kind)
	const json, amzJSON = "application/json", "application/x-amz-json-1.0"
	if r.Method != http.MethodPost || len(body) > 0 && kind != json && kind != amzJSON {
		answer(w, http.StatusNotFound, "", []byte("<UnknownOperationException/>\n"))
		return
	}
	if kind != amzJSON {
		kind = json
	}
	plain, err := unpack(r.Header.Get("Content-Encoding"), body)
	switch {
	case errors.Is(err, errTooLong):
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		f := internalFault()
		answer(w, f.status, kind, f.body())
		return
	}
	status, out := h.serve(r, body, plain)
	name, out := pack(r.Header["Accept-Encoding"], out)
	if name != "" {
		head.Set("Content-Encoding", name)
	}
	answer(w, status, kind, out)
}

// readBody reads a request's body, a short one into memory for just as much.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 || r.ContentLength > shortBody {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// headerSize is about how long a request's line and headers are.
func headerSize(r *http.Request) int {
	n := len(r.RequestURI)
	for name, values := range r.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}

// serve checks what comes before the parameters, and does the operation. plain is what body, which was
// signed, stands for.
func (h *Handler) serve(r *http.Request, body, plain []byte) (int, []byte) {
	refuse := func(f *fault) (int, []byte) { return f.status, f.body() }
	var req *node
	if len(plain) > 0 {
		var ok bool
		if req, ok = parseJSON(plain); !ok {
			return refuse(serialization(""))
		}
	}
	op, ok := findOperation(r.Header.Get("X-Amz-Target"))
	if !ok {
		return refuse(unknownOperation(r.Header.Get("X-Amz-Target")))
	}
	if f := h.authenticate(r, body); f != nil {
		return refuse(f)
	}
	out, err := h.do(context.WithValue(r.Context(), hostKey{}, r.Host), op, req)
	if err != nil {
		return refuse(h.fault(err, op.name))
	}
	return http.StatusOK, out
}

// hostKey is under which a request's context has the host that its client called.
type hostKey struct{}

// Do does one operation for a caller that needs no signature (API Gateway's own integrations). The
// status and the answer are those that a client would get; err is only for trouble of our own, which
// the answer tells as InternalServerError.
func (h *Handler) Do(ctx context.Context, op string, body []byte) (status int, out []byte, err error) {
	o, ok := findOperation(target + op)
	if !ok {
		f := unknownOperation(target + op)
		return f.status, f.body(), nil
	}
	req, ok := parseJSON(body)
	if !ok {
		f := serialization("")
		return f.status, f.body(), nil
	}
	out, err = h.do(ctx, o, req)
	if err == nil {
		return http.StatusOK, out, nil
	}
	f, theirs := faultOf(err)
	if theirs {
		err = nil
	}
	return f.status, f.body(), err
}

// do checks an operation's parameters against its shape, and runs it.
func (h *Handler) do(ctx context.Context, op *operation, req *node) ([]byte, error) {
	if req == nil || req.kind != jsonObject {
		return nil, serialization("")
	}
	if err := op.params.check(req, false); err != nil {
		return nil, err
	}
	if op.before != nil {
		if err := op.before(h, req); err != nil {
			return nil, err
		}
	}
	if err := op.params.validate(req); err != nil {
		return nil, err
	}
	return op.run(h, ctx, req)
}

// fault is faultOf, with a log line for what is our own trouble.
func (h *Handler) fault(err error, op string) *fault {
	f, theirs := faultOf(err)
	if !theirs {
		h.opt.Log.Error("operation on tables failed", "dialect", "aws", "operation", op, "err", err)
	}
	return f
}

// authenticate has a request's signature checked.
func (h *Handler) authenticate(r *http.Request, body []byte) *fault {
	var fail *sigv4.Error
	if halfSigned(r) {
		fail = &sigv4.Error{Reason: sigv4.Missing} // other services see half a signature, DynamoDB none
	} else if h.opt.Keys != nil {
		_, fail = h.opt.Keys.Verify(r, body)
	} else {
		fail = sigv4.Complete(r)
	}
	if fail == nil {
		return nil
	}
	return signatureFault(fail)
}

// halfSigned reports whether a request has a signature in its query without saying how it was made.
func halfSigned(r *http.Request) bool {
	if r.URL.RawQuery == "" || r.Header.Get("Authorization") != "" {
		return false
	}
	query := r.URL.Query()
	return query.Has("X-Amz-Signature") && !query.Has("X-Amz-Algorithm")
}

// preflight answers a browser that asks whether it may call.
func preflight(w http.ResponseWriter, r *http.Request) {
	for from, to := range map[string]string{
		"Access-Control-Request-Headers": "Access-Control-Allow-Headers",
		"Access-Control-Request-Method":  "Access-Control-Allow-Methods",
	} {
		if v := r.Header.Get(from); v != "" {
			w.Header().Set(to, v)
		}
	}
	w.Header().Set("Access-Control-Max-Age", "172800")
	answer(w, http.StatusOK, "", nil)
}

// answer writes a whole answer with its checksum, which SDKs compare.
func answer(w http.ResponseWriter, status int, kind string, body []byte) {
	head := w.Header()
	values := []string{kind, strconv.Itoa(len(body)), strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10)}
	head["Content-Type"], head["Content-Length"], head["X-Amz-Crc32"] = values[:1:1], values[1:2:2], values[2:]
	if kind == "" {
		head["Content-Type"] = nil // not to be guessed
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone does not care
}

// requestID is 52 characters of A-Z and 2-7.
func requestID() string {
	var id [52]byte
	var bits uint64
	for i := range id {
		if i%12 == 0 {
			bits = rand.Uint64() // it need not be a secret
		}
		id[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[bits%32]
		bits /= 32
	}
	return string(id[:])
}
