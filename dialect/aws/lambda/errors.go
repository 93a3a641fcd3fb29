package lambda

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// fault is an error of the API.
type fault struct {
	status int
	kind   string // x-amzn-ErrorType
	msg    string
	reason string // of throttles
}

// Error is the message.
func (f *fault) Error() string { return f.msg }

func faultf(status int, kind, format string, a ...any) *fault {
	return &fault{status: status, kind: kind, msg: fmt.Sprintf(format, a...)}
}

func missingf(format string, a ...any) *fault {
	return faultf(http.StatusNotFound, "ResourceNotFoundException", format, a...)
}

func invalidf(format string, a ...any) *fault {
	return faultf(http.StatusBadRequest, "InvalidParameterValueException", format, a...)
}

// errReserved is for calls beyond the concurrency that is reserved for their function.
var errReserved = sluice.Errorf(sluice.Throttled, "Rate Exceeded.")

// faultOf words an error of ours (section 3.1).
func faultOf(err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	switch sluice.KindOf(err) {
	case sluice.Missing:
		return missingf("%s", err.Error())
	case sluice.Throttled:
		reason := "ConcurrentInvocationLimitExceeded"
		if errors.Is(err, errReserved) {
			reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
		}
		return &fault{http.StatusTooManyRequests, "TooManyRequestsException", "Rate Exceeded.", reason}
	case sluice.Exists, sluice.Conflict:
		return faultf(http.StatusConflict, "ResourceConflictException", "%s", err.Error())
	case sluice.Invalid:
		return invalidf("%s", err.Error())
	case sluice.TooMuch:
		return faultf(http.StatusRequestEntityTooLarge, "RequestTooLargeException", "%s", err.Error())
	}
	return faultf(http.StatusInternalServerError, "ServiceException", "%s", err.Error())
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, err error) {
	f := faultOf(err)
	body := map[string]string{"Type": "User", "message": f.msg}
	if f.status >= 500 {
		body["Type"] = "Service"
	}
	if f.reason != "" {
		body["Reason"] = f.reason
	}
	b, _ := json.Marshal(body) // texts always marshal
	h := w.Header()
	h.Set("X-Amzn-ErrorType", f.kind)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(f.status)
	w.Write(b)
}

// exitError is the type of failures of programs that have ended.
const exitError = "Runtime.ExitError"

// FailureBody is the error object of a function's own failure (section 3.1).
func FailureBody(f *sluice.Failure, id string, timeout time.Duration) []byte {
	if f.Body != nil {
		return f.Body
	}
	type object struct {
		Type    string   `json:"errorType"`
		Message string   `json:"errorMessage"`
		Trace   []string `json:"trace,omitempty"`
	}
	o := object{f.Type, f.Message, f.Stack}
	switch f.Kind {
	case sluice.InitFail, sluice.BadEntry:
		o.Message = strings.Replace(f.Message, "RequestId: unknown", "RequestId: "+id, 1)
		if f.Type == exitError {
			o.Message = "RequestId: " + id + " Error: Runtime exited " + exitReason(f.Message)
		}
		o.Type = cmp.Or(f.Type, "Runtime.Unknown")
	case sluice.TimedOut:
		o = object{Type: "Sandbox.Timedout", Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", id, timeout.Seconds())}
	case sluice.Crashed:
		o = object{Type: exitError, Message: "RequestId: " + id + " Error: Runtime exited " + exitReason(f.Message)}
	case sluice.TooBig:
		o = object{Type: "Function.ResponseSizeTooLarge", Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", maxResponse)}
	}
	b, _ := json.Marshal(o) // texts always marshal
	return b
}

// exitReason is how AWS says that a process ended, from "exit status 1" or "signal: killed".
func exitReason(text string) string {
	switch {
	case text == "" || text == "exit status 0":
		return "without providing a reason"
	case strings.HasPrefix(text, "out of memory"):
		text = "signal: killed"
	}
	return "with error: " + text
}
