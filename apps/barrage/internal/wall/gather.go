package wall

import (
	"runtime"
	"sync"
)

// gathering answers many requests with few calls. One call is under way at a time: a request that finds none
// makes its own at once; those that come while it lasts share the next one. The goroutine of a batch's first
// request makes the call, so there is nothing to start or to stop.
type gathering[Q, A any] struct {
	largest int                          // batch that the call takes
	alone   func(Q) string               // requests of one name go into different batches; "" goes anywhere
	call    func(batch []*request[Q, A]) // sets every request's answer or err

	mu      sync.Mutex // guards what follows; never held during a call
	busy    bool
	waiting []*request[Q, A] // oldest first
}

// request is one caller's, while it waits.
type request[Q, A any] struct {
	question Q
	answer   A
	err      error
	turn     chan bool // true: the next call is this one's to make, false: it was answered
}

// ask returns the answer to q.
func (g *gathering[Q, A]) ask(q Q) (A, error) {
	r := &request[Q, A]{question: q, turn: make(chan bool, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	first := !g.busy
	g.busy = true
	g.mu.Unlock()
	if first || <-r.turn {
		runtime.Gosched() // those whom the last call let go may ask again first
		batch := g.take()
		g.call(batch)
		for _, other := range batch[1:] {
			other.turn <- false
		}
		g.next()
	}
	return r.answer, r.err
}

// take removes the next batch from those who wait. The oldest is its first.
func (g *gathering[Q, A]) take() (batch []*request[Q, A]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rest []*request[Q, A]
	taken := map[string]bool{}
	for _, r := range g.waiting {
		name := g.alone(r.question)
		if len(batch) == g.largest || name != "" && taken[name] {
			rest = append(rest, r)
			continue
		}
		taken[name] = true
		batch = append(batch, r)
	}
	g.waiting = rest
	return batch
}

// next lets the oldest of those who wait make the next call.
func (g *gathering[Q, A]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.busy = len(g.waiting) > 0; g.busy {
		g.waiting[0].turn <- true
	}
}
