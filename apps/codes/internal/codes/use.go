package codes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"
)

// State is what a code's row says of it. The first two are the four functions' own words.
type State string

// The states of a code.
const (
	Unused State = "UNACTIVED"
	Active State = "ACTIVED"
	Void   State = "REVOKED"
)

// Code is one code as its row has it.
type Code struct {
	Code     string `json:"code"`
	Campaign string `json:"campaign"`
	State    State  `json:"state"`
	Start    int64  `json:"start"` // epoch seconds; 0 is open
	End      int64  `json:"end"`
	Batch    string `json:"batch,omitempty"` // the job that made it
	User     string `json:"user,omitempty"`  // who used it
	Used     int64  `json:"used,omitempty"`  // ms

	key, token string // of the use
	fence      int64
}

func codeKey(code string) Key { return Key{{"uuid", code}} }

func codeOf(code string, r Row) Code {
	c := Code{
		Code: code, Campaign: text(r, "campaign"), State: State(text(r, "status")), Start: number(r, "start"), End: number(r, "end"),
		Batch: text(r, "batch"), User: text(r, "user"), Used: number(r, "used"),
		key: text(r, "key"), token: text(r, "token"), fence: number(r, "fence"),
	}
	if c.Campaign == "" { // a row that an older edition of the functions has made
		c.Campaign = Classic
	}
	return c
}

// row is the code's row as a job writes it.
func (c Code) row() Row {
	r := Row{"status": string(c.State), "start": c.Start, "end": c.End, "campaign": c.Campaign, "batch": c.Batch}
	if c.User != "" {
		r["user"] = c.User
	}
	if c.Used != 0 {
		r["used"] = c.Used
	}
	return r
}

// outside refuses a code that is outside its period.
func (c Code) outside(now time.Time) error {
	switch at := now.Unix(); {
	case c.Start != 0 && at < c.Start:
		return &Error{Kind: NotYet, Text: "this code is valid from " + stamp(c.Start)}
	case c.End != 0 && at >= c.End:
		return &Error{Kind: Expired, Text: "this code was valid until " + stamp(c.End)}
	}
	return nil
}

func stamp(epoch int64) string { return time.Unix(epoch, 0).UTC().Format("2006-01-02 15:04 UTC") }

// Code finds a code by what a person has typed.
func (b *Book) Code(ctx context.Context, typed string) (Code, error) {
	texts, typo := spellings(typed)
	for _, t := range texts {
		row, err := b.store.Get(ctx, tableCode, codeKey(t))
		if err != nil {
			return Code{}, err
		}
		if row != nil {
			return codeOf(t, row), nil
		}
	}
	if typo {
		return Code{}, &Error{Kind: Typo, Text: "there is a typing error in this code"}
	}
	return Code{}, &Error{Kind: NotFound, Text: "there is no such code"}
}

// Use is a request to use a code.
type Use struct {
	Code   string `json:"code"`
	User   string `json:"user"`
	Key    string `json:"key"` // idempotency key: the same user's same request again gets the same answer
	Client string `json:"-"`   // address, whose wrong guesses are counted; "" is trusted
}

// Receipt is the answer to a use.
type Receipt struct {
	Code     string `json:"code"`
	Campaign string `json:"campaign"` // its name
	Type     string `json:"type"`
	Value    string `json:"value"`
	User     string `json:"user,omitempty"`
	Used     int64  `json:"used"`            // ms
	Again    bool   `json:"again,omitempty"` // the request was answered before
}

const (
	maxUser  = 128             // bytes of a user's name, and of an idempotency key
	patience = 3 * time.Second // for others who are about to use the same code or limit
	pause    = 25 * time.Millisecond
	guessing = 30 // wrong codes a minute and address, and as many at once
)

// Use uses a code. Of any number of uses one succeeds.
func (b *Book) Use(ctx context.Context, u Use) (Receipt, error) {
	if !utf8.ValidString(u.User) || len(u.User) > maxUser || !utf8.ValidString(u.Key) || len(u.Key) > maxUser {
		return Receipt{}, invalid("user and key have up to %d bytes", maxUser)
	}
	for end := b.now().Add(patience); ; {
		code, err := b.guess(ctx, u.Code, u.Client)
		if err != nil {
			return Receipt{}, err
		}
		camp, err := b.rules(ctx, code.Campaign)
		if err != nil {
			return Receipt{}, err
		}
		at, again, err := b.use(ctx, code, camp, u)
		if errors.Is(err, errContended) && b.now().Before(end) {
			if err := wait(ctx, pause); err != nil {
				return Receipt{}, err
			}
			continue
		}
		if errors.Is(err, errContended) {
			err = &Error{Kind: Slow, Text: "this code is being used right now", After: time.Second}
		}
		if err != nil {
			return Receipt{}, err
		}
		return Receipt{Code: code.Code, Campaign: camp.Name, Type: camp.Type, Value: camp.Value, User: u.User, Used: at, Again: again}, nil
	}
}

// errContended says that the row has changed since it was read.
var errContended = errors.New("codes: somebody else is at this row")

// use makes one attempt with the code as it was read.
func (b *Book) use(ctx context.Context, code Code, camp Campaign, u Use) (at int64, again bool, err error) {
	switch {
	case code.State == Active && u.Key != "" && code.key == u.Key && code.User == u.User:
		return code.Used, true, nil
	case code.State == Active:
		return 0, false, &Error{Kind: Used, Text: "this code was used"}
	case code.State != Unused:
		return 0, false, &Error{Kind: Revoked, Text: "this code was revoked"}
	case camp.Paused || camp.Archived:
		return 0, false, &Error{Kind: Paused, Text: "codes of this campaign cannot be used now"}
	case camp.PerUser > 0 && u.User == "":
		return 0, false, invalid("codes of this campaign need a user")
	}
	if camp.Enforce {
		if err := code.outside(b.now()); err != nil {
			return 0, false, err
		}
	}
	r, err := b.reserve(ctx, camp, code, u.User)
	if err != nil {
		return 0, false, err
	}
	at = b.now().UnixMilli()
	change := Change{Set: Row{"status": string(Active), "used": at, "token": r.token}}
	if u.User != "" {
		change.Set["user"] = u.User
	}
	if u.Key != "" {
		change.Set["key"] = u.Key
	}
	err = b.store.Update(ctx, tableCode, codeKey(code.Code), change, code.asRead())
	if errors.Is(err, ErrCondition) {
		return 0, false, cmp.Or(r.release(ctx), errContended)
	}
	if err != nil {
		// Perhaps it is done, perhaps not: the row says. Where it does not, the reservation waits for
		// whoever needs it.
		row, rerr := b.store.Get(ctx, tableCode, codeKey(code.Code))
		if rerr != nil || text(row, "token") != r.token {
			return 0, false, err
		}
	}
	// The use is decided. What follows is bookkeeping that others can repair.
	if err := r.settle(ctx); err != nil {
		b.log.Warn("settle a reservation", "campaign", camp.ID, "err", err)
	}
	b.count(ctx, camp.ID, map[string]int64{"used": 1, dayColumn(b.now()): 1})
	return at, false, nil
}

// asRead is the condition that nobody has touched an unused code since it was read.
func (c Code) asRead() Expect {
	return Expect{Exists: true, Tests: []Test{
		{Column: "status", Value: string(Unused)},
		{Column: "fence", Value: c.fence, Missing: c.fence == 0},
	}}
}

// Revoke makes an unused code unusable. It may be revoked again.
func (b *Book) Revoke(ctx context.Context, typed string) (Code, error) {
	code, err := b.Code(ctx, typed)
	if err != nil {
		return Code{}, err
	}
	changed, err := b.revoke(ctx, code.Code)
	if err != nil {
		return Code{}, err
	}
	if changed {
		b.count(ctx, code.Campaign, map[string]int64{"revoked": 1})
	}
	if code, err = b.Code(ctx, code.Code); err == nil && code.State == Active {
		err = &Error{Kind: Used, Text: fmt.Sprintf("this code was used on %s", stamp(code.Used/1000))}
	}
	return code, err
}

func (b *Book) revoke(ctx context.Context, code string) (bool, error) {
	err := b.store.Update(ctx, tableCode, codeKey(code), Change{Set: Row{"status": string(Void)}},
		Expect{Exists: true, Tests: []Test{{Column: "status", Value: string(Unused)}}})
	if errors.Is(err, ErrCondition) {
		return false, nil
	}
	return err == nil, err
}

// Erase deletes a code's row, whatever its state. It is no error when there is none.
func (b *Book) Erase(ctx context.Context, typed string) error {
	code, err := b.Code(ctx, typed)
	if e, ok := errors.AsType[*Error](err); ok && (e.Kind == NotFound || e.Kind == Typo) {
		return nil
	}
	if err != nil {
		return err
	}
	err = b.store.Delete(ctx, tableCode, codeKey(code.Code), Expect{Exists: true})
	if errors.Is(err, ErrCondition) {
		return nil
	}
	if err == nil {
		b.count(ctx, code.Campaign, map[string]int64{"deleted": 1})
	}
	return err
}

// Answer is what anyone who has a code may know of it.
type Answer struct {
	Code     string `json:"code"`
	State    string `json:"state"` // of the row, or "TIMEINVALID" outside the period
	Campaign string `json:"campaign"`
	Type     string `json:"type"`
	Value    string `json:"value"`
	Start    int64  `json:"start"`
	End      int64  `json:"end"`
}

// Query tells what a code is. Wrong guesses of a client's address are counted, as for [Book.Use].
func (b *Book) Query(ctx context.Context, typed, client string) (Answer, error) {
	code, err := b.guess(ctx, typed, client)
	if err != nil {
		return Answer{}, err
	}
	camp, err := b.rules(ctx, code.Campaign)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Code: code.Code, State: string(code.State), Campaign: camp.Name, Type: camp.Type, Value: camp.Value, Start: code.Start, End: code.End}
	if code.outside(b.now()) != nil {
		a.State = TimeInvalid
	}
	return a, nil
}

// guess is Code for a client who may be guessing; "" is trusted.
func (b *Book) guess(ctx context.Context, typed, client string) (Code, error) {
	if client == "" {
		return b.Code(ctx, typed)
	}
	if wait := b.guesses.wait(client, guessing, guessing, false); wait > 0 {
		return Code{}, &Error{Kind: Slow, Text: "too many wrong codes, wait a moment", After: wait}
	}
	code, err := b.Code(ctx, typed)
	if _, ok := errors.AsType[*Error](err); ok {
		b.guesses.wait(client, guessing, guessing, true)
	}
	return code, err
}
