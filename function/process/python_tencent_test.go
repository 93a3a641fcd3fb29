//go:build unix

package process

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestPythonTencentConventions(t *testing.T) {
	t.Parallel()
	w := newPythonWorld(t, nil)
	for _, c := range []struct{ name, code, payload, want, fail string }{
		{"JSON in and out", "def handler(event, context): return {'got': event['a'], 'text': '中'}", `{"a":[1]}`, `{"got": [1], "text": "中"}`, ""},
		{"nothing is null", "def handler(event, context): pass", `{}`, `null`, ""},
		{"no event", "def handler(event, context): return event", ``, `{}`, ""},
		{"half a character", "def handler(event, context): return '\\ud800'", ``, `"\ud800"`, ""},
		{"a decimal", "from decimal import Decimal\ndef handler(e, c): return [Decimal('1.5'), Decimal(2)]", `{}`, `["1.5", "2"]`, ""},
		{"the context", "import json, os\ndef handler(e, c): return [isinstance(c, dict), len(c.pop('request_id')), json.loads(c['environment'])['A'], c, os.environ['TRIGGER_SRC'], 'SLUICE_SCF_ENVIRONMENT' in os.environ]", `{}`,
			`[true, 36, "b", {"memory_limit_in_mb": 256, "time_limit_in_ms": 20000, "environment": "{\"A\":\"b\",\"SCF_NAMESPACE\":\"ns\"}", "environ": "SCF_NAMESPACE=ns;A=b;SCF_NAMESPACE=ns", "function_version": "$LATEST", "function_name": "f", "namespace": "ns", "tencentcloud_region": "ap-guangzhou", "tencentcloud_appid": "", "tencentcloud_uin": ""}, "Timer", false]`, ""},
		{"a raise", "def handler(e, c):\n    raise Exception('err msg')", `{}`, ``, `Exception: err msg: Traceback (most recent call last):|  File "ROOT/index.py", line 2, in handler|    raise Exception('err msg')|Exception: err msg`},
		{"a set", "def handler(e, c): return {1}", `{}`, ``, `TypeError: Object of type set is not JSON serializable: Traceback`},
		{"no handler", "", `{}`, ``, `HandlerNotFound: Handler 'handler' missing on module 'index': Handler`},
		{"no module", "import not_there", `{}`, ``, `ModuleNotFoundError: No module named 'not_there': Traceback`},
		{"no COS", "import qcloud_cos_v5", `{}`, ``, `ImportError: No module named 'qcloud_cos_v5': add the package cos-python-sdk-v5 to the function's code: Traceback`},
		{"too much", "def handler(e, c): return 'x' * (6 << 20)", `{}`, ``, `ValueError: the answer has 6291458 bytes, more than 6291456`},
		{"Python 2", "print 'x'", `{}`, ``, "SyntaxError: Missing parentheses in call to 'print'"},
	} {
		v := w.deploy("f", c.code, func(v *function.Version) {
			tencent(v)
			if c.name == "Python 2" {
				v.Spec.Runtime, v.Env["SCF_RUNTIME"] = "Python2.7", "Python2.7"
			}
		})
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(c.payload), Attrs: map[string]string{"trigger": "Timer"}})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.ReplaceAll(told(res.Failure), v.Root, "ROOT")
		if c.fail != "" && !strings.HasPrefix(got, c.fail) || c.fail == "" && (got != "" || string(res.Payload) != c.want) {
			t.Errorf("%s: %s %s", c.name, res.Payload, got)
		}
		if c.name == "Python 2" && !strings.Contains(got, "it has to be ported") {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestCOSHasItsNameOfTheCloud(t *testing.T) {
	t.Parallel()
	const code = `
import qcloud_cos_v5, qcloud_cos_v5.client as c
from qcloud_cos_v5.client import Client
from qcloud_cos_v5 import VERSION
import qcloud_cos, qcloud_cos.client
def handler(e, context):
    return [qcloud_cos_v5 is qcloud_cos, Client is qcloud_cos.client.Client, c is qcloud_cos.client, VERSION, c.__name__, c.__spec__.name]
`
	for _, c := range []struct{ name, own, want string }{
		{"as an alias", "", `[true, true, true, 1, "qcloud_cos.client", "qcloud_cos.client"]`},
		{"when the code has both", "VERSION = 2", `[false, false, false, 2, "qcloud_cos_v5.client", "qcloud_cos_v5.client"]`},
	} {
		w := newPythonWorld(t, nil)
		w.deploy("f", code, func(v *function.Version) {
			tencent(v)
			write(t, filepath.Join(v.Root, "qcloud_cos", "__init__.py"), "VERSION = 1")
			write(t, filepath.Join(v.Root, "qcloud_cos", "client.py"), "class Client: pass")
			if c.own != "" {
				write(t, filepath.Join(v.Root, "qcloud_cos_v5", "__init__.py"), c.own)
				write(t, filepath.Join(v.Root, "qcloud_cos_v5", "client.py"), "class Client: pass")
			}
		})
		res, err := w.f.Invoke(t.Context(), sluice.Invocation{App: "app", Function: "f", Payload: []byte(`{}`)})
		if err != nil || res.Failure != nil || string(res.Payload) != c.want {
			t.Errorf("%s: %s %s %v", c.name, res.Payload, told(res.Failure), err)
		}
	}
}
