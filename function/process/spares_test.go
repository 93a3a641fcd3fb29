//go:build unix

package process

import (
	"testing"

	"github.com/sluicehq/sluice/function"
)

// kept counts the kinds that have spares, and the spares.
func kept[K comparable](s *spares[K]) (kinds, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.kinds {
		idle += len(g.idle)
	}
	return len(s.kinds), idle
}

// settled reports that every kind has spares and none is being booted.
func settled[K comparable](s *spares[K]) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.kinds {
		if g.booting || len(g.idle) == 0 && s.least > 0 {
			return false
		}
	}
	return true
}

// worldWithSpare has called the function f, whose code it returns, and has a fork ready for the next version.
func worldWithSpare(t *testing.T) (*pythonWorld, string) {
	t.Helper()
	w := newPythonWorld(t, func(o *function.Options, _ *PythonOptions) { o.NoPrewarm = true })
	const code = "def handler(event, context): return 'answered'"
	w.deploy("f", code, nil)
	w.invoke("f", "")
	waitFor(t, func() bool { return settled(w.python.spares) })
	return w, code
}

func TestAStartTakesAForkThatWasMadeBefore(t *testing.T) {
	t.Parallel()
	w, code := worldWithSpare(t)
	spare := func() (id string) {
		w.python.spares.mu.Lock()
		defer w.python.spares.mu.Unlock()
		for _, g := range w.python.spares.kinds {
			if len(g.idle) == 1 {
				id = g.idle[0].id
			}
		}
		return id
	}
	before := spare()
	w.deploy("f", code, nil)
	res := w.invoke("f", "")
	if before == "" || res.Instance != before {
		t.Errorf("the new revision ran in %s, and %s was ready", res.Instance, before)
	}
	waitFor(t, func() bool { return spare() != "" && spare() != before })
}

func TestASpareThatDiedIsNotHandedOut(t *testing.T) {
	t.Parallel()
	w, code := worldWithSpare(t)
	w.python.spares.mu.Lock()
	for _, g := range w.python.spares.kinds {
		g.idle[0].kill()
	}
	w.python.spares.mu.Unlock()
	w.deploy("f", code, nil)
	if res := w.invoke("f", ""); string(res.Payload) != "answered" {
		t.Errorf("%s %+v", res.Payload, res.Failure)
	}
}
