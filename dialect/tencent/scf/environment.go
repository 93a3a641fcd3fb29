package scf

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
)

// deployLife is how long the credentials in an environment hold: they are made at a deploy and read when
// a process starts, which may be at any time until the next one.
const deployLife = 10 * 365 * 24 * time.Hour

// tokenPrefix begins the ids of keys, as the cloud's do.
const tokenPrefix = "AKID"

// defaultHandler is the handler of a function that names none.
const defaultHandler = "index.main_handler"

// environmentVariable tells runtimes which variables are the function's own, as the JSON object that
// contexts show (section 2.4). Programs do not see it.
const environmentVariable = "SLUICE_SCF_ENVIRONMENT"

// Environment is what a function finds in its environment besides the template's own (section 2.4).
// f.Code is where the code runs.
func Environment(keys Keys, app *sluice.App, f *sluice.Function) map[string]string {
	name, space := Name(f), Namespace(f)
	c := keys.Temporary(tokenPrefix, access.Principal{App: app.Name, Function: f.Name}, deployLife)
	own := maps.Clone(f.Env)
	if own == nil {
		own = map[string]string{}
	}
	own["SCF_NAMESPACE"] = space
	env := map[string]string{
		"TENCENTCLOUD_RUNENV":       "SCF",
		"SCF_RUNTIME":               runtimeOf(f),
		"SCF_FUNCTIONNAME":          name,
		"SCF_FUNCTIONVERSION":       Latest,
		"SCF_NAMESPACE":             space,
		"TENCENTCLOUD_REGION":       cmp.Or(app.Region, DefaultRegion),
		"TENCENTCLOUD_APPID":        AppID,
		"TENCENTCLOUD_UIN":          UIN,
		"TENCENTCLOUD_TZ":           "UTC",
		"TENCENTCLOUD_SECRETID":     c.ID,
		"TENCENTCLOUD_SECRETKEY":    c.Secret,
		"TENCENTCLOUD_SESSIONTOKEN": c.Token,
		"USER_CODE_ROOT":            f.Code + "/",
		"_SCF_SERVER_PORT":          "28902",
		"PYTHONDONTWRITEBYTECODE":   "x",
		"PWD":                       f.Code,
		"USER":                      "qcloud",
		"LOGNAME":                   "qcloud",
		"LANG":                      "en_US.UTF8", // and no LC_ALL, which shells complain of where there is no such locale
		environmentVariable:         string(plain(own)),
	}
	if f.Env["TZ"] == "" {
		env["TZ"] = "UTC"
	}
	for variable, v := range f.Env { // may name folders of the cloud
		if v := here(v, f.Code, 0); v != f.Env[variable] {
			env[variable] = v
		}
	}
	if strings.EqualFold(f.Runtime, "Go1") { // its library reads them
		env["FUNCTION_NAME"], env["FUNCTION_MEMORY_SIZE"], env["FUNCTION_VERSION"] = name, strconv.Itoa(f.MemoryMB), Latest
	}
	for variable, folders := range paths(f) { // after the template's own
		if own := cmp.Or(env[variable], f.Env[variable]); own != "" {
			folders = append([]string{own}, folders...)
		}
		env[variable] = strings.Join(folders, string(filepath.ListSeparator))
	}
	return env
}

// paths are the folders in which programs look for what they need, by variable: in the code, which the
// cloud has in /var/user, and in layers, which it has in /opt.
func paths(f *sluice.Function) map[string][]string {
	opt := deploy.Opt(f.Code)
	layers := func(names ...string) (there []string) {
		for _, name := range names {
			if dir := filepath.Join(opt, name); isDir(dir) {
				there = append(there, dir)
			}
		}
		return there
	}
	list := map[string][]string{
		"LD_LIBRARY_PATH": append([]string{f.Code, f.Code + "/lib"}, layers("lib")...),
		"PYTHONPATH":      append([]string{f.Code}, layers("", "python")...),
		"NODE_PATH":       append([]string{f.Code, f.Code + "/node_modules"}, layers("", "node_modules")...),
	}
	if bin := layers("bin"); len(bin) > 0 {
		list["PATH"] = bin
		if f.Env["PATH"] == "" {
			list["PATH"] = append(bin, os.Getenv("PATH"))
		}
	}
	return list
}
