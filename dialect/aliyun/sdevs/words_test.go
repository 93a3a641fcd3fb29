package sdevs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGoCommandIsRecognized(t *testing.T) {
	tests := map[string]struct {
		pkg, out string
		ok       bool
	}{
		"go build":                      {".", "", true},
		"go build .":                    {".", "", true},
		"go build -o bootstrap ./cmd/a": {"./cmd/a", "bootstrap", true},
		"GOOS=linux GOARCH=amd64 go build -o=x main.go":                {"main.go", "x", true},
		`CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o 'a/b' .`: {".", "a/b", true},
		`go build -ldflags '-s -w' -tags x -o a .`:                     {".", "a", true},
		"go mod tidy && mkdir -p t && go build -o t/m; chmod +x t/m":   {".", "t/m", true},
		"env GOOS=linux go build -o m":                                 {".", "m", true},
		"export GOOS=linux\ngo build -v -o m":                          {".", "m", true},
		"go build -o a && go build -o b":                               {"", "", false},
		"npm run build && go build":                                    {"", "", false},
		"go test ./... && go build":                                    {"", "", false},
		"go build && zip x.zip main":                                   {"", "", false},
		"go":                                                           {"", "", false},
		"make":                                                         {"", "", false},
		"":                                                             {"", "", false},
	}
	for run, want := range tests {
		pkg, out, ok := goCommand(run)
		if ok != want.ok || ok && (pkg != want.pkg || out != want.out) {
			t.Errorf("%q: package %q, output %q, %v; want %+v", run, pkg, out, ok, want)
		}
	}
}

func TestNearestNames(t *testing.T) {
	known := []string{"gpuMemorySize", "memorySize", "timeout", "public-read", "fc", "fc3", "apigateway"}
	for word, want := range map[string]string{
		"memorysize": "memorySize", "timeuot": "timeout", "public-raed": "public-read", "fc33": "fc3",
		"api-gateway": "apigateway", "gateway": "apigateway", "zebra": "",
	} {
		if got := nearest(word, known); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestHostsOfAddresses(t *testing.T) {
	for in, want := range map[string]string{
		"A.Example.com": "a.example.com", "a.example:8080": "a.example", "https://a.example:1/x": "a.example", "auto": "", "Auto": "", "": "", "::1": "::1",
	} {
		if got := hostOf(in); got != want {
			t.Errorf("host of %q is %q, want %q", in, got, want)
		}
	}
}

func TestDotenv(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".env")
	text := "# c\nA=1\nexport B = 'two words' \nC=\"x # y\"\nD=x # y\n=z\nE\nF=\nG=a=b\r\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"A": "1", "B": "two words", "C": "x # y", "D": "x", "F": "", "G": "a=b"}
	if d := cmp.Diff(want, dotenv(path)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestPackageMainIsFoundPastComments(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]bool{
		"package main": true, "package mainly": false, "// package main\npackage lib": false,
		"/* package main */ package lib": false, "/*\npackage main\n*/\n\npackage main": true, "": false,
		"//go:build x\n\npackage main // yes": true,
	} {
		path := filepath.Join(dir, "x.go")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := packageMain(path); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
