package endtoend

import (
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// starts is a server that is started anew for each round, and what its first clients met each time.
type starts struct {
	name  string
	start func() (*place, error)
	all   []beginning
}

// beginning is what came of one start, before which nobody had ever called the function.
type beginning struct {
	message       float64 // the first one's answer, in ms
	first, second round
	memory        float64 // in MB
}

// round is two seconds of 16 clients' echoes. In its first one serverless-offline makes a worker for each.
type round struct {
	rate float64 // a second
	late float64 // p99 in ms
}

func firstRate(b *beginning) float64    { return b.first.rate }
func firstLate(b *beginning) float64    { return b.first.late }
func secondRate(b *beginning) float64   { return b.second.rate }
func secondLate(b *beginning) float64   { return b.second.late }
func firstMessage(b *beginning) float64 { return b.message }
func memory(b *beginning) float64       { return b.memory }

// side is a figure of each start; who asks for more than there have been has one made.
func (s *starts) side(of func(*beginning) float64) measure.Side {
	seen := 0
	return measure.Side{Name: s.name, Take: func() (float64, error) {
		if seen == len(s.all) {
			b, err := s.begin()
			if err != nil {
				return 0, err
			}
			s.all = append(s.all, b)
		}
		seen++
		return of(&s.all[seen-1]), nil
	}}
}

func (s *starts) begin() (b beginning, err error) {
	p, err := s.start()
	if err != nil {
		return b, err
	}
	defer p.close()
	if p.few, err = hireTalkers(p.addr, p.path, clients); err != nil {
		return b, err
	}
	time.Sleep(listens)
	_, first, err := talk(p.few[:1], echo, 0)
	if err != nil {
		return b, err
	}
	b.message = first[0]
	for _, r := range []*round{&b.first, &b.second} {
		rate, took, err := talk(p.few, echo, 2*time.Second)
		if err != nil {
			return b, err
		}
		*r = round{rate, measure.Percentile(took, 99)}
	}
	b.memory = p.memory() / 1e6
	return b, nil
}

// joins is how long it takes in ms for everybody to come in where nobody has been yet.
func (s *starts) joins() measure.Side {
	return measure.Side{Name: s.name, Take: func() (float64, error) {
		p, err := s.start()
		if err != nil {
			return 0, err
		}
		defer p.close()
		time.Sleep(listens) // as before the first message: what it starts with is done
		took, err := p.gather(people)
		return took.Seconds() * 1e3, err
	}}
}
