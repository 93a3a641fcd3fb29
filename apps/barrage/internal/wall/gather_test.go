package wall

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
)

// held is a gathering whose calls end when the test says so.
type held struct {
	gathering[string, string]
	t     *testing.T
	wg    sync.WaitGroup
	begun [][]string    // the questions of each call
	end   chan struct{} // ends one
}

func newHeld(t *testing.T, alone func(string) string) *held {
	h := &held{t: t, end: make(chan struct{})}
	h.alone = alone
	h.call = func(batch []*request[string, string]) {
		var questions []string
		for _, r := range batch {
			questions = append(questions, r.question)
			r.answer = "re: " + r.question
			if r.question == "bad" {
				r.err = fmt.Errorf("no answer to %s", r.question)
			}
		}
		h.mu.Lock()
		h.begun = append(h.begun, questions)
		h.mu.Unlock()
		<-h.end
	}
	return h
}

// ask asks one after the other and waits for none.
func (h *held) ask(questions ...string) {
	for _, q := range questions {
		h.wg.Go(func() {
			answer, err := h.gathering.ask(q)
			if answer != "re: "+q || (err != nil) != (q == "bad") {
				h.t.Errorf("%q was answered %q, %v", q, answer, err)
			}
		})
		synctest.Wait()
	}
}

// rest lets all calls end and returns those that began after the first ones.
func (h *held) rest() [][]string {
	close(h.end)
	h.wg.Wait()
	if h.busy != 0 || len(h.waiting) != 0 {
		h.t.Errorf("%d busy and %d waiting at the end", h.busy, len(h.waiting))
	}
	for _, first := range h.begun[:calls] {
		if len(first) != 1 {
			h.t.Errorf("%q shared a call while there was room", first)
		}
	}
	return h.begun[calls:]
}

func TestRequestsShareACallWhenAllAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, func(string) string { return "" })
		h.ask("1", "2", "3", "4", "a", "bad", "c")
		if got, want := h.rest(), [][]string{{"a", "bad", "c"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("the later calls were %q, want %q", got, want)
		}
	})
}

func TestABatchHoldsARowOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, func(q string) string { return q })
		h.ask("1", "2", "3", "4", "a", "b", "a", "c")
		h.end <- struct{}{}
		synctest.Wait()
		if got, want := h.rest(), [][]string{{"a", "b", "c"}, {"a"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("the later calls were %q, want %q", got, want)
		}
	})
}

func TestABatchIsNoLargerThanTheStoreTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, func(string) string { return "" })
		h.ask("1", "2", "3", "4")
		for i := range largest + 1 {
			h.ask(fmt.Sprint("more ", i))
		}
		h.end <- struct{}{}
		synctest.Wait()
		if got := h.rest(); len(got) != 2 || len(got[0]) != largest || len(got[1]) != 1 {
			t.Errorf("%d requests were asked as %q", largest+1, got)
		}
	})
}
