package main

import (
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/client"
)

func (t *tool) envCommand() *cobra.Command {
	var app, dialect string
	cmd := &cobra.Command{
		Use: "env", Short: "Print exports that point official SDKs and CLIs at the server", Args: cobra.NoArgs,
		Example: `  eval "$(sluice env --dialect aliyun)"`,
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			q := url.Values{}
			set(q, "app", app)
			set(q, "dialect", dialect)
			var vars map[string]string
			if err := c.Do(cmd.Context(), http.MethodGet, "env", q, nil, &vars); err != nil {
				return err
			}
			if t.json {
				return t.line(vars)
			}
			names := make([]string, 0, len(vars))
			for n := range vars {
				names = append(names, n)
			}
			sort.Strings(names)
			for _, n := range names {
				fmt.Fprintf(t.out, "export %s='%s'\n", n, strings.ReplaceAll(vars[n], "'", `'\''`))
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "with the keys of this app instead of the operator's")
	cmd.Flags().StringVar(&dialect, "dialect", "", "aws, aliyun or tencent (default: all)")
	return cmd
}
