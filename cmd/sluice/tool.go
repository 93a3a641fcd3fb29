package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
)

// tool is the command line: its streams and the flags that every verb shares.
type tool struct {
	in       io.Reader
	out, err io.Writer
	env      func(string) (string, bool)

	verbose bool   // also what nobody has to act on
	json    bool   // one JSON object a line instead of text for people
	file    string // settings file
}

func (t *tool) commands() *cobra.Command {
	root := &cobra.Command{
		Use:           "sluice",
		Short:         "Serverless for full-duplex apps, on your own machines",
		Long:          "sluice runs serverless WebSocket apps written for Alibaba Cloud, AWS and Tencent Cloud, unmodified,\nin one process with one data folder.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetVersionTemplate("sluice {{.Version}}\n")
	f := root.PersistentFlags()
	f.BoolVar(&t.json, "json", false, "print one JSON object a line")
	f.BoolVarP(&t.verbose, "verbose", "v", false, "also tell what needs no action")
	f.StringVar(&t.file, "config", "", "settings file (YAML; same keys as flags)")
	settingFlags(f, everyVerb)
	root.AddCommand(
		t.devCommand(), t.serveCommand(), t.deployCommand(), t.listCommand(), t.removeCommand(), t.rollbackCommand(),
		t.logsCommand(), t.invokeCommand(), t.sendCommand(), t.connsCommand(), t.tableCommand(), t.objectCommand(),
		t.envCommand(), t.doctorCommand(), t.versionCommand(), settingsTopic(),
	)
	return root
}

// config is the settings of a verb: defaults, file, environment, flags.
func (t *tool) config(cmd *cobra.Command, base config.Config) (config.Config, error) {
	c, err := config.Load(base, t.file, t.env)
	if err != nil {
		return c, err
	}
	for _, s := range c.Settings() {
		f := cmd.Flag(s.Key)
		if f == nil || !f.Changed {
			continue
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		if e := c.Set(s.Key, value); e != nil && err == nil {
			err = usageError{fmt.Errorf("--%s: %w", s.Key, e)}
		}
	}
	if err == nil {
		err = c.Validate()
	}
	return c, err
}

// client finds the server that a verb talks to: --admin or SLUICE_ADMIN, else the one that runs on the
// data folder, else the default address.
func (t *tool) client(cmd *cobra.Command) (*client.Client, error) {
	base := config.Default()
	base.Admin = ""
	c, err := config.Load(base, t.file, t.env)
	if err != nil {
		return nil, err
	}
	for _, k := range []string{"admin", "data", "admin-password"} {
		if v, _ := cmd.Flags().GetString(k); v != "" {
			if err := c.Set(k, v); err != nil {
				return nil, usageError{err}
			}
		}
	}
	if c.Admin == "" {
		for _, dir := range dataFolders(c.Data) {
			if _, e := os.Stat(filepath.Join(dir, client.StateFile)); e == nil || c.Data != "" {
				if c.Admin, err = client.Find(dir); err != nil {
					return nil, err
				}
				break
			}
		}
	}
	if c.Admin == "" {
		c.Admin = config.Default().Admin
	}
	return client.New(c.Admin, c.AdminPassword), nil
}

// remote makes a verb of what talks to a server.
func (t *tool) remote(f func(cmd *cobra.Command, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := t.client(cmd)
		if err != nil {
			return err
		}
		return f(cmd, c, args)
	}
}

func dataFolders(named string) []string {
	if named != "" {
		return []string{named}
	}
	return []string{".sluice", "sluice-data"}
}

// logger writes for people on a terminal and JSON otherwise.
func (t *tool) logger(level string) *slog.Logger {
	var l slog.Level
	_ = l.UnmarshalText([]byte(level)) // Validate has checked it
	if isTerminal(t.err) {
		return slog.New(tint.NewTextHandler(t.err, &tint.Options{Level: l, TimeFormat: time.TimeOnly}))
	}
	return slog.New(slog.NewJSONHandler(t.err, &slog.HandlerOptions{Level: l}))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// line writes one JSON object on one line.
func (t *tool) line(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(t.out, "%s\n", b)
	return err
}

// columns writes rows in aligned columns, or nothing when there are none.
func (t *tool) columns(head string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(t.out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, head)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	w.Flush()
}

func (t *tool) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if t.json {
				return t.line(map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			fmt.Fprintf(t.out, "sluice %s (%s, %s/%s)\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return nil
		},
	}
}
