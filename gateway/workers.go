package gateway

import (
	"context"
	"sync"
	"sync/atomic"
)

// spare is how many workers stay when there is no work: a new one's stack has to grow before it is of use.
const spare = 32

// workers run what may be slow: handlers and the journal.
type workers struct {
	base   context.Context // of Run: every Handle's context comes from it
	limit  int
	panics atomic.Uint64
	wg     sync.WaitGroup

	mu      sync.Mutex // guards the rest; never held while a task runs
	queue   []func()   // waits because limit workers run
	running int
	idle    []chan func() // of workers that wait for a task
	ending  bool          // wait was called: none stays
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
	if n := len(w.idle); n > 0 {
		w.idle[n-1] <- task
		w.idle = w.idle[:n-1]
		return
	}
	w.wg.Go(func() { w.work(task) })
}

func (w *workers) work(task func()) {
	tasks := make(chan func(), 1)
	for task != nil {
		task()
		task = w.next(tasks)
	}
}

// next is a worker's next task, for which it may wait in tasks; nil ends the worker.
func (w *workers) next(tasks chan func()) func() {
	w.mu.Lock()
	if len(w.queue) > 0 {
		task := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		w.mu.Unlock()
		return task
	}
	w.running--
	if w.ending || len(w.idle) == spare {
		w.mu.Unlock()
		return nil
	}
	w.idle = append(w.idle, tasks)
	w.mu.Unlock()
	return <-tasks
}

// wait returns when no work is left, and no worker. Nobody may call do meanwhile but workers.
func (w *workers) wait() {
	w.mu.Lock()
	w.ending = true
	for _, tasks := range w.idle {
		tasks <- nil
	}
	w.idle = nil
	w.mu.Unlock()
	w.wg.Wait()
}
