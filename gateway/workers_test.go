package gateway

import (
	"sync"
	"testing"
	"testing/synctest"
)

func TestWorkersStayForTheNextTaskUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &workers{limit: 2 * spare}
		var mu sync.Mutex
		ran := 0
		task := func() { mu.Lock(); defer mu.Unlock(); ran++ }
		for range 3 {
			w.do(task)
			synctest.Wait()
			if len(w.idle) != 1 || w.running != 0 {
				t.Fatalf("%d idle and %d running after a task", len(w.idle), w.running)
			}
		}
		hold := make(chan struct{})
		for range 2*spare + 3 { // the last three wait for a worker
			w.do(func() { <-hold; task() })
		}
		close(hold)
		synctest.Wait()
		if len(w.idle) != spare || w.running != 0 || ran != 2*spare+6 {
			t.Errorf("%d idle, %d running and %d tasks done", len(w.idle), w.running, ran)
		}
		w.do(func() { w.do(task) })
		w.wait()
		if ran != 2*spare+7 || w.running != 0 {
			t.Errorf("%d tasks done and %d running at the end", ran, w.running)
		}
	})
}
