// Package scli is the tool s of Serverless Devs (aliyun.md 5.3): what hooks and actions of templates call
// of it, which is the tables that a hook makes and a few questions, and the verbs that people know, put in
// terms of sluice's own. It finds the running server by its environment.
package scli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aliyun/tablestore"
)

// Exit codes of the official tool.
const (
	exitUnknown = 100 // no such method
	exitFailed  = 101
)

// AppVariable names the variable that says which app an action belongs to, and DomainVariable its host.
const (
	AppVariable    = "SLUICE_APP"
	DomainVariable = "SLUICE_DOMAIN"
)

// Tool is one run of s.
type Tool struct {
	Version string
	Env     func(string) string
	Dir     string // where it runs, absolute
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	// Sluice runs sluice's command line with its output to out. What it has printed already of a failure it
	// returns as Told.
	Sluice func(ctx context.Context, out io.Writer, args ...string) error
}

// Run does what args ask and returns the exit code.
func (t *Tool) Run(ctx context.Context, args []string) int {
	words, flags := split(args)
	at := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	switch {
	case len(words) == 0 && (flags["v"] != "" || flags["version"] != ""):
		fmt.Fprintf(t.Out, "@serverless-devs/s: sluice %s\n", t.Version)
		return 0
	case len(words) == 0 || flags["h"] != "" || flags["help"] != "":
		fmt.Fprint(t.Out, usage)
		return 0
	case at(0) == "cli" && at(1) == "tablestore":
		return t.tablestore(ctx, at(2), flags, words[min(3, len(words)):])
	case at(0) == "config" && at(1) == "get":
		fmt.Fprintf(t.Out, "default:\n  AccountID: %q\n  AccessKeyID: %s\n  AccessKeySecret: %s\n",
			account, t.Env("ALIBABA_CLOUD_ACCESS_KEY_ID"), "***")
		return 0
	case at(0) == "config" && slices.Contains([]string{"add", "delete"}, at(1)):
		fmt.Fprintln(t.Out, "sluice makes the keys of each app itself: there are none to keep")
		return 0
	case at(0) == "download":
		return t.download(ctx, words[1:], flags)
	case len(words) == 2 && words[1] == "bindDomain":
		fmt.Fprintf(t.Out, "%s is bound to %s by the deploy\n", t.Env(DomainVariable), words[0])
		return 0
	}
	c := parse(args)
	return t.run(ctx, &c)
}

// flagsAlone are the flags of all commands that have no value.
var flagsAlone = []string{"v", "version", "debug", "skip-actions", "silent", "no-verify", "h", "help", "y", "assume-yes", "extract"}

const account = "1000000000000001"

// split parts flags, and their values, from the other words. Those of alone have no values.
func split(args []string, alone ...string) (words []string, flags map[string]string) {
	flags = map[string]string{}
	for i := 0; i < len(args); i++ {
		name, isFlag := strings.CutPrefix(args[i], "-")
		if !isFlag || name == "" {
			words = append(words, args[i])
			continue
		}
		name, value, given := strings.Cut(strings.TrimPrefix(name, "-"), "=")
		switch {
		case slices.Contains(flagsAlone, name) || slices.Contains(alone, name):
			value = "true"
		case !given && i+1 < len(args):
			i++
			value = args[i]
		}
		flags[name] = value
	}
	return words, flags
}

// tablestore runs a method of the tablestore component: -p DATA, then keys and values in turn.
func (t *Tool) tablestore(ctx context.Context, method string, flags map[string]string, rest []string) int {
	given := map[string]string{}
	for i := 0; i+1 < len(rest); i += 2 {
		given[rest[i]] = rest[i+1]
	}
	data := flags["p"] + flags["prop"]
	c := tablestore.Client{
		Endpoint: t.Env("SLUICE_TABLESTORE_ENDPOINT"), // whichever one the template names: the tables are here
		Instance: given["instance"],
		Credentials: access.Credentials{ID: t.Env("ALIBABA_CLOUD_ACCESS_KEY_ID"), Secret: t.Env("ALIBABA_CLOUD_ACCESS_KEY_SECRET"),
			Token: t.Env("ALIBABA_CLOUD_SECURITY_TOKEN")},
	}
	if c.Endpoint == "" {
		fmt.Fprintln(t.Err, `s: no server is known: run "eval $(sluice env --dialect aliyun)" first`)
		return exitFailed
	}
	if c.Instance == "" {
		c.Instance = t.Env(AppVariable)
	}
	var err error
	switch method {
	case "createTable":
		var name string
		name, err = c.CreateTable(ctx, []byte(data))
		var refused *tablestore.Error
		if errors.As(err, &refused) && refused.Exists() {
			fmt.Fprintf(t.Out, "table %s is there already and stays as it is\n", name)
			return 0
		}
		if err == nil {
			fmt.Fprintf(t.Out, "table %s is made\n", name)
		}
	case "insertTable":
		var id int64
		if id, err = strconv.ParseInt(given["primaryValue"], 10, 64); err == nil {
			err = c.PutRow(ctx, given["tablename"], given["primaryKey"], id, []byte(data))
		}
		if err == nil {
			fmt.Fprintf(t.Out, "row %d of table %s is written\n", id, given["tablename"])
		}
	default:
		fmt.Fprintf(t.Err, "s: the tablestore component has no method %q here; it has createTable and insertTable\n", method)
		return exitUnknown
	}
	if err != nil {
		fmt.Fprintf(t.Err, "s: %s: %v\n", method, err)
		return exitFailed
	}
	return 0
}
