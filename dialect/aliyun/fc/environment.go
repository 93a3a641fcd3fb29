package fc

import (
	"cmp"
	"maps"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
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
	memory, timeout := strconv.Itoa(f.MemoryMB), strconv.Itoa(int(f.Timeout.Seconds()))
	env := map[string]string{
		"FC_ACCOUNT_ID":           Account,
		"FC_FUNCTION_HANDLER":     handler,
		"FC_FUNCTION_MEMORY_SIZE": memory,
		"FC_FUNCTION_NAME":        string(f.Name),
		"FC_HANDLER":              handler,
		"FC_MEMORY_SIZE":          memory,
		"FC_QUALIFIER":            latest,
		"FC_REGION":               region,
		"FC_RUNTIME":              f.Runtime,
		"FC_SERVICE_LOG_PROJECT":  "",
		"FC_SERVICE_LOG_STORE":    "",
		"FC_SERVICE_NAME":         f.Group,
		"FC_TIMEOUT":              timeout,
	}
	maps.Copy(env, codePaths(f.Code))
	if f.Initializer != "" {
		env["FC_INITIALIZER"] = f.Initializer
		env["FC_INITIALIZER_HANDLER"] = f.Initializer
		env["FC_INITIALIZATION_TIMEOUT"] = strconv.Itoa(int(initTimeout(f).Seconds()))
	}
	maps.Copy(env, credentials(keys.Temporary(tokenPrefix, access.Principal{App: app.Name, Function: f.Name}, deployLife)))
	return env
}

// codePaths are the variables that say where the code is; the cloud has it in /code.
func codePaths(root string) map[string]string {
	return map[string]string{
		"FC_FUNC_CODE_PATH": root + "/",
		"LD_LIBRARY_PATH":   root + ":" + root + "/lib:/usr/local/lib",
		"PYTHONUSERBASE":    root + "/.s/python",
	}
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
