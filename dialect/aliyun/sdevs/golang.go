package sdevs

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

// goRuntime reports whether a runtime runs executables.
func goRuntime(runtime string) bool {
	return runtime == "go1" || runtime == "custom" || strings.HasPrefix(runtime, "custom.")
}

// goOutput is the file, within the code, that a function's runtime starts: the handler of go1, the
// command of a custom one, or bootstrap. It is "" when an interpreter is started.
func goOutput(f *sluice.Function) string {
	if f.Runtime == "go1" {
		return f.Handler
	}
	if len(f.Command) == 0 {
		return "bootstrap"
	}
	out, here := strings.CutPrefix(f.Command[0], "./")
	if !here && strings.Contains(out, "/") || !filepath.IsLocal(out) {
		return ""
	}
	if !here && slices.Contains([]string{"sh", "bash", "node", "python", "python3", "java", "php", "dotnet", "npm", "npx", "ruby", "deno", "bun"}, out) {
		return ""
	}
	return out
}

// goBuild says how to make the code in dir runnable when it is a Go program that is not built yet.
func (r *reading) goBuild(m *module, f *sluice.Function, dir string) *sluice.Build {
	out := goOutput(f)
	if !goRuntime(f.Runtime) || out == "" || isFile(filepath.Join(dir, out)) {
		return nil
	}
	inModule := above(dir, "go.mod") != ""
	if pkg := goFiles(dir); len(pkg) > 0 {
		if !inModule {
			return &sluice.Build{Kind: "go", Dir: dir, Package: strings.Join(pkg, " "), Output: out}
		}
		return &sluice.Build{Kind: "go", Dir: dir, Package: ".", Output: out}
	}
	if !isFile(filepath.Join(dir, "go.mod")) {
		return nil
	}
	var mains []string
	for _, glob := range []string{"*", "cmd/*"} {
		subs, _ := filepath.Glob(filepath.Join(dir, glob))
		for _, sub := range subs {
			if isDir(sub) && len(goFiles(sub)) > 0 {
				rel, _ := filepath.Rel(dir, sub)
				mains = append(mains, "./"+filepath.ToSlash(rel))
			}
		}
	}
	if len(mains) == 1 {
		return &sluice.Build{Kind: "go", Dir: dir, Package: mains[0], Output: out}
	}
	if len(mains) > 1 {
		r.fail(f.At, "let codeUri name the folder of one of them", "code of function %q has several programs: %s", f.Name, strings.Join(mains, ", "))
	}
	return nil
}

// goModule is the build that an action of the module describes: "go build -o target/main ./cmd/x"
// for a codeUri of "./target". nil when there is none.
func (r *reading) goModule(m *module, f *sluice.Function, src view) *sluice.Build {
	if !goRuntime(f.Runtime) {
		return nil
	}
	code, out := r.under(src.str()), goOutput(f)
	if out == "" || isFile(filepath.Join(code, out)) {
		return nil
	}
	for _, a := range r.actionItems(m.body.GetFold("actions"), m) {
		if a.when != "pre" {
			continue
		}
		pkg, target, ok := goCommand(a.run)
		if !ok || !isDir(a.dir) {
			continue
		}
		if above(a.dir, "go.mod") == "" && len(goFiles(a.dir)) == 0 {
			continue
		}
		made := filepath.Join(a.dir, filepath.FromSlash(target))
		if target == "" || made == filepath.Join(code, out) || strings.HasSuffix(target, "/") && filepath.Clean(made) == code {
			return &sluice.Build{Kind: "go", Dir: a.dir, Package: pkg, Output: out}
		}
	}
	return nil
}

// builtByUs reports whether an action does nothing but a Go build that we do ourselves.
func builtByUs(a action, b *sluice.Build) bool {
	_, _, ok := goCommand(a.run)
	if b == nil || b.Kind != "go" || !ok {
		return false
	}
	root := above(b.Dir, "go.mod")
	return a.dir == b.Dir || root != "" && above(a.dir, "go.mod") == root
}

// goCommand reads a command line that does nothing but build one Go program: the package, and the
// file that -o names. Commands around it may only prepare (go mod tidy, mkdir, chmod …).
func goCommand(run string) (pkg, out string, ok bool) {
	parts := strings.FieldsFunc(strings.NewReplacer("&&", ";", "\n", ";", "\\\n", " ").Replace(run), func(c rune) bool { return c == ';' })
	for _, part := range parts {
		words := strings.Fields(part)
		for len(words) > 0 && strings.Contains(words[0], "=") && !strings.HasPrefix(words[0], "-") {
			words = words[1:] // NAME=VALUE
		}
		if len(words) > 0 && words[0] == "env" {
			words = words[1:]
			for len(words) > 0 && strings.Contains(words[0], "=") {
				words = words[1:]
			}
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "export", "set", "mkdir", "chmod", "echo":
			continue
		case "go":
		default:
			return "", "", false
		}
		if len(words) < 2 {
			return "", "", false
		}
		switch words[1] {
		case "mod", "get", "env", "version", "fmt", "vet":
			continue
		case "build":
		default:
			return "", "", false
		}
		if ok {
			return "", "", false // two programs
		}
		ok = true
		for i := 2; i < len(words); i++ {
			word := words[i]
			switch name := strings.TrimLeft(strings.SplitN(word, "=", 2)[0], "-"); {
			case !strings.HasPrefix(word, "-"):
				pkg = strings.TrimSpace(pkg + " " + word)
			case name == "o" && strings.Contains(word, "="):
				out = strings.SplitN(word, "=", 2)[1]
			case name == "o" && i+1 < len(words):
				i++
				out = words[i]
			case slices.Contains([]string{"ldflags", "gcflags", "asmflags", "tags", "mod", "p"}, name) && !strings.Contains(word, "=") && i+1 < len(words):
				i++
				if q := words[i][0]; q == '\'' || q == '"' {
					for !strings.HasSuffix(words[i], string(q)) && i+1 < len(words) {
						i++
					}
				}
			case strings.Contains(word, "=") && strings.ContainsAny(word, `'"`):
				q := word[strings.IndexAny(word, `'"`)]
				for strings.Count(word, string(q))%2 == 1 && i+1 < len(words) {
					i++
					word += words[i]
				}
			}
		}
	}
	if pkg == "" {
		pkg = "."
	}
	return pkg, strings.Trim(out, `'"`), ok
}

// goFiles are the Go files of package main directly in dir, tests left out; none when there is no
// such package.
func goFiles(dir string) []string {
	names, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	var files []string
	main := false
	for _, n := range names {
		if strings.HasSuffix(n, "_test.go") || !isFile(n) {
			continue
		}
		files = append(files, filepath.Base(n))
		main = main || packageMain(n)
	}
	if !main {
		return nil
	}
	return files
}

// packageMain reports whether a Go file's package clause says main.
func packageMain(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	comment := false
	for sc.Scan() {
		line := strings.TrimSpace(sc.Text())
		if comment {
			_, rest, ended := strings.Cut(line, "*/")
			comment, line = !ended, strings.TrimSpace(rest)
		}
		for !comment && strings.HasPrefix(line, "/*") {
			_, rest, ended := strings.Cut(line[2:], "*/")
			comment, line = !ended, strings.TrimSpace(rest)
		}
		if words := strings.Fields(line); !comment && len(words) >= 2 && words[0] == "package" {
			return words[1] == "main"
		}
	}
	return false
}

// above is the nearest folder, from dir upwards, that has a file called name; "" when none has.
func above(dir, name string) string {
	for {
		if isFile(filepath.Join(dir, name)) {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}
