package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/config"
)

// check is one line of the doctor: what was looked at, whether it is well, and the cure when not.
type check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Note string `json:"note"`
	Cure string `json:"cure,omitempty"`
	Must bool   `json:"must"` // sluice does not run without it
}

func (t *tool) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check this machine: ports, runtimes, limits, disk", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := t.config(cmd, config.Default())
			if err != nil {
				return err
			}
			bad := false
			for _, c := range examine(cmd.Context(), cfg) {
				bad = bad || c.Must && !c.OK
				if t.json {
					if err := t.line(c); err != nil {
						return err
					}
					continue
				}
				mark := "✔"
				if !c.OK {
					mark = "✖"
				}
				fmt.Fprintf(t.out, "%s %-12s %s\n", mark, c.Name, c.Note)
				if c.Cure != "" {
					fmt.Fprintf(t.out, "  %-12s → %s\n", "", c.Cure)
				}
			}
			if bad {
				return errSilent
			}
			return nil
		},
	}
	serverFlags(cmd.Flags())
	return cmd
}

func examine(ctx context.Context, cfg config.Config) []check {
	var out []check
	for _, a := range append(append([]string(nil), cfg.Listen...), cfg.Admin) {
		c := check{Name: "port", OK: true, Must: true, Note: a + " is free"}
		ln, err := net.Listen("tcp", a)
		if err != nil {
			c.OK, c.Note, c.Cure = false, err.Error(), "stop what uses it, or choose another with --listen or --admin"
			if errors.Is(err, syscall.EADDRINUSE) {
				c.Note = a + " is taken"
			}
		} else {
			ln.Close()
		}
		out = append(out, c)
	}
	for _, r := range []struct{ name, bin, arg, why string }{
		{"node", "node", "--version", "functions of nodejs runtimes"},
		{"go", "go", "version", "functions in Go that are built at deploy"},
		{"python3", "python3", "--version", "functions of python runtimes"},
	} {
		c := check{Name: r.name, OK: true}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		b, err := exec.CommandContext(ctx, r.bin, r.arg).CombinedOutput()
		cancel()
		if c.Note = strings.TrimSpace(string(b)); err != nil {
			c.OK, c.Note, c.Cure = false, "not found", "install it for "+r.why
		}
		out = append(out, c)
	}
	var lim syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim); err == nil {
		c := check{Name: "descriptors", OK: lim.Max >= 10_000, Note: fmt.Sprintf("%d: room for about %d connections", lim.Max, max(0, int(min(lim.Max, 1<<31))-64))}
		if lim.Max < 100_000 {
			c.Cure = "raise it with \"ulimit -Hn\" or LimitNOFILE= for more"
		}
		out = append(out, c)
	}
	return append(out, dataCheck(cfg.Data))
}

func dataCheck(data string) check {
	if data == "" {
		data = "."
	}
	c := check{Name: "data", OK: true, Must: true}
	dir := data
	for {
		if _, err := os.Stat(dir); err == nil || filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".sluice-doctor-*")
	if err != nil {
		c.OK, c.Note, c.Cure = false, err.Error(), "choose a writable folder with --data"
		return c
	}
	f.Close()
	os.Remove(f.Name())
	var st syscall.Statfs_t
	c.Note = data + " is writable"
	if syscall.Statfs(dir, &st) == nil {
		free := st.Bavail * uint64(st.Bsize) >> 20
		c.Note += fmt.Sprintf(", %d MB free", free)
		if free < 512 {
			c.OK, c.Cure = false, "free some disk space"
		}
	}
	return c
}
