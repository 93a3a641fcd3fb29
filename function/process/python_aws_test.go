//go:build unix

package process

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestPythonAWSConventions(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"JSON in and out", "def handler(event, context): return {'got': event['a']}", `{"a":[1]}`, `{"got": [1]}`, ""},
		{"nothing is null", "def handler(event, context): pass", `{}`, `null`, ""},
		{"no event", "def handler(event, context): return event", ``, `{}`, ""},
		{"the time that is left", "def handler(e, c): return 15000 < c.get_remaining_time_in_millis() <= 20000", `{}`, `true`, ""},
		{"the context", "import os\ndef handler(e, c): return [len(c.aws_request_id), c.invoked_function_arn, c.memory_limit_in_mb, c.function_name, c.client_context.custom, c.identity.cognito_identity_id, os.environ['_X_AMZN_TRACE_ID']]",
			`{}`, `[36, "arn:f", "256", "f", {"x": 1}, null, "Root=1"]`, ""},
		{"the trace, in its environment, copies of it, and its children's", `import os, subprocess
def handler(e, c): return [os.environ.get('_X_AMZN_TRACE_ID'), os.getenv('_X_AMZN_TRACE_ID'), os.environ.copy()['_X_AMZN_TRACE_ID'], '_X_AMZN_TRACE_ID' in os.environ] + [f('echo $_X_AMZN_TRACE_ID').strip() for f in (subprocess.getoutput, lambda s: os.popen(s).read(), lambda s: subprocess.check_output(['sh', '-c', s], close_fds=False).decode())]`,
			`{}`, `["Root=1", "Root=1", "Root=1", true, "Root=1", "Root=1", "Root=1"]`, ""},
		{"a raise", "def handler(e, c): raise LookupError('l')", `{}`, ``, `{"errorMessage": "l", "errorType": "LookupError", "requestId": "R", "stackTrace": ["  File `},
		{"a bad event", "def handler(e, c): pass", `{`, ``, `{"errorMessage": "Expecting property name`},
		{"a decimal", "from decimal import Decimal\ndef handler(e, c): return [Decimal('1.5'), Decimal(2)]", `{}`, `[1.5, 2.0]`, ""},
		{"a set", "def handler(e, c): return {1}", `{}`, ``, `{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", "errorType": "Runtime.MarshalError"`},
		{"no handler", "", `{}`, ``, `{"errorMessage": "Handler 'handler' missing on module 'index'", "errorType": "Runtime.HandlerNotFound"`},
		{"no module", "import not_there", `{}`, ``, `{"errorMessage": "Unable to import module 'index': No module named 'not_there'", "errorType": "Runtime.ImportModuleError"`},
		{"syntax", "1 +* 2", `{}`, ``, `{"errorMessage": "Syntax error in module 'index': invalid syntax (index.py, line 1)", "errorType": "Runtime.UserCodeSyntaxError"`},
	} {
		w.deploy("f", c.code, func(v *function.Version) { v.Dialect = "aws" })
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(c.payload), Attrs: map[string]string{"arn": "arn:f", "trace": "Root=1", "client": `{"custom":{"x":1}}`}})
		if err != nil {
			t.Fatal(err)
		}
		if c.fail != "" {
			if body := uuid.ReplaceAllString(string(res.Failure.Body), "R"); !strings.HasPrefix(body, c.fail) {
				t.Errorf("%s: %s", c.name, body)
			}
		} else if res.Failure != nil || string(res.Payload) != c.want {
			t.Errorf("%s: %q %+v, want %q", c.name, res.Payload, res.Failure, c.want)
		}
	}
}

func TestPythonAWSLogsInJSON(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import logging
log = logging.getLogger('mine')
def handler(event, context):
    log.debug('not this'); log.info('a %s', 'b', extra={'more': 1}); print('plain')
    try:
        1 / 0
    except ZeroDivisionError:
        log.exception('odd')
`, func(v *function.Version) {
		v.Dialect = "aws"
		v.Env["AWS_LAMBDA_LOG_FORMAT"], v.Env["AWS_LAMBDA_LOG_LEVEL"] = "JSON", "INFO"
	})
	if res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(`{}`)}); err != nil || res.Failure != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	got := strings.Split(said(w.logs), "\n")
	if len(got) != 4 || got[0] != `INFO|{"timestamp": "T", "level": "INFO", "message": "a b", "logger": "mine", "requestId": "R", "more": 1}` || got[1] != "|plain" ||
		!strings.HasPrefix(got[2], `ERROR|{"timestamp": "T", "level": "ERROR", "message": "odd", "logger": "mine", "requestId": "R", "errorType": "ZeroDivisionError", "errorMessage": "division by zero", "stackTrace": ["  File `) {
		t.Errorf("%q", got)
	}
}

func TestPythonAWSTracesAreTheirCallsAndPileUpNowhere(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	w.deploy("f", `
import os, subprocess
put, puts = os.putenv, 0
def count(name, value):
    global puts
    puts += 1
    put(name, value)
os.putenv = count # the C library keeps what it gets for ever
def handler(event, context):
    seen = os.environ['_X_AMZN_TRACE_ID']
    if event:
        seen += subprocess.getoutput('echo $_X_AMZN_TRACE_ID')
    return '%s %d' % (seen, puts)
`, func(v *function.Version) { v.Dialect, v.Spec.MaxInstances = "aws", 1 })
	for i := range 100 {
		trace := fmt.Sprintf("Root=%d", i)
		payload, want := `{}`, fmt.Sprintf(`"%s %d"`, trace, i/50)
		if i%50 == 49 {
			payload, want = `{"child":1}`, fmt.Sprintf(`"%s%s %d"`, trace, trace, i/50+1)
		}
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(payload), Attrs: map[string]string{"trace": trace}})
		if err != nil || res.Failure != nil || string(res.Payload) != want {
			t.Fatalf("%s, want %s: %+v %v", res.Payload, want, res.Failure, err)
		}
	}
}
