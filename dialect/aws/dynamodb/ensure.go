package dynamodb

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/table"
)

// EnsureTable makes a table as a template describes it, or changes the one that is there. spec is the
// body of CreateTable, with TimeToLiveSpecification besides. Global indexes come, go and are rebuilt;
// the key and the local indexes of a table stay as they are, so another key is refused. The table can
// be used at once.
func (h *Handler) EnsureTable(ctx context.Context, spec []byte) error {
	req, ok := parseJSON(spec)
	if !ok || req.kind != jsonObject {
		return sluice.Errorf(sluice.Invalid, "the description of the table is not a JSON object")
	}
	err := createTableParams.check(req, false)
	if err == nil {
		err = checkTableName(h, req)
	}
	if err == nil {
		err = createTableParams.validate(req)
	}
	if err != nil {
		return refusal(req.text("TableName"), err)
	}
	want, err := h.newSpec(req)
	if err != nil {
		return refusal(req.text("TableName"), err)
	}
	if err := setTemplateTTL(&want, req); err != nil {
		return err
	}
	_, err = h.opt.Tables.Create(ctx, want)
	if sluice.KindOf(err) != sluice.Exists {
		return err
	}
	return h.alter(ctx, want.Name, func(s *table.Spec, desc *description) error { return become(s, desc, &want, h.opt.Now()) })
}

// refusal is a fault as a line for the person who deploys.
func refusal(name string, err error) error {
	var f *fault
	if errors.As(err, &f) {
		return &sluice.Error{Code: sluice.Invalid, Msg: "table " + name + ": " + f.message, Err: err}
	}
	return err
}

// setTemplateTTL sets the TimeToLiveSpecification of a template.
func setTemplateTTL(s *table.Spec, req *node) error {
	d, err := describe(s)
	if err != nil {
		return err
	}
	if n := req.get("TimeToLiveSpecification"); n != nil {
		setTTL(s, &d.desc, n.bool("Enabled", false), n.text("AttributeName"))
		s.Extra = marshal(d.desc)
	}
	return nil
}

// become changes a table into another, but for what makes it the one it is.
func become(s *table.Spec, desc *description, want *table.Spec, now time.Time) error {
	if !slices.Equal(s.Key, want.Key) {
		return sluice.Errorf(sluice.Invalid, "table %s exists with the key (%s), not (%s): a key cannot be changed; delete the table or give the new one another name",
			s.Name, keyText(s.Key), keyText(want.Key))
	}
	was, err := describe(s)
	if err != nil {
		return err
	}
	is, err := describe(want)
	if err != nil {
		return err
	}
	same := func(x, y indexed) bool {
		return x.Name == y.Name && slices.Equal(x.Key, y.Key) && x.All == y.All && slices.Equal(x.Project, y.Project)
	}
	for _, pair := range [][2][]indexed{{was.indexes, is.indexes}, {is.indexes, was.indexes}} {
		for _, x := range pair[0] {
			if x.Local && !slices.ContainsFunc(pair[1], func(y indexed) bool { return y.Local && same(x, y) }) {
				return sluice.Errorf(sluice.Invalid, "table %s exists with other local secondary indexes (%s): they cannot be changed; delete the table or give the new one another name", s.Name, x.Name)
			}
		}
	}
	next := is.desc
	next.TableID, next.Past, next.Recovery = desc.TableID, desc.Past, desc.Recovery
	next.Throughput.LastIncreaseDateTime, next.Throughput.LastDecreaseDateTime = desc.Throughput.LastIncreaseDateTime, desc.Throughput.LastDecreaseDateTime
	if old := desc.Stream; old != nil {
		switch {
		case next.Stream == nil && old.Enabled:
			next.Stream = &streamState{ViewType: old.ViewType, Label: old.Label, Off: now.UnixMilli()}
		case next.Stream == nil:
			next.Stream = old
		case old.Enabled && old.ViewType == next.Stream.ViewType:
			next.Stream = old
		}
	}
	*desc = next
	s.Indexes, s.Stream, s.Ends = want.Indexes, roomStream(next.Stream), want.Ends
	return nil
}

func keyText(cols []table.KeyColumn) string {
	text := ""
	for i, c := range cols {
		if i > 0 {
			text += ", "
		}
		text += c.Name + " " + typeName(c.Type)
	}
	return text
}
