package wall

import "sync"

const (
	calls   = 4   // batches that one gathering has under way
	largest = 100 // of a batch: what Tablestore takes in one BatchGetRow; BatchWriteRow takes 200
)

// gathering answers many requests with few calls. As long as fewer than [calls] are under way each request
// is a call of its own, as if there was no gathering; those that come while all are busy share the next one.
// The goroutine of a batch's first request makes the call, so there is nothing to start or to stop.
type gathering[Q, A any] struct {
	alone func(Q) string               // requests of one name go into different batches; "" goes anywhere
	call  func(batch []*request[Q, A]) // sets every request's answer or err

	mu      sync.Mutex // guards what follows; never held during a call
	busy    int
	waiting []*request[Q, A] // oldest first
}

// request is one caller's, while it waits.
type request[Q, A any] struct {
	question Q
	answer   A
	err      error

	lead chan []*request[Q, A] // the batch whose call is this one's to make
	done chan struct{}
}

// ask returns the answer to q.
func (g *gathering[Q, A]) ask(q Q) (A, error) {
	r := &request[Q, A]{question: q, lead: make(chan []*request[Q, A], 1), done: make(chan struct{})}
	g.mu.Lock()
	if g.busy < calls {
		g.busy++
		r.lead <- []*request[Q, A]{r}
	} else {
		g.waiting = append(g.waiting, r)
	}
	g.mu.Unlock()
	select {
	case batch := <-r.lead:
		g.call(batch)
		for _, other := range batch {
			close(other.done)
		}
		g.next()
	case <-r.done:
	}
	return r.answer, r.err
}

// next hands the place of a call that has ended to the oldest of those who wait.
func (g *gathering[Q, A]) next() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.busy--
		return
	}
	var batch, rest []*request[Q, A]
	taken := map[string]bool{}
	for _, r := range g.waiting {
		name := g.alone(r.question)
		if len(batch) == largest || name != "" && taken[name] {
			rest = append(rest, r)
			continue
		}
		taken[name] = true
		batch = append(batch, r)
	}
	g.waiting = rest
	batch[0].lead <- batch
}
