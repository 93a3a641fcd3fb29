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
	h.largest, h.alone = 100, alone
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

// rest lets all calls end and returns those that began after the first one.
func (h *held) rest() [][]string {
	close(h.end)
	h.wg.Wait()
	if h.busy || len(h.waiting) != 0 {
		h.t.Errorf("at the end busy is %v, and %d wait", h.busy, len(h.waiting))
	}
	if len(h.begun[0]) != 1 {
		h.t.Errorf("%q shared the first call", h.begun[0])
	}
	return h.begun[1:]
}

func TestRequestsThatComeDuringACallShareTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, func(string) string { return "" })
		h.ask("1", "a", "bad", "c")
		if got, want := h.rest(), [][]string{{"a", "bad", "c"}}; !reflect.DeepEqual(got, want) {
			t.Errorf("the later calls were %q, want %q", got, want)
		}
	})
}

func TestABatchHoldsARowOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHeld(t, func(q string) string { return q })
		h.ask("1", "a", "b", "a", "c")
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
		h.ask("1")
		for i := range 101 {
			h.ask(fmt.Sprint("more ", i))
		}
		h.end <- struct{}{}
		synctest.Wait()
		if got := h.rest(); len(got) != 2 || len(got[0]) != 100 || len(got[1]) != 1 {
			t.Errorf("101 requests were asked as %q", got)
		}
	})
}
