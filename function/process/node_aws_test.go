//go:build unix

package process

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestAWSConventions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"JSON in and out", `exports.handler = async (event) => ({got: event.a})`, `{"a":[1]}`, `{"got":[1]}`, ""},
		{"nothing is null", `exports.handler = async () => {}`, `{}`, `null`, ""},
		{"a callback", `exports.handler = (e, c, cb) => cb(null, 'x')`, `{}`, `"x"`, ""},
		{"a callback waits for the loop", `let n = 0; exports.handler = (e, c, cb) => { setTimeout(() => { n = 1 }, 30); cb(null, { get n() { return n } }) }`, `{}`, `{"n":1}`, ""},
		{"unless it must not", `let n = 0; exports.handler = (e, c, cb) => { c.callbackWaitsForEmptyEventLoop = false; setTimeout(() => { n = 1 }, 5000); cb(null, { get n() { return n } }) }`, `{}`, `{"n":0}`, ""},
		{"succeed", `exports.handler = (e, c) => { c.succeed(5) }`, `{}`, `5`, ""},
		{"the time that is left", `exports.handler = async (e, c) => c.getRemainingTimeInMillis() > 15000 && c.getRemainingTimeInMillis() <= 20000`, `{}`, `true`, ""},
		{"the trace, in its environment and its children's", `exports.handler = async () => ['_X_AMZN_TRACE_ID' in process.env, String(require('child_process').execSync('echo $_X_AMZN_TRACE_ID'))]`, `{}`, `[true,"Root=1\n"]`, ""},
		{"the arn and the id", `exports.handler = async (e, c) => [c.awsRequestId.length, c.invokedFunctionArn, c.memoryLimitInMB, process.env._X_AMZN_TRACE_ID]`, `{}`, `[36,"arn:f","256","Root=1"]`, ""},
		{"a throw", `exports.handler = async () => { throw new RangeError('r') }`, `{}`, ``, `{"errorType":"RangeError","errorMessage":"r","trace":["RangeError: r","    at `},
		{"a throw of nothing", `exports.handler = async () => { throw undefined }`, `{}`, ``, `{"errorType":"Error","errorMessage":"undefined"`},
		{"a throw of a text", `exports.handler = async () => { throw 'words' }`, `{}`, ``, `{"errorType":"string","errorMessage":"words","trace":[]}`},
		{"a throw of an object", `exports.handler = (e, c) => c.fail({ name: 'N', message: 'm', stack: 'N: m' })`, `{}`, ``, `{"errorType":"N","errorMessage":"m","trace":["N: m"]}`},
		{"a circle", `exports.handler = async () => { const a = {}; a.a = a; return a }`, `{}`, ``, `{"errorType":"TypeError","errorMessage":"Converting circular structure`},
		{"an uncaught exception", `exports.handler = () => new Promise(() => { setTimeout(() => { throw new RangeError('late') }) })`, `{}`, ``, `{"errorType":"RangeError","errorMessage":"late","trace":["RangeError: late","    at `},
		{"an unhandled rejection", `exports.handler = () => new Promise(() => { Promise.reject(new RangeError('lost')); setTimeout(() => {}, 9000) })`, `{}`, ``, `{"errorType":"Runtime.UnhandledPromiseRejection","errorMessage":"RangeError: lost","reason":{"errorType":"RangeError","errorMessage":"lost","stack":["RangeError: lost",`},
		{"a rejection with nothing", `exports.handler = () => new Promise(() => { Promise.reject(); setTimeout(() => {}, 9000) })`, `{}`, ``, `{"errorType":"Runtime.UnhandledPromiseRejection"`},
		{"a promise without a future", `exports.handler = () => new Promise(() => {})`, `{}`, ``, `{"errorType":"Runtime.NodeJsExit"`},
		{"a promise that takes its time", `exports.handler = () => new Promise((ok) => setTimeout(ok, 30, 'now'))`, `{}`, `"now"`, ""},
		{"no handler", `exports.other = 1`, `{}`, ``, `{"errorType":"Runtime.HandlerNotFound","errorMessage":"index.handler is undefined or not exported","trace":["Runtime.HandlerNotFound: index.handler is undefined or not exported"]}`},
		{"no module", `require('not-there')`, `{}`, ``, `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'not-there'`},
		{"syntax", `exports.handler = (`, `{}`, ``, `{"errorType":"Runtime.UserCodeSyntaxError","errorMessage":"SyntaxError: Unexpected end of input","trace":["Runtime.UserCodeSyntaxError: SyntaxError: Unexpected end of input"`},
		{"an initialization that fails", `throw new RangeError('no')`, `{}`, ``, `{"errorType":"RangeError","errorMessage":"no","trace":["RangeError: no","    at `},
		{"the context", `exports.handler = async (e, c) => [c.functionName, c.functionVersion, c.logGroupName, c.logStreamName, c.clientContext.custom.x, c.identity === undefined, c.callbackWaitsForEmptyEventLoop]`, `{}`, `["f","$LATEST","/aws/lambda/f","",1,true,true]`, ""},
		{"a stream", `exports.handler = awslambda.streamifyResponse(async (e, out) => { out.setContentType('text/plain'); out.write('a'); await null; out.write(Buffer.from('b')); out.end() })`, `{}`, `ab`, ""},
		{"a stream that a pipeline ends", `exports.handler = awslambda.streamifyResponse(async (e, out) => { await require('stream/promises').pipeline(require('stream').Readable.from(['x', 'y']), out) })`, `{}`, `xy`, ""},
		{"a stream with a head", `exports.handler = awslambda.streamifyResponse(async (e, out) => { out = awslambda.HttpResponseStream.from(out, { statusCode: 201, headers: { a: 'b' } }); out.write('hi'); out.end() })`, `{}`, `{"statusCode":201,"headers":{"a":"b"},"body":"aGk=","isBase64Encoded":true}`, ""},
		{"a stream that fails", `exports.handler = awslambda.streamifyResponse(async (e, out) => { out.write('a'); throw new RangeError('r') })`, `{}`, ``, `{"errorType":"RangeError"`},
		{"a bad event", `exports.handler = async () => 1`, `{`, ``, `{"errorType":"SyntaxError"`},
	} {
		w.deploy("f", c.code, func(v *function.Version) {
			v.Dialect = "aws"
		})
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(c.payload), Attrs: map[string]string{"arn": "arn:f", "trace": "Root=1", "client": `{"custom":{"x":1}}`}})
		if err != nil {
			t.Fatal(err)
		}
		if c.fail != "" {
			if res.Failure == nil || !strings.HasPrefix(string(res.Failure.Body), c.fail) {
				t.Errorf("%s: %q %+v", c.name, res.Payload, res.Failure)
			}
		} else if res.Failure != nil || string(res.Payload) != c.want {
			t.Errorf("%s: %q %+v, want %q", c.name, res.Payload, res.Failure, c.want)
		}
	}
}

// said is a log with the times and ids of its JSON as T and R.
func said(l *logs) string {
	return regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z`).ReplaceAllString(uuid.ReplaceAllString(l.text(), "R"), "T")
}

func TestAWSLogsInJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.deploy("f", `exports.handler = async () => {
  console.debug('not this'); console.log('a %s', 'b'); console.warn({ a: 1 }); process.stdout.write('plain\n')
  const e = new RangeError('r'); e.stack = 'S'; e.more = 1
  console.error(e)
  const f = new RangeError('r'); f.stack = 'RangeError: r\n    at x'; console.error('text', f)
  const o = {}; o.o = o; console.log(o)
}`, func(v *function.Version) {
		v.Dialect = "aws"
		v.Env["AWS_LAMBDA_LOG_FORMAT"], v.Env["AWS_LAMBDA_LOG_LEVEL"] = "JSON", "INFO"
	})
	if res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(`{}`)}); err != nil || res.Failure != nil {
		t.Fatalf("%+v, %v", res, err)
	}
	const want = `INFO|{"timestamp":"T","level":"INFO","requestId":"R","message":"a b"}
WARN|{"timestamp":"T","level":"WARN","requestId":"R","message":{"a":1}}
|plain
ERROR|{"timestamp":"T","level":"ERROR","requestId":"R","message":{"more":1,"errorType":"RangeError","errorMessage":"r","stackTrace":["S"]}}
ERROR|{"timestamp":"T","level":"ERROR","requestId":"R","message":"text RangeError: r\n    at x","errorType":"RangeError","errorMessage":"r","stackTrace":["RangeError: r","    at x"]}
INFO|{"timestamp":"T","level":"INFO","requestId":"R","message":"<ref *1> { o: [Circular *1] }"}
`
	if diff := cmp.Diff(want, said(w.logs)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestAWSHandlersAreFound loads handlers from files as AWS does. Files are path and text by turns.
func TestAWSHandlersAreFound(t *testing.T) {
	t.Parallel()
	const named = `exports.handler = async () => __filename.split('/').pop()`
	lib := t.TempDir()
	for path, text := range map[string]string{
		"node_modules/dep/index.js":            `module.exports = 'dep'`,
		"node_modules/@scope/esm/package.json": `{"type":"module","exports":{".":"./main.js","./sub":"./sub.js"}}`,
		"node_modules/@scope/esm/main.js":      `export const main = 'main'`,
		"node_modules/@scope/esm/sub.js":       `export default 'sub'`,
		"flat/plain/index.js":                  `module.exports = 'plain'`,
	} {
		write(t, filepath.Join(lib, path), text)
	}
	for _, node := range nodes(t) {
		w := newWorld(t, func(_ *function.Options, o *NodeOptions) { o.Path = node })
		for _, c := range []struct {
			name, handler string
			files         []string
			want          string
		}{
			{"a folder and a nested export", "src/app.mod.handler", []string{"src/app.js", `exports.mod = { n: 1, async handler() { return this.n } }`}, `1`},
			{"CommonJS before the rest", "index.handler", []string{"index.js", named, "index.mjs", `throw 1`, "index.cjs", named}, `"index.js"`},
			{"an ES module before .cjs", "index.handler", []string{"index.mjs", `export const handler = async () => 'mjs'`, "index.cjs", named}, `"mjs"`},
			{".cjs", "index.handler", []string{"index.cjs", named}, `"index.cjs"`},
			{"no ending", "index.handler", []string{"index", named, "index.js", named}, `"index"`},
			{"type module", "index.handler", []string{"package.json", `{"type":"module"}`, "index.js", `export const handler = async () => import.meta.url.split('/').pop()`}, `"index.js"`},
			{"type module of a folder above", "a/b/index.handler", []string{"package.json", `{"type":"module"}`, "a/b/index.js", `export const handler = async () => await Promise.resolve('up')`}, `"up"`},
			{"type commonjs of a nearer one", "a/index.handler", []string{"package.json", `{"type":"module"}`, "a/package.json", `{}`, "a/index.js", named}, `"index.js"`},
			{"a package", "pkg.handler", []string{"node_modules/pkg/index.js", named}, `"index.js"`},
			{"ES modules find what is in NODE_PATH", "index.handler", []string{"index.mjs", `import dep from 'dep'; import { main } from '@scope/esm'; import sub from '@scope/esm/sub'; import plain from 'plain'; const x = await Promise.resolve('esm'); export const handler = async () => [x, dep, main, sub, plain]`}, `["esm","dep","main","sub","plain"]`},
			{"and so does import() of CommonJS", "index.handler", []string{"index.js", `exports.handler = async () => [require('dep'), (await import('@scope/esm')).main]`}, `["dep","main"]`},
			{"what is nowhere", "index.handler", []string{"index.mjs", `import 'nowhere'; export const handler = async () => 1`}, `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find package 'nowhere'`},
			{"no file", "other.handler", []string{"index.js", named}, `{"errorType":"Runtime.ImportModuleError","errorMessage":"Error: Cannot find module 'other'`},
			{"two dots", "../index.handler", []string{"index.js", named}, `{"errorType":"Runtime.MalformedHandlerName"`},
			{"no dot", "index", []string{"index.js", named}, `{"errorType":"Runtime.MalformedHandlerName"`},
		} {
			w.deploy("f", "", func(v *function.Version) {
				v.Dialect, v.Spec.Handler = "aws", c.handler
				os.Remove(filepath.Join(v.Root, "index.js"))
				for i := 0; i < len(c.files); i += 2 {
					write(t, filepath.Join(v.Root, c.files[i]), c.files[i+1])
				}
				v.Env["NODE_PATH"] = filepath.Join(lib, "node_modules") + ":" + filepath.Join(lib, "flat")
			})
			res := w.invoke("f", "{}")
			got := string(res.Payload)
			if res.Failure != nil {
				got = string(res.Failure.Body)
			}
			if !strings.HasPrefix(got, c.want) {
				t.Errorf("%s, %s: %s, want %s", node, c.name, got, c.want)
			}
		}
	}
}

// nodes are the node programs to test with: that of PATH, and those that SLUICE_TEST_NODES lists.
func nodes(t *testing.T) []string {
	t.Helper()
	return append([]string{"node"}, filepath.SplitList(os.Getenv("SLUICE_TEST_NODES"))...)
}
