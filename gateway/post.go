package gateway

import (
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway/wire"
)

// keepAlive is how long a connection of plain requests may rest between two of them.
const keepAlive = 2 * time.Minute

// Poster reads plain requests that push to one connection. Functions send those more than anything else,
// and net/http costs several times the push itself, so that shards serve the plainest of them: one that came
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
	if s.g.opt.Poster == nil || s.g.isDraining() || c.is(wantWrite) {
		return false
	}
	r, body := wire.ParsePost(b)
	if r == nil {
		return false
	}
	r.RemoteAddr = c.remote().String()
	p, ok := s.g.opt.Poster.Post(r, body)
	if !ok {
		return false
	}
	at, out := s.g.locate(p.To)
	if out != sluice.Queued {
		return false
	}
	ep := at.conn.ep.Load()
	if ep == nil || ep.App != p.App || ep.Name != p.Endpoint || at.conn.gen() != at.gen {
		return false
	}
	o := outgoing(p.Frame)
	if o.Size() > ep.Policy.maxPush() || at.conn.crowded() || !at.conn.reserve(&ep.Policy, load(o.Frame(false))) {
		return false
	}
	// Also to a connection of this shard it goes by the mailbox, behind what was pushed before.
	if !at.shard.loop.Post(func() { at.shard.push(at.conn, at.gen, o) }) {
		return false
	}
	now := s.time()
	var date [len(http.TimeFormat)]byte
	s.raw(c, s.keep(wire.AppendAnswer(s.spot(512), p.Header, now.UTC().AppendFormat(date[:0], http.TimeFormat))))
	c.opened, c.born = now.UnixMilli(), s.tick() // should the next request be a handshake
	c.until = s.in(keepAlive)
	return true
}
