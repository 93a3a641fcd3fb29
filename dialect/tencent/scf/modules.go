package scf

import (
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/sluicehq/sluice/function/modules"
)

// Modules are what the cloud's runtimes carry besides a function's own code (sections 2.2, 2.3).
type Modules struct{ python, node *modules.Set }

// NewModules keeps modules in folders of dir. Functions use them where they stand. log may be nil.
func NewModules(dir string, log *slog.Logger) *Modules {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Modules{
		python: &modules.Set{
			Language: modules.Python, Dir: filepath.Join(dir, "tencent-python"), Log: log,
			Base: []string{"requests"},
			More: func(name string) string { return pythonModules[name] },
		},
		node: &modules.Set{
			Language: modules.Node, Dir: filepath.Join(dir, "tencent-node"), Log: log,
			Base: []string{"cos-nodejs-sdk-v5@2", "request@2"},
			More: func(name string) string { return nodeModules[name] },
		},
	}
}

// Of is what functions of a runtime, as sluice.Function has it, may need, and the variable that names its
// folder to them; nil for runtimes that carry nothing.
func (m *Modules) Of(runtime string) (set *modules.Set, variable string) {
	runtime = strings.TrimPrefix(strings.ToLower(runtime), webPrefix)
	switch {
	case strings.HasPrefix(runtime, "python"):
		return m.python, "PYTHONPATH"
	case strings.HasPrefix(runtime, "nodejs"):
		return m.node, "NODE_PATH"
	}
	return nil, ""
}

// What the cloud documents as installed and is worth to be fetched alone, by the names of modules.
var (
	pythonModules = map[string]string{
		"qcloud_cos": "cos-python-sdk-v5", "qcloud_cos_v5": "cos-python-sdk-v5", // shims know it by both names
		"pymysql": "pymysql", "redis": "redis", "pytz": "pytz", "tencentcloud": "tencentcloud-sdk-python",
	}
	nodeModules = map[string]string{"tencentcloud-sdk-nodejs": "tencentcloud-sdk-nodejs@4", "lodash": "lodash@4", "uuid": "uuid@8", "xml2js": "xml2js@0.5"}
)
