package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	tcerrors "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/errors"
	tchttp "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/http"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
)

// scfApp is an app with a function in Python, and one in shell that is told a file's name to write to.
func scfApp(t *testing.T) (dir, heard string) {
	t.Helper()
	dir, heard = t.TempDir(), filepath.Join(t.TempDir(), "heard")
	for name, text := range map[string]string{
		"serverless.yml": `
Hello:
  component: '@serverless/tencent-scf'
  inputs:
    name: Hello
    codeUri: ./hello
    handler: index.main_handler
    runtime: Python3.6
    region: ap-guangzhou
    timeout: 20
    environment:
      variables:
        WHO: world
Shell:
  component: '@serverless/tencent-scf'
  inputs:
    name: Shell
    codeUri: ./shell
    handler: index.handle
    runtime: CustomRuntime
    region: ap-guangzhou
    timeout: 20
    environment:
      variables:
        HEARD: ` + heard + `
`,
		"hello/index.py": `
import os

def main_handler(event, context):
    print('a line of log')
    if event.get('fail'):
        raise ValueError('told to')
    return {'got': event, 'who': os.environ['WHO'], 'name': context['function_name']}
`,
		"shell/bootstrap": `#!/bin/bash
api=http://$SCF_RUNTIME_API:$SCF_RUNTIME_API_PORT/runtime
curl -s -d " " -X POST $api/init/ready
while true; do
  event=$(curl -s $api/invocation/next)
  echo "$event" >> $HEARD
  curl -s -X POST -d "hello $event" $api/invocation/response
done
`,
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir, heard
}

// TestSCFClients calls the functions of one real server with the official SDKs. That for Node has to be
// installed in testdata/scf: npm ci.
func TestSCFClients(t *testing.T) {
	t.Parallel()
	binary, admin, _ := serve(t)
	dir, heard := scfApp(t)
	if out, err := exec.CommandContext(t.Context(), binary, "deploy", dir, "--admin", admin).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, "env", "--admin", admin).Output()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SCF_ADMIN": strings.TrimPrefix(admin, "http://")}
	for line := range strings.Lines(string(out)) {
		name, v, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		if strings.HasPrefix(name, "TENCENTCLOUD_") {
			env[name] = strings.Trim(v, `'"`)
		}
	}
	t.Run("Go", func(t *testing.T) { scfGo(t, env, heard) })
	t.Run("JavaScript", func(t *testing.T) {
		const dir = "testdata/scf"
		if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal("the SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
		}
		cmd := exec.CommandContext(t.Context(), "node", "--test", "scf.test.js")
		cmd.Dir, cmd.Env = dir, environ(env)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
		}
	})
	t.Run("Python", func(t *testing.T) { runPython(t, "scf_functions", environ(env)...) })
}

// scfGo calls functions with the SDK for Go, at once and later.
func scfGo(t *testing.T, env map[string]string, heard string) {
	call := func(secret, action string, params map[string]any) (map[string]any, error) {
		p := profile.NewClientProfile()
		p.HttpProfile.Scheme, p.HttpProfile.Endpoint = "HTTP", env["SCF_ADMIN"]
		c := common.NewCommonClient(common.NewCredential(env["TENCENTCLOUD_SECRETID"], secret), "ap-guangzhou", p)
		req := tchttp.NewCommonRequest("scf", "2018-04-16", action)
		if err := req.SetActionParameters(params); err != nil {
			t.Fatal(err)
		}
		res := tchttp.NewCommonResponse()
		if err := c.Send(req, res); err != nil {
			return nil, err
		}
		var out struct {
			Response struct{ Result map[string]any }
		}
		if err := json.Unmarshal(res.GetBody(), &out); err != nil {
			t.Fatal(err)
		}
		return out.Response.Result, nil
	}
	secret := env["TENCENTCLOUD_SECRETKEY"]
	got, err := call(secret, "Invoke", map[string]any{"FunctionName": "Shell", "ClientContext": `"now"`})
	if err != nil || got["RetMsg"] != `"hello \"now\""` {
		t.Errorf("%v %v", got, err)
	}
	if got, err = call(secret, "Invoke", map[string]any{"FunctionName": "Shell", "ClientContext": `"later"`, "InvocationType": "Event"}); err != nil || got["RetMsg"] != "" || got["FunctionRequestId"] == "" {
		t.Errorf("%v %v", got, err)
	}
	for late := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		b, _ := os.ReadFile(heard)
		if string(b) == "\"now\"\n\"later\"\n" {
			break
		}
		if time.Now().After(late) {
			t.Fatalf("the later call has not come: %s", b)
		}
	}
	var refused *tcerrors.TencentCloudSDKError
	if _, err := call("wrong", "Invoke", map[string]any{"FunctionName": "Shell"}); !errors.As(err, &refused) || refused.GetCode() != "AuthFailure.SignatureFailure" {
		t.Error(err)
	}
	if _, err := call(secret, "InvokeFunction", map[string]any{"FunctionName": "None"}); !errors.As(err, &refused) || refused.GetCode() != "ResourceNotFound.Function" {
		t.Error(err)
	}
}
