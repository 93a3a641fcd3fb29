package measure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// Chapter is what one area's run has found.
type Chapter struct {
	Area     string            `json:"area"`
	Date     string            `json:"date"` // UTC
	Load     [2]string         `json:"load"` // the machine's, before and after
	Versions map[string]string `json:"versions,omitempty"`
	Results  []Result          `json:"results"`
	Growth   []Growth          `json:"growth,omitempty"`

	part bool // only some cases and curves were asked for
}

// Report is the last run of each area.
type Report struct {
	Machine  string             `json:"machine"`
	Sluice   string             `json:"sluice"`
	Chapters map[string]Chapter `json:"chapters"`
}

// Save puts chapters into results.json and results.md of a folder, in place of the older ones of the same
// areas, and each area's curves into a picture. What was not asked for stays as it was.
func Save(dir, sluice string, chapters []*Chapter) error {
	file := filepath.Join(dir, "results.json")
	r := Report{Chapters: map[string]Chapter{}}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	r.Machine, r.Sluice = Machine(), sluice
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, ch := range chapters {
		old := r.Chapters[ch.Area]
		if ch.part || ch.Results == nil {
			ch.Results = joined(old.Results, ch.Results, func(x Result) string { return x.Name })
		}
		if ch.part || ch.Growth == nil {
			ch.Growth = joined(old.Growth, ch.Growth, func(x Growth) string { return x.Name })
		}
		r.Chapters[ch.Area] = *ch
		if len(ch.Growth) > 0 {
			if err := os.WriteFile(filepath.Join(dir, ch.Area+".svg"), picture(ch.Growth), 0o644); err != nil {
				return err
			}
		}
	}
	if b, err = json.MarshalIndent(r, "", "  "); err != nil {
		return err
	}
	if err := os.WriteFile(file, append(b, '\n'), 0o644); err != nil {
		return err
	}
	var md strings.Builder
	r.markdown(&md)
	return os.WriteFile(filepath.Join(dir, "results.md"), []byte(md.String()), 0o644)
}

// joined is the older list with the newer one's members in place of those of the same name.
func joined[T any](older, newer []T, name func(T) string) []T {
	out := slices.Clone(older)
	for _, n := range newer {
		if i := slices.IndexFunc(out, func(o T) bool { return name(o) == name(n) }); i >= 0 {
			out[i] = n
		} else {
			out = append(out, n)
		}
	}
	return out
}

func (r *Report) markdown(w io.Writer) {
	fmt.Fprintf(w, "# Results\n\nWritten by `make bench`. %s; sluice %s. Server and load share the machine's processors. ", r.Machine, r.Sluice)
	fmt.Fprint(w, "Ratios are ours by the reference's, taken in turns in one run: the median of the rounds, with the lowest and the highest. *noisy*: the rounds contradict each other about the goal.\n")
	for _, name := range slices.Sorted(maps.Keys(r.Chapters)) {
		ch := r.Chapters[name]
		fmt.Fprintf(w, "\n## %s\n\n`make bench-%s`, %s UTC, load %s before and %s after.", name, name, ch.Date, ch.Load[0], ch.Load[1])
		for _, peer := range slices.Sorted(maps.Keys(ch.Versions)) {
			fmt.Fprintf(w, " %s %s.", peer, ch.Versions[peer])
		}
		fmt.Fprintln(w)
		if len(ch.Results) > 0 {
			fmt.Fprint(w, "\n| what | unit | reference | its figure | ours | ratio | spread | goal | |\n|---|---|---|---|---|---|---|---|---|\n")
		}
		for _, x := range ch.Results {
			if x.Rounds == 0 {
				fmt.Fprintf(w, "| %s | %s | %s | | | | | %s | %s |\n", x.Name, x.Unit, x.Reference, x.goal(), x.Verdict)
				continue
			}
			ratio, spread := figure(x.Ratio), figure(x.Low)+"–"+figure(x.High)
			if x.Reference == "" {
				ratio = ""
			}
			fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", x.Name, x.Unit, x.Reference, x.theirs(), figure(x.Ours), ratio, spread, x.goal(), x.Verdict)
		}
		if len(ch.Growth) > 0 {
			fmt.Fprintf(w, "\nHow it grows (cost ∝ nᵏ):\n\n| what | from | to | k |\n|---|---|---|---|\n")
			for _, g := range ch.Growth {
				a, z := g.Points[0], g.Points[len(g.Points)-1]
				fmt.Fprintf(w, "| %s, %s | %s at %s | %s at %s | %.2f |\n", g.Name, g.Unit, figure(a.Y), figure(a.X), figure(z.Y), figure(z.X), g.Exponent)
			}
			fmt.Fprintf(w, "\n![growth](%s.svg)\n", name)
		}
	}
}

func (r *Result) goal() string {
	switch {
	case r.Goal == 0:
		return ""
	case r.Cost:
		return "≤ " + figure(r.Goal)
	}
	return "≥ " + figure(r.Goal)
}

func (r *Result) line() string {
	if r.Rounds == 0 {
		return fmt.Sprintf("%-44s %s", r.Name, r.Verdict)
	}
	if r.Reference == "" {
		return fmt.Sprintf("%-44s %10s %-22s  %s–%s  %s  %s", r.Name, figure(r.Ours), r.Unit, figure(r.Low), figure(r.High), r.goal(), r.Verdict)
	}
	return fmt.Sprintf("%-44s %10s %-22s  %s: %s  ratio %s (%s–%s)  %s  %s", r.Name, figure(r.Ours), r.Unit, r.Reference, figure(r.Theirs),
		figure(r.Ratio), figure(r.Low), figure(r.High), r.goal(), r.Verdict)
}

// theirs is the reference's figure, if there is a reference.
func (r *Result) theirs() string {
	if r.Reference == "" {
		return ""
	}
	return figure(r.Theirs)
}

// figure is a number as people write it: three digits that matter, or all of a large one.
func figure(v float64) string {
	switch {
	case v == 0:
		return "0"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// Machine says what this is run on.
func Machine() string {
	cpu := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(v)
				break
			}
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	memory := 0.0
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		fmt.Sscanf(string(b), "MemTotal: %f", &memory)
	}
	return fmt.Sprintf("%d × %s, %.0f GB, %s %s, %s", runtime.NumCPU(), cpu, memory/1e6, runtime.GOOS, strings.TrimSpace(string(kernel)), runtime.Version())
}

// Version is what a program says of itself, its first line.
func Version(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return "?"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}

// Module is the version of a Go module in this program.
func Module(path string) string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "?"
}
