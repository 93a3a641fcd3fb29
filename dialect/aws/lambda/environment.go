package lambda

import (
	"cmp"
	"crypto/md5"
	"encoding/hex"
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

// DefaultRegion is the region of apps that name none (section 0).
const DefaultRegion = "us-east-1"

// Environment is what a function finds in its environment besides the template's own (section 3.4).
// f.Code is where the code runs.
func Environment(keys Keys, app *sluice.App, f *sluice.Function) map[string]string {
	name, region := PhysicalName(f), cmp.Or(app.Region, DefaultRegion)
	c := keys.Temporary("ASIA", access.Principal{App: app.Name, Function: f.Name}, deployLife)
	env := map[string]string{
		"_HANDLER":                        f.Handler,
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_LAMBDA_FUNCTION_NAME":        name,
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": strconv.Itoa(f.MemoryMB),
		"AWS_LAMBDA_FUNCTION_VERSION":     Latest,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME":       LogGroup(name),
		"AWS_LAMBDA_LOG_STREAM_NAME":      LogStream(app.Name, name, time.Now()),
		"AWS_ACCESS_KEY_ID":               c.ID,
		"AWS_SECRET_ACCESS_KEY":           c.Secret,
		"AWS_SESSION_TOKEN":               c.Token,
		"AWS_XRAY_CONTEXT_MISSING":        "LOG_ERROR",
		"AWS_XRAY_DAEMON_ADDRESS":         "169.254.79.129:2000",
		"LAMBDA_TASK_ROOT":                f.Code,
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"LD_LIBRARY_PATH":                 f.Code + ":" + f.Code + "/lib",
		"TZ":                              ":UTC",
		"LANG":                            "en_US.UTF-8",
	}
	if !strings.HasPrefix(f.Runtime, "provided") {
		env["AWS_EXECUTION_ENV"] = "AWS_Lambda_" + f.Runtime
	}
	if l := extraOf(f).logFormat(); l.JSON {
		env["AWS_LAMBDA_LOG_FORMAT"], env["AWS_LAMBDA_LOG_LEVEL"] = "JSON", cmp.Or(l.Level, "INFO")
	}
	layers(env, f)
	return env
}

// LogGroup is the log group of a function, by its name on the cloud.
func LogGroup(name string) string { return "/aws/lambda/" + name }

// LogStream is the stream that a function logs to at a time: it has one a day.
func LogStream(app sluice.AppName, name string, at time.Time) string {
	sum := md5.Sum([]byte(string(app) + "/" + name))
	return at.UTC().Format("2006/01/02/") + "[" + Latest + "]" + hex.EncodeToString(sum[:])
}

// layers names the folders in which programs find what the function's layers bring, which the cloud has
// in /opt. They go behind the function's own.
func layers(env map[string]string, f *sluice.Function) {
	opt := deploy.Opt(f.Code)
	if len(f.Opt) == 0 {
		return
	}
	env["SLUICE_LAYERS"] = opt
	add := func(name, own, path string) {
		if _, err := os.Stat(filepath.Join(opt, path)); err == nil {
			env[name] = strings.TrimPrefix(cmp.Or(env[name], f.Env[name], own)+string(filepath.ListSeparator)+filepath.Join(opt, path), string(filepath.ListSeparator))
		}
	}
	add("PATH", os.Getenv("PATH"), "bin")
	add("LD_LIBRARY_PATH", "", "lib")
	version, node := strings.CutPrefix(strings.TrimSuffix(f.Runtime, ".x"), "nodejs")
	switch {
	case node:
		add("NODE_PATH", "", "nodejs/node"+version+"/node_modules")
		add("NODE_PATH", "", "nodejs/node_modules")
	case strings.HasPrefix(f.Runtime, "python"):
		add("PYTHONPATH", "", "python")
		add("PYTHONPATH", "", "python/lib/"+f.Runtime+"/site-packages")
	}
}
