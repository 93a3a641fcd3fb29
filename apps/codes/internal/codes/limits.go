package codes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A limit is a row of the table counter: n counts the codes that were used under it, and each use that
// is under way has a mark there, a column named after its code that holds the use's token and its time.
// Counting and marking are one conditional update, so that n never exceeds the limit. Then the code's row
// decides: the use is done (the mark goes) or not (the mark goes and n falls).
//
// A crash leaves a mark. Whoever meets an old one asks the code's row: when the code was used with the
// mark's token, the mark goes; when it is unused, its fence rises first, and the use that left the mark can
// no longer be done, because it expects the fence as it was. So no clock decides, only when to look.

// stale is how old a mark is before others resolve it.
const stale = 10 * time.Second

// reservation is what one use has reserved.
type reservation struct {
	book  *Book
	camp  string
	code  string
	token string
	mark  string   // what stands in the mark: the token and the time
	names []string // of the counters
}

func counterKey(campaign, name string) Key { return Key{{"campaign", campaign}, {"name", name}} }

func markColumn(code string) string { return "m_" + code }

// reserve counts one use of the code under each of the campaign's limits, or under none.
func (b *Book) reserve(ctx context.Context, c Campaign, code Code, user string) (*reservation, error) {
	r := &reservation{book: b, camp: c.ID, code: code.Code, token: newID()}
	r.mark = r.token + " " + strconv.FormatInt(b.now().UnixMilli(), 10)
	limits := []struct {
		name, text string
		limit      int64
	}{
		{"user/" + user, "you have used as many codes of this campaign as one may", c.PerUser},
		{"total", "as many codes of this campaign were used as may be", c.Total},
	}
	for _, l := range limits {
		if l.limit == 0 {
			continue
		}
		if err := r.take(ctx, l.name, l.text, l.limit); err != nil {
			return nil, cmp.Or(r.release(ctx), err)
		}
		r.names = append(r.names, l.name)
	}
	return r, nil
}

func (r *reservation) take(ctx context.Context, name, text string, limit int64) error {
	mark := markColumn(r.code)
	key := counterKey(r.camp, name)
	for {
		err := r.book.store.Update(ctx, tableCounter, key,
			Change{Add: map[string]int64{"n": 1}, Set: Row{mark: r.mark}},
			Expect{Tests: []Test{{Column: "n", Less: true, Value: limit, Missing: true}, {Column: mark, Value: "", Missing: true}}})
		if !errors.Is(err, ErrCondition) {
			return err
		}
		row, err := r.book.store.Get(ctx, tableCounter, key)
		if err != nil {
			return err
		}
		healed, fresh := false, false
		for column, v := range row {
			code, ok := strings.CutPrefix(column, "m_")
			if !ok {
				continue
			}
			s, _ := v.(string)
			token, at, _ := strings.Cut(s, " ")
			ms, _ := strconv.ParseInt(at, 10, 64)
			if r.book.now().Sub(time.UnixMilli(ms)) < stale {
				fresh = true
				continue
			}
			left := &reservation{book: r.book, camp: r.camp, code: code, token: token, mark: s, names: []string{name}}
			if err := left.resolve(ctx); err != nil {
				return err
			}
			healed = true
		}
		switch {
		case healed:
		case fresh, row == nil, number(row, "n") < limit:
			return errContended
		default:
			return &Error{Kind: Limit, Text: text}
		}
	}
}

// resolve ends a reservation that a crash has left.
func (r *reservation) resolve(ctx context.Context) error {
	row, err := r.book.store.Get(ctx, tableCode, codeKey(r.code))
	if err != nil {
		return err
	}
	code := codeOf(r.code, row)
	if code.State == Unused {
		err := r.book.store.Update(ctx, tableCode, codeKey(r.code), Change{Set: Row{"fence": code.fence + 1}}, code.asRead())
		if errors.Is(err, ErrCondition) {
			return errContended
		}
		if err != nil {
			return err
		}
	}
	add := int64(-1)
	if code.State == Active && code.token == r.token {
		add = 0
	}
	return r.end(ctx, add)
}

// end removes the marks, which are gone when somebody else has resolved them, and adds to the counters.
func (r *reservation) end(ctx context.Context, add int64) error {
	change := Change{Remove: []string{markColumn(r.code)}}
	if add != 0 {
		change.Add = map[string]int64{"n": add}
	}
	for _, name := range r.names {
		err := r.book.store.Update(ctx, tableCounter, counterKey(r.camp, name), change,
			Expect{Exists: true, Tests: []Test{{Column: markColumn(r.code), Value: r.mark}}})
		if err != nil && !errors.Is(err, ErrCondition) {
			return fmt.Errorf("counter %s of campaign %s: %w", name, r.camp, err)
		}
	}
	return nil
}

func (r *reservation) settle(ctx context.Context) error  { return r.end(ctx, 0) }
func (r *reservation) release(ctx context.Context) error { return r.end(ctx, -1) }

// count adds to the campaign's figures. They are for people: a crash may leave them behind by one, and
// [Book.Recount] counts the codes themselves.
func (b *Book) count(ctx context.Context, campaign string, add map[string]int64) {
	if err := b.store.Update(ctx, tableCounter, counterKey(campaign, "figures"), Change{Add: add}, Expect{}); err != nil {
		b.log.Warn("count", "campaign", campaign, "err", err)
	}
}

func dayColumn(t time.Time) string { return "d_" + t.UTC().Format(time.DateOnly) }
