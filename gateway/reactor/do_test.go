package reactor

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

// turns is Events without sockets.
type turns struct {
	busy  bool // somebody reads a letter
	sleep time.Duration
	made  chan int // told of each turn when it is there
}

func (e *turns) Accepted(Socket, netip.AddrPort) {}
func (e *turns) AcceptFailed(error)              {}
func (e *turns) Readable(uint64)                 {}
func (e *turns) Writable(uint64)                 {}
func (e *turns) Broken(uint64)                   {}

func (e *turns) Turn(time.Time) time.Duration {
	if e.made != nil {
		select {
		case e.made <- 1:
		default:
		}
	}
	return e.sleep
}

// eachPoller runs a test on a loop that owns descriptors, and on one that does not.
func eachPoller(t *testing.T, test func(t *testing.T, e *turns, l *Loop)) {
	for _, kind := range []string{"descriptors", "streams"} {
		if kind == "descriptors" && !Supported {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			e := &turns{sleep: -1}
			l, err := New(e, kind == "descriptors")
			if err != nil {
				t.Fatal(err)
			}
			var running sync.WaitGroup
			running.Go(l.Run)
			test(t, e, l)
			l.Stop()
			running.Wait()
			if l.Do(func() {}) || l.Post(func() {}) {
				t.Error("a loop that has ended took mail")
			}
		})
	}
}

func TestMailOfManyIsDeliveredOnceInOrderAndOneAtATime(t *testing.T) {
	eachPoller(t, func(t *testing.T, e *turns, l *Loop) {
		const senders, letters = 8, 2000
		var seen [senders]int
		var sending, reading sync.WaitGroup
		for k := range senders {
			reading.Add(letters)
			sending.Go(func() {
				for n := range letters {
					post := l.Post
					if (n+k)%3 > 0 {
						post = l.Do
					}
					post(func() {
						if e.busy {
							t.Error("two letters were read at once")
						}
						e.busy = true
						if seen[k] != n {
							t.Errorf("letter %d of sender %d came after %d", n, k, seen[k])
						}
						seen[k]++
						e.busy = false
						reading.Done()
					})
					if n%100 == 0 {
						time.Sleep(time.Millisecond) // so that the loop sleeps, too
					}
				}
			})
		}
		sending.Wait()
		reading.Wait()
	})
}

func TestDoWakesTheLoopForWhatItCannotDo(t *testing.T) {
	tests := map[string]struct {
		sleep time.Duration // that the caller's turn asks for
	}{
		"another turn at once":     {0},
		"a turn sooner than known": {10 * time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			eachPoller(t, func(t *testing.T, e *turns, l *Loop) {
				time.Sleep(10 * time.Millisecond) // it sleeps for ever
				made := make(chan int, 3)
				l.Do(func() { e.sleep, e.made = test.sleep, made })
				for n := range cap(made) {
					select {
					case <-made:
					case <-time.After(time.Minute):
						t.Fatalf("%d turns were made", n)
					}
				}
				l.Post(func() { e.sleep, e.made = -1, nil })
			})
		})
	}
}

func TestMailOfMailIsDelivered(t *testing.T) {
	eachPoller(t, func(t *testing.T, e *turns, l *Loop) {
		for range 100 {
			done := make(chan struct{})
			l.Do(func() {
				l.Do(func() { l.Post(func() { close(done) }) })
			})
			<-done
		}
	})
}
