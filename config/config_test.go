package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
