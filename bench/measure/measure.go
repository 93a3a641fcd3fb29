// Package measure takes two things' figures alternately in one run and judges their ratios: on a machine
// that others use as well, only those mean something.
//
// An Area is a list of Cases. A round of a Case takes the reference's figure, then ours; the ratio of a Case
// is the median of its rounds' ratios. Where it can be, a figure is counted per second of a process's own
// processor time, from /proc, which other work on the machine disturbs far less than time on the wall.
package measure

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Area is one part of sluice with what it is compared to.
type Area struct {
	Name string
	// Open sets up what its cases share; Close of the answer ends it.
	Open func(ctx context.Context, w *Workshop) (*Bench, error)
}

// Bench is an opened Area.
type Bench struct {
	Cases    []Case
	Curves   []Curve
	Versions map[string]string // of what it is compared to
	Close    func()
}

// Case is one question.
type Case struct {
	Name string
	Unit string
	// Cost says that less is better.
	Cost bool
	// Goal is what the ratio, ours by the reference's, should reach at least, or at most of a Cost. Without
	// a reference it is of our figure itself. 0 is none.
	Goal      float64
	Ours      Side
	Reference Side   // the zero value is none
	Skip      string // why the reference cannot be had here
	Rounds    int    // 0 is what the command line says
}

// Side is one of the two things compared.
type Side struct {
	Name string
	Take func() (float64, error)
}

// Result is a Case's answer.
type Result struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`
	Cost      bool    `json:"cost,omitempty"`
	Goal      float64 `json:"goal,omitempty"`
	Reference string  `json:"reference,omitempty"`
	Theirs    float64 `json:"theirs,omitempty"` // median
	Ours      float64 `json:"ours,omitempty"`   // median
	Ratio     float64 `json:"ratio,omitempty"`  // median of the rounds' ratios; without a reference, our figure by 1
	Low       float64 `json:"low,omitempty"`
	High      float64 `json:"high,omitempty"`
	Rounds    int     `json:"rounds,omitempty"`
	Verdict   string  `json:"verdict"` // reached, missed, noisy, skipped: why; or empty without a goal
}

// noise is how far the rounds' ratios may lie apart, by their median, before more are taken.
const noise = 0.5

// answer takes a Case's rounds, as many again while they contradict each other about the goal.
func (c *Case) answer(rounds int) Result {
	r := Result{Name: c.Name, Unit: c.Unit, Cost: c.Cost, Goal: c.Goal, Reference: c.Reference.Name}
	if c.Skip != "" {
		r.Verdict = "skipped: " + c.Skip
		return r
	}
	if c.Rounds > 0 {
		rounds = c.Rounds
	}
	var ours, theirs, ratios []float64
	for n := 0; n < rounds || n < 2*rounds && c.torn(ratios); n++ {
		base := 1.0
		if c.Reference.Take != nil {
			v, err := c.Reference.Take()
			if err != nil {
				r.Verdict = fmt.Sprintf("skipped: %s: %v", c.Reference.Name, err)
				return r
			}
			base, theirs = v, append(theirs, v)
		}
		v, err := c.Ours.Take()
		if err != nil {
			r.Verdict = fmt.Sprintf("failed: %v", err)
			return r
		}
		ours, ratios = append(ours, v), append(ratios, v/base)
	}
	r.Ours, r.Ratio, r.Low, r.High, r.Rounds = Median(ours), Median(ratios), slices.Min(ratios), slices.Max(ratios), len(ratios)
	if theirs != nil {
		r.Theirs = Median(theirs)
	}
	switch {
	case c.torn(ratios):
		r.Verdict = "noisy"
	case c.Goal == 0:
	case c.reaches(r.Ratio):
		r.Verdict = "reached"
	default:
		r.Verdict = "missed"
	}
	return r
}

func (c *Case) reaches(ratio float64) bool {
	if c.Cost {
		return ratio <= c.Goal
	}
	return ratio >= c.Goal
}

// torn says that ratios lie far apart, and on both sides of the goal if there is one.
func (c *Case) torn(ratios []float64) bool {
	if len(ratios) == 0 {
		return false
	}
	lo, hi := slices.Min(ratios), slices.Max(ratios)
	return (hi-lo)/Median(ratios) > noise && (c.Goal == 0 || c.reaches(lo) != c.reaches(hi))
}

// Median is the middle value, or the mean of the two in the middle.
func Median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// Percentile is the value that so many of a hundred do not exceed; 0 when there are none.
func Percentile(v []float64, p float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	return s[min(len(s)-1, int(float64(len(s))*p/100))]
}

// Settings are what a run is asked for.
type Settings struct {
	Rounds int
	Only   string // only cases and curves whose names hold this
	Growth bool   // curves as well
	Cases  bool
}

// Run opens an area, answers its cases and draws its curves; each line is printed as soon as it is known.
func Run(ctx context.Context, w *Workshop, a Area, s Settings, out io.Writer) (*Chapter, error) {
	b, err := a.Open(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.Name, err)
	}
	if b.Close != nil {
		defer b.Close()
	}
	ch := &Chapter{Area: a.Name, Date: time.Now().UTC().Format("2006-01-02 15:04"), Versions: b.Versions, Load: [2]string{load()}, part: s.Only != ""}
	fmt.Fprintf(out, "\n%s (load %s)\n", a.Name, ch.Load[0])
	for i := range b.Cases {
		c := &b.Cases[i]
		if !s.Cases || !strings.Contains(c.Name, s.Only) || ctx.Err() != nil {
			continue
		}
		r := c.answer(s.Rounds)
		ch.Results = append(ch.Results, r)
		fmt.Fprintln(out, "  "+r.line())
	}
	for i := range b.Curves {
		c := &b.Curves[i]
		if !s.Growth || !strings.Contains(c.Name, s.Only) || ctx.Err() != nil {
			continue
		}
		g, err := c.draw()
		if err != nil {
			fmt.Fprintf(out, "  %s: %v\n", c.Name, err)
			continue
		}
		ch.Growth = append(ch.Growth, *g)
		fmt.Fprintln(out, "  "+g.line())
	}
	ch.Load[1] = load()
	return ch, ctx.Err()
}

// load is the machine's load average of the last minute.
func load() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "?"
	}
	v, _, _ := strings.Cut(string(b), " ")
	return v
}
