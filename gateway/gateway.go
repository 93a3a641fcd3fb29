package gateway

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/gateway/reactor"
	"github.com/sluicehq/sluice/gateway/wire"
	"github.com/sluicehq/sluice/kv"
)

// Options are what a gateway needs. Router is required; zero values of the rest are good.
type Options struct {
	Node      uint16       // this node's number: part of every id, and of the journal's keys
	Store     kv.Store     // holds the journal of owed Closes (space J); nil: a crash forgets them
	Router    Router       // finds endpoints
	Plain     Plain        // serves what is not an upgrade; nil answers 404
	Poster    Poster       // reads the pushes among what Plain serves; nil leaves all to Plain
	Log       *slog.Logger // nil logs nothing
	Shards    int          // loops; 0 is one a core, at most 64
	Workers   int          // events handled at once over all connections; 0 is 16384
	Relay     Relay        // reaches other nodes; nil: there are none
	DrainCode int          // close code of Drain where the policy has none; 0 is 1012
	Streams   bool         // a goroutine for each connection even where loops can own descriptors
}

// Gateway holds connections. All methods are safe for concurrent use.
type Gateway struct {
	opt     Options
	log     *slog.Logger
	started time.Time
	shards  []*shard
	workers workers
	aliases aliases
	journal journal
	plain   *plainServer

	sweeping chan struct{} // holds one token while a Sweep runs
	turn     atomic.Uint32 // takes streams round the shards
	live     atomic.Int64  // slots in use
	quiet    chan struct{} // told when live falls to 0
	ready    chan struct{} // closed when Run has started the shards
	draining chan struct{} // closed by the first Drain
	drain    sync.Once
	done     chan struct{} // closed when Run's context has ended
}

// New makes a gateway. It does nothing before Run.
func New(o Options) *Gateway {
	if o.Shards <= 0 {
		o.Shards = runtime.GOMAXPROCS(0)
	}
	o.Shards = min(o.Shards, maxShards)
	if o.Workers <= 0 {
		o.Workers = 16384
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.DrainCode == 0 {
		o.DrainCode = wire.CodeRestart
	}
	if o.Plain == nil {
		o.Plain = http.NotFoundHandler()
	}
	g := &Gateway{
		opt: o, log: o.Log, started: time.Now(),
		quiet: make(chan struct{}, 1), sweeping: make(chan struct{}, 1), ready: make(chan struct{}), draining: make(chan struct{}), done: make(chan struct{}),
	}
	g.workers.limit = o.Workers
	g.journal = journal{store: o.Store, node: o.Node}
	g.plain = newPlainServer(g)
	for i := range o.Shards {
		g.shards = append(g.shards, newShard(g, uint8(i)))
	}
	return g
}

// Run runs the gateway until ctx ends, then closes what is still open and returns when all of its
// goroutines have ended. Closes that are owed and were not told by then are told after the next start
// with the same Store. Call it once.
func (g *Gateway) Run(ctx context.Context) error {
	life, err := g.journal.begin(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("open connection journal: %w", err)
	}
	g.workers.base = ctx
	var loops sync.WaitGroup
	for _, s := range g.shards {
		// Lives start far apart, so that an id of a former life meets nobody in this one.
		s.firstGen = life * 0x9e3779 & genMask
		if s.loop, err = reactor.New(s, !g.opt.Streams); err != nil {
			return fmt.Errorf("start shard: %w", err)
		}
	}
	for _, s := range g.shards {
		loops.Go(s.loop.Run)
	}
	close(g.ready)
	var others sync.WaitGroup
	others.Go(g.plain.run)
	others.Go(func() {
		if err := g.Sweep(ctx); err != nil && ctx.Err() == nil {
			g.log.Error("closes of a former life could not all be told", "err", err)
		}
	})

	<-ctx.Done()
	close(g.done)
	g.plain.stop()
	for _, s := range g.shards {
		s.loop.Post(s.abandon)
		s.loop.Stop()
	}
	loops.Wait()
	g.workers.wait()
	others.Wait()
	return nil
}

// Serve accepts connections from a listener until ctx ends, Drain begins or Run ends, and closes
// the listener. Any number of listeners may be served. A *net.TCPListener is accepted from by the
// shards themselves; of any other (TLS) each connection has a goroutine.
func (g *Gateway) Serve(ctx context.Context, ln net.Listener) error {
	defer ln.Close()
	select {
	case <-g.ready:
	case <-ctx.Done():
		return nil
	}
	tcp, ok := ln.(*net.TCPListener)
	if ok && reactor.Supported && !g.opt.Streams {
		return g.serveRaw(ctx, tcp)
	}
	var closer sync.WaitGroup
	ended := make(chan struct{})
	closer.Go(func() {
		g.untilStop(ctx, ended)
		ln.Close()
	})
	defer closer.Wait()
	defer close(ended)
	rest := time.Duration(0)
	for {
		c, err := ln.Accept()
		switch {
		case err == nil:
			rest = 0
			_, isTLS := c.(*tls.Conn)
			g.take(c, isTLS, nil, nil)
		case g.stopping(ctx):
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			rest = min(max(2*rest, 5*time.Millisecond), time.Second)
			g.log.Warn("cannot accept connections, trying again", "err", err, "rest", rest)
			select {
			case <-time.After(rest):
			case <-ctx.Done():
			}
		}
	}
}

func (g *Gateway) serveRaw(ctx context.Context, tcp *net.TCPListener) error {
	ln, err := reactor.RawListener(tcp)
	if err != nil {
		return fmt.Errorf("take over listener %s: %w", tcp.Addr(), err)
	}
	defer ln.Close()
	fault := make(chan error, len(g.shards))
	g.each(context.WithoutCancel(ctx), func(s *shard) int {
		if err := s.loop.Listen(ln); err != nil {
			fault <- err
		}
		return 0
	})
	defer g.each(context.WithoutCancel(ctx), func(s *shard) int {
		s.loop.Unlisten(ln)
		return 0
	})
	select {
	case err := <-fault:
		return fmt.Errorf("listen on %s: %w", tcp.Addr(), err)
	default:
	}
	g.untilStop(ctx, nil)
	return nil
}

// untilStop waits until a listener has to stop.
func (g *Gateway) untilStop(ctx context.Context, ended <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-g.draining:
	case <-g.done:
	case <-ended:
	}
}

func (g *Gateway) stopping(ctx context.Context) bool {
	return g.isDraining() || g.isDone() || ctx.Err() != nil
}

// take gives a net.Conn to the next shard: a new connection, or one whose handshake net/http has read.
func (g *Gateway) take(c net.Conn, isTLS bool, req *wire.Request, rest []byte) {
	remote := addrPort(c.RemoteAddr())
	sock := reactor.FromConn(c, req != nil && !g.opt.Streams)
	s := g.shards[int(g.turn.Add(1))%len(g.shards)]
	if !s.loop.Post(func() { s.admit(sock, remote, isTLS, req, rest) }) {
		sock.Close()
	}
}

// each runs fn on every shard and returns the sum of what it returned; short of shards that did not
// answer before ctx or the gateway ended.
func (g *Gateway) each(ctx context.Context, fn func(*shard) int) (sum int) {
	if !isClosed(g.ready) {
		return 0
	}
	answers := make(chan int, len(g.shards))
	asked := 0
	for _, s := range g.shards {
		if s.loop.Post(func() { answers <- fn(s) }) {
			asked++
		}
	}
	for range asked {
		select {
		case n := <-answers:
			sum += n
		case <-ctx.Done():
			return sum
		case <-g.done:
			return sum
		}
	}
	return sum
}

// Stats are counts since the start, and Live now.
type Stats struct {
	Live       int64 // connections, from accept until their Close has been told
	Opened     uint64
	Refused    uint64
	Closed     uint64
	MessagesIn uint64 // complete messages of clients
	FramesOut  uint64 // messages and control frames queued for clients
	BytesIn    uint64
	BytesOut   uint64
	Writes     uint64 // system calls that wrote; FramesOut by Writes tells what coalescing gains
	Overflows  uint64 // connections closed because they read too slowly
	Violations uint64 // connections closed because they broke the protocol or a limit
	Panics     uint64 // of handlers
}

// Stats adds up the shards' counts.
func (g *Gateway) Stats() Stats {
	sum := Stats{Live: g.live.Load(), Panics: g.workers.panics.Load()}
	for _, s := range g.shards {
		sum.Opened += s.count.opened.Load()
		sum.Refused += s.count.refused.Load()
		sum.Closed += s.count.closed.Load()
		sum.MessagesIn += s.count.messagesIn.Load()
		sum.FramesOut += s.count.framesOut.Load()
		sum.BytesIn += s.count.bytesIn.Load()
		sum.BytesOut += s.count.bytesOut.Load()
		sum.Writes += s.count.writes.Load()
		sum.Overflows += s.count.overflows.Load()
		sum.Violations += s.count.violations.Load()
	}
	return sum
}
