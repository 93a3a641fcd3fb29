package modules

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

// code writes files into a folder.
func code(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// counting is a tool that makes its folder and counts its calls in a file.
func counting(t *testing.T, lang Language) (Language, func() string) {
	t.Helper()
	calls := filepath.Join(t.TempDir(), "calls")
	lang.tool = "sh"
	lang.install = func(dir string, packages []string) []string {
		return []string{"-c", `mkdir "$1"; echo "$2" >> "$3"`, "sh", filepath.Join(dir, lang.folder), strings.Join(packages, " "), calls}
	}
	return lang, func() string {
		b, _ := os.ReadFile(calls)
		return string(b)
	}
}

func aws(name string) string {
	if strings.HasPrefix(name, "@aws-sdk/") {
		return name + "@3"
	}
	return ""
}

func TestModulesAreFetchedWhenCodeNeedsThem(t *testing.T) {
	lang, calls := counting(t, Node)
	s := &Set{Language: lang, Dir: t.TempDir(), Base: []string{"@aws-sdk/client-dynamodb@3", "ws@8"}, More: aws, Log: slog.New(slog.DiscardHandler)}
	for _, tc := range []struct {
		name  string
		files map[string]string
		full  bool
	}{
		{"nothing", map[string]string{"a.js": `require("fs"); require("./ws"); import x from "wsx"`}, false},
		{"its own", map[string]string{"a.js": `require("ws")`, "node_modules/ws/index.js": ""}, false},
		{"a module of the base", map[string]string{"a.mjs": `import { X } from "@aws-sdk/client-dynamodb/dist"`}, true},
		{"the same again", map[string]string{"src/b.cjs": `const ws = require('ws')`}, true},
		{"one more", map[string]string{"a.js": `import('@aws-sdk/client-sqs/x/y')`}, true},
		{"in a text that is no source", map[string]string{"a.txt": `require("ws")`}, false},
	} {
		dir, err := s.Path(t.Context(), "f", code(t, tc.files))
		if err != nil || (dir != "") != tc.full {
			t.Errorf("%s: %q, %v", tc.name, dir, err)
		}
		if dir != "" {
			if _, err := os.Stat(dir); err != nil || filepath.Base(dir) != "node_modules" {
				t.Errorf("%s: %q, %v", tc.name, dir, err)
			}
		}
	}
	if diff := cmp.Diff("@aws-sdk/client-dynamodb@3 ws@8\n@aws-sdk/client-dynamodb@3 ws@8 @aws-sdk/client-sqs@3\n", calls()); diff != "" {
		t.Error(diff)
	}
}

func TestPythonImportsAreSeen(t *testing.T) {
	lang, calls := counting(t, Python)
	s := &Set{Language: lang, Dir: t.TempDir(), Base: []string{"boto3", "botocore"}, Log: slog.New(slog.DiscardHandler)}
	for text, want := range map[string]bool{
		"import boto3\n": true, "def f():\n    from botocore.config import Config\n": true, "import json, os\n": false, "import json, boto3 as b\n": true, "from boto3.dynamodb import x": true, "# import boto3x\nimport boto3x": false,
	} {
		if dir, err := s.Path(t.Context(), "f", code(t, map[string]string{"h.py": text})); err != nil || (dir != "") != want {
			t.Errorf("%q: %q, %v", text, dir, err)
		}
	}
	if calls() != "boto3 botocore\n" {
		t.Error(calls())
	}
}

func TestAFailedFetchSaysWhatToDoAndLeavesNothing(t *testing.T) {
	lang, _ := counting(t, Node)
	lang.install = func(string, []string) []string { return []string{"-c", "echo no network >&2; exit 3"} }
	s := &Set{Language: lang, Dir: t.TempDir(), Base: []string{"ws@8"}, Log: slog.New(slog.DiscardHandler)}
	_, err := s.Path(t.Context(), "hello", code(t, map[string]string{"a.js": `require("ws")`}))
	var e *sluice.Error
	if !errors.As(err, &e) || !strings.Contains(e.Msg, `"hello" needs ws`) || !strings.Contains(e.Msg, "no network") || e.Hint == "" {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.Dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
