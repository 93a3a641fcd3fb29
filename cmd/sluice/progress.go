package main

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/client"
)

// progress shows the lines of a deploy: a list with marks and times for people, the lines themselves
// with --json.
type progress struct {
	t    *tool
	plan bool
}

func newProgress(t *tool, plan bool) *progress { return &progress{t: t, plan: plan} }

func (p *progress) show(l client.Line) {
	if p.t.json {
		p.t.line(l)
		return
	}
	w := p.t.out
	switch {
	case l.Event == "error":
		fmt.Fprintf(p.t.err, "sluice: error: %s\n", l.Text)
		if l.Hint != "" {
			fmt.Fprintf(p.t.err, "sluice: hint: %s\n", l.Hint)
		}
	case l.Event == "note":
		if p.t.verbose {
			fmt.Fprintf(w, "  · %s\n", l.Text)
		}
	case l.Event == "warning":
		fmt.Fprintf(w, "  ! %s\n", l.Text)
	case l.Event == "done" && p.plan:
	case l.Event == "done" && l.App != nil:
		fmt.Fprintln(w)
		for _, a := range addresses(l.App) {
			fmt.Fprintf(w, "  %-11s %s\n", a[0], a[1])
		}
	case p.plan:
		fmt.Fprintf(w, "  %s %-8s %-9s %s\n", planMarks[l.Status], l.Status, l.Kind, l.Name)
	case (l.Step == "copy" || l.Step == "check" || l.Step == "mount") && l.Status != "fail" && !p.t.verbose:
	case l.Status == "log" && l.Step == "upload" && !p.t.verbose:
	case l.Status == "log":
		fmt.Fprintf(w, "    %s\n", l.Text)
	case l.Status == "done":
		fmt.Fprintf(w, "  ✔ %-7s %-9s %-36s %s\n", l.Step, l.Kind, l.Name, took(l.TookMS))
	case l.Status == "skip":
		fmt.Fprintf(w, "  · %-7s %-9s %-36s %s\n", l.Step, l.Kind, l.Name, l.Text)
	case l.Status == "fail":
		fmt.Fprintf(w, "  ✖ %-7s %-9s %-36s %s\n", l.Step, l.Kind, l.Name, l.Text)
	}
}

var planMarks = map[string]string{"create": "+", "change": "~", "replace": "±", "remove": "-", "same": "="}

func took(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }

// addresses lists where an app answers, in the order in which people look.
func addresses(a *client.App) [][2]string {
	var out [][2]string
	for _, o := range a.Outputs {
		out = append(out, [2]string{o.Name, o.Value})
	}
	if len(out) == 0 {
		for _, u := range a.HTTP {
			out = append(out, [2]string{"web", u})
		}
	}
	for _, u := range a.WebSocket {
		out = append(out, [2]string{"websocket", u})
	}
	return out
}
