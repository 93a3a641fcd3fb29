package fc

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/sluicehq/sluice"
)

// fault is an error of the platform (section 3.10), as opposed to one of a function.
type fault struct {
	status int
	code   string
	msg    string
}

// Error is code and message.
func (f *fault) Error() string { return f.code + ": " + f.msg }

// The platform's codes with their statuses.
var statuses = map[string]int{
	"InvalidArgument":     http.StatusBadRequest,
	"AccessDenied":        http.StatusForbidden,
	"SignatureNotMatch":   http.StatusForbidden,
	"ServiceNotFound":     http.StatusNotFound,
	"FunctionNotFound":    http.StatusNotFound,
	"TriggerNotFound":     http.StatusNotFound,
	"AliasNotFound":       http.StatusNotFound,
	"DomainNameNotFound":  http.StatusNotFound,
	"PathNotSupported":    http.StatusNotFound,
	"MethodNotSupported":  http.StatusMethodNotAllowed,
	"ResourceExhausted":   http.StatusTooManyRequests,
	"InternalServerError": http.StatusInternalServerError,
	"ServiceUnavailable":  http.StatusServiceUnavailable,

	"ServiceAlreadyExists":    http.StatusConflict,
	"FunctionAlreadyExists":   http.StatusConflict,
	"TriggerAlreadyExists":    http.StatusConflict,
	"DomainNameAlreadyExists": http.StatusConflict,
	"ConcurrentUpdateError":   http.StatusConflict,
	"ServiceNotEmpty":         http.StatusPreconditionFailed,
	"PreconditionFailed":      http.StatusPreconditionFailed,
	"VersionNotFound":         http.StatusNotFound,
	"LayerVersionNotFound":    http.StatusNotFound,
	"AsyncConfigNotExists":    http.StatusNotFound,
}

func faultf(code, format string, args ...any) error {
	return &fault{statuses[code], code, fmt.Sprintf(format, args...)}
}

// asFault turns any error into what a client may see.
func asFault(log *slog.Logger, request string, err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	code := "InternalServerError"
	switch sluice.KindOf(err) {
	case sluice.Missing:
		code = "FunctionNotFound"
	case sluice.Throttled:
		code = "ResourceExhausted"
	case sluice.Invalid, sluice.TooMuch:
		code = "InvalidArgument"
	case sluice.Unavailable, sluice.Timeout:
		code = "ServiceUnavailable"
	default:
		log.Error("serve a function", "request", request, "err", err)
		return &fault{statuses[code], code, "an internal error has occurred"}
	}
	return &fault{statuses[code], code, err.Error()}
}

// refuse answers with an error of the platform, in the words of the API's version.
func refuse(w http.ResponseWriter, log *slog.Logger, request string, v3 bool, err error) {
	f := asFault(log, request, err)
	var body any = struct{ ErrorCode, ErrorMessage string }{f.code, f.msg}
	if v3 {
		body = struct{ Code, Message, RequestId string }{f.code, f.msg, request}
	}
	b, _ := json.Marshal(body) // strings only
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("X-Fc-Request-Id", request)
	w.WriteHeader(f.status)
	w.Write(b)
}

// errorType sorts a function's failure the way X-Fc-Error-Type does.
func errorType(f *sluice.Failure) string {
	if f.Kind == sluice.Handled && !f.Thrown {
		return "HandledInvocationError"
	}
	return "UnhandledInvocationError"
}

// failureBody is the JSON that tells of a function's failure.
func failureBody(f *sluice.Failure) []byte {
	if f.Body != nil {
		return f.Body
	}
	var body any
	switch f.Type {
	case "CAExited", "FunctionNotStarted":
		body = struct{ ErrorCode, ErrorMessage string }{f.Type, f.Message}
	default:
		body = struct {
			Message string   `json:"errorMessage"`
			Type    string   `json:"errorType,omitempty"`
			Stack   []string `json:"stackTrace,omitempty"`
		}{f.Message, f.Type, f.Stack}
	}
	b, _ := json.Marshal(body)
	return b
}
