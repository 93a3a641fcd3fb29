package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/client"
)

func (t *tool) connsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "conns", Short: "Look at live connections, push to them, close them"}
	var app string
	var limit int
	ls := &cobra.Command{
		Use: "ls", Short: "List live connections", Args: cobra.NoArgs,
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			q := url.Values{"limit": {fmt.Sprint(limit)}}
			set(q, "app", app)
			var conns []client.Conn
			if err := c.Do(cmd.Context(), http.MethodGet, "conns", q, nil, &conns); err != nil {
				return err
			}
			var rows [][]string
			for _, cn := range conns {
				if t.json {
					if err := t.line(cn); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{cn.ID, string(cn.App), cn.Alias, cn.Remote, ago(cn.ConnectedAt), ago(cn.LastActive)})
			}
			t.columns("ID\tAPP\tALIAS\tREMOTE\tOPEN\tSILENT", rows)
			return nil
		}),
	}
	ls.Flags().StringVar(&app, "app", "", "only this app")
	ls.Flags().IntVar(&limit, "limit", 1000, "at most so many")
	show := &cobra.Command{
		Use: "show ID", Short: "Show one connection", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			var cn client.Conn
			if err := c.Do(cmd.Context(), http.MethodGet, "conns/"+url.PathEscape(args[0]), nil, nil, &cn); err != nil {
				return err
			}
			if t.json {
				return t.line(cn)
			}
			rows := [][]string{{"id", cn.ID}, {"app", string(cn.App)}, {"endpoint", cn.Endpoint}, {"alias", cn.Alias}, {"remote", cn.Remote},
				{"open", ago(cn.ConnectedAt)}, {"silent", ago(cn.LastActive)}}
			for k, v := range cn.Attrs {
				rows = append(rows, []string{k, v})
			}
			t.columns("KEY\tVALUE", rows)
			return nil
		}),
	}
	var binary bool
	push := &cobra.Command{
		Use: "push ID MESSAGE", Short: "Send a message down one connection", Args: cobra.ExactArgs(2),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q := url.Values{}
			if binary {
				q.Set("binary", "1")
			}
			if err := c.Do(cmd.Context(), http.MethodPost, "conns/"+url.PathEscape(args[0]), q, strings.NewReader(args[1]), nil); err != nil {
				return err
			}
			return t.said(map[string]string{"pushed": args[0]}, "pushed\n")
		}),
	}
	push.Flags().BoolVar(&binary, "binary", false, "as a binary message")
	var code int
	var reason string
	closeCmd := &cobra.Command{
		Use: "close ID", Short: "Close one connection", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q := url.Values{"code": {fmt.Sprint(code)}}
			set(q, "reason", reason)
			if err := c.Do(cmd.Context(), http.MethodDelete, "conns/"+url.PathEscape(args[0]), q, nil, nil); err != nil {
				return err
			}
			return t.said(map[string]string{"closed": args[0]}, "closed\n")
		}),
	}
	closeCmd.Flags().IntVar(&code, "code", 1000, "close code")
	closeCmd.Flags().StringVar(&reason, "reason", "", "close reason")
	cmd.AddCommand(ls, show, push, closeCmd)
	return cmd
}

// ago is how long ago a moment was, to the second.
func ago(at time.Time) string { return time.Since(at).Round(time.Second).String() }
