package wall

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The states of a message, as the barrage table numbers them.
const (
	StatusWaiting  = 0
	StatusPassed   = 1
	StatusRejected = 2
)

// Message is a row of the barrage table. Times are unix ms as text, as the original app has them.
type Message struct {
	GID         int64  `json:"gid"`
	ID          int64  `json:"id"`
	FromID      string `json:"fromId"`
	FromName    string `json:"fromName"`
	Color       string `json:"color"`
	FontSize    string `json:"fontSize"`
	CheckStatus int64  `json:"checkStatus"`
	SendTime    string `json:"sendTime"`
	CheckTime   string `json:"checkTime"`
	Message     string `json:"message"`
	Original    string `json:"original,omitempty"` // what was written, when the filter masked it
	Likes       int64  `json:"likes"`              // hearts while it was the newest on the wall
	CID         string `json:"cid,omitempty"`      // the player's own id for it
}

// Post is what a player sends.
type Post struct {
	Message  string `json:"message"`
	FromID   string `json:"fromId"`
	FromName string `json:"fromName"`
	Color    string `json:"color"`
	FontSize string `json:"fontSize"`
	CID      string `json:"cid"` // chosen by the player; the same id is the same message
}

// Receipt says what became of a post.
type Receipt struct {
	CID         string `json:"cid,omitempty"`
	ID          int64  `json:"id"`
	CheckStatus int64  `json:"checkStatus"`
}

const (
	burst      = 10               // messages that a quiet player may send at once
	claimLife  = 10 * time.Second // after this an unfinished post may be taken over
	searchBack = 200              // messages looked through for one whose receipt was not finished
)

// Send accepts a post: it is cleaned, limited, filtered, stored, and on its way to the screens or
// the moderators when Send returns. A post whose CID was accepted before is not stored again; its
// receipt is returned.
func (w *Wall) Send(ctx context.Context, p Post) (Receipt, error) {
	m, err := w.accept(p)
	if err != nil {
		return Receipt{}, err
	}
	rate, err := w.sendRate(ctx)
	if err != nil {
		return Receipt{}, err
	}
	wait := w.senders.Take(p.FromID, rate, burst)
	if p.CID != "" {
		stored, tried, err := w.claim(ctx, p, wait == 0)
		if tried && wait == 0 {
			w.senders.Return(p.FromID, rate)
		}
		if err != nil || stored != nil {
			return deref(stored), err
		}
		if tried {
			wait = 0
		}
	}
	if wait > 0 {
		return Receipt{}, &Error{Kind: Slow, Text: "too fast, wait a moment", After: wait}
	}
	settings, err := w.Settings(ctx) // after the claim: whose claims were stored together share one look
	if err != nil {
		return Receipt{}, err
	}
	w.moderate(&m, settings)
	key, err := w.store.Put(ctx, tableBarrage, Key{{"gid", w.room.GID}, {"id", nil}}, m.row(), Expect{})
	if err != nil {
		return Receipt{}, err
	}
	m.ID = key.Int("id")
	if p.CID != "" {
		if err := w.finish(ctx, p, m.ID); err != nil {
			return Receipt{}, err
		}
	}
	w.announceMessage(ctx, m)
	return Receipt{CID: p.CID, ID: m.ID, CheckStatus: m.CheckStatus}, nil
}

// accept checks and cleans a post.
func (w *Wall) accept(p Post) (Message, error) {
	m := Message{
		GID: w.room.GID, FromID: p.FromID, FromName: clean(p.FromName), Message: clean(p.Message), CID: p.CID,
		Color: cleanColor(p.Color), FontSize: cleanSize(p.FontSize), SendTime: w.millis(),
	}
	if m.FromName == "" {
		m.FromName = "serverlessdevs" // as the original app
	}
	switch {
	case m.Message == "" || characters(m.Message) == 0:
		return m, &Error{Kind: Invalid, Text: "the message is empty"}
	case characters(m.Message) > maxMessage || len([]rune(m.Message)) > maxRunes:
		return m, &Error{Kind: Invalid, Text: fmt.Sprintf("a message has at most %d characters", maxMessage)}
	case characters(m.FromName) > maxName || len([]rune(m.FromName)) > maxRunes/4:
		return m, &Error{Kind: Invalid, Text: fmt.Sprintf("a name has at most %d characters", maxName)}
	case !identifier.MatchString(p.FromID):
		return m, &Error{Kind: Invalid, Text: "fromId is made of letters, digits and _ . @ : -, at most 64"}
	case p.CID != "" && !identifier.MatchString(p.CID):
		return m, &Error{Kind: Invalid, Text: "cid is made of letters, digits and _ . @ : -, at most 64"}
	}
	return m, nil
}

// moderate decides what happens to a new message.
func (w *Wall) moderate(m *Message, s Settings) {
	m.CheckStatus = StatusPassed
	switch s.Status {
	case ModeApprove:
		m.CheckStatus = StatusWaiting
	case ModeWords:
		words := w.filter(s)
		name, badName := words.Mask(m.FromName)
		masked, bad := words.Mask(m.Message)
		if !bad && !badName {
			break
		}
		m.FromName = name
		if s.Action == ActionHold {
			m.CheckStatus = StatusWaiting
			break
		}
		if bad {
			m.Original, m.Message = m.Message, masked
		}
	}
	if m.CheckStatus == StatusPassed {
		m.CheckTime = m.SendTime
	}
}

// announceMessage tells everyone concerned about a stored message and waits until it is sent.
func (w *Wall) announceMessage(ctx context.Context, m Message) {
	if m.CheckStatus == StatusPassed {
		shown := w.outbox.Push(ctx, screens, m.frame())
		w.outbox.Push(ctx, admins, Frame{Type: "passed", Messages: []Message{m}})
		w.outbox.Wait(ctx, shown)
		return
	}
	if m.CheckStatus == StatusWaiting {
		w.outbox.Wait(ctx, w.outbox.Push(ctx, admins, m.waitingFrame()))
	}
}

// receipt looks a post up. It returns its receipt when it was accepted, or when an earlier try began that
// never ended. A try that is under way is an [Error] of kind [Busy].
func (w *Wall) receipt(ctx context.Context, fromID, cid string) (done *Receipt, begun string, err error) {
	row, err := w.store.Get(ctx, tableReceipt, receiptKey(fromID, cid))
	if err != nil || row == nil {
		return nil, "", err
	}
	if id := number(row, "id"); id != 0 {
		m, err := w.Message(ctx, id)
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == NotFound { // erased by a moderator
			return &Receipt{CID: cid, ID: id, CheckStatus: StatusRejected}, "", nil
		}
		return &Receipt{CID: cid, ID: id, CheckStatus: m.CheckStatus}, "", err
	}
	begun = text(row, "begun")
	if ms, _ := strconv.ParseInt(begun, 10, 64); w.now().Sub(time.UnixMilli(ms)) < claimLife {
		return nil, "", errBusy
	}
	return nil, begun, nil
}

var errBusy = &Error{Kind: Busy, Text: "this message is being stored", After: time.Second}

// claim makes this call the one that stores the post, unless it was tried before: then it returns what became
// of it, and after an unfinished try it takes over, and first looks whether that try had stored the message.
// A post that was never tried is claimed only when fresh allows it.
func (w *Wall) claim(ctx context.Context, p Post, fresh bool) (stored *Receipt, tried bool, err error) {
	key, row := receiptKey(p.FromID, p.CID), Row{"begun": w.millis()}
	if fresh {
		_, err := w.store.Put(ctx, tableReceipt, key, row, Expect{Absent: true})
		if !errors.Is(err, ErrCondition) {
			return nil, false, err
		}
	}
	stored, begun, err := w.receipt(ctx, p.FromID, p.CID)
	if err != nil || stored != nil {
		return stored, true, err
	}
	if begun == "" {
		if fresh { // it was there a moment ago
			err = errBusy
		}
		return nil, false, err
	}
	_, err = w.store.Put(ctx, tableReceipt, key, row, Expect{Column: "begun", Equals: begun})
	if errors.Is(err, ErrCondition) {
		err = errBusy
	}
	if err != nil {
		return nil, true, err
	}
	recent, err := w.scan(ctx, 0, searchBack)
	if err != nil {
		return nil, true, err
	}
	for _, m := range recent {
		if m.FromID == p.FromID && m.CID == p.CID {
			if err := w.finish(ctx, p, m.ID); err != nil {
				return nil, true, err
			}
			w.announceMessage(ctx, m)
			return &Receipt{CID: p.CID, ID: m.ID, CheckStatus: m.CheckStatus}, true, nil
		}
	}
	return nil, true, nil
}

// finish writes the stored message's id into its receipt.
func (w *Wall) finish(ctx context.Context, p Post, id int64) error {
	return w.store.Update(ctx, tableReceipt, receiptKey(p.FromID, p.CID), Row{"id": id}, nil, Expect{})
}

// Receipts says what became of a player's posts. Unknown ones are left out.
func (w *Wall) Receipts(ctx context.Context, fromID string, cids []string) ([]Receipt, error) {
	if !identifier.MatchString(fromID) || len(cids) > 50 {
		return nil, &Error{Kind: Invalid, Text: "fromId, and at most 50 cids"}
	}
	out := []Receipt{}
	for _, cid := range cids {
		done, _, err := w.receipt(ctx, fromID, cid)
		if e, ok := errors.AsType[*Error](err); ok && e.Kind == Busy {
			continue
		}
		if err != nil {
			return nil, err
		}
		if done != nil {
			out = append(out, *done)
		}
	}
	return out, nil
}

// Like adds a player's hearts. They reach the screens together with everyone else's, at most ten
// times a second.
func (w *Wall) Like(ctx context.Context, fromID string, n int64) error {
	if !identifier.MatchString(fromID) || n < 1 || n > 100 {
		return &Error{Kind: Invalid, Text: "fromId, and a count of 1 to 100"}
	}
	if wait := w.hearts.Take(fromID, 600, 20); wait > 0 {
		return &Error{Kind: Slow, Text: "too fast, wait a moment", After: wait}
	}
	w.outbox.Wait(ctx, w.outbox.Push(ctx, hearts, Frame{Type: "hearts", N: n}))
	return nil
}

func receiptKey(fromID, cid string) Key { return Key{{"fromId", fromID}, {"cid", cid}} }

func deref(r *Receipt) Receipt {
	if r == nil {
		return Receipt{}
	}
	return *r
}

func (m Message) row() Row {
	row := Row{
		"fromId": m.FromID, "fromName": m.FromName, "color": m.Color, "fontSize": m.FontSize,
		"checkStatus": m.CheckStatus, "sendTime": m.SendTime, "checkTime": m.CheckTime, "message": m.Message, "likes": m.Likes,
	}
	if m.CID != "" {
		row["cid"] = m.CID
	}
	if m.Original != "" {
		row["original"] = m.Original
	}
	return row
}

func messageOf(e Entry) Message {
	return Message{
		GID: e.Key.Int("gid"), ID: e.Key.Int("id"), FromID: text(e.Row, "fromId"), FromName: text(e.Row, "fromName"),
		Color: text(e.Row, "color"), FontSize: text(e.Row, "fontSize"), CheckStatus: number(e.Row, "checkStatus"),
		SendTime: text(e.Row, "sendTime"), CheckTime: text(e.Row, "checkTime"), Message: text(e.Row, "message"),
		Original: text(e.Row, "original"), Likes: number(e.Row, "likes"), CID: text(e.Row, "cid"),
	}
}

// has reports whether the message matches a moderator's search.
func (m Message) has(query string) bool {
	query = strings.ToLower(query)
	for _, s := range []string{m.Message, m.Original, m.FromName, m.FromID} {
		if strings.Contains(strings.ToLower(s), query) {
			return true
		}
	}
	return false
}
