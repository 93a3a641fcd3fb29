package codes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
)

// The answers of the four functions.
const (
	OK          = "ok"
	Succeed     = "SUCCEED"
	FailedUse   = "FAILED"
	NoExisted   = "NO EXISTED"
	TimeInvalid = "TIMEINVALID"
)

// Gen is the event of gen_code: {"num":1000,"start period":"2017-12-22 00:00:00","end period":…}, and
// what is new: a campaign, and a key that makes a repeated event harmless.
type Gen struct {
	Num      json.RawMessage `json:"num"`
	Start    Time            `json:"start period"`
	End      Time            `json:"end period"`
	Campaign string          `json:"campaign"`
	Key      string          `json:"key"`
}

// timer is what a timer trigger sends in place of an event.
type timer struct {
	Name string `json:"triggerName"`
}

// GenCode answers gen_code: it makes the codes and answers ok when they are all there. A timer's event
// carries on what others have left.
func (b *Book) GenCode(ctx context.Context, event []byte) (string, error) {
	var t timer
	if json.Unmarshal(event, &t) == nil && t.Name != "" {
		return OK, b.WorkAll(ctx)
	}
	var g Gen
	if err := decode(event, &g); err != nil {
		return "", err
	}
	num, ok := parseNum(string(g.Num))
	if !ok {
		return "", invalid(`num is the number of codes, like {"num":1000,"start period":"2017-12-22 00:00:00","end period":"2017-12-28 00:00:00"}`)
	}
	if g.Campaign == "" {
		g.Campaign = Classic
		if g.Start.text == "" || g.End.text == "" {
			return "", invalid(`"start period" and "end period" are needed, like "2017-12-22 00:00:00"`)
		}
	}
	job, err := b.Order(ctx, Order{Campaign: g.Campaign, Num: num, Start: g.Start, End: g.End, Key: g.Key, By: "gen_code"})
	if err != nil {
		return "", err
	}
	if job, err = b.Work(ctx, job.Campaign, job.ID); err != nil {
		return "", err
	}
	switch job.State {
	case Done:
		return OK, nil
	case Failed:
		return "", errors.New(job.Error)
	}
	return "", errors.New("there was no time for all codes: the rest is made in a minute or so")
}

// one is the event of the other three functions, with what use_code may tell besides.
type one struct {
	UUID *string `json:"uuid"`
	User string  `json:"user"`
	Key  string  `json:"key"`
}

func readOne(event []byte) (one, error) {
	var o one
	if err := decode(event, &o); err != nil {
		return o, err
	}
	if o.UUID == nil {
		return o, invalid(`the event has no code: {"uuid":"…"}`)
	}
	return o, nil
}

func decode(event []byte, v any) error {
	if err := json.Unmarshal(event, v); err != nil || !bytes.HasPrefix(bytes.TrimSpace(event), []byte("{")) {
		return invalid("the event is not the JSON object that this function takes")
	}
	return nil
}

// UseCode answers use_code: SUCCEED to exactly one of all that use a code, else FAILED.
func (b *Book) UseCode(ctx context.Context, event []byte) (string, error) {
	o, err := readOne(event)
	if err != nil {
		return "", err
	}
	_, err = b.Use(ctx, Use{Code: *o.UUID, User: o.User, Key: o.Key})
	if err == nil {
		return Succeed, nil
	}
	if _, ok := errors.AsType[*Error](err); !ok {
		b.log.Error("use", "err", err)
	}
	return FailedUse, nil
}

// QueryCode answers query_code: NO EXISTED, TIMEINVALID outside the period, else the state.
func (b *Book) QueryCode(ctx context.Context, event []byte) (string, error) {
	o, err := readOne(event)
	if err != nil {
		return "", err
	}
	code, err := b.Code(ctx, *o.UUID)
	if e, ok := errors.AsType[*Error](err); ok && (e.Kind == NotFound || e.Kind == Typo) {
		return NoExisted, nil
	}
	if err != nil {
		return "", err
	}
	if code.outside(b.now()) != nil {
		return TimeInvalid, nil
	}
	return string(code.State), nil
}

// DelCode answers del_code: SUCCEED whenever the row is gone afterwards, FAILED only on an error.
func (b *Book) DelCode(ctx context.Context, event []byte) (string, error) {
	o, err := readOne(event)
	if err != nil {
		return "", err
	}
	if err := b.Erase(ctx, *o.UUID); err != nil {
		b.log.Error("delete", "err", err)
		return FailedUse, nil
	}
	if err := b.Note(ctx, "del_code", "delete", *o.UUID, ""); err != nil {
		b.log.Error("note", "err", err)
	}
	return Succeed, nil
}
