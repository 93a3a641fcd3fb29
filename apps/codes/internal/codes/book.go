package codes

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// Kind classes the errors that a client may see.
type Kind string

// The kinds of errors; their text is the code in an answer's JSON.
const (
	Invalid      Kind = "invalid"      // the request makes no sense
	Unauthorized Kind = "unauthorized" // no session, or a wrong password
	NotFound     Kind = "notfound"     // no such code, campaign or job
	Typo         Kind = "typo"         // the code's check character is wrong
	Used         Kind = "used"         // the code was used
	Revoked      Kind = "revoked"      // the code was revoked
	NotYet       Kind = "notyet"       // the code's period has not begun
	Expired      Kind = "expired"      // it is over
	Paused       Kind = "paused"       // the campaign is paused
	Limit        Kind = "limit"        // the user's or the campaign's limit is reached
	Conflict     Kind = "conflict"     // the idempotency key stands for another request
	Slow         Kind = "slow"         // too many wrong guesses
)

// Error is a refusal that a client may see.
type Error struct {
	Kind  Kind
	Text  string
	After time.Duration // when it makes sense to try again; 0 when it does not
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Options configure a [Book]. Zero values are good except for Store.
type Options struct {
	Store         Store
	Log           *slog.Logger // nil: slog.Default
	Now           func() time.Time
	Zone          *time.Location // of times without one; nil: UTC
	AdminPassword string         // empty: one is generated and kept
	Announce      func(string)   // receives a generated password, once; nil: none is generated
}

// Book is the book of all campaigns and their codes. Its methods may be called concurrently.
type Book struct {
	store    Store
	log      *slog.Logger
	now      func() time.Time
	zone     *time.Location
	password string
	announce func(string)
	guesses  *limiter // wrong codes, by client address
	logins   *limiter // all password attempts together

	mu        sync.Mutex // guards what follows; never held during a call
	ready     bool
	secrets   *secrets
	campaigns map[string]known
}

// known is a campaign as it was a moment ago.
type known struct {
	Campaign
	at time.Time
}

// New returns the book. It makes no call.
func New(o Options) *Book {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	return &Book{
		store: o.Store, log: o.Log, now: o.Now, zone: o.Zone, password: o.AdminPassword, announce: o.Announce,
		guesses: newLimiter(o.Now), logins: newLimiter(o.Now), campaigns: map[string]known{},
	}
}

// Prepare creates the tables and their first rows unless they are there. It is cheap once it has
// succeeded, so every request may begin with it.
func (b *Book) Prepare(ctx context.Context) error {
	b.mu.Lock()
	ready := b.ready
	b.mu.Unlock()
	if ready {
		return nil
	}
	for _, t := range tables() {
		if err := b.store.Create(ctx, t); err != nil {
			return err
		}
	}
	if err := b.putOnce(ctx, tableCampaign, campaignKey(Classic), classic.row()); err != nil {
		return err
	}
	if err := b.prepareSecrets(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	b.ready = true
	b.mu.Unlock()
	return nil
}

// putOnce stores the row unless there is one already.
func (b *Book) putOnce(ctx context.Context, table string, key Key, row Row) error {
	err := b.store.Put(ctx, table, key, row, Expect{Absent: true})
	if errors.Is(err, ErrCondition) {
		return nil
	}
	return err
}

// Entry of the audit trail: who did what to what, when.
type Deed struct {
	ID     int64  `json:"id"`
	At     int64  `json:"at"` // ms
	Actor  string `json:"actor"`
	Action string `json:"action"`
	Target string `json:"target"`
	Detail string `json:"detail"`
}

// auditLog is the first key of the trail's rows.
const auditLog = "all"

// Note writes a line of the audit trail. It is written after the deed: a deed that fails leaves none.
func (b *Book) Note(ctx context.Context, actor, action, target, detail string) error {
	return b.store.Put(ctx, tableAudit, Key{{"log", auditLog}, {"id", nil}}, Row{
		"at": b.now().UnixMilli(), "actor": actor, "action": action, "target": target, "detail": detail,
	}, Expect{})
}

// Trail returns deeds, the newest first, before the one of that id; 0 is the end.
func (b *Book) Trail(ctx context.Context, before int64, limit int) ([]Deed, error) {
	from := Key{{"log", auditLog}, {"id", nil}}
	if before > 0 {
		from[1].Value = before - 1
	}
	q := Query{Table: tableAudit, From: from, To: Key{{"log", auditLog}, {"id", nil}}, Backward: true, Limit: limit}
	page, _, err := b.store.Range(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]Deed, 0, len(page))
	for _, e := range page {
		id, _ := e.Key[1].Value.(int64)
		out = append(out, Deed{ID: id, At: number(e.Row, "at"), Actor: text(e.Row, "actor"), Action: text(e.Row, "action"), Target: text(e.Row, "target"), Detail: text(e.Row, "detail")})
	}
	return out, nil
}

// newID is an id that nobody guesses.
func newID() string { return rand.Text()[:16] }
