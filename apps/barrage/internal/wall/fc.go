package wall

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// FromEnv returns the wall that a function's environment describes, and the store to which each
// request's credentials belong. announce may be nil, see [Options].
func FromEnv(announce func(string)) (*Wall, *Tablestore) {
	store := NewTablestore(os.Getenv("endpoint"), os.Getenv("instance"))
	store.Use(Credentials{
		ID:     os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"),
		Secret: os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
		Token:  os.Getenv("ALIBABA_CLOUD_SECURITY_TOKEN"),
	})
	o := Options{Store: store, AdminPassword: os.Getenv("adminPassword"), Announce: announce, Rate: 60, Public: os.Getenv("SLUICE_PUBLIC_URL")}
	if o.AdminPassword == "auto" {
		o.AdminPassword = ""
	}
	if url := os.Getenv("notifyUrl"); url != "" {
		o.Notify = NewHTTPNotifier(url, onSluice())
	}
	if rate, err := strconv.ParseInt(os.Getenv("rate"), 10, 64); err == nil && rate >= 0 {
		o.Rate = rate
	}
	return New(o), store
}

// onSluice reports whether the platform is sluice, which takes many devices in one notify call.
func onSluice() bool { return os.Getenv("SLUICE") == "1" }

// Serve runs a custom-runtime function: it listens where the platform says, takes the credentials
// out of each request, prepares the tables before the first, and leaves when told to.
func Serve(w *Wall, store *Tablestore, routes http.Handler) error {
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
		if err := w.Prepare(r.Context()); err != nil {
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
	err = <-stopped
	w.Close()
	return err
}

// Event is what the gateway gives to a function of type FCEvent.
type Event struct {
	Headers         map[string]string `json:"headers"`
	QueryParameters map[string]string `json:"queryParameters"`
}

// HandleEvent makes an HTTP handler for POST /invoke of an event function. The answer of f is the
// body of a gateway response; an [Error] sets its status.
func HandleEvent(f func(context.Context, Event) (any, error)) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var e Event
		body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, 8<<20))
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		status, answer := http.StatusOK, any(nil)
		if err != nil {
			err = &Error{Kind: Invalid, Text: "the event is not the gateway's JSON"}
		} else {
			answer, err = f(r.Context(), e)
		}
		if err != nil {
			status, answer = refusal(err)
		}
		text, err := json.Marshal(answer)
		if err != nil {
			WriteError(rw, err)
			return
		}
		WriteJSON(rw, http.StatusOK, map[string]any{
			"isBase64Encoded": false, "statusCode": status, "body": string(text),
			"headers": map[string]string{"Content-Type": "application/json; charset=utf-8"},
		})
	})
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
		return http.StatusServiceUnavailable, map[string]any{"error": "unavailable", "message": "the wall cannot reach its tables, try again"}
	}
	status := map[Kind]int{
		Invalid: http.StatusBadRequest, Unauthorized: http.StatusUnauthorized, NotFound: http.StatusNotFound,
		Decided: http.StatusConflict, Busy: http.StatusConflict, Slow: http.StatusTooManyRequests,
	}[e.Kind]
	body := map[string]any{"error": e.Kind, "message": e.Text}
	if e.After > 0 {
		body["retryAfter"] = e.After.Seconds()
	}
	return status, body
}
