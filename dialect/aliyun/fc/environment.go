package fc

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
)

// The runtimes of the custom family begin so: custom, custom.debian12 … (not custom-container).
const custom = "custom"

// IsCustom reports whether a runtime is an HTTP server of the user's own.
func IsCustom(runtime string) bool {
	return runtime == custom || strings.HasPrefix(runtime, custom+".")
}

// defaultHandler is the handler of a function that names none.
const defaultHandler = "index.handler"

// Environment is what a function finds in its environment besides the template's own (section 3.6):
// the names of the platform, and credentials that outlive the deploy.
func Environment(keys Keys, app *sluice.App, f *sluice.Function) map[string]string {
	handler := cmp.Or(f.Handler, defaultHandler)
	region := cmp.Or(app.Region, "cn-hangzhou")
	port := strconv.Itoa(cmp.Or(f.Port, defaultPort))
	memory, timeout := strconv.Itoa(f.MemoryMB), strconv.Itoa(int(f.Timeout.Seconds()))
	env := map[string]string{
		"FC_ACCOUNT_ID":           Account,
		"FC_CUSTOM_LISTEN_PORT":   port,
		"FC_FUNC_CODE_PATH":       f.Code + "/",
		"FC_FUNCTION_HANDLER":     handler,
		"FC_FUNCTION_MEMORY_SIZE": memory,
		"FC_FUNCTION_NAME":        string(f.Name),
		"FC_HANDLER":              handler,
		"FC_MEMORY_SIZE":          memory,
		"FC_QUALIFIER":            latest,
		"FC_REGION":               region,
		"FC_RUNTIME":              f.Runtime,
		"FC_SERVER_PORT":          port, // a custom runtime's instances have their own
		"FC_SERVICE_LOG_PROJECT":  "",
		"FC_SERVICE_LOG_STORE":    "",
		"FC_SERVICE_NAME":         f.Group,
		"FC_TIMEOUT":              timeout,
		"PYTHONUSERBASE":          f.Code + "/.s/python",
		"local":                   "true", // as the vendor's local tools say
	}
	for name, v := range f.Env { // may name folders of the cloud
		if v := here(v, f.Code); v != f.Env[name] {
			env[name] = v
		}
	}
	for name, folders := range paths(f) { // after the template's own
		if own := cmp.Or(env[name], f.Env[name]); own != "" {
			folders = append([]string{own}, folders...)
		}
		if len(folders) > 0 {
			env[name] = strings.Join(folders, string(filepath.ListSeparator))
		}
	}
	if f.Initializer != "" {
		env["FC_INITIALIZER"] = f.Initializer
		env["FC_INITIALIZER_HANDLER"] = f.Initializer
		env["FC_INITIALIZATION_TIMEOUT"] = strconv.Itoa(int(initTimeout(f).Seconds()))
	}
	maps.Copy(env, credentials(keys.Temporary(tokenPrefix, access.Principal{App: app.Name, Function: f.Name}, deployLife)))
	return env
}

// paths are the folders in which programs look for what they need, by variable: in the code, which the
// cloud has in /code, and in layers, which it has in /opt.
func paths(f *sluice.Function) map[string][]string {
	opt := func(path string) []string {
		if dir := filepath.Join(deploy.Opt(f.Code), path); isDir(dir) {
			return []string{dir}
		}
		return nil
	}
	list := map[string][]string{
		"LD_LIBRARY_PATH": slices.Concat([]string{f.Code, f.Code + "/lib", "/usr/local/lib"}, opt("lib")),
	}
	if bin := opt("bin"); len(bin) > 0 {
		list["PATH"] = bin
		if f.Env["PATH"] == "" {
			list["PATH"] = append(bin, os.Getenv("PATH"))
		}
	}
	runtime := strings.ToLower(f.Runtime)
	if version, ok := strings.CutPrefix(runtime, "nodejs"); ok {
		list["NODE_PATH"] = append(opt("nodejs/node_modules"), opt("nodejs/node"+version+"/node_modules")...)
	}
	if strings.HasPrefix(runtime, "python") {
		list["PYTHONPATH"] = append([]string{f.Code + "/python"}, opt("python")...)
	}
	return list
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// here is a variable's value with our folders for /code and /opt in every path of it to something that is
// there. root is the code's.
func here(value, root string) string {
	if !strings.Contains(value, "/code") && !strings.Contains(value, "/opt") {
		return value
	}
	list := strings.Split(value, ":")
	for i, p := range list {
		list[i] = placed(p, root)
	}
	return strings.Join(list, ":")
}

// placed is a path of the cloud as it is here; the same when nothing of ours is there.
func placed(path, root string) string {
	for cloud, ours := range map[string]string{"/code": root, "/opt": deploy.Opt(root)} {
		if rest, ok := strings.CutPrefix(path, cloud); ok && (rest == "" || rest[0] == '/') {
			if _, err := os.Stat(ours + rest); err == nil {
				return ours + rest
			}
		}
	}
	return path
}

// latest is the qualifier of a function that has one version.
const latest = "LATEST"

// credentials are the variables under which SDKs look for a function's credentials.
func credentials(c access.Credentials) map[string]string {
	return map[string]string{
		"ALIBABA_CLOUD_ACCESS_KEY_ID":     c.ID,
		"ALIBABA_CLOUD_ACCESS_KEY_SECRET": c.Secret,
		"ALIBABA_CLOUD_SECURITY_TOKEN":    c.Token,
		"FC_ACCESS_KEY_ID":                c.ID,
		"FC_ACCESS_KEY_SECRET":            c.Secret,
		"FC_SECURITY_TOKEN":               c.Token,
	}
}
