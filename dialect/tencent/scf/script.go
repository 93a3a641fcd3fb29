package scf

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/function"
)

// maxScript is the size in bytes up to which a script can be handed to its shell as an argument.
const maxScript = 100 << 10

// What scripts name that is elsewhere here: the cloud's interpreters, each in a folder of its version.
var (
	nodeThere   = regexp.MustCompile(`/var/lang/node[\w.]*/bin/(node|npm|npx)\b`)
	pythonThere = regexp.MustCompile(`/var/lang/python3[\w.]*/bin/(?:python|(pip))[\d.]*`)
	portThere   = regexp.MustCompile(`\b9000\b`)
)

// script is how a program at the root of a version's code is started. The cloud keeps interpreters in
// /var/lang, the code in /var/user and layers in /opt, and scripts name them; so they are run from a text
// with our paths. port goes in the place of 9000; 0 leaves it.
func script(v *function.Version, name string, port int) (file string, args []string, err error) {
	file = at(v, name)
	if err := executable(file, name); err != nil {
		return "", nil, err
	}
	text, err := os.ReadFile(file)
	if err != nil || len(text) > maxScript || !bytes.HasPrefix(text, []byte("#!")) {
		return file, nil, nil // a binary, or what runs as it is or fails by itself
	}
	first, _, _ := strings.Cut(string(text[2:]), "\n")
	words := strings.Fields(here(strings.TrimSuffix(first, "\r"), v.Root, 0))
	if len(words) == 0 {
		return file, nil, nil
	}
	shell := words[0]
	if path.Base(shell) == "env" && len(words) > 1 {
		shell, words = words[1], words[1:]
	}
	switch path.Base(shell) {
	case "sh", "bash", "dash", "ash", "zsh":
		body := strings.ReplaceAll(here(string(text), v.Root, port), "\r\n", "\n")
		return shell, append(words[1:], "-c", body, file), nil
	}
	return shell, append(words[1:], file), nil
}

// here is a text with our paths in place of the cloud's.
func here(text, root string, port int) string {
	text = nodeThere.ReplaceAllString(text, "$1")
	text = pythonThere.ReplaceAllStringFunc(text, func(s string) string {
		if strings.Contains(path.Base(s), "pip") {
			return "pip3"
		}
		return "python3"
	})
	text = strings.ReplaceAll(text, "/var/user", root)
	if opt := deploy.Opt(root); isDir(opt) {
		text = optThere.ReplaceAllString(text, "${1}"+strings.ReplaceAll(opt, "$", "$$")+"${2}")
	}
	if port != 0 {
		text = portThere.ReplaceAllString(text, strconv.Itoa(port))
	}
	return text
}

// optThere is the folder of layers, and no part of another path.
var optThere = regexp.MustCompile(`(^|[\s=:"'])/opt($|[/\s:"'])`)

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// executable checks that a program is there and may be run.
func executable(file, name string) error {
	info, err := os.Stat(file)
	text := ""
	switch {
	case os.IsNotExist(err):
		text = "there is no " + name + " at the root of the code"
	case err != nil:
		text = err.Error()
	case info.IsDir():
		text = name + " is a folder"
	case info.Mode()&fs.FileMode(0o111) == 0:
		text = name + " is not executable: chmod +x " + filepath.Base(file)
	default:
		return nil
	}
	return &function.StartError{Failure: sluice.Failure{Kind: sluice.BadEntry, Type: typeHandler, Message: text}}
}
