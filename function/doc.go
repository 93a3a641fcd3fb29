// Package function turns an invocation into a result.
//
// A deployed function is a pool of instances of one version. A call takes a free slot from the top
// of the pool's LIFO stack, or waits in its bounded FIFO queue while the pool decides whether to
// start another instance. A Starter knows how an instance of one family of runtimes is started and
// spoken to; this package knows only when to start, use, drain and stop one.
//
// Calls whose results nobody waits for go into a Queue, which a dialect fits out with its own rules for
// retries and for telling of the end; Timers queue such calls when functions are due. Both are rows in
// kv, and several processes may work on one store.
//
// It does not know any cloud's wire format, and keeps nothing else on disk.
//
// Goroutines: one ticker (Run), one per start, one per live instance (it waits for the instance's
// end), one per call whose caller has left early (or may, where the instance's calls cannot be left),
// all of which Stop waits for; one per queued call that is made, which Queue.Run waits for.
//
// Lock order: Functions.mu, then pool.mu, then tails.mu. None is held across I/O or a call of a
// Starter or an Instance.
package function
