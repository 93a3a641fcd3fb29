//go:build unix

package process

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// tencent makes a version one of Tencent's.
func tencent(v *function.Version) {
	v.Dialect = "tencent"
	v.Env["SCF_NAMESPACE"] = "ns"
	v.Env["SCF_FUNCTIONNAME"] = "f"
	v.Env["TENCENTCLOUD_REGION"] = "ap-guangzhou"
	v.Env["SLUICE_SCF_ENVIRONMENT"] = `{"A":"b","SCF_NAMESPACE":"ns"}`
}

func TestTencentConventions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"JSON in and out", `exports.handler = async (event) => ({got: event.a})`, `{"a":[1]}`, `{"got":[1]}`, ""},
		{"no event", `exports.handler = async (event) => event`, ``, `{}`, ""},
		{"nothing is null", `exports.handler = async () => {}`, `{}`, `null`, ""},
		{"a thenable", `exports.handler = () => ({ then(ok) { setTimeout(ok, 5, 'x') } })`, `{}`, `"x"`, ""},
		{"a callback", `exports.handler = (e, c, cb) => cb(null, 'x')`, `{}`, `"x"`, ""},
		{"the first callback counts", `exports.handler = (e, c, cb) => { cb(null, 1); cb(null, 2) }`, `{}`, `1`, ""},
		{"a callback waits for the loop", `let n = 0; exports.handler = (e, c, cb) => { setTimeout(() => { n = 1 }, 30); cb(null, { get n() { return n } }) }`, `{}`, `{"n":1}`, ""},
		{"unless it must not", `let n = 0; exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setTimeout(() => { n = 1 }, 5000); cb(null, { get n() { return n } }) }`, `{}`, `{"n":0}`, ""},
		{"a promise goes before a callback", `exports.handler = async (e, c, cb) => { cb(null, 1); return 2 }`, `{}`, `2`, ""},
		{"neither", `exports.handler = () => 5`, `{}`, `null`, ""},
		{"a promise without a future", `exports.handler = () => new Promise(() => {})`, `{}`, `null`, ""},
		{"done", `exports.handler = (e, c) => { c.done(null, 5) }`, `{}`, `5`, ""},
		{"succeed", `exports.handler = (e, c) => { c.getContext().succeed(5) }`, `{}`, `5`, ""},
		{"fail", `exports.handler = (e, c) => { c.fail('no') }`, `{}`, ``, `string: no: no`},
		{"the time that is left", `exports.handler = async (e, c) => c.getRemainingTimeInMillis() > 15000 && c.getRemainingTimeInMillis() <= 20000`, `{}`, `true`, ""},
		{"the context", `exports.handler = async (e, c) => { const id = c.request_id; delete c.request_id; return [id.length, c, process.env.SLUICE_SCF_ENVIRONMENT === undefined, process.env.TRIGGER_SRC] }`, `{}`,
			`[36,{"callbackWaitsForEmptyEventLoop":true,"memory_limit_in_mb":256,"time_limit_in_ms":20000,"environment":"{\"A\":\"b\",\"SCF_NAMESPACE\":\"ns\"}","environ":"SCF_NAMESPACE=ns;A=b;SCF_NAMESPACE=ns","function_version":"$LATEST","function_name":"f","namespace":"ns","tencentcloud_region":"ap-guangzhou","tencentcloud_appid":"","tencentcloud_uin":""},true,"Timer"]`, ""},
		{"a throw", `exports.handler = async () => { throw new RangeError('r') }`, `{}`, ``, `RangeError: r: RangeError: r|    at `},
		{"a throw of a text", `exports.handler = async () => { throw 'words' }`, `{}`, ``, `string: words: words`},
		{"an error for the callback", `exports.handler = (e, c, cb) => cb(new Error('x'))`, `{}`, ``, `Error: x: Error: x|    at `},
		{"an uncaught exception", `exports.handler = () => new Promise(() => { setTimeout(() => { throw new RangeError('late') }) })`, `{}`, ``, `RangeError: late: `},
		{"no handler", `exports.other = 1`, `{}`, ``, `HandlerNotFound: index.handler is undefined or not exported: `},
		{"no module", `require('not-there')`, `{}`, ``, `Error: Cannot find module 'not-there'`},
		{"syntax", `exports.handler = (`, `{}`, ``, `SyntaxError: Unexpected end of input: `},
		{"too much", `exports.handler = async () => 'x'.repeat(6 << 20)`, `{}`, ``, `Error: the answer has 6291458 bytes, more than 6291456`},
	} {
		w.deploy("f", c.code, tencent)
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(c.payload), Attrs: map[string]string{"trigger": "Timer"}})
		if err != nil {
			t.Fatal(err)
		}
		if got := told(res.Failure); c.fail != "" && !strings.HasPrefix(got, c.fail) || c.fail == "" && (got != "" || string(res.Payload) != c.want) {
			t.Errorf("%s: %s %s", c.name, res.Payload, got)
		}
	}
}

// told is a failure in one line; "" when there is none.
func told(f *sluice.Failure) string {
	if f == nil {
		return ""
	}
	return f.Type + ": " + f.Message + ": " + strings.Join(f.Stack, "|")
}
