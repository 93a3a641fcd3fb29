package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
)

func (t *tool) logsCommand() *cobra.Command {
	var app, request string
	var follow bool
	var since time.Duration
	cmd := &cobra.Command{
		Use: "logs [FUNCTION]", Short: "Print the functions' recent log lines", Args: cobra.MaximumNArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			q := url.Values{}
			if len(args) > 0 {
				q.Set("function", args[0])
			}
			set(q, "app", app)
			set(q, "request", request)
			if since > 0 {
				q.Set("since", time.Now().Add(-since).Format(time.RFC3339Nano))
			}
			if follow {
				q.Set("follow", "1")
			}
			err := c.Stream(cmd.Context(), http.MethodGet, "logs", q, nil, func(b []byte) error {
				if t.json {
					_, err := fmt.Fprintf(t.out, "%s\n", b)
					return err
				}
				var l sluice.LogLine
				if err := json.Unmarshal(b, &l); err != nil {
					return err
				}
				return t.logLine(l)
			})
			if cmd.Context().Err() != nil {
				return nil // Ctrl-C is how following ends
			}
			return err
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "only this app")
	cmd.Flags().StringVar(&request, "request", "", "only this request id")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines until Ctrl-C")
	cmd.Flags().DurationVar(&since, "since", 0, "only lines of the last so long (10m, 1h)")
	return cmd
}

// functionColors tell functions apart on a terminal.
var functionColors = []int{36, 33, 35, 32, 34, 96, 93, 95}

func (t *tool) logLine(l sluice.LogLine) error {
	name := string(l.Function)
	if isTerminal(t.out) {
		sum := 0
		for _, c := range []byte(name) {
			sum += int(c)
		}
		name = fmt.Sprintf("\x1b[%dm%-10s\x1b[0m", functionColors[sum%len(functionColors)], name)
	}
	req := l.Request
	if len(req) > 8 {
		req = req[:8]
	}
	_, err := fmt.Fprintf(t.out, "%s  %-10s %-8s %s\n", l.Time.Local().Format(time.TimeOnly), name, req, l.Text)
	return err
}

func set(q url.Values, k, v string) {
	if v != "" {
		q.Set(k, v)
	}
}

func (t *tool) invokeCommand() *cobra.Command {
	var app, event, data string
	cmd := &cobra.Command{
		Use: "invoke NAME", Short: "Call a function with an event and print its result", Args: cobra.ExactArgs(1),
		RunE: t.remote(func(cmd *cobra.Command, c *client.Client, args []string) error {
			payload, err := []byte(data), error(nil)
			switch {
			case event != "" && data != "":
				return usageError{fmt.Errorf("--event and --data-text exclude each other")}
			case event == "-":
				payload, err = io.ReadAll(t.in)
			case event != "":
				payload, err = os.ReadFile(event)
			}
			if err != nil {
				return fmt.Errorf("read event: %w", err)
			}
			q := url.Values{"function": {args[0]}}
			set(q, "app", app)
			var r client.Invoked
			if err := c.Do(cmd.Context(), http.MethodPost, "invoke", q, bytes.NewReader(payload), &r); err != nil {
				return err
			}
			if t.json {
				if err := t.line(r); err != nil {
					return err
				}
			} else {
				io.WriteString(t.err, r.Log)
				out := []byte(r.Result)
				if r.Base64 {
					if out, err = base64.StdEncoding.DecodeString(r.Result); err != nil {
						return err
					}
				}
				t.out.Write(out)
				if len(out) > 0 && out[len(out)-1] != '\n' && isTerminal(t.out) {
					fmt.Fprintln(t.out)
				}
				if r.Failed {
					fmt.Fprintf(t.err, "sluice: error: function %s failed: %s\n", args[0], strings.TrimPrefix(r.Type+": "+r.Message, ": "))
				}
			}
			if r.Failed {
				return errSilent
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "the app, where the name is not unique")
	cmd.Flags().StringVarP(&event, "event", "e", "", "file with the event, - for standard input")
	cmd.Flags().StringVar(&data, "data-text", "", "the event itself")
	return cmd
}
