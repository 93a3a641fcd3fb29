package overload

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/socket"
)

// refusal is what the cloud's gateway says when a function cannot be called.
const refusal = `{"message": "Internal server error"`

// trials are rounds of finding what a function can do and asking for twice that.
type trials struct {
	p      *place
	action string
	enough int     // calls at a time that keep its instances busy
	rate   float64 // the last peak
	costs  []float64
	all    []trial
}

// trial is what came of one spell.
type trial struct {
	served  float64 // a second
	lost    float64 // messages
	strange float64
	late    float64 // p99 in ms
	beat    float64 // p99 in ms
	memory  float64 // most, in MB
	cost    float64 // of an answer in CPU-ms, all processes together
}

// peak is how many calls a second are answered when there are always enough of them, and never too many.
func (t *trials) peak() (float64, error) {
	var answered atomic.Int64
	var failed error
	var once sync.Once
	var wg sync.WaitGroup
	warm := time.Now().Add(2 * time.Second)
	end := warm.Add(3 * time.Second)
	used := t.p.CPUOfAll()
	var all atomic.Int64
	for _, c := range t.p.crowd[:t.enough] {
		wg.Go(func() {
			for time.Now().Before(end) {
				got, err := ask(c, t.action, "1")
				if err == nil && got != "1" {
					err = fmt.Errorf("answered %s", got)
				}
				if err != nil {
					once.Do(func() { failed = err })
					return
				}
				all.Add(1)
				if now := time.Now(); now.After(warm) && now.Before(end) {
					answered.Add(1)
				}
			}
		})
	}
	wg.Wait()
	t.costs = append(t.costs, (t.p.CPUOfAll()-used).Seconds()*1e3/float64(max(all.Load(), 1)))
	t.rate = float64(answered.Load()) / 3
	return t.rate, failed
}

// side is a figure of trials: what the first one of a round measures, and the others look up.
func (t *trials) side(take func() (float64, error)) measure.Side {
	return measure.Side{Name: "sluice", Take: take}
}

func (t *trials) served() (float64, error) {
	r, err := t.run()
	if err != nil {
		return 0, err
	}
	t.all = append(t.all, r)
	return r.served, nil
}

// peakCost is the processor time of an answer at the peak, boots of instances included.
func (t *trials) peakCost() (float64, error) {
	if _, err := t.median(func(trial) float64 { return 0 }); err != nil {
		return 0, err
	}
	return measure.Median(t.costs), nil
}

func (t *trials) cost() (float64, error) { return t.median(func(r trial) float64 { return r.cost }) }
func (t *trials) late() (float64, error) { return t.median(func(r trial) float64 { return r.late }) }
func (t *trials) lost() (float64, error) { return t.median(func(r trial) float64 { return r.lost }) }
func (t *trials) strange() (float64, error) {
	return t.median(func(r trial) float64 { return r.strange })
}
func (t *trials) beat() (float64, error) { return t.median(func(r trial) float64 { return r.beat }) }
func (t *trials) memory() (float64, error) {
	return t.median(func(r trial) float64 { return r.memory })
}

func (t *trials) median(of func(trial) float64) (float64, error) {
	if len(t.all) == 0 {
		if _, err := t.peak(); err != nil {
			return 0, err
		}
		if _, err := t.served(); err != nil {
			return 0, err
		}
	}
	var v []float64
	for _, r := range t.all {
		v = append(v, of(r))
	}
	return measure.Median(v), nil
}

// run asks for twice the peak, whatever comes back.
func (t *trials) run() (trial, error) {
	total := int(2 * t.rate * spell.Seconds())
	if total == 0 {
		return trial{}, fmt.Errorf("nothing is ever served")
	}
	sent := make([]time.Time, total)
	var mu sync.Mutex // of what follows
	var took []float64
	var inTime, refused, strange int
	var r trial
	half := spell / 4 // from when on answers count, when the queues are full
	used := t.p.CPUOfAll()
	began := time.Now()
	end := began.Add(spell)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, c := range t.p.crowd {
		wg.Go(func() {
			for {
				text, err := c.Hear()
				if err != nil {
					return
				}
				now := time.Now()
				mu.Lock()
				if i, err := strconv.Atoi(text); err == nil && i < total {
					took = append(took, float64(now.Sub(sent[i]).Microseconds())/1e3)
					if now.After(began.Add(half)) && now.Before(end) {
						inTime++
					}
				} else if strings.HasPrefix(text, refusal) {
					refused++
				} else {
					strange++
				}
				mu.Unlock()
			}
		})
	}
	var beats []float64
	for _, c := range t.p.hearts {
		wg.Go(func() {
			every(20*time.Millisecond, stop, func() error {
				at := time.Now()
				if err := c.Ping("x"); err != nil {
					return err
				}
				_, err := c.Pong()
				mu.Lock()
				beats = append(beats, float64(time.Since(at).Microseconds())/1e3)
				mu.Unlock()
				return err
			})
		})
	}
	wg.Go(func() {
		every(100*time.Millisecond, stop, func() error {
			m := t.p.Resident() / 1e6
			mu.Lock()
			r.memory = max(r.memory, m)
			mu.Unlock()
			return nil
		})
	})
	var failed error
	for i := range total {
		due := began.Add(time.Duration(float64(i) / (2 * t.rate) * float64(time.Second)))
		if d := time.Until(due); d > time.Millisecond {
			time.Sleep(d)
		}
		mu.Lock()
		sent[i] = time.Now()
		mu.Unlock()
		if failed = t.p.crowd[i%crowd].Say(message(t.action, strconv.Itoa(i))); failed != nil {
			break
		}
	}
	for wait := time.Now().Add(15 * time.Second); time.Now().Before(wait); time.Sleep(20 * time.Millisecond) {
		mu.Lock()
		all := len(took)+refused+strange >= total
		mu.Unlock()
		if all {
			break
		}
	}
	r.cost = (t.p.CPUOfAll() - used).Seconds() * 1e3 / float64(max(len(took), 1))
	close(stop)
	socket.HangUp(t.p.crowd)
	var err error
	t.p.crowd, err = socket.Dial(t.p.Host(), t.p.Path("/Prod"), crowd)
	wg.Wait()
	if failed == nil {
		failed = err
	}
	r.served = float64(inTime) / (spell - half).Seconds()
	r.lost, r.strange = float64(total-len(took)-refused-strange), float64(strange)
	r.late, r.beat = measure.Percentile(took, 99), measure.Percentile(beats, 99)
	return r, failed
}

// echoes is the p99 of what the peers wait for their echoes in ms, while one other connection does what d
// says.
func (p *place) echoes(d disturbance) (float64, error) {
	stop := make(chan struct{})
	done := make(chan error, 1)
	if d == nil {
		done <- nil
	} else {
		other, err := socket.Dial(p.Host(), p.Path("/Prod"), 1) // a new one: who waits answers no ping, and is lost
		if err != nil {
			socket.HangUp(other)
			return 0, err
		}
		go func() { done <- d(other[0], stop); socket.HangUp(other) }() // waited for below
		time.Sleep(500 * time.Millisecond)
	}
	var mu sync.Mutex
	var took []float64
	var failed error
	var wg sync.WaitGroup
	end := time.Now().Add(3 * time.Second)
	for _, c := range p.peers {
		wg.Go(func() {
			for time.Now().Before(end) {
				at := time.Now()
				got, err := ask(c, "fast", "hello")
				if err == nil && got != "hello" {
					err = fmt.Errorf("an echo is %s", got)
				}
				mu.Lock()
				if err != nil {
					failed = err
				}
				took = append(took, float64(time.Since(at).Microseconds())/1e3)
				mu.Unlock()
				if err != nil {
					return
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := <-done; failed == nil {
		failed = err
	}
	return measure.Percentile(took, 99), failed
}
