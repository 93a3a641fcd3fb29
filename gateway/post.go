package gateway

import (
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/reactor"
	"github.com/sluicehq/sluice/gateway/wire"
)

// keepAlive is how long a connection of plain requests may rest between two of them.
const keepAlive = 2 * time.Minute

// Poster reads plain requests that push to one connection. Functions send those more than anything else,
// and net/http costs several times the push itself, so that it does not see the plainest of them: one that came
// whole, in one read, and that succeeds. For all others Post returns false, and Plain serves the request as
// if nobody had looked. It must not block, keep body or change anything but its own counts.
type Poster interface {
	Post(r *http.Request, body []byte) (Post, bool)
}

// Post is a push that a request asks for, and may.
type Post struct {
	To       sluice.ConnID
	App      sluice.AppName // whose connection it has to be,
	Endpoint string         // and of which endpoint
	Frame    sluice.Frame
	Header   http.Header // of the answer, which is 200 without a body
}

// post serves a request that pushes to a connection of this node. It reports false, and nothing is done,
// when net/http has to have it.
func (s *shard) post(c *conn, b []byte) bool {
	if s.g.opt.Poster == nil || c.is(wantWrite) {
		return false
	}
	// Also to a connection of this shard it goes by the mailbox, behind what was pushed before.
	r, body := wire.ParsePost(b)
	if r == nil {
		return false
	}
	r.RemoteAddr = c.remote().String()
	now := s.time()
	answer, ok := s.g.post(s.g.opt.Poster, r, body, s.spot(512), now, (*reactor.Loop).Post)
	if !ok {
		return false
	}
	s.raw(c, s.keep(answer))
	c.opened, c.born = now.UnixMilli(), s.tick() // should the next request be a handshake
	c.until = s.in(keepAlive)
	return true
}

// ServePost serves such a request for somebody who reads connections of his own, with [wire.ParsePost], and holds no
// lock. The answer is appended to dst.
func (g *Gateway) ServePost(p Poster, r *http.Request, body, dst []byte) (answer []byte, ok bool) {
	return g.post(p, r, body, dst, time.Now(), (*reactor.Loop).Do)
}

// post has a shard push what a request asks for, by Post or Do of its loop, and appends the answer to dst.
func (g *Gateway) post(p Poster, r *http.Request, body, dst []byte, now time.Time, by func(*reactor.Loop, func()) bool) (answer []byte, ok bool) {
	if g.isDraining() {
		return nil, false
	}
	post, ok := p.Post(r, body)
	if !ok {
		return nil, false
	}
	at, out := g.locate(post.To)
	if out != sluice.Queued {
		return nil, false
	}
	ep := at.conn.ep.Load()
	if ep == nil || ep.App != post.App || ep.Name != post.Endpoint || at.conn.gen() != at.gen {
		return nil, false
	}
	o := outgoing(post.Frame)
	if o.Size() > ep.Policy.maxPush() || at.conn.crowded() || !at.conn.reserve(&ep.Policy, load(o.Frame(false))) {
		return nil, false
	}
	if !by(at.shard.loop, func() { at.shard.push(at.conn, at.gen, o) }) {
		return nil, false
	}
	var date [len(http.TimeFormat)]byte
	return wire.AppendAnswer(dst, post.Header, now.UTC().AppendFormat(date[:0], http.TimeFormat)), true
}
