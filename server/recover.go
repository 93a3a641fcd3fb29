package server

import (
	"log/slog"
	"net/http"
	"runtime/debug"
)

// recovering tells of a panic in a request, which net/http would keep to itself; only that request's
// connection ends.
func recovering(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p != http.ErrAbortHandler { // that one is how a handler cuts its answer off
				log.Error("panic in a request", "method", r.Method, "path", r.URL.Path, "err", p, "stack", string(debug.Stack()))
			}
			panic(http.ErrAbortHandler)
		}()
		h.ServeHTTP(w, r)
	})
}
