package codes

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
	_ "time/tzdata" // the machines of functions have no time zones
)

// FromEnv returns the book that a function's environment describes, and the store to which each
// request's credentials belong. announce may be nil, see [Options].
func FromEnv(announce func(string)) (*Book, *Tablestore, error) {
	store := NewTablestore(os.Getenv("endpoint"), os.Getenv("instance"))
	store.Use(Credentials{
		ID:     os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
		Secret: os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
		Token:  os.Getenv("ALIBABA_CLOUD_SECURITY_TOKEN"),
	})
	o := Options{Store: store, AdminPassword: os.Getenv("adminPassword"), Announce: announce}
	if o.AdminPassword == "auto" {
		o.AdminPassword = ""
	}
	zone, err := time.LoadLocation(os.Getenv("timezone"))
	if err != nil {
		return nil, nil, fmt.Errorf("the parameter timezone is a name like Asia/Shanghai: %w", err)
	}
	o.Zone = zone
	return New(o), store, nil
}

// onSluice reports whether the platform is sluice.
func onSluice() bool { return os.Getenv("SLUICE") == "1" }

// Serve runs a custom-runtime function: it listens where the platform says, takes the credentials out of
// each request, prepares the tables before the first, and leaves when told to.
func Serve(b *Book, store *Tablestore, routes http.Handler) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /initialize", func(rw http.ResponseWriter, r *http.Request) {}) // prepared like any request
	mux.Handle("/", routes)
	handler := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		store.Use(Credentials{
			ID:     r.Header.Get("x-fc-access-key-id"),
			Secret: r.Header.Get("x-fc-access-key-secret"),
			Token:  r.Header.Get("x-fc-security-token"),
		})
		if err := b.Prepare(r.Context()); err != nil {
			WriteError(rw, err)
			return
		}
		mux.ServeHTTP(rw, r)
	})
	host, port := "", os.Getenv("FC_SERVER_PORT")
	if onSluice() {
		host = "127.0.0.1" // nobody but the gateway's machine calls
	}
	if port == "" {
		port = "9000"
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, IdleTimeout: 20 * time.Minute}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return err
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-stopped
}

// maxEvent is how many bytes an event may have.
const maxEvent = 1 << 20

// spare is how long before its time is over a function stops working, to say how far it came.
const spare = 2 * time.Second

// ServeEvents runs a function that answers events: those that callers of the function send themselves, and
// those of the API gateway, whose event holds the caller's as its body.
func ServeEvents(f func(*Book, context.Context, []byte) (string, error)) {
	b, store, err := FromEnv(nil)
	if err == nil {
		mux := http.NewServeMux()
		mux.Handle("POST /invoke", Events(func(ctx context.Context, event []byte) (string, error) { return f(b, ctx, event) }))
		err = Serve(b, store, mux)
	}
	if err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}

// envelope is an event of the API gateway.
type envelope struct {
	Path    *string           `json:"path"`
	Method  *string           `json:"httpMethod"`
	Query   map[string]string `json:"queryParameters"`
	Body    string            `json:"body"`
	Encoded bool              `json:"isBase64Encoded"`
}

// event is the caller's event within one of the gateway: its body, or its query when there is none.
func (e envelope) event() ([]byte, error) {
	if e.Body == "" {
		return json.Marshal(e.Query)
	}
	if e.Encoded {
		b, err := base64.StdEncoding.DecodeString(e.Body)
		if err != nil {
			return nil, invalid("the body of the gateway's event is not base64")
		}
		return b, nil
	}
	return []byte(e.Body), nil
}

// Events makes an HTTP handler for POST /invoke of an event function. The answer of f is the function's
// result as it is, or the body of a response when the event came through the gateway. An error is a failed
// call, or a response with its status.
func Events(f func(context.Context, []byte) (string, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		event, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxEvent))
		if err != nil {
			fail(rw, invalid("an event has at most %d bytes", maxEvent))
			return
		}
		ctx := r.Context()
		if s, err := strconv.Atoi(r.Header.Get("x-fc-function-timeout")); err == nil && s > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, max(time.Duration(s)*time.Second-spare, time.Second))
			defer cancel()
		}
		var e envelope
		if json.Unmarshal(event, &e) != nil || e.Path == nil || e.Method == nil {
			answer, err := f(ctx, event)
			if err != nil {
				fail(rw, err)
				return
			}
			io.WriteString(rw, answer)
			return
		}
		answer, status, kind := "", http.StatusOK, "text/plain; charset=utf-8"
		if event, err = e.event(); err == nil {
			answer, err = f(ctx, event)
		}
		if err != nil {
			var body any
			status, body = refusal(err)
			text, err := json.Marshal(body)
			if err != nil {
				fail(rw, err)
				return
			}
			answer, kind = string(text), "application/json; charset=utf-8"
		}
		WriteJSON(rw, http.StatusOK, map[string]any{
			"isBase64Encoded": false, "statusCode": status, "body": answer, "headers": map[string]string{"Content-Type": kind},
		})
	})
}

// fail reports a call that failed, as Function Compute wants to hear it.
func fail(rw http.ResponseWriter, err error) {
	kind := "Unavailable"
	if e, ok := errors.AsType[*Error](err); ok {
		kind = string(e.Kind)
	} else {
		slog.Error("call", "err", err)
	}
	rw.Header().Set("x-fc-status", "404")
	WriteJSON(rw, http.StatusOK, map[string]string{"errorMessage": err.Error(), "errorType": kind})
}

// WriteJSON answers with v.
func WriteJSON(rw http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"error":"internal"}`)
	}
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Header().Set("Cache-Control", "no-store")
	rw.WriteHeader(status)
	rw.Write(body)
}

// WriteError answers with the status and JSON of err.
func WriteError(rw http.ResponseWriter, err error) {
	status, body := refusal(err)
	if e, ok := errors.AsType[*Error](err); ok && e.After > 0 {
		rw.Header().Set("Retry-After", strconv.Itoa(int((e.After+time.Second-1)/time.Second)))
	}
	WriteJSON(rw, status, body)
}

// refusal is the one place where errors become HTTP. What is not an [Error] is logged, not shown.
func refusal(err error) (int, any) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		slog.Error("request", "err", err)
		return http.StatusServiceUnavailable, map[string]any{"error": "unavailable", "message": "the code tables cannot be reached, try again"}
	}
	status, ok := map[Kind]int{
		Invalid: http.StatusBadRequest, Unauthorized: http.StatusUnauthorized, NotFound: http.StatusNotFound, Typo: http.StatusNotFound,
		Slow: http.StatusTooManyRequests,
	}[e.Kind]
	if !ok {
		status = http.StatusConflict
	}
	body := map[string]any{"error": e.Kind, "message": e.Text}
	if e.After > 0 {
		body["retryAfter"] = e.After.Seconds()
	}
	return status, body
}
