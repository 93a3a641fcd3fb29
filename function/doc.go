// Package function turns an invocation into a result.
//
// A deployed function is a pool of instances of one version. A call takes a free slot from the top
// of the pool's LIFO stack, or waits in its bounded FIFO queue while the pool decides whether to
// start another instance. A Starter knows how an instance of one family of runtimes is started and
// spoken to; this package knows only when to start, use, drain and stop one.
//
// It does not know any cloud's wire format, does not retry a call, and keeps nothing on disk but one
// row a timer: Timers finds out when functions are due, and their dialect makes the calls.
//
// Goroutines: one ticker (Run), one per start, one per live instance (it waits for the instance's
// end), one per call whose caller has left early (or may, where the instance's calls cannot be left).
// All are waited for by Stop.
//
// Lock order: Functions.mu, then pool.mu, then tails.mu. None is held across I/O or a call of a
// Starter or an Instance.
package function
