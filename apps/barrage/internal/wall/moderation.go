package wall

import (
	"context"
	"errors"
	"slices"
	"strconv"
)

// Message reads one message, or returns an [Error] of kind [NotFound].
func (w *Wall) Message(ctx context.Context, id int64) (Message, error) {
	row, err := w.store.Get(ctx, tableBarrage, w.messageKey(id))
	if err != nil {
		return Message{}, err
	}
	if row == nil {
		return Message{}, &Error{Kind: NotFound, Text: "there is no such message"}
	}
	return messageOf(Entry{Key: w.messageKey(id), Row: row}), nil
}

// Decide passes (1) or rejects (2) a waiting message. Of any number of moderators deciding at the
// same time one succeeds, and the others get an [Error] of kind [Decided].
func (w *Wall) Decide(ctx context.Context, id int64, status int64) (Message, error) {
	m, shown, err := w.decide(ctx, id, status)
	w.outbox.Wait(ctx, shown)
	return m, err
}

// DecideMany decides messages in the given order. It returns those that it changed, and those
// that others had decided or erased.
func (w *Wall) DecideMany(ctx context.Context, ids []int64, status int64) (changed, decided []int64, err error) {
	if len(ids) > 500 {
		return nil, nil, &Error{Kind: Invalid, Text: "at most 500 ids"}
	}
	changed, decided = []int64{}, []int64{}
	var last *delivery
	for _, id := range ids {
		_, shown, err := w.decide(ctx, id, status)
		if e, ok := errors.AsType[*Error](err); ok && (e.Kind == Decided || e.Kind == NotFound) {
			decided = append(decided, id)
			continue
		}
		if err != nil {
			return changed, decided, err
		}
		changed, last = append(changed, id), shown
	}
	w.outbox.Wait(ctx, last)
	return changed, decided, nil
}

func (w *Wall) decide(ctx context.Context, id int64, status int64) (Message, *delivery, error) {
	if status != StatusPassed && status != StatusRejected {
		return Message{}, nil, &Error{Kind: Invalid, Text: "checkStatus is 1 or 2"}
	}
	m, err := w.Message(ctx, id)
	if err != nil {
		return m, nil, err
	}
	now := w.millis()
	err = w.store.Update(ctx, tableBarrage, w.messageKey(id), Row{"checkStatus": status, "checkTime": now}, nil,
		Expect{Column: "checkStatus", Equals: int64(StatusWaiting)})
	if errors.Is(err, ErrCondition) {
		return m, nil, &Error{Kind: Decided, Text: "another moderator has decided this one"}
	}
	if err != nil {
		return m, nil, err
	}
	m.CheckStatus, m.CheckTime = status, now
	var shown *delivery
	if status == StatusPassed {
		shown = w.outbox.Push(ctx, screens, m.frame())
	}
	w.outbox.Push(ctx, admins, Frame{Type: "decided", Messages: []Message{m}})
	w.outbox.Push(ctx, player(m.FromID), Frame{Type: "state", ID: m.ID, CID: m.CID, CheckStatus: &m.CheckStatus})
	return m, shown, nil
}

// Erase deletes a message and takes it off the screens.
func (w *Wall) Erase(ctx context.Context, id int64) error {
	m, err := w.Message(ctx, id)
	if err != nil {
		return err
	}
	if err := w.store.Delete(ctx, tableBarrage, w.messageKey(id), Expect{}); err != nil {
		return err
	}
	gone := w.outbox.Push(ctx, screens, Frame{Type: "erase", IDs: []int64{id}})
	w.outbox.Push(ctx, admins, Frame{Type: "erase", IDs: []int64{id}})
	rejected := int64(StatusRejected)
	w.outbox.Push(ctx, player(m.FromID), Frame{Type: "state", ID: m.ID, CID: m.CID, CheckStatus: &rejected})
	w.outbox.Wait(ctx, gone)
	return nil
}

// Search selects messages for moderators.
type Search struct {
	Status int64  // only this state; -1 for any
	Query  string // only with this in text or sender
	Before int64  // only older than this id; 0 for the newest
	Limit  int    // at most; 0 for 100
}

// searchDepth bounds how many messages one search looks through.
const searchDepth = 5000

// Find returns matching messages, newest first.
func (w *Wall) Find(ctx context.Context, s Search) ([]Message, error) {
	if s.Limit <= 0 || s.Limit > 500 {
		s.Limit = 100
	}
	out := []Message{}
	before := s.Before
	for seen := 0; seen < searchDepth; {
		page, err := w.scan(ctx, before, 500)
		if err != nil {
			return nil, err
		}
		for _, m := range page {
			if (s.Status < 0 || m.CheckStatus == s.Status) && (s.Query == "" || m.has(s.Query)) {
				if out = append(out, m); len(out) == s.Limit {
					return out, nil
				}
			}
		}
		if len(page) < 500 {
			break
		}
		seen += len(page)
		before = page[len(page)-1].ID
	}
	return out, nil
}

// scan returns up to limit messages older than before (0: the newest), newest first.
func (w *Wall) scan(ctx context.Context, before int64, limit int) ([]Message, error) {
	from := Key{{"gid", w.room.GID}, {"id", nil}}
	if before > 0 {
		from[1].Value = before - 1
	}
	entries, err := w.store.Range(ctx, Query{
		Table: tableBarrage, From: from, To: Key{{"gid", w.room.GID}, {"id", nil}}, Backward: true, Limit: limit,
	})
	if err != nil {
		return nil, err
	}
	out := make([]Message, len(entries))
	for i, e := range entries {
		out[i] = messageOf(e)
	}
	return out, nil
}

// State is what a page needs to draw the wall: see [Wall.State].
type State struct {
	Now       int64  `json:"now"` // unix ms, the server's clock
	Room      string `json:"room"`
	Title     string `json:"title"`
	Paused    bool   `json:"paused"`
	ClearedAt int64  `json:"clearedAt"` // unix ms; messages passed before are off the screens
	Stats
	Public     string  `json:"public,omitempty"` // address under which phones reach the wall
	Registered bool    `json:"registered"`       // whether the asking device is known
	Recent     []Frame `json:"recent,omitempty"` // passed messages in the order of their ids
}

// Stats are a room's numbers.
type Stats struct {
	Messages int64 `json:"messages"` // ever shown
	Likes    int64 `json:"likes"`
	Online   int   `json:"online"` // players connected now
	Screens  int   `json:"screens"`
	Admins   int   `json:"admins"`
}

// State reads the room's state for a device and, when recent is not 0, what of that many newest
// messages was shown since the screens were last cleared.
func (w *Wall) State(ctx context.Context, device string, recent int) (State, error) {
	row, err := w.store.Get(ctx, tableRoom, w.roomKey())
	if err != nil {
		return State{}, err
	}
	devices, err := w.audience(ctx, text(row, "devices"))
	if err != nil {
		return State{}, err
	}
	settings, err := w.Settings(ctx)
	if err != nil {
		return State{}, err
	}
	s := State{Now: w.now().UnixMilli(), Room: w.room.DocID, Title: settings.Title, Paused: number(row, "paused") == 1, ClearedAt: number(row, "clearedAt"), Public: w.public}
	s.Stats = stats(row, devices)
	s.Registered = slices.ContainsFunc(devices, func(d Device) bool { return d.ID == device })
	if recent <= 0 {
		return s, nil
	}
	found, err := w.scan(ctx, 0, min(recent, 500))
	if err != nil {
		return State{}, err
	}
	for i := len(found) - 1; i >= 0; i-- {
		m := found[i]
		if passed, _ := strconv.ParseInt(m.CheckTime, 10, 64); m.CheckStatus == StatusPassed && passed > s.ClearedAt {
			s.Recent = append(s.Recent, m.frame())
		}
	}
	return s, nil
}

func stats(room Row, devices []Device) Stats {
	return Stats{
		Messages: number(room, "messages"), Likes: number(room, "likes"),
		Online: count(devices, TypePlayer), Screens: count(devices, TypeScreen), Admins: count(devices, TypeAdmin),
	}
}

// Control pauses, resumes or clears the screens.
func (w *Wall) Control(ctx context.Context, action string) error {
	set := Row{}
	switch action {
	case "pause":
		set["paused"] = int64(1)
	case "resume":
		set["paused"] = int64(0)
	case "clear":
		set["clearedAt"] = w.now().UnixMilli()
	default:
		return &Error{Kind: Invalid, Text: "action is pause, resume or clear"}
	}
	if err := w.store.Update(ctx, tableRoom, w.roomKey(), set, nil, Expect{}); err != nil {
		return err
	}
	f := Frame{Type: "screen", Action: action}
	done := w.outbox.Push(ctx, screens, f)
	w.outbox.Push(ctx, admins, f)
	w.outbox.Wait(ctx, done)
	return nil
}
