package websocket

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/dialect/aws/websocket/selection"
)

// Logs take a stage's access log: a line for each event, under the name of the log group.
type Logs interface {
	Log(l sluice.LogLine)
}

// accessLog is where and how a stage tells of its events.
type accessLog struct {
	group  sluice.FunctionName
	format *selection.Expression
}

// newAccessLog compiles a stage's settings; nil when it keeps no log.
func newAccessLog(set *apispec.AccessLog) (*accessLog, error) {
	if set == nil || set.Destination == "" || set.Format == "" {
		return nil, nil
	}
	format, err := selection.Parse(strings.TrimSpace(set.Format))
	if err != nil {
		return nil, fmt.Errorf("format of the access log: %w", err)
	}
	return &accessLog{sluice.FunctionName(logGroup(set.Destination)), format}, nil
}

// logGroup is the name in the ARN of a log group or of a Firehose stream; another text is one itself.
func logGroup(arn string) string {
	for _, mark := range [...]string{":log-group:", ":deliverystream/"} {
		if _, name, ok := strings.Cut(arn, mark); ok {
			return strings.TrimSuffix(name, ":*")
		}
	}
	return arn
}

// record writes an event into the stage's access log. f is why it failed; nil: it did not.
func (st *Stage) record(c *call, f *fault) {
	if st.access == nil || st.apis.o.Logs == nil {
		return
	}
	vars, status := c.context(), cmp.Or(c.status, http.StatusOK)
	if f != nil {
		status = cmp.Or(f.status, http.StatusInternalServerError)
		vars.Set("error", f.variables())
	}
	vars.Set("status", number(status))
	if c.took > 0 {
		vars.Set("integrationLatency", number(c.took.Milliseconds()))
	}
	text, _ := st.access.format.Eval(logged{c})
	st.apis.o.Logs.Log(sluice.LogLine{
		Time: st.apis.o.Now(), App: st.api.app.name, Function: st.access.group, Request: gatewayID(c.ev.ID, ""), Text: oneLine.Replace(text),
	})
}

// oneLine keeps what clients send from making lines of their own.
var oneLine = strings.NewReplacer("\r\n", " ", "\n", " ", "\r", " ")

// logged is a call as its access log sees it: what is not there is a dash.
type logged struct{ *call }

// Variable is a variable's value.
func (l logged) Variable(name string) string { return cmp.Or(l.call.Variable(name), "-") }

// variables are $context.error.
func (f *fault) variables() *document.Object {
	o := &document.Object{}
	o.Set("message", f.text)
	o.Set("messageString", string(quote(f.text)))
	o.Set("responseType", f.responseType())
	if f.detail != "" {
		o.Set("validationErrorString", f.detail)
	}
	return o
}

// responseType is what API Gateway calls this kind of answer.
func (f *fault) responseType() string {
	switch {
	case f.named:
		return "BAD_REQUEST_BODY"
	case f.kind == "MissingAuthenticationTokenException":
		return "MISSING_AUTHENTICATION_TOKEN"
	case f.kind == "ExpiredTokenException":
		return "EXPIRED_TOKEN"
	case strings.HasSuffix(f.kind, "SignatureException"), f.kind == "UnrecognizedClientException":
		return "INVALID_SIGNATURE"
	case f.kind == "AccessDeniedException":
		return "ACCESS_DENIED"
	case f.kind == "AuthorizerConfigurationException":
		return "AUTHORIZER_FAILURE"
	}
	switch f.status {
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusTooManyRequests:
		return "THROTTLED"
	case http.StatusGatewayTimeout:
		return "INTEGRATION_TIMEOUT"
	case http.StatusBadRequest:
		return "BAD_REQUEST_PARAMETERS"
	}
	switch {
	case f.err != nil:
		return "INTEGRATION_FAILURE"
	case f.status >= 500:
		return "DEFAULT_5XX"
	}
	return "DEFAULT_4XX"
}

func number[N int | int64](n N) json.Number { return json.Number(strconv.FormatInt(int64(n), 10)) }

// timed notes how long the integration took that began then.
func (c *call) timed(began time.Time) { c.took = max(c.st.apis.o.Now().Sub(began), 1) }
