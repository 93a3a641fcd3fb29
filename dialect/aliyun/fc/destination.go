package fc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
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

// outcome tells what became of a call of v; nil when there is no v.
func outcome(v *function.Version, w *waiting, res sluice.Result, condition string) *result {
	if v == nil {
		return nil
	}
	out := &result{
		Timestamp:       time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
		RequestContext:  requestContext{RequestID: w.Request, FunctionArn: arn(v), Condition: condition, Invocations: w.Tries},
		RequestPayload:  string(w.Payload),
		ResponseContext: responseContext{StatusCode: 200},
		ResponsePayload: string(res.Payload),
	}
	if res.HTTP != nil {
		out.ResponseContext.StatusCode = res.HTTP.Status
	}
	if f := res.Failure; f != nil {
		out.ResponseContext.FunctionError = errorType(f)
		out.ResponsePayload = string(failureBody(f))
	}
	return out
}

// tell makes the call of a destination in the app of v: none when there is no destination, or it cannot
// be called.
func (q *Queue) tell(log *slog.Logger, v *function.Version, destination string, r *result) []*waiting {
	if destination == "" || r == nil {
		return nil
	}
	to, err := q.destination(v, destination)
	if err != nil {
		log.Warn("tell nobody of an asynchronous call", "destination", destination, "err", err)
		return nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(r) // texts and numbers
	payload := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(payload) > maxAsync {
		log.Warn("tell nobody of an asynchronous call", "destination", destination,
			"err", "what there is to tell exceeds "+strconv.Itoa(maxAsync)+" bytes")
		return nil
	}
	return []*waiting{{App: to.App, Function: to.Spec.Name, Request: sluice.NewRequestID(), Payload: payload, Since: time.Now().UnixMilli()}}
}

func (q *Queue) destination(v *function.Version, name string) (*function.Version, error) {
	service, fn, ok := ParseARN(name)
	if !ok {
		return nil, fmt.Errorf("%q is no function", name)
	}
	return find(q.functions, v.App, service, fn, "")
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
