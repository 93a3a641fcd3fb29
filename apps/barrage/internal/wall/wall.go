package wall

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Room is one event: DocID names it in addresses and in the registrations of devices, GID is the
// first key of its messages.
type Room struct {
	DocID string
	GID   int64
}

// DefaultRoom is the room of the original app and, for now, the only one.
var DefaultRoom = Room{DocID: "devs", GID: 1}

// FindRoom returns the room of that name, or an [Error] of kind [NotFound].
func FindRoom(docID string) (Room, error) {
	if docID == "" || docID == DefaultRoom.DocID {
		return DefaultRoom, nil
	}
	return Room{}, &Error{Kind: NotFound, Text: "there is no room " + docID}
}

// Kind classes the errors that a client may see.
type Kind string

// The kinds of errors; their text is the code in an answer's JSON.
const (
	Invalid      Kind = "invalid"      // the request makes no sense
	Unauthorized Kind = "unauthorized" // no session, or a wrong password
	NotFound     Kind = "notfound"     // no such message or room
	Decided      Kind = "decided"      // another moderator was faster
	Slow         Kind = "slow"         // too many in too short a time
	Busy         Kind = "busy"         // the same message is being stored right now
)

// Error is a refusal that a client may see.
type Error struct {
	Kind  Kind
	Text  string
	After time.Duration // when it makes sense to try again; 0 when it does not
}

// Error implements error.
func (e *Error) Error() string { return e.Text }

// Options configure a [Wall]. Zero values are good except for Store.
type Options struct {
	Store         Store
	Notify        Notifier     // nil: nothing is pushed
	Log           *slog.Logger // nil: slog.Default
	Now           func() time.Time
	AdminPassword string       // empty: one is generated and kept
	Announce      func(string) // receives a generated password, once; nil: none is generated
	Public        string       // address under which phones reach the wall; empty: pages take their own
	Rate          int64        // messages per minute and device until an administrator changes it; 0: no limit
}

// Wall is one room's wall. Its methods may be called concurrently.
type Wall struct {
	room     Room
	store    Store
	log      *slog.Logger
	now      func() time.Time
	password string
	announce func(string)
	rate     int64
	public   string
	senders  *Limiter // messages, by player
	hearts   *Limiter // like calls, by player
	logins   *Limiter // all password attempts together
	outbox   *Outbox

	mu       sync.Mutex // guards what follows; never held during a call
	ready    bool
	words    Words // compiled from list
	list     string
	lastRate *int64   // of the settings, when they were read last; nil before
	devices  []Device // as of stamp
	stamp    string
	secrets  *secrets
	latest   int64 // id of the message that was put on the screens last
}

// New returns the wall of the default room. It makes no call.
func New(o Options) *Wall {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	w := &Wall{
		room: DefaultRoom, store: o.Store, log: o.Log, now: o.Now,
		password: o.AdminPassword, announce: o.Announce, rate: o.Rate, public: o.Public,
		senders: NewLimiter(o.Now), hearts: NewLimiter(o.Now), logins: NewLimiter(o.Now),
	}
	w.outbox = newOutbox(w, o.Notify)
	return w
}

// Close waits for pushes under way.
func (w *Wall) Close() { w.outbox.Close() }

// Prepare creates the tables and their first rows unless they are there. It is cheap once it has
// succeeded, so every request may begin with it.
func (w *Wall) Prepare(ctx context.Context) error {
	w.mu.Lock()
	ready := w.ready
	w.mu.Unlock()
	if ready {
		return nil
	}
	for _, t := range tables() {
		if err := w.store.Create(ctx, t); err != nil {
			return err
		}
	}
	first := Row{"status": int64(ModeOpen), "filterWords": "", "action": ActionMask, "rate": w.rate}
	if err := w.putOnce(ctx, tableInterceptor, w.settingsKey(), first); err != nil {
		return err
	}
	if err := w.putOnce(ctx, tableRoom, w.roomKey(), Row{"gid": w.room.GID, "devices": rand.Text()}); err != nil {
		return err
	}
	if err := w.prepareSecrets(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	w.ready = true
	w.mu.Unlock()
	return nil
}

// putOnce stores the row unless there is one already.
func (w *Wall) putOnce(ctx context.Context, table string, key Key, row Row) error {
	_, err := w.store.Put(ctx, table, key, row, Expect{Absent: true})
	if errors.Is(err, ErrCondition) {
		return nil
	}
	return err
}

func (w *Wall) roomKey() Key     { return Key{{"docId", w.room.DocID}} }
func (w *Wall) settingsKey() Key { return Key{{"id", w.room.GID}} }
func (w *Wall) messageKey(id int64) Key {
	return Key{{"gid", w.room.GID}, {"id", id}}
}

func (w *Wall) millis() string { return strconv.FormatInt(w.now().UnixMilli(), 10) }
