// Command bench runs sluice and its reference side by side, alternately, in one run, and prints ratios:
// on a shared machine only those mean something. CPU is the server process's own, from /proc.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

func main() {
	serve := flag.String("serve", "", "internal: be a server (sluice or bare)")
	rounds := flag.Int("rounds", 3, "how often each measurement is taken")
	conns := flag.Int("conns", 1000, "connections of echo and broadcast")
	idle := flag.Int("idle", 9000, "idle connections for memory")
	only := flag.String("only", "", "only measurements whose name holds this")
	flag.Parse()
	switch *serve {
	case "sluice":
		fail(serveSluice())
	case "bare":
		fail(serveBare())
	case "":
		fail(compare(*rounds, *conns, *idle, *only))
	default:
		fail(fmt.Errorf("unknown server %q", *serve))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// measurement is one figure of one server; higher is better unless it is a cost.
type measurement struct {
	name string
	unit string
	cost bool
	take func(s *child) (float64, error)
}

func compare(rounds, conns, idle int, only string) error {
	all := []measurement{
		{"idle connection", "B of user space", true, func(s *child) (float64, error) { return idleCost(s, idle) }},
		{"echo, 64 active", "round trips per CPU-s", false, func(s *child) (float64, error) { return echo(s, conns, 64) }},
		{"broadcast, 1 in flight", "deliveries per CPU-s", false, func(s *child) (float64, error) { return broadcast(s, conns, 1) }},
		{"broadcast, 16 in flight", "deliveries per CPU-s", false, func(s *child) (float64, error) { return broadcast(s, conns, 16) }},
		{"handshakes", "per CPU-s", false, func(s *child) (float64, error) { return handshakes(s, idle) }},
	}
	fmt.Printf("%s %s/%s, %d cores; server and load share them. bare = an epoll loop in Go that does nothing else.\n\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "what\tunit\tbare\tsluice\tratio\tspread")
	for _, m := range all {
		if !strings.Contains(m.name, only) {
			continue
		}
		var ours, bares, ratios []float64
		for range rounds {
			b, err := once("bare", m)
			if err != nil {
				return err
			}
			o, err := once("sluice", m)
			if err != nil {
				return err
			}
			ours, bares, ratios = append(ours, o), append(bares, b), append(ratios, o/b)
		}
		noisy := ""
		if lo, hi := slices.Min(bares), slices.Max(bares); !m.cost && hi > lo*1.25 {
			noisy = "  (the reference itself moved by " + fmt.Sprintf("%.0f %%", (hi/lo-1)*100) + ": too noisy to tell)"
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f\t%.0f\t%.2f\t%.2f–%.2f%s\n", m.name, m.unit, median(bares), median(ours), median(ratios), slices.Min(ratios), slices.Max(ratios), noisy)
		w.Flush()
	}
	return nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// child is a server process under load.
type child struct {
	cmd  *exec.Cmd
	addr string
}

// once starts a server, measures, and ends it.
func once(kind string, m measurement) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	c := &child{cmd: exec.Command(self, "-serve", kind)}
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := c.cmd.Start(); err != nil {
		return 0, err
	}
	defer func() { c.cmd.Process.Kill(); c.cmd.Wait() }()
	if _, err := fmt.Fscanln(out, &c.addr); err != nil {
		return 0, fmt.Errorf("%s did not start: %w", kind, err)
	}
	v, err := m.take(c)
	if err != nil {
		return 0, fmt.Errorf("%s, %s: %w", m.name, kind, err)
	}
	return v, nil
}

// cpu is how much processor time the server has used.
func (c *child) cpu() time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, sys int64
	fmt.Sscan(f[11], &user)
	fmt.Sscan(f[12], &sys)
	return time.Duration(user+sys) * (time.Second / 100) // USER_HZ
}

// memory is the server's own resident memory in bytes.
func (c *child) memory() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			var kb float64
			fmt.Sscan(rest, &kb)
			return kb * 1024
		}
	}
	return 0
}
