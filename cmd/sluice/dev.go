package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/server"
)

func (t *tool) devCommand() *cobra.Command {
	var tf templateFlags
	var qrPath string
	var noReload bool
	cmd := &cobra.Command{
		Use: "dev [DIR]", Short: "Run the app of a folder here; reload it on save", Long: "Run the app of a folder here; reload it on save" + moreSettings, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := folder(args)
			if err != nil {
				return err
			}
			base := config.Default()
			base.Data, base.IdleTTL, base.LogLevel, base.Drain = filepath.Join(dir, ".sluice"), 15*time.Minute, "warn", time.Second
			cfg, err := t.config(cmd, base)
			if err != nil {
				return err
			}
			params, err := tf.values()
			if err != nil {
				return err
			}
			s, err := server.Open(cmd.Context(), server.Options{Config: cfg, Version: version, Log: t.logger(cfg.LogLevel), LogLine: t.devLog()})
			if err != nil {
				return err
			}
			in := deploy.Input{Dir: dir, File: tf.file, Name: sluice.AppName(tf.name), Params: params, Env: t.env, Skip: tf.skip, NoOverlay: tf.noOverlay, RunBuild: tf.runBuild,
				Environment: tf.environment, SkipActions: tf.skipActions, IgnoreHookErrors: tf.ignoreHook,
				SkipUnsupported: tf.skipUnsupported, NoBuild: tf.noBuild}
			return s.Run(cmd.Context(), func(ctx context.Context) error {
				app, err := t.devDeploy(ctx, s, in, cfg.Data)
				if err != nil {
					return err
				}
				ready := s.Ready()
				ready.App = app
				if t.json {
					if err := t.line(ready); err != nil {
						return err
					}
				} else {
					t.welcome(ready, qrPath)
				}
				if noReload {
					<-ctx.Done()
					return nil
				}
				return s.Watch(ctx, dir, func(changed []string) {
					if !t.json {
						fmt.Fprintf(t.out, "%s  reload     %s\n", time.Now().Format(time.TimeOnly), strings.Join(changed, " "))
					}
					app, err := t.devDeploy(ctx, s, in, cfg.Data)
					switch {
					case err != nil && ctx.Err() == nil && !errors.Is(err, errSilent):
						printError(t.err, err) // the running revision stays
					case err == nil && t.json:
						t.line(client.Line{Event: "done", App: app})
					}
				})
			})
		},
	}
	tf.add(cmd)
	serverFlags(cmd.Flags())
	cmd.Flags().StringVar(&qrPath, "qr", "/", "path of the address in the QR code, empty for none")
	cmd.Flags().BoolVar(&noReload, "no-reload", false, "do not watch the folder for changes")
	return cmd
}

// devDeploy deploys the folder and shows how it goes.
func (t *tool) devDeploy(ctx context.Context, s *server.Server, in deploy.Input, data string) (*client.App, error) {
	start := time.Now()
	p := newProgress(t, false)
	head := false
	app, err := s.Deploy(ctx, in, func(l client.Line) {
		if !t.json && !head {
			head = true
			if rel, err := filepath.Rel(mustGetwd(), data); err == nil && !strings.HasPrefix(rel, "..") {
				data = "./" + rel
			}
			fmt.Fprintf(t.out, "sluice %s · %s · data %s\n\n", version, in.Dir, data)
		}
		if !t.json { // with --json the ready line comes first
			p.show(l)
		}
	})
	if err != nil {
		return nil, err
	}
	if t.json {
		return app, nil
	}
	fmt.Fprintf(t.out, "\n  %s revision %s in %s\n", app.Name, app.Revision, time.Since(start).Round(time.Millisecond))
	return app, nil
}

func mustGetwd() string {
	wd, err := os.Getwd()
	if err != nil {
		return "/"
	}
	return wd
}

// welcome prints where everything is, and a QR code for phones on the same network.
func (t *tool) welcome(r client.Ready, path string) {
	fmt.Fprintln(t.out)
	for _, a := range addresses(r.App) {
		fmt.Fprintf(t.out, "  %-11s %s\n", a[0], a[1])
	}
	fmt.Fprintf(t.out, "  %-11s %s\n", "console", r.Console)
	if path != "" && len(r.Public) > 0 {
		link := r.Public[len(r.Public)-1] + path
		fmt.Fprintf(t.out, "\n%s\n  %s\n", qrText(link), link)
		if u, err := url.Parse(link); err == nil && u.Hostname() == "localhost" {
			fmt.Fprintln(t.out, "  Only this machine reaches it; with --listen 0.0.0.0:8080 phones on your network do, too.")
		}
	}
	fmt.Fprintln(t.out, "\n  Ctrl-C stops everything; the data stays.")
	fmt.Fprintln(t.out)
}

// qrText draws a QR code in half blocks, dark on light as scanners like it best.
func qrText(text string) string {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return ""
	}
	black := func(x, y int) bool { return x >= 0 && y >= 0 && x < code.Size && y < code.Size && code.Black(x, y) }
	var b strings.Builder
	for y := -2; y < code.Size+2; y += 2 {
		b.WriteString("  \x1b[30;47m")
		for x := -2; x < code.Size+2; x++ {
			switch up, down := black(x, y), black(x, y+1); {
			case up && down:
				b.WriteString("█")
			case up:
				b.WriteString("▀")
			case down:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String()
}

// devLog prints the functions' own lines as they come.
func (t *tool) devLog() func(sluice.LogLine) {
	if t.json {
		return nil
	}
	return func(l sluice.LogLine) {
		if l.Level != sluice.LevelPlatform || t.verbose {
			t.logLine(l)
		}
	}
}

func (t *tool) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "serve", Short: "Run a server; deploy apps to it with sluice deploy", Long: "Run a server; deploy apps to it with sluice deploy" + moreSettings, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			base := config.Default()
			base.Data = "sluice-data"
			cfg, err := t.config(cmd, base)
			if err != nil {
				return err
			}
			s, err := server.Open(cmd.Context(), server.Options{Config: cfg, Version: version, Log: t.logger(cfg.LogLevel)})
			if err != nil {
				return err
			}
			return s.Run(cmd.Context(), func(ctx context.Context) error {
				r := s.Ready()
				if t.json {
					if err := t.line(r); err != nil {
						return err
					}
				} else {
					fmt.Fprintf(t.out, "sluice %s · data %s\n\n  %-9s %s\n  %-9s %s\n  %-9s %s\n\n", version, r.Data, "Public", strings.Join(r.Public, " "), "Admin", r.Admin, "Console", r.Console)
				}
				<-ctx.Done()
				return nil
			})
		},
	}
	serverFlags(cmd.Flags())
	return cmd
}
