// Package overload asks for twice what can be served, and looks whether that is still served, how long what
// is admitted takes, how the rest is refused, and whether one client can delay another.
package overload

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
)

// Area is what happens when there is too much to do.
var Area = measure.Area{Name: "overload", Open: open}

const (
	crowd = 200             // connections that ask for too much
	peers = 8               // connections that only want their echo
	spell = 5 * time.Second // of too much
)

func open(_ context.Context, w *measure.Workshop) (b *measure.Bench, err error) {
	s, err := w.Run("dev", filepath.Join(w.Source, "bench/overload/app"), "--no-reload")
	if err != nil {
		return nil, err
	}
	p := &place{Running: s}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for _, c := range []struct {
		to *[]*socket.Conn
		n  int
	}{{&p.crowd, crowd}, {&p.peers, peers}, {&p.hearts, 4}} {
		if *c.to, err = socket.Dial(s.Host(), s.Path("/Prod"), c.n); err != nil {
			return nil, err
		}
	}
	for _, c := range p.peers {
		if _, err := ask(c, "fast", "hello"); err != nil {
			return nil, err
		}
	}
	waits, computes := &trials{p: p, action: "waits", enough: 4}, &trials{p: p, action: "computes", enough: 32}
	alone := measure.Side{Name: "undisturbed", Take: func() (float64, error) { return p.echoes(nil) }}
	beside := func(d disturbance) measure.Side {
		return measure.Side{Name: "sluice", Take: func() (float64, error) { return p.echoes(d) }}
	}
	b = &measure.Bench{Close: p.close}
	for _, t := range []*trials{waits, computes} {
		called := "a function that " + t.action
		b.Cases = append(b.Cases,
			measure.Case{Name: called + ": answers at 2 × the peak", Unit: "per s", Goal: 0.9, Ours: t.side(t.served), Reference: measure.Side{Name: "peak", Take: t.peak}},
			measure.Case{Name: called + ": an answer at 2 × the peak, all processes", Unit: "CPU-ms", Cost: true, Rounds: 1, Ours: t.side(t.cost), Reference: measure.Side{Name: "at the peak", Take: t.peakCost}},
			measure.Case{Name: called + ": p99 of what is admitted", Unit: "ms", Cost: true, Goal: 2000, Rounds: 1, Ours: t.side(t.late)},
			measure.Case{Name: called + ": neither answered nor refused", Unit: "messages", Cost: true, Goal: 0.5, Rounds: 1, Ours: t.side(t.lost)},
			measure.Case{Name: called + ": refused in other words than the cloud's", Unit: "messages", Cost: true, Goal: 0.5, Rounds: 1, Ours: t.side(t.strange)},
			measure.Case{Name: called + ": p99 of pings meanwhile", Unit: "ms", Cost: true, Goal: 100, Rounds: 1, Ours: t.side(t.beat)},
			measure.Case{Name: called + ": the server's memory meanwhile", Unit: "MB", Cost: true, Goal: 100, Rounds: 1, Ours: t.side(t.memory)})
	}
	b.Cases = append(b.Cases,
		measure.Case{Name: "p99 of others' echoes beside one who does not read", Unit: "ms", Cost: true, Goal: 2, Ours: beside(deaf), Reference: measure.Side{Name: "one who does", Take: func() (float64, error) { return p.echoes(polite) }}},
		measure.Case{Name: "p99 of others' echoes beside a slow function", Unit: "ms", Cost: true, Goal: 2, Ours: beside(slow), Reference: alone},
		measure.Case{Name: "p99 of others' echoes beside messages of 128 KB", Unit: "ms", Cost: true, Goal: 2, Ours: beside(huge), Reference: alone})
	return b, nil
}

// place is a running sluice and who talks to it.
type place struct {
	*measure.Running
	crowd, peers, hearts []*socket.Conn
}

func (p *place) close() {
	for _, conns := range [][]*socket.Conn{p.crowd, p.peers, p.hearts} {
		socket.HangUp(conns)
	}
	p.Kill()
}

func message(action, data string) string {
	return `{"action":"` + action + `","data":"` + data + `"}`
}

// ask sends a message and waits for its answer.
func ask(c *socket.Conn, action, data string) (string, error) {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	defer c.SetDeadline(time.Time{})
	if err := c.Say(message(action, data)); err != nil {
		return "", err
	}
	return c.Hear()
}

// A disturbance keeps a server busy with one connection until stop is closed.
type disturbance func(c *socket.Conn, stop <-chan struct{}) error

// deaf asks for long answers and reads none.
func deaf(c *socket.Conn, stop <-chan struct{}) error {
	return every(5*time.Millisecond, stop, func() error {
		c.SetWriteDeadline(time.Now().Add(5 * time.Millisecond)) // at last nobody reads us, either
		c.Say(message("other", strings.Repeat("x", 16<<10)))
		return nil
	})
}

// polite asks for the same and reads.
func polite(c *socket.Conn, stop <-chan struct{}) error {
	go listen(c) // ends with the connection
	return every(5*time.Millisecond, stop, func() error { return c.Say(message("other", strings.Repeat("x", 16<<10))) })
}

func listen(c *socket.Conn) {
	for {
		if _, err := c.Hear(); err != nil {
			return
		}
	}
}

// slow calls a function that takes two seconds, more often than it can be.
func slow(c *socket.Conn, stop <-chan struct{}) error {
	go listen(c) // ends with the connection
	return every(5*time.Millisecond, stop, func() error { return c.Say(message("slow", "")) })
}

// huge sends the longest messages that the cloud takes, as fast as they are answered.
func huge(c *socket.Conn, stop <-chan struct{}) error {
	text := message("other", strings.Repeat("x", 128<<10-100))
	return every(0, stop, func() error {
		if err := c.SayIn(text, 32<<10-100); err != nil {
			return err
		}
		got, err := c.Hear()
		if err == nil && len(got) < 120<<10 {
			err = fmt.Errorf("a message of 128 KB was answered %.100s", got)
		}
		return err
	})
}

func every(pause time.Duration, stop <-chan struct{}, do func() error) error {
	t := time.NewTicker(max(pause, time.Millisecond))
	defer t.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-t.C:
		}
		if err := do(); err != nil {
			return err
		}
	}
}
