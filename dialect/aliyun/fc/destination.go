package fc

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// result is what a destination is told of an asynchronous call (section 3.11).
type result struct {
	Timestamp       string          `json:"timestamp"`
	RequestContext  requestContext  `json:"requestContext"`
	RequestPayload  string          `json:"requestPayload"`
	ResponseContext responseContext `json:"responseContext"`
	ResponsePayload string          `json:"responsePayload"`
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionArn string `json:"functionArn"`
	Condition   string `json:"condition"` // why the call was given up; "" when it was not
	Invocations int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode    int    `json:"statusCode"`
	FunctionError string `json:"functionError"`
}

// destinations tells functions of the ends of asynchronous calls.
type destinations struct {
	functions Functions
	log       *slog.Logger
}

// tell makes the call of a destination, in the app of the call that has ended: none when there is no
// destination, or it cannot be called.
func (d destinations) tell(t *function.Try, gaveUp string) []sluice.Invocation {
	if t.Version == nil {
		return nil
	}
	rules := asyncRules(t.Version)
	destination := rules.OnSuccess
	if gaveUp != "" {
		destination = rules.OnFailure
	}
	if destination == "" {
		return nil
	}
	to, payload, err := d.find(t, destination, gaveUp)
	if err != nil {
		d.log.Warn("tell nobody of an asynchronous call", "app", t.Call.App, "function", t.Call.Function, "request", t.Call.RequestID,
			"destination", destination, "err", err)
		return nil
	}
	return []sluice.Invocation{{App: to.App, Function: to.Spec.Name, RequestID: sluice.NewRequestID(), Payload: payload}}
}

// find finds a destination, and what to tell it.
func (d destinations) find(t *function.Try, destination, gaveUp string) (*function.Version, []byte, error) {
	service, fn, ok := ParseARN(destination)
	if !ok {
		return nil, nil, fmt.Errorf("%q is no function", destination)
	}
	to, err := find(d.functions, t.Version.App, service, fn, "")
	if err != nil {
		return nil, nil, err
	}
	payload := plain(outcome(t, gaveUp))
	if len(payload) > maxAsync {
		return nil, nil, fmt.Errorf("what there is to tell exceeds %d bytes", maxAsync)
	}
	return to, payload, nil
}

// outcome tells what became of a call.
func outcome(t *function.Try, condition string) *result {
	out := &result{
		Timestamp:       time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext:  requestContext{RequestID: t.Call.RequestID, FunctionArn: arn(t.Version), Condition: condition, Invocations: t.Tries},
		RequestPayload:  string(t.Call.Payload),
		ResponseContext: responseContext{StatusCode: 200},
		ResponsePayload: string(t.Result.Payload),
	}
	if h := t.Result.HTTP; h != nil {
		out.ResponseContext.StatusCode = h.Status
	}
	if f := t.Result.Failure; f != nil {
		out.ResponseContext.FunctionError = errorType(f)
		out.ResponsePayload = string(failureBody(f))
	}
	return out
}

// arn is the name of a function among all of the cloud.
func arn(v *function.Version) string {
	name := "functions/" + string(v.Spec.Name)
	if s := v.Spec.Group; s != "" {
		name = "services/" + s + "." + latest + "/" + name
	}
	return "acs:fc:" + v.Env["FC_REGION"] + ":" + Account + ":" + name
}

// ParseARN reads a function's name among all of the cloud: acs:fc:{region}:{account}:services/{service}
// [.{qualifier}]/functions/{function} or …:functions/{function}[/{qualifier}]. ok is false for what is no
// function.
func ParseARN(text string) (service, name string, ok bool) {
	p := strings.SplitN(text, ":", 5)
	if len(p) != 5 || p[0] != "acs" || p[1] != "fc" {
		return "", "", false
	}
	w := strings.Split(p[4], "/")
	if len(w) >= 4 && w[0] == "services" {
		service, _, _ = strings.Cut(w[1], ".")
		w = w[2:]
	}
	if len(w) < 2 || len(w) > 3 || w[0] != "functions" || w[1] == "" {
		return "", "", false
	}
	return service, w[1], true
}
