package endtoend

import (
	"fmt"
	"sync"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
)

// listens is how long a server is given after it has let clients in: before their $connect has ended,
// serverless-offline answers nothing that they say.
const listens = 3 * time.Second

// clients is how many ask for their answers at a time.
const clients = 16

// place is somewhere the chat runs.
type place struct {
	name, addr, path string
	crowd            []*socket.Conn
	few              []*talker // who talk to themselves
	cost             func() time.Duration
	memory           func() float64
	stop             func()
	late             bool // lets clients in before they are heard
	greets           bool // has everybody in only when it has heard from them
}

func (p *place) close() {
	socket.HangUp(p.crowd)
	dismiss(p.few)
	p.stop()
}

func (p *place) side(take func() (float64, error)) measure.Side {
	return measure.Side{Name: p.name, Take: take}
}

func (p *place) wait() {
	if p.late {
		time.Sleep(listens)
	}
}

// gather lets the crowd grow to n, and says how long that took.
func (p *place) gather(n int) (took time.Duration, err error) {
	if n == len(p.crowd) {
		return 0, nil
	}
	t := time.Now()
	more, err := socket.Dial(p.addr, p.path, n-len(p.crowd))
	took = time.Since(t)
	p.crowd = append(p.crowd, more...)
	if err != nil {
		return 0, err
	}
	p.wait()
	for _, c := range more {
		if p.greets {
			if err := greet(c); err != nil {
				return 0, err
			}
		}
	}
	return took, nil
}

// greet has the program answer: then c is on its list of those who hear.
func greet(c *socket.Conn) error {
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := c.Say(`{"action":"echo","data":"hello"}`); err != nil {
		return err
	}
	heard, err := c.Hear()
	if err == nil && heard != "echo hello" {
		err = fmt.Errorf("answered %s", heard)
	}
	return err
}

// wordTo is the median time in ms from a word's saying to its last hearing.
func (p *place) wordTo(n int) (float64, error) {
	if _, err := p.gather(n); err != nil {
		return 0, err
	}
	var took []float64
	for i := range 4 {
		word := fmt.Sprintf("word %d of %d", i, time.Now().UnixNano())
		var wg sync.WaitGroup
		errs := make(chan error, n)
		t := time.Now()
		for _, c := range p.crowd {
			wg.Go(func() {
				c.SetReadDeadline(time.Now().Add(10 * time.Second))
				for {
					if heard, err := c.Hear(); err != nil {
						errs <- err
						return
					} else if heard == word {
						return
					}
				}
			})
		}
		if err := p.crowd[0].Say(`{"action":"sendmessage","data":"` + word + `"}`); err != nil {
			return 0, err
		}
		wg.Wait()
		if len(errs) > 0 {
			return 0, fmt.Errorf("%s: not everybody heard: %w", p.name, <-errs)
		}
		if i > 0 { // the first one wakes the function
			took = append(took, time.Since(t).Seconds()*1e3)
		}
	}
	return measure.Median(took), nil
}

func (p *place) word() measure.Side {
	return p.side(func() (float64, error) { return p.wordTo(people) })
}

// wordCost is the processor time of a word, of all processes that have to do with it.
func (p *place) wordCost() measure.Side {
	return p.side(func() (float64, error) {
		before := p.cost()
		_, err := p.wordTo(people)
		return (p.cost() - before).Seconds() * 1e3 / 4, err
	})
}

// median is the median time in ms of one client's trips.
func (p *place) median(a action) measure.Side {
	return p.side(func() (float64, error) {
		if err := p.hire(a); err != nil {
			return 0, err
		}
		_, took, err := talk(p.few[:1], a, 1500*time.Millisecond)
		return measure.Median(took), err
	})
}

// rate is how many trips 16 clients make in a second.
func (p *place) rate(a action) measure.Side {
	return p.side(func() (float64, error) {
		if err := p.hire(a); err != nil {
			return 0, err
		}
		rate, _, err := talk(p.few, a, 2*time.Second)
		return rate, err
	})
}

// hire brings in those who talk to themselves, and wakes a function. Who waits answers no ping: they are lost
// when they wait for a minute.
func (p *place) hire(a action) error {
	if p.few == nil {
		few, err := hireTalkers(p.addr, p.path, clients)
		if err != nil {
			return err
		}
		p.wait()
		p.few = few
	}
	_, _, err := talk(p.few[:1], a, 0)
	return err
}
