package samples

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

// toolOf runs a tool that deploys to AWS, in a copy of a folder, against a server. A variable of the
// environment names the tool, which takes longer to install than its test takes to run.
func toolOf(t *testing.T, s *live.Server, variable, folder string) (run func(args ...string) string) {
	t.Helper()
	program := os.Getenv(variable)
	if program == "" {
		t.Skip(variable + " names no program")
	}
	out, err := s.Sluice("env", "--dialect", "aws")
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "SAM_CLI_TELEMETRY=0", "SLS_TELEMETRY_DISABLED=1", "CI=1")
	for line := range strings.Lines(out) {
		if name, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			env = append(env, name+"="+strings.Trim(v, `'"`))
		}
	}
	dir := filepath.Join(t.TempDir(), filepath.Base(folder))
	if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	return func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
}

// addressIn is that of a stage on this machine, of the address on AWS that a tool has told.
func addressIn(t *testing.T, s *live.Server, said string) string {
	t.Helper()
	_, rest, ok := strings.Cut(said, "wss://")
	id, _, _ := strings.Cut(rest, ".")
	_, stage, _ := strings.Cut(strings.Fields(rest + " x")[0], "/")
	if !ok {
		t.Fatalf("no address:\n%s", said)
	}
	return "ws" + strings.TrimPrefix(s.Public[0], "http") + "/_aws/ws/" + id + "/" + stage
}

// SERVERLESS is the program of the Serverless Framework 3 (npm install serverless@3) or of its successor
// osls: node_modules/.bin/serverless.
func TestServiceDeployedByTheServerlessFramework(t *testing.T) {
	s := live.Launch(t, "", "serve")
	run := toolOf(t, s, "SERVERLESS", "../testdata/aws-talk")
	said := run("deploy")
	room := addressIn(t, s, said)
	ann := wscat(t, room+"?name=ann")
	connected(t, s, 1)
	ann.say(`{"action":"say","text":"hello"}`)
	ann.hears("hello")
	ann.say("what")
	ann.hears("say what?")
	wscat(t, room+"?name=mallory").refused()
	_, rest, _ := strings.Cut(said, "GET - https://")
	id, _, _ := strings.Cut(rest, ".")
	for _, method := range []string{"GET", "OPTIONS"} { // of the REST API
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL("/dev/who"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = id + ".execute-api.localhost"
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", method, res.Status)
		}
	}
	if said := run("deploy"); !strings.Contains(said, "No changes to deploy") {
		t.Errorf("again: %s", said)
	}
	if said := run("invoke", "-f", "who"); !strings.Contains(said, `"body": "1"`) {
		t.Errorf("invoke: %s", said)
	}
	if said := run("deploy", "function", "-f", "who", "--force"); !strings.Contains(said, "Function code deployed") {
		t.Errorf("deploy function: %s", said)
	}
	if said := run("invoke", "-f", "who"); !strings.Contains(said, `"body": "1"`) {
		t.Errorf("invoke of the new code: %s", said)
	}
	if said := run("logs", "-f", "who"); !strings.Contains(said, "START") || !strings.Contains(said, "Duration:") {
		t.Errorf("logs: %s", said)
	}
	ann.leave()
	run("remove")
}

// SAM is the program of aws-sam-cli (pip install aws-sam-cli).
func TestStackDeployedBySAM(t *testing.T) {
	s := live.Launch(t, "", "serve")
	run := toolOf(t, s, "SAM", "../testdata/aws-chat")
	said := run("deploy", "--stack-name", "Chat", "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--parameter-overrides", "TableName=simplechat_connections")
	ann := wscat(t, addressIn(t, s, said))
	rows(t, s).become(1)
	ann.say(`{"action":"sendmessage","data":"hello"}`)
	ann.hears("hello")
	if said := run("logs", "--stack-name", "Chat", "-n", "Say"); !strings.Contains(said, "REPORT RequestId: ") {
		t.Errorf("logs: %s", said)
	}
	ann.leave()
	run("delete", "--stack-name", "Chat", "--no-prompts")
}
