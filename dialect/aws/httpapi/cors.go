package httpapi

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// cors makes the gateway's headers for pages of other origins go over those of the integration.
func (a *API) cors(c *call) {
	if a.spec.CORS == nil || c.origin == "" {
		return
	}
	c.w = &corsWriter{ResponseWriter: c.w, set: func(h http.Header) { allowOrigin(h, a.spec.CORS, c.origin) }}
}

// corsWriter sets headers just before they go out.
type corsWriter struct {
	http.ResponseWriter
	set  func(http.Header)
	done bool
}

// WriteHeader writes the head, with the headers of ours.
func (w *corsWriter) WriteHeader(status int) {
	if !w.done {
		w.done = true
		w.set(w.Header())
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the body.
func (w *corsWriter) Write(b []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is the writer behind this one.
func (w *corsWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// allowOrigin sets what every answer tells a page of another origin.
func allowOrigin(h http.Header, cors *apispec.CORS, origin string) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			h.Del(name)
		}
	}
	switch {
	case slices.Contains(cors.Origins, "*") && !cors.Credentials:
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.ContainsFunc(cors.Origins, func(o string) bool { return originMatches(o, origin) }):
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
	default:
		return
	}
	if cors.Credentials {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	if len(cors.Expose) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(cors.Expose, ","))
	}
}

// originMatches reports whether an allowed origin, which may be "*", "https://*" or "http://*", is that
// of a page.
func originMatches(allowed, origin string) bool {
	if prefix, ok := strings.CutSuffix(allowed, "*"); ok {
		return strings.HasPrefix(origin, prefix)
	}
	return strings.EqualFold(allowed, origin)
}

// preflight answers a browser's question in the API's place.
func (c *call) preflight() {
	h := c.w.Header()
	cors := c.spec.CORS
	allowOrigin(h, cors, c.origin)
	if h.Get("Access-Control-Allow-Origin") != "" {
		if len(cors.Methods) > 0 {
			h.Set("Access-Control-Allow-Methods", strings.Join(cors.Methods, ","))
		}
		if len(cors.Headers) > 0 {
			h.Set("Access-Control-Allow-Headers", strings.Join(cors.Headers, ","))
		}
		if cors.MaxAge != nil {
			h.Set("Access-Control-Max-Age", strconv.Itoa(*cors.MaxAge))
		}
		if w, ok := c.w.(*corsWriter); ok {
			w.done = true // all is said
		}
	}
	c.w.WriteHeader(http.StatusNoContent)
}
