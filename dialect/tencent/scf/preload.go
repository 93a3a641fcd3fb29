package scf

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/function"
)

// Servers of web functions listen on port 9000, of which a machine has one. preload has what moves those
// in node and python to a port of their own, whatever their code says.
//
//go:embed preload
var preload embed.FS

// install writes what is preloaded into a folder of dir that is named by its hash, and returns it.
func install(dir string) (string, error) {
	files, err := preload.ReadDir("preload")
	if err != nil {
		return "", err
	}
	texts := map[string][]byte{}
	h := sha256.New()
	for _, f := range files {
		if texts[f.Name()], err = preload.ReadFile("preload/" + f.Name()); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %d\n%s", f.Name(), len(texts[f.Name()]), texts[f.Name()])
	}
	dir, err = filepath.Abs(filepath.Join(dir, "tencent-web", hex.EncodeToString(h.Sum(nil)[:8])))
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	for name, text := range texts {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), text, 0o644)
		}
	}
	if err != nil {
		return "", fmt.Errorf("write what web functions preload: %w", err)
	}
	return dir, nil
}

// moved is what in its environment moves a version's server from port 9000 to port. dir is install's.
func moved(v *function.Version, dir string, port int) map[string]string {
	env := map[string]string{"PORT": strconv.Itoa(port)}
	if dir != "" {
		env["SLUICE_WEB_PORT"] = env["PORT"]
		env["NODE_OPTIONS"] = strings.TrimSpace(v.Env["NODE_OPTIONS"] + " --require " + strconv.Quote(filepath.Join(dir, "port.cjs")))
		env["PYTHONPATH"] = strings.TrimSuffix(dir+string(filepath.ListSeparator)+v.Env["PYTHONPATH"], string(filepath.ListSeparator))
	}
	return env
}
