package gateway

import (
	"context"
	"sync"
	"sync/atomic"
)

// workers run what may be slow: handlers and the journal. A worker lives as long as there is work.
type workers struct {
	base   context.Context // of Run: every Handle's context comes from it
	limit  int
	panics atomic.Uint64
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the rest; never held while a task runs
	queue   []func()   // waits because limit workers run
	running int
}

// do has a worker run task. Tasks begin in the order of do.
func (w *workers) do(task func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running >= w.limit {
		w.queue = append(w.queue, task)
		return
	}
	w.running++
	w.wg.Go(func() { w.work(task) })
}

func (w *workers) work(task func()) {
	for task != nil {
		task()
		task = w.next()
	}
}

func (w *workers) next() func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.running--
		return nil
	}
	task := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	return task
}

// wait returns when no work is left. Nobody may call do meanwhile but workers.
func (w *workers) wait() { w.wg.Wait() }
