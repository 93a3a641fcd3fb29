package config

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the documentation of settings")

func none(string) (string, bool) { return "", false }

func TestFileThenEnvironmentThenFlag(t *testing.T) {
	f := filepath.Join(t.TempDir(), "sluice.yaml")
	os.WriteFile(f, []byte("listen: [127.0.0.1:1, 127.0.0.1:2]\nnode: 3\nidle-ttl: 7s\n"), 0o600)
	env := func(k string) (string, bool) {
		v, ok := map[string]string{"SLUICE_NODE": "4", "SLUICE_ADMIN": "http://127.0.0.1:9/"}[k]
		return v, ok
	}
	c, err := Load(Default(), f, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set("node", "5"); err != nil {
		t.Fatal(err)
	}
	for _, admin := range []string{"127.0.0.1:9", "http://127.0.0.1:9"} {
		if err := c.Set("admin", admin); err != nil || c.Admin != "127.0.0.1:9" {
			t.Errorf("admin %q is %q, %v", admin, c.Admin, err)
		}
	}
	if len(c.Listen) != 2 || c.Node != 5 || c.Admin != "127.0.0.1:9" || c.IdleTTL.Seconds() != 7 {
		t.Fatalf("got %+v", c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	f := filepath.Join(t.TempDir(), "sluice.yaml")
	os.WriteFile(f, []byte("data: x\nlisen: y\nnode: many\n"), 0o600)
	_, err := Load(Default(), f, none)
	for _, want := range []string{`:2: unknown setting "lisen": did you mean "listen"?`, ":3: node:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if _, err := Load(Default(), f+".no", none); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("missing file: %v", err)
	}
	c := Default()
	c.Admin = "0.0.0.0:4566"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "password") {
		t.Errorf("public admin without a password: %v", err)
	}
	c = Default()
	c.Listen, c.Node, c.LogLevel = []string{"8080"}, 0, "loud"
	if err := c.Validate(); err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three problems at once, got %v", err)
	}
}

// load reads the text of a settings file.
func load(t *testing.T, text string, env map[string]string) (Config, error) {
	t.Helper()
	f := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(f, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(Default(), f, func(k string) (string, bool) { v, ok := env[k]; return v, ok })
}

func TestSettingsOfCloudsStandBelowEachOther(t *testing.T) {
	want := Default()
	want.AWS.Strict = true
	want.AWS.WebSocket = AWSWebSocket{Ordered: true, AcceptBinary: true, MaxFrame: 64 << 10, Idle: Off, Ping: 500 * time.Millisecond, RequestRate: 2.5, MaxLife: time.Hour}
	want.AWS.API.Routes = Off
	want.Tencent.COS.Hosts = map[string]string{"a.example.com": "a-1", "b.example.com": "b-1"}
	const tree = `
aws:
  strict: true
  websocket: &ways {ordered: true, binary: accept, max-frame: 64KB, idle: 0, ping: 500ms, request-rate: 2.5, max-life: 1h}
  api: {max-routes: off}
aliyun:
tencent: {cos: {hosts: {a.example.com: a-1, b.example.com: b-1}}}
`
	const flat = `
aws.strict: true
aws.websocket: {ordered: true, binary: accept}
aws.websocket.max-frame: 64KB
tencent.cos.hosts: [a.example.com=a-1, b.example.com=b-1]
`
	for name, c := range map[string]struct {
		text string
		env  map[string]string
	}{
		"a tree": {tree, nil},
		"dots, and variables": {flat, map[string]string{"SLUICE_AWS_WEBSOCKET_IDLE": "off", "SLUICE_AWS_WEBSOCKET_PING": "500ms", "SLUICE_AWS_WEBSOCKET_REQUEST_RATE": "2.5",
			"SLUICE_AWS_WEBSOCKET_MAX_LIFE": "1h", "SLUICE_AWS_API_MAX_ROUTES": "0"}},
	} {
		got, err := load(t, c.text, c.env)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPatternsOfHostsAreChecked(t *testing.T) {
	c := Default()
	c.AWS.Passthrough = []string{"bedrock-runtime", "[a"}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `aws.passthrough "[a": want`) {
		t.Error(err)
	}
}

func TestRelaxedSignaturesAreForLoopbackOnly(t *testing.T) {
	for _, c := range []struct{ auth, listen, want string }{
		{"relaxed", "127.0.0.1:8080", ""},
		{"verify", "0.0.0.0:8080", ""},
		{"relaxed", "0.0.0.0:8080", `"0.0.0.0:8080" is reachable from other machines`},
		{"lax", "127.0.0.1:8080", `aws.auth "lax": want verify or relaxed`},
	} {
		s := Default()
		s.AWS.Auth, s.Listen = c.auth, []string{c.listen}
		if err := s.Validate(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s on %s: %v, want %q", c.auth, c.listen, err, c.want)
		}
	}
}

func TestMistakesInSettingsOfCloudsAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"aws:\n  websocket:\n    iddle: 1m\n":             `:3: unknown setting "aws.websocket.iddle": did you mean "aws.websocket.idle"?`,
		"aws: {sockets: {idle: 1m}}":                      `:1: unknown setting "aws.sockets"`,
		"awz: {strict: true}":                             `:1: unknown setting "awz": did you mean "aws"?`,
		"ordered: true":                                   `:1: unknown setting "ordered": did you mean "aws.websocket.ordered"?`,
		"aws: true":                                       `:1: "aws" is no setting, but the beginning of some, as of "aws.strict"`,
		"aws:\n  strict: true\naws.strict: false":         `:3: aws.strict is set in line 2 already`,
		"aws: {strict: maybe}":                            `:1: aws.strict: want true or false`,
		"aws: {websocket: {binary: yes}}":                 `:1: aws.websocket.binary: want close or accept`,
		"aws: {websocket: {idle: soon}}":                  `:1: aws.websocket.idle: want a time like 30s or 10m, or 0`,
		"aws: {websocket: {idle: -1s}}":                   `:1: aws.websocket.idle: want a time`,
		"aws: {websocket: {idle: {a: b}}}":                `:1: aws.websocket.idle: want a time`,
		"aws: {websocket: {timeout: 0x}}":                 `:1: aws.websocket.timeout: want a time like 500ms`,
		"aws: {websocket: {max-frame: 0}}":                `:1: aws.websocket.max-frame: want a size`,
		"aws: {websocket: {max-frame: 2GB}}":              `:1: aws.websocket.max-frame: want a size`,
		"aws: {websocket: {max-frame: 9999999999999999}}": `:1: aws.websocket.max-frame: want a size`,
		"aws: {websocket: {connect-rate: NaN}}":           `:1: aws.websocket.connect-rate: want a number a second`,
		"aws: {websocket: {max-pings: 1.5}}":              `:1: aws.websocket.max-pings: want a number, or 0`,
		"aliyun: {tablestore: {max-tables: 0}}":           `:1: aliyun.tablestore.max-tables: want a number, 1 or more`,
		"tencent: {cos: {hosts: files}}":                  `:1: tencent.cos.hosts: want name=value`,
		"a: &a {a: *a}":                                   `unknown setting "a"`,
	} {
		if _, err := load(t, text, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestSizesHaveUnits(t *testing.T) {
	var c Config
	for text, want := range map[string]int{"131072": 131072, "128KB": 131072, "128 kb": 131072, "128k": 131072, "128KiB": 131072, "1MB": 1 << 20, "1g": 1 << 30, "7B": 7} {
		if err := c.Set("aws.websocket.max-message", text); err != nil || c.AWS.WebSocket.MaxMessage != want {
			t.Errorf("%s: %d, %v", text, c.AWS.WebSocket.MaxMessage, err)
		}
	}
}

// TestEverySettingIsDocumented holds docs/settings.md against the keys; -update writes its table.
func TestEverySettingIsDocumented(t *testing.T) {
	const path = "../docs/settings.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := strings.Cut(string(page), "\n| Key |")
	var c Config
	var b strings.Builder
	b.WriteString(head + "\n| Key | Meaning | Default |\n|---|---|---|\n")
	for _, s := range c.Settings() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Key, s.Usage, s.Default)
	}
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), string(page)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
