package samples

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

// tool is the aws program of e2e/.venv, which talks to a server.
type tool struct {
	t   *testing.T
	bin string
	env []string
}

func awsTool(t *testing.T, s *live.Server) *tool {
	t.Helper()
	bin, err := filepath.Abs("../.venv/bin/aws")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Skip("the Python packages are not installed: run .ci/python, which \"make test\" does, where a package registry is reached")
	}
	c, err := key(t, s).Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &tool{t, bin, append(os.Environ(), "AWS_ENDPOINT_URL="+s.Admin, "AWS_ACCESS_KEY_ID="+c.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+c.SecretAccessKey, "AWS_REGION=us-east-1",
		"AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=", "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull)}
}

// run returns a field of a command's answer.
func (a *tool) run(field string, args ...string) string {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.bin, append(args, "--output", "json")...)
	cmd.Env = a.env
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		a.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, said.String())
	}
	var answer map[string]any
	if len(out) > 0 {
		if err := json.Unmarshal(out, &answer); err != nil {
			a.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	text, _ := answer[field].(string)
	return text
}

// Everything that a WebSocket API needs is made by AWS's own tool, and used at once.
func TestWebSocketAPIMadeByTheTool(t *testing.T) {
	s := live.Launch(t, "", "serve")
	a := awsTool(t, s)
	if arn := a.run("Arn", "sts", "get-caller-identity"); arn != "arn:aws:iam::000000000000:root" {
		t.Errorf("the operator is %q", arn)
	}
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	f, err := z.Create("index.mjs")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("export const handler = async (event) => ({ statusCode: 200, body: `${event.requestContext.routeKey} ${event.body}` });\n"))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "code.zip")
	if err := os.WriteFile(file, code.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	arn := a.run("FunctionArn", "lambda", "create-function", "--function-name", "echo", "--runtime", "nodejs20.x", "--handler", "index.handler", "--zip-file", "fileb://"+file, "--role", "arn:aws:iam::000000000000:role/x")

	gw := func(field, op string, args ...string) string {
		t.Helper()
		return a.run(field, append([]string{"apigatewayv2", op}, args...)...)
	}
	id := gw("ApiId", "create-api", "--name", "chat", "--protocol-type", "WEBSOCKET", "--route-selection-expression", "$request.body.action")
	in := gw("IntegrationId", "create-integration", "--api-id", id, "--integration-type", "AWS_PROXY", "--integration-uri", "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"+arn+"/invocations")
	route := func(key string) {
		t.Helper()
		gw("RouteId", "create-route", "--api-id", id, "--route-key", key, "--target", "integrations/"+in, "--route-response-selection-expression", "$default")
	}
	route("$default")
	d := gw("DeploymentId", "create-deployment", "--api-id", id)
	gw("StageName", "create-stage", "--api-id", id, "--stage-name", "prod", "--deployment-id", d)
	ann := wscat(t, "ws"+strings.TrimPrefix(s.Public[0], "http")+"/prod", "--host", id+".execute-api.localhost")
	connected(t, s, 1)
	ann.say(`hello`)
	ann.hears("$default hello")
	route("later")
	ann.say(`{"action":"later"}`)
	ann.hears("$default {") // nobody has deployed it
	gw("DeploymentId", "create-deployment", "--api-id", id, "--stage-name", "prod")
	ann.say(`{"action":"later"}`)
	ann.hears("later {")
	ann.leave()
	gw("", "delete-api", "--api-id", id)
}

// A template is packaged into a bucket and deployed as a stack by AWS's own tool.
func TestStackDeployedByTheTool(t *testing.T) {
	s := live.Launch(t, "", "serve")
	a := awsTool(t, s)
	packaged := filepath.Join(t.TempDir(), "packaged.yaml")
	a.silently("s3", "mb", "s3://artifacts")
	a.silently("cloudformation", "package", "--template-file", "../testdata/aws-chat/template.yaml", "--s3-bucket", "artifacts", "--output-template-file", packaged)
	deploy := []string{"cloudformation", "deploy", "--template-file", packaged, "--stack-name", "Chat", "--capabilities", "CAPABILITY_IAM", "--parameter-overrides", "TableName=simplechat_connections"}
	a.silently(deploy...)
	a.silently(append(deploy, "--no-fail-on-empty-changeset")...)
	id := a.run("StackId", "cloudformation", "describe-stack-resource", "--stack-name", "Chat", "--logical-resource-id", "Chat", "--query", "{StackId: StackResourceDetail.PhysicalResourceId}")
	ann := wscat(t, "ws"+strings.TrimPrefix(s.Public[0], "http")+"/Prod", "--host", id+".execute-api.localhost")
	rows(t, s).become(1)
	connected(t, s, 1)
	ann.say(`{"action":"sendmessage","data":"hello"}`)
	ann.hears("hello")
	ann.leave()
	a.silently("cloudformation", "delete-stack", "--stack-name", "Chat")
	a.silently("cloudformation", "wait", "stack-delete-complete", "--stack-name", "Chat")
}

// silently runs a command whose answer is for people.
func (a *tool) silently(args ...string) {
	a.t.Helper()
	cmd := exec.CommandContext(a.t.Context(), a.bin, args...)
	cmd.Env = a.env
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
