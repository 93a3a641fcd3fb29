package pebble

import (
	"hash/maphash"
	"sync"
)

const (
	recentParts = 16
	recentSlots = 256
	recentValue = 4 << 10 // bytes of the longest value that is remembered
	recentEach  = 96      // bytes that a value costs beside its own and its key's
)

// recent are values of the durable state that were read lately: versions, counters, leases, and the rows
// that an app works with. Reading one from the engine costs some twenty times as much, and every write of
// a row reads it first. Only what has been read is remembered, not what is merely written.
//
// Commits are numbered, and a value has the number of the first commit that a reader must see for it to
// be right. The executor, which is the only writer, keeps values in step before a commit shows. A reader
// remembers what it has read only if no later commit than its own has written the key, or one of its hash.
type recent struct {
	seed  maphash.Seed
	parts [recentParts]recentPart
}

// recentPart has two generations: what is asked for moves to the young one, and when that is full the old one goes.
type recentPart struct {
	mu         sync.Mutex
	max, bytes int // of the young generation
	young, old map[string]remembered
	changed    [recentSlots]uint64 // the last commits that wrote a key, by its hash
}

type remembered struct {
	key   string // as it is in the map
	val   []byte
	since uint64
}

func (r *remembered) size() int { return len(r.key) + len(r.val) + recentEach }

// newRecent remembers about so many bytes.
func newRecent(max int) *recent {
	r := &recent{seed: maphash.MakeSeed()}
	for i := range r.parts {
		r.parts[i].max, r.parts[i].young = max/recentParts/2, map[string]remembered{}
	}
	return r
}

func (r *recent) part(hash uint64) *recentPart { return &r.parts[hash%recentParts] }

// get finds a value as it was after a commit.
func (r *recent) get(key []byte, commit uint64) ([]byte, bool) {
	p := r.part(maphash.Bytes(r.seed, key))
	p.mu.Lock()
	defer p.mu.Unlock()
	e, ok := p.young[string(key)]
	if !ok {
		if e, ok = p.old[string(key)]; ok {
			delete(p.old, e.key)
			p.keep(e)
		}
	}
	return e.val, ok && e.since <= commit
}

// put remembers a value that was read after a commit, unless there has been another one since.
func (r *recent) put(key, val []byte, commit uint64) {
	if len(val) > recentValue {
		return
	}
	hash := maphash.Bytes(r.seed, key)
	p := r.part(hash)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.changed[hash>>32%recentSlots] <= commit {
		p.forget(string(key))
		p.keep(remembered{string(key), val, commit})
	}
}

// follow takes over what a new commit has changed. Nobody may see that commit before.
func (r *recent) follow(w *writes, commit uint64) {
	for _, e := range w.list {
		hash := maphash.String(r.seed, e.key)
		p := r.part(hash)
		p.mu.Lock()
		p.changed[hash>>32%recentSlots] = commit // from here on nothing older is put
		if p.forget(e.key) && e.val != nil && len(e.val) <= recentValue {
			p.keep(remembered{e.key, e.val, commit})
		}
		p.mu.Unlock()
	}
}

// keep adds a value that is not there to the young ones.
func (p *recentPart) keep(e remembered) {
	if p.bytes += e.size(); p.bytes > p.max {
		p.old, p.young, p.bytes = p.young, map[string]remembered{}, e.size()
	}
	p.young[e.key] = e
}

// forget removes a value and reports whether it was there.
func (p *recentPart) forget(key string) bool {
	if e, ok := p.young[key]; ok {
		p.bytes -= e.size()
		delete(p.young, key)
		return true
	}
	_, ok := p.old[key]
	delete(p.old, key)
	return ok
}
