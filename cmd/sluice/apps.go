package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
)

// templateFlags are those of the verbs that read a template.
type templateFlags struct {
	name   string
	file   string
	params []string
	skip   []string

	environment string

	noOverlay, runBuild, skipActions, ignoreHook, skipUnsupported, noBuild bool
}

func (f *templateFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "", "name of the app (default: the template's)")
	cmd.Flags().StringVarP(&f.file, "template", "t", "", "template file within the folder")
	cmd.Flags().StringArrayVarP(&f.params, "param", "p", nil, "NAME=VALUE for a template parameter, repeatable")
	cmd.Flags().StringArrayVar(&f.skip, "skip", nil, "resource to leave out, repeatable")
	cmd.Flags().BoolVar(&f.skipUnsupported, "skip-unsupported", false, "leave out all that sluice does not run")
	cmd.Flags().BoolVar(&f.noBuild, "no-build", false, "take functions' code as it is")
	cmd.Flags().BoolVar(&f.noOverlay, "no-overlay", false, "take an app that sluice knows to be broken as it was published")
	cmd.Flags().BoolVar(&f.runBuild, "run-build", false, "build pages though they come built")
	cmd.Flags().StringVar(&f.environment, "env", "", "environment, of a template that describes several")
	cmd.Flags().BoolVar(&f.skipActions, "skip-actions", false, "run none of the template's actions")
	cmd.Flags().BoolVar(&f.ignoreHook, "ignore-hook-errors", false, "go on when the hook of a published application fails")
}

func (f *templateFlags) values() (map[string]string, error) {
	m := map[string]string{}
	for _, p := range f.params {
		k, v, ok := strings.Cut(p, "=")
		if !ok || k == "" {
			return nil, usageError{fmt.Errorf("--param %q: want NAME=VALUE", p)}
		}
		m[k] = v
	}
	return m, nil
}

func (t *tool) deployCommand() *cobra.Command {
	var tf templateFlags
	var to string
	var plan bool
	cmd := &cobra.Command{
		Use: "deploy [DIR]", Short: "Deploy an app to a running server", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := folder(args)
			if err != nil {
				return err
			}
			if to != "" {
				cmd.Flags().Set("admin", to)
			}
			c, err := t.client(cmd)
			if err != nil {
				return err
			}
			params, err := tf.values()
			if err != nil {
				return err
			}
			q := url.Values{"folder": {filepath.Base(dir)}}
			for k, v := range params {
				q.Add("param", k+"="+v)
			}
			for _, s := range tf.skip {
				q.Add("skip", s)
			}
			if tf.name != "" {
				q.Set("name", tf.name)
			}
			if tf.file != "" {
				q.Set("template", tf.file)
			}
			set(q, "env", tf.environment)
			for key, on := range map[string]bool{"no-overlay": tf.noOverlay, "run-build": tf.runBuild, "skip-actions": tf.skipActions,
				"ignore-hook-errors": tf.ignoreHook, "skip-unsupported": tf.skipUnsupported, "no-build": tf.noBuild, "plan": plan} {
				if on {
					q.Set(key, "1")
				}
			}
			var server client.Ready
			if err := c.Do(cmd.Context(), http.MethodGet, "status", nil, nil, &server); err != nil {
				return err
			}
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(pack(pw, dir, server.Data)) }() // ends when the request has read it or closes pr
			defer pr.Close()
			p := newProgress(t, plan)
			var failed bool
			err = c.Stream(cmd.Context(), http.MethodPost, "deploy", q, pr, func(b []byte) error {
				var l client.Line
				if err := json.Unmarshal(b, &l); err != nil {
					return err
				}
				failed = failed || l.Event == "error"
				p.show(l)
				return nil
			})
			if err == nil && failed {
				err = errSilent
			}
			return err
		},
	}
	tf.add(cmd)
	cmd.Flags().StringVar(&to, "to", "", "address of the server (as --admin)")
	cmd.Flags().BoolVar(&plan, "plan", false, "print what would change, and change nothing")
	return cmd
}

// folder is the absolute folder that a verb works on.
func folder(args []string) (string, error) {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(abs)
	if err == nil && !st.IsDir() {
		return "", &sluice.Error{Code: sluice.Invalid, Msg: dir + " is a file", Hint: "name the folder that holds it; another template than the usual is chosen with --template"}
	}
	if err != nil {
		return "", &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("folder %s does not exist", dir), Hint: "name the folder that holds the template"}
	}
	return abs, nil
}

func (t *tool) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List deployed apps", Args: cobra.NoArgs,
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			var apps []client.App
			if err := c.Do(cmd.Context(), http.MethodGet, "apps", nil, nil, &apps); err != nil {
				return err
			}
			var rows [][]string
			for _, a := range apps {
				if t.json {
					if err := t.line(a); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{string(a.Name), a.Dialect, a.Revision, a.Deployed.Local().Format(time.DateTime),
					fmt.Sprint(len(a.Functions)), fmt.Sprint(a.Conns), strings.Join(append(a.WebSocket, a.HTTP...), " ")})
			}
			t.columns("APP\tDIALECT\tREVISION\tDEPLOYED\tFUNCTIONS\tCONNECTIONS\tADDRESSES", rows)
			return nil
		}),
	}
}

func (t *tool) removeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove APP", Short: "Remove an app; its tables and objects stay", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			if err := c.Do(cmd.Context(), http.MethodDelete, "apps/"+url.PathEscape(args[0]), nil, nil, nil); err != nil {
				return err
			}
			return t.said(map[string]string{"removed": args[0]}, "removed %s\n", args[0])
		}),
	}
}

func (t *tool) rollbackCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rollback APP", Short: "Go back to the app's previous revision", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var a client.App
			if err := c.Do(cmd.Context(), http.MethodPost, "apps/"+url.PathEscape(args[0])+"/rollback", nil, nil, &a); err != nil {
				return err
			}
			return t.said(a, "%s is at revision %s again\n", a.Name, a.Revision)
		}),
	}
}

// said prints v as JSON, or the text for people.
func (t *tool) said(v any, format string, args ...any) error {
	if t.json {
		return t.line(v)
	}
	_, err := fmt.Fprintf(t.out, format, args...)
	return err
}
