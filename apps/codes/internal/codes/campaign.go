package codes

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Classic is the campaign of the codes that gen_code makes without naming one: UUIDs, no limits, and a
// period that query_code tells and use_code ignores, until an administrator changes that.
const Classic = "classic"

var classic = Campaign{ID: Classic, Name: "Classic activation codes", Type: "activation", Format: "uuid"}

// Campaign is one set of codes and its rules.
type Campaign struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Type     string `json:"type"`     // activation, coupon or gift
	Format   string `json:"format"`   // of generated codes: short or uuid
	Prefix   string `json:"prefix"`   // of short ones
	Value    string `json:"value"`    // what a code is worth; told to who uses one
	Start    int64  `json:"start"`    // default period of its codes, epoch seconds; 0 is open
	End      int64  `json:"end"`      // the first second after it
	Enforce  bool   `json:"enforce"`  // a code outside its period cannot be used
	PerUser  int64  `json:"perUser"`  // codes that one user may use; 0: any
	Total    int64  `json:"total"`    // codes that may be used at all; 0: any
	Paused   bool   `json:"paused"`   // none can be used now
	Created  int64  `json:"created"`  // ms
	Archived bool   `json:"archived"` // paused for good, and out of the way
}

// CampaignChange holds what to change; nil fields stay.
type CampaignChange struct {
	Name     *string `json:"name"`
	Value    *string `json:"value"`
	Start    *Time   `json:"start"`
	End      *Time   `json:"end"`
	Enforce  *bool   `json:"enforce"`
	PerUser  *int64  `json:"perUser"`
	Total    *int64  `json:"total"`
	Paused   *bool   `json:"paused"`
	Archived *bool   `json:"archived"`
}

// NewCampaign asks for a campaign.
type NewCampaign struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Format  string `json:"format"` // "" is short
	Prefix  string `json:"prefix"`
	Value   string `json:"value"`
	Start   Time   `json:"start"`
	End     Time   `json:"end"`
	Enforce *bool  `json:"enforce"` // nil is true
	PerUser int64  `json:"perUser"`
	Total   int64  `json:"total"`
}

// Time is a moment of the API: epoch seconds, or a text that [Book.time] reads.
type Time struct {
	text string
}

// UnmarshalJSON takes a number or a string.
func (t *Time) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &t.text)
	}
	t.text = string(b)
	if t.text == "null" {
		t.text = ""
	}
	return nil
}

// At is the time as it is spelled in an API request: for calls that do not come from JSON.
func At(s string) Time { return Time{s} }

// layouts are how times may be written, beside epoch seconds.
var layouts = []string{"2006-01-02 15:04:05", time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"}

// time reads a moment in epoch seconds; "" is 0, which is no bound.
func (b *Book) time(what string, t Time) (int64, error) {
	s := strings.TrimSpace(t.text)
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= 0 && n < 1<<40 {
		return n, nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, s, b.zone); err == nil && at.Year() >= 1970 {
			return at.Unix(), nil
		}
	}
	return 0, invalid("%s is a time like 2017-12-22 00:00:00, not %.40q", what, s)
}

// period reads both ends of one.
func (b *Book) period(start, end Time) (from, to int64, err error) {
	if from, err = b.time("the start", start); err != nil {
		return 0, 0, err
	}
	if to, err = b.time("the end", end); err != nil {
		return 0, 0, err
	}
	return from, to, goodPeriod(from, to)
}

func goodPeriod(from, to int64) error {
	if to != 0 && to <= from {
		return invalid("the period ends before it starts")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &Error{Kind: Invalid, Text: fmt.Sprintf(format, args...)}
}

func campaignKey(id string) Key { return Key{{"id", id}} }

func (c Campaign) row() Row {
	return Row{
		"name": c.Name, "type": c.Type, "format": c.Format, "prefix": c.Prefix, "value": c.Value, "start": c.Start, "end": c.End,
		"enforce": flag(c.Enforce), "perUser": c.PerUser, "total": c.Total, "paused": flag(c.Paused), "created": c.Created, "archived": flag(c.Archived),
	}
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func campaignOf(id string, r Row) Campaign {
	return Campaign{
		ID: id, Name: text(r, "name"), Type: text(r, "type"), Format: text(r, "format"), Prefix: text(r, "prefix"), Value: text(r, "value"),
		Start: number(r, "start"), End: number(r, "end"), Enforce: number(r, "enforce") != 0, PerUser: number(r, "perUser"),
		Total: number(r, "total"), Paused: number(r, "paused") != 0, Created: number(r, "created"), Archived: number(r, "archived") != 0,
	}
}

// check refuses a campaign that makes no sense.
func (c Campaign) check() error {
	switch {
	case strings.TrimSpace(c.Name) == "" || utf8.RuneCountInString(c.Name) > 80 || !utf8.ValidString(c.Name):
		return invalid("a campaign's name has 1 to 80 characters")
	case !slices.Contains([]string{"activation", "coupon", "gift"}, c.Type):
		return invalid("a campaign's type is activation, coupon or gift")
	case c.Format != "short" && c.Format != "uuid":
		return invalid("the format of codes is short or uuid")
	case !goodPrefix(c.Prefix):
		return invalid("a prefix has up to %d capital letters and digits, without I, L and O, which people read as 1 and 0", maxPrefix)
	case c.Prefix != "" && c.Format == "uuid":
		return invalid("UUIDs have no prefix")
	case utf8.RuneCountInString(c.Value) > 200 || !utf8.ValidString(c.Value):
		return invalid("what a code is worth has up to 200 characters")
	case c.PerUser < 0 || c.Total < 0:
		return invalid("limits are 0 (none) or more")
	}
	return goodPeriod(c.Start, c.End)
}

// MakeCampaign makes a campaign. The same key makes it once; "" is no key.
func (b *Book) MakeCampaign(ctx context.Context, n NewCampaign, key, by string) (Campaign, error) {
	c := Campaign{
		ID: newID(), Name: strings.TrimSpace(n.Name), Type: n.Type, Format: n.Format, Prefix: strings.ToUpper(strings.TrimSpace(n.Prefix)),
		Value: strings.TrimSpace(n.Value), Enforce: n.Enforce == nil || *n.Enforce, PerUser: n.PerUser, Total: n.Total, Created: b.now().UnixMilli(),
	}
	if c.Format == "" {
		c.Format = "short"
	}
	var err error
	if c.Start, c.End, err = b.period(n.Start, n.End); err != nil {
		return Campaign{}, err
	}
	if err := c.check(); err != nil {
		return Campaign{}, err
	}
	if key != "" {
		c.ID = keyedID("campaign", key)
	}
	err = b.store.Put(ctx, tableCampaign, campaignKey(c.ID), c.row(), Expect{Absent: true})
	if err == nil {
		err = b.Note(ctx, by, "create campaign", c.ID, c.Name)
	}
	if !errors.Is(err, ErrCondition) {
		return c, err
	}
	old, err := b.Campaign(ctx, c.ID)
	if err == nil && (old.Name != c.Name || old.Type != c.Type || old.Format != c.Format || old.Prefix != c.Prefix) {
		err = errKey
	}
	return old, err
}

var errKey = &Error{Kind: Conflict, Text: "this idempotency key stands for another request"}

// keyedID is the id of what an idempotency key makes.
func keyedID(scope, key string) string {
	sum := sha256.Sum256([]byte(scope + "\x00" + key))
	return hex.EncodeToString(sum[:8])
}

// Campaign reads a campaign.
func (b *Book) Campaign(ctx context.Context, id string) (Campaign, error) {
	if !goodText(id) {
		return Campaign{}, noCampaign(id)
	}
	row, err := b.store.Get(ctx, tableCampaign, campaignKey(id))
	if err != nil {
		return Campaign{}, err
	}
	if row == nil {
		return Campaign{}, noCampaign(id)
	}
	c := campaignOf(id, row)
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.campaigns) > 1000 {
		clear(b.campaigns)
	}
	b.campaigns[id] = known{c, b.now()}
	return c, nil
}

func noCampaign(id string) error {
	return &Error{Kind: NotFound, Text: fmt.Sprintf("there is no campaign %.70q", id)}
}

// rules is Campaign, at most a second old: every use asks.
func (b *Book) rules(ctx context.Context, id string) (Campaign, error) {
	b.mu.Lock()
	k, ok := b.campaigns[id]
	b.mu.Unlock()
	if age := b.now().Sub(k.at); ok && age >= 0 && age < time.Second {
		return k.Campaign, nil
	}
	return b.Campaign(ctx, id)
}

// Campaigns lists all, the newest first.
func (b *Book) Campaigns(ctx context.Context) ([]Campaign, error) {
	out := []Campaign{}
	err := b.each(ctx, Query{Table: tableCampaign, From: campaignAny, To: campaignAny, Limit: 500}, func(page []Entry) error {
		for _, e := range page {
			out = append(out, campaignOf(e.Key.Text("id"), e.Row))
		}
		return nil
	})
	slices.SortStableFunc(out, func(a, b Campaign) int { return int(b.Created - a.Created) })
	return out, err
}

var campaignAny = Key{{"id", nil}}

// each calls f with one page after the other.
func (b *Book) each(ctx context.Context, q Query, f func([]Entry) error) error {
	for {
		page, next, err := b.store.Range(ctx, q)
		if err != nil {
			return err
		}
		if err := f(page); err != nil || next == nil {
			return err
		}
		q.From = next
	}
}

// ChangeCampaign changes a campaign's rules.
func (b *Book) ChangeCampaign(ctx context.Context, id string, ch CampaignChange) (Campaign, error) {
	c, err := b.Campaign(ctx, id)
	if err != nil {
		return Campaign{}, err
	}
	old := c.row()
	set(&c.Name, ch.Name)
	set(&c.Value, ch.Value)
	set(&c.Enforce, ch.Enforce)
	set(&c.PerUser, ch.PerUser)
	set(&c.Total, ch.Total)
	set(&c.Paused, ch.Paused)
	set(&c.Archived, ch.Archived)
	if ch.Start != nil {
		if c.Start, err = b.time("the start", *ch.Start); err != nil {
			return Campaign{}, err
		}
	}
	if ch.End != nil {
		if c.End, err = b.time("the end", *ch.End); err != nil {
			return Campaign{}, err
		}
	}
	if err := c.check(); err != nil {
		return Campaign{}, err
	}
	change := Change{Set: c.row()}
	maps.DeleteFunc(change.Set, func(name string, v any) bool { return v == old[name] })
	if len(change.Set) > 0 {
		if err := b.store.Update(ctx, tableCampaign, campaignKey(id), change, Expect{Exists: true}); err != nil {
			return Campaign{}, err
		}
	}
	return b.Campaign(ctx, id)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
