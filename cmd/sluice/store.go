package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/client"
)

func (t *tool) tableCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "table", Short: "Look at tables and change rows"}
	ls := &cobra.Command{
		Use: "ls", Short: "List tables", Args: cobra.NoArgs,
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			var tables []client.Table
			if err := c.Do(cmd.Context(), http.MethodGet, "tables", nil, nil, &tables); err != nil {
				return err
			}
			var rows [][]string
			for _, tb := range tables {
				if t.json {
					if err := t.line(tb); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{tb.Scope + "/" + tb.Name, strings.Join(tb.Key, ", ")})
			}
			t.columns("TABLE\tKEY", rows)
			return nil
		}),
	}
	show := &cobra.Command{
		Use: "show SCOPE/TABLE", Short: "Show a table's keys, indexes and settings", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			path, err := tablePath(args[0])
			if err != nil {
				return err
			}
			var spec json.RawMessage
			if err := c.Do(cmd.Context(), http.MethodGet, path, nil, nil, &spec); err != nil {
				return err
			}
			if t.json {
				return t.line(spec)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, spec, "", "  "); err != nil {
				return err
			}
			fmt.Fprintln(t.out, b.String())
			return nil
		}),
	}
	var limit int
	var prefix string
	var reverse bool
	query := &cobra.Command{
		Use: "query SCOPE/TABLE", Short: "Print rows in the order of their keys", Args: cobra.ExactArgs(1),
		Example: `  sluice table query barrage/barrage --prefix '[1]' --reverse --limit 10`,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"limit": {fmt.Sprint(limit)}}
			set(q, "prefix", prefix)
			if reverse {
				q.Set("reverse", "1")
			}
			return t.rows(cmd, args[0], q, t.json)
		},
	}
	query.Flags().IntVar(&limit, "limit", 50, "at most so many rows")
	query.Flags().StringVar(&prefix, "prefix", "", "only rows whose key begins with these values, a JSON array")
	query.Flags().BoolVar(&reverse, "reverse", false, "from the last key to the first")
	export := &cobra.Command{
		Use: "export SCOPE/TABLE", Short: "Print all rows, one JSON object a line", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.rows(cmd, args[0], nil, true) },
	}
	put := &cobra.Command{
		Use: "put SCOPE/TABLE JSON", Short: `Write rows: {"key":[…],"columns":{…}}, - reads lines from standard input`, Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var body io.Reader = strings.NewReader(args[1])
			if args[1] == "-" {
				body = t.in
			}
			return t.putRows(cmd, args[0], body)
		},
	}
	imp := &cobra.Command{
		Use: "import SCOPE/TABLE FILE", Short: "Write the rows of a file made by export", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[1])
			if err != nil {
				return err
			}
			defer f.Close()
			return t.putRows(cmd, args[0], f)
		},
	}
	cmd.AddCommand(ls, show, query, export, put, imp)
	return cmd
}

// rows prints the rows that a query chooses.
func (t *tool) rows(cmd *cobra.Command, table string, q url.Values, raw bool) error {
	c, err := t.client(cmd)
	if err != nil {
		return err
	}
	path, err := tablePath(table)
	if err != nil {
		return err
	}
	return c.Stream(cmd.Context(), http.MethodGet, path+"/rows", q, nil, func(b []byte) error {
		if raw {
			_, err := fmt.Fprintf(t.out, "%s\n", b)
			return err
		}
		var r client.Row
		if err := json.Unmarshal(b, &r); err != nil {
			return err
		}
		_, err := fmt.Fprintln(t.out, rowText(r))
		return err
	})
}

func (t *tool) putRows(cmd *cobra.Command, table string, body io.Reader) error {
	c, err := t.client(cmd)
	if err != nil {
		return err
	}
	path, err := tablePath(table)
	if err != nil {
		return err
	}
	var n struct {
		Rows int `json:"rows"`
	}
	if err := c.Do(cmd.Context(), http.MethodPost, path+"/rows", nil, body, &n); err != nil {
		return err
	}
	return t.said(n, "%d rows written\n", n.Rows)
}

func tablePath(name string) (string, error) {
	scope, table, ok := strings.Cut(name, "/")
	if !ok || scope == "" || table == "" {
		return "", usageError{fmt.Errorf("table %q: want SCOPE/TABLE, as \"sluice table ls\" prints it", name)}
	}
	return "tables/" + url.PathEscape(scope) + "/" + url.PathEscape(table), nil
}

func rowText(r client.Row) string {
	var b strings.Builder
	for i, k := range r.Key {
		if i > 0 {
			b.WriteString(" / ")
		}
		fmt.Fprintf(&b, "%v", k)
	}
	names := make([]string, 0, len(r.Columns))
	for n := range r.Columns {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		v, _ := json.Marshal(r.Columns[n])
		fmt.Fprintf(&b, "  %s=%s", n, v)
	}
	return b.String()
}

func (t *tool) objectCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "object", Short: "Look at buckets, copy objects in and out"}
	ls := &cobra.Command{
		Use: "ls [BUCKET[/PREFIX]]", Short: "List buckets, or the objects of one", Args: cobra.MaximumNArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q := url.Values{}
			if len(args) > 0 {
				bucket, prefix, _ := strings.Cut(args[0], "/")
				q.Set("bucket", bucket)
				set(q, "prefix", prefix)
			}
			var rows [][]string
			err := c.Stream(cmd.Context(), http.MethodGet, "objects", q, nil, func(b []byte) error {
				if t.json {
					_, err := fmt.Fprintf(t.out, "%s\n", b)
					return err
				}
				var o client.Object
				if err := json.Unmarshal(b, &o); err != nil {
					return err
				}
				if o.Key == "" {
					rows = append(rows, []string{o.Bucket, "", o.Modified.Local().Format(time.DateTime)})
				} else {
					rows = append(rows, []string{o.Bucket + "/" + o.Key, fmt.Sprint(o.Size), o.Modified.Local().Format(time.DateTime)})
				}
				return nil
			})
			t.columns("NAME\tBYTES\tMODIFIED", rows)
			return err
		}),
	}
	cp := &cobra.Command{
		Use: "cp FROM TO", Short: "Copy a file to BUCKET/KEY or back; the stored side begins with object:", Args: cobra.ExactArgs(2),
		Example: "  sluice object cp picture.png object:site/img/picture.png\n  sluice object cp object:site/img/picture.png -",
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			from, in := strings.CutPrefix(args[0], "object:")
			to, out := strings.CutPrefix(args[1], "object:")
			switch {
			case in == out:
				return usageError{fmt.Errorf("exactly one side must begin with object:")}
			case in:
				w := t.out
				if to != "-" {
					f, err := os.Create(to)
					if err != nil {
						return err
					}
					defer f.Close()
					w = f
				}
				return c.Do(cmd.Context(), http.MethodGet, "object", url.Values{"name": {from}}, nil, w)
			}
			r := t.in
			if from != "-" {
				f, err := os.Open(from)
				if err != nil {
					return err
				}
				defer f.Close()
				r = f
			}
			return c.Do(cmd.Context(), http.MethodPut, "object", url.Values{"name": {to}}, r, nil)
		}),
	}
	sync := &cobra.Command{
		Use: "sync DIR BUCKET[/PREFIX]", Short: "Make the objects under a prefix equal to a folder's files", Args: cobra.ExactArgs(2),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			dir, err := folder(args[:1])
			if err != nil {
				return err
			}
			pr, pw := io.Pipe()
			go func() { pw.CloseWithError(pack(pw, dir, "")) }() // ends when the request has read it or closes pr
			defer pr.Close()
			var n struct {
				Put     int `json:"put"`
				Deleted int `json:"deleted"`
			}
			if err := c.Do(cmd.Context(), http.MethodPost, "objects/sync", url.Values{"to": {args[1]}}, pr, &n); err != nil {
				return err
			}
			return t.said(n, "%d written, %d deleted\n", n.Put, n.Deleted)
		}),
	}
	cmd.AddCommand(ls, cp, sync)
	return cmd
}
