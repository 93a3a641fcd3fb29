package scf

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

func TestCustomRuntimesAreTencents(t *testing.T) {
	c := CustomRuntime{}
	if !c.Runs("tencent", "CustomRuntime") || !c.Runs("tencent", "customruntime") || c.Runs("aliyun", "CustomRuntime") || c.Runs("tencent", "Go1") {
		t.Error("it is for CustomRuntime of Tencent")
	}
}

func TestTheRuntimeAPI(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["custom"](func(v *function.Version) { v.Spec.Handler = "" })
	in, log := start(t, s, v)
	var head map[string][]string
	if err := json.Unmarshal(call1(t, in, "head").Payload, &head); err != nil {
		t.Fatal(err)
	}
	// Go's client writes names its own way; raw shows them as they came.
	for name, want := range map[string]string{"Request_id": "R1", "Memory_limit_in_mb": "256", "Time_limit_in_ms": "10000"} {
		if got := strings.Join(head[name], ","); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := string(call1(t, in, "raw").Payload); got != `"\"raw\"[R1] []"` {
		t.Errorf("text that is no JSON: %s", got)
	}
	if got := string(call1(t, in, "env _HANDLER").Payload); got != `"index.main_handler"` {
		t.Error(got)
	}
	if got := string(call1(t, in, "twice").Payload); got != `"first"` {
		t.Error(got)
	}
	log.await(t, "R1", "twice 200 400 400")
	res, err := in.Invoke(t.Context(), &sluice.Invocation{RequestID: "R2"})
	if err != nil || string(res.Payload) != `""` {
		t.Errorf("a call without an event: %+v %v", res, err)
	}
	if res := call1(t, in, "answer and exit"); string(res.Payload) != `"bye"` {
		t.Errorf("%+v", res)
	}
	<-in.Done()
}

func TestAProgramThatAsksForACallIsReady(t *testing.T) {
	t.Parallel()
	s, v := programs(t)["custom"](mode("unready"))
	in, _ := start(t, s, v)
	if string(call1(t, in, "echo x").Payload) != `"x"` {
		t.Error("it serves")
	}
}

func TestShellScriptsAreCustomRuntimes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl")
	}
	const bootstrap = `#!/bin/bash
set -eu
api=http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime
. ./${_HANDLER%.*}.sh
curl -s -d " " -X POST $api/init/ready
while true; do
  head=$(mktemp)
  event=$(curl -sS -D $head $api/invocation/next)
  id=$(grep '^request_id:' $head | cut -d' ' -f2 | tr -d '\r')
  rm $head
  if answer=$(${_HANDLER#*.} "$event" $id); then
    curl -s -X POST -d "$answer" $api/invocation/response
  else
    curl -s -X POST -d "it failed" $api/invocation/error
  fi
done
`
	root := code(t, "", "bootstrap", bootstrap, "index.sh", `handle() { echo "handles $1" >&2; test "$1" != '"bad"' && echo "Hello $1 of $2"; }`)
	in, log := start(t, CustomRuntime{}, version(root, "CustomRuntime", func(v *function.Version) { v.Spec.Handler = "index.handle" }))
	if got := string(call1(t, in, "world").Payload); got != `"Hello \"world\" of R1"` {
		t.Error(got)
	}
	log.await(t, "R1", `handles "world"`)
	if got := told(call1(t, in, "bad").Failure); got != "430 user code exception caught|it failed" {
		t.Error(got)
	}
}

func TestScriptsNameTheCloudsPaths(t *testing.T) {
	root := "/code"
	for _, c := range []struct{ text, want string }{
		{"/var/lang/node12/bin/node app.js", "node app.js"},
		{"exec /var/lang/node16.13/bin/npm start", "exec npm start"},
		{"/var/lang/python3/bin/python3 app.py", "python3 app.py"},
		{"/var/lang/python37/bin/python -m flask run --port=9000", "python3 -m flask run --port=7001"},
		{"/var/lang/python3.10/bin/pip3.10 list", "pip3 list"},
		{"cd /var/user/sub && PORT=9000 ./x", "cd /code/sub && PORT=7001 ./x"},
		{"./x :9000 19000", "./x :7001 19000"},
		{"/var/lang/php7/bin/php x", "/var/lang/php7/bin/php x"},
		{"/opt/x", "/opt/x"}, // there are no layers
	} {
		if got := here(c.text, root, 7001); got != c.want {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
	if got := here("9000", root, 0); got != "9000" {
		t.Error(got)
	}
}

func TestScriptsAreStartedByTheirInterpreters(t *testing.T) {
	v := version(code(t, "",
		"sh", "#!/bin/sh -e\r\n/var/lang/node12/bin/node x\r\n", "env", "#! /usr/bin/env bash\necho", "python", "#!/var/lang/python3/bin/python3 -u\nprint()",
		"none", "echo", "empty", "#!\n"), "CustomRuntime")
	for name, want := range map[string]string{
		"sh": "/bin/sh -e -c #!/bin/sh -e\nnode x\n $/sh", "env": "bash -c #! /usr/bin/env bash\necho $/env", "python": "python3 -u $/python", "none": "$/none", "empty": "$/empty",
	} {
		path, args, err := script(v, name, 0)
		got := strings.ReplaceAll(strings.Join(append([]string{path}, args...), " "), v.Root, "$")
		if err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
}

func FuzzHere(f *testing.F) {
	f.Add("/var/lang/node/bin/node /opt/x 9000")
	f.Add("/var/lang/python3/bin/pip:/opt")
	f.Fuzz(func(t *testing.T, text string) {
		if got := here(text, "/code", 7001); strings.Contains(got, "/var/user") && !strings.Contains(text, "/var/") {
			t.Error(got)
		}
	})
}
