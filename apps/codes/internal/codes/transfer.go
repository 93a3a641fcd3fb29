package codes

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Filter asks for a part of a campaign's codes, in the order of their texts.
type Filter struct {
	Campaign string
	After    string // begins behind this code; "" is the beginning
	State    State  // "" is any
	Batch    string // of this job; "" is any
}

// page is how many rows one read asks for.
const page = 2000

// Walk calls f for the codes of a filter until it returns false. It holds one page in memory.
func (b *Book) Walk(ctx context.Context, q Filter, f func(Code) (bool, error)) error {
	from := Key{{"campaign", q.Campaign}, {"uuid", nil}}
	if q.After != "" {
		from[1].Value = q.After + "\x00"
	}
	errEnough := errors.New("enough")
	err := b.each(ctx, Query{Table: indexCode, From: from, To: Key{{"campaign", q.Campaign}, {"uuid", nil}}, Limit: page}, func(rows []Entry) error {
		for _, e := range rows {
			c := codeOf(e.Key.Text("uuid"), e.Row)
			c.Campaign = q.Campaign
			if q.State != "" && c.State != q.State || q.Batch != "" && c.Batch != q.Batch {
				continue
			}
			more, err := f(c)
			if err != nil {
				return err
			}
			if !more {
				return errEnough
			}
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// columnsCSV are the columns of an export, and those that an import may name, in any order.
var columnsCSV = []string{"code", "state", "start", "end", "user", "used"}

// Export writes at most limit codes of a filter as CSV, with a header unless it begins behind a code, and
// returns the last of them, "" when it has come to the end. limit 0 is all.
func (b *Book) Export(ctx context.Context, w io.Writer, q Filter, limit int) (last string, err error) {
	out := csv.NewWriter(w)
	if q.After == "" {
		out.Write(columnsCSV)
	}
	n, more := 0, false
	err = b.Walk(ctx, q, func(c Code) (bool, error) {
		if more = limit > 0 && n == limit; more {
			return false, nil
		}
		n++
		last = c.Code
		out.Write([]string{c.Code, string(c.State), moment(c.Start), moment(c.End), safeCell(c.User), moment(c.Used / 1000)})
		return true, out.Error()
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	if !more {
		last = ""
	}
	return last, err
}

func moment(epoch int64) string {
	if epoch == 0 {
		return ""
	}
	return time.Unix(epoch, 0).UTC().Format(time.RFC3339)
}

// safeCell keeps a spreadsheet from running what a user has called himself.
func safeCell(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// Refused is a line that an import left out.
type Refused struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// Imported is what came of an import, or of a part of one.
type Imported struct {
	Job     string    `json:"job"`
	Added   int64     `json:"added"`
	Same    int64     `json:"same"`    // were there from the same import: it was sent before
	Refused []Refused `json:"refused"` // the first hundred
	Count   int64     `json:"count"`   // of refused lines
}

// maxRefused is how many refused lines an import tells.
const maxRefused = 100

// Import reads codes from CSV into a campaign: a column of codes and, when the first line names them,
// state, start, end, user and used. A line with a mistake, or with a code that exists, is left out and
// told; the others are stored. The same import may come again, or go on, under its id: what is there
// already is not counted twice. line is the number of the first line.
func (b *Book) Import(ctx context.Context, campaign, id, by string, r io.Reader, header []string, line int) (Imported, error) {
	camp, err := b.Campaign(ctx, campaign)
	if err != nil {
		return Imported{}, err
	}
	if id == "" {
		id = newID()
	}
	if !goodText(id) {
		return Imported{}, invalid("an import's id has letters, digits and dashes")
	}
	job, err := b.begin(ctx, Job{Kind: "import", Campaign: campaign, By: by}, id)
	if err != nil {
		return Imported{}, err
	}
	out := Imported{Job: job.ID, Refused: []Refused{}}
	in := csv.NewReader(r)
	in.FieldsPerRecord, in.ReuseRecord, in.TrimLeadingSpace = -1, true, true
	var rows []Entry
	var lines []int
	flush := func() error {
		if len(rows) == 0 {
			return nil
		}
		err := b.importRows(ctx, job.ID, rows, lines, &out)
		rows, lines = rows[:0], lines[:0]
		return err
	}
	names := header
	seen := map[string]bool{} // of the batch: the store refuses one that writes a row twice
	for {
		record, err := in.Read()
		if err == io.EOF {
			break
		}
		if parse, ok := errors.AsType[*csv.ParseError](err); ok {
			out.refuse(parse.Line+line-1, "this is not CSV: "+parse.Err.Error())
			continue
		}
		if err != nil {
			return out, invalid("the upload broke off: %v", err)
		}
		at, _ := in.FieldPos(0)
		at += line - 1
		if names == nil {
			if names = headerOf(record); names != nil {
				continue
			}
			names = columnsCSV
		}
		c, err := b.importedCode(camp, names, record)
		if err != nil {
			out.refuse(at, err.Error())
			continue
		}
		if seen[c.Code] {
			out.refuse(at, "this code is there twice: "+c.Code)
			continue
		}
		seen[c.Code] = true
		c.Batch = job.ID
		rows, lines = append(rows, Entry{Key: codeKey(c.Code), Row: c.row()}), append(lines, at)
		if len(rows) == MaxPut {
			if err := flush(); err != nil {
				return out, err
			}
			clear(seen)
		}
	}
	if err := flush(); err != nil {
		return out, err
	}
	return out, b.store.Update(ctx, tableJob, jobKey(campaign, job.ID), Change{
		Add: map[string]int64{"made": out.Added}, Set: Row{"state": Done, "changed": b.now().UnixMilli()},
	}, Expect{Exists: true})
}

func (i *Imported) refuse(line int, text string) {
	i.Count++
	if len(i.Refused) < maxRefused {
		i.Refused = append(i.Refused, Refused{line, text})
	}
}

// headerOf reads the first line as names of columns; nil when it is a code already.
func headerOf(record []string) []string {
	names := make([]string, len(record))
	code := false
	for i, cell := range record {
		name := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(cell, "\ufeff")))
		switch name {
		case "uuid":
			name = "code"
		case "status":
			name = "state"
		}
		code = code || name == "code"
		names[i] = name
	}
	if !code {
		return nil
	}
	return names
}

// importedCode reads one line.
func (b *Book) importedCode(camp Campaign, names, record []string) (Code, error) {
	c := Code{Campaign: camp.ID, State: Unused, Start: camp.Start, End: camp.End}
	for i, cell := range record {
		cell = strings.TrimSpace(strings.TrimPrefix(cell, "\ufeff"))
		if i >= len(names) || cell == "" {
			continue
		}
		var err error
		switch names[i] {
		case "code":
			c.Code = cell
		case "state":
			c.State = State(strings.ToUpper(cell))
		case "start":
			c.Start, err = b.time("the start", At(cell))
		case "end":
			c.End, err = b.time("the end", At(cell))
		case "user":
			c.User = strings.TrimPrefix(cell, "'")
		case "used":
			c.Used, err = b.time("the time of use", At(cell))
			c.Used *= 1000
		}
		if err != nil {
			return Code{}, err
		}
	}
	switch {
	case !goodText(c.Code):
		return Code{}, fmt.Errorf("a code has 1 to %d letters, digits, dots, dashes and underscores, not %.80q", maxText, c.Code)
	case c.State != Unused && c.State != Active && c.State != Void:
		return Code{}, fmt.Errorf("the state is %s, %s or %s, not %.20q", Unused, Active, Void, c.State)
	case len(c.User) > maxUser || !utf8.ValidString(c.User):
		return Code{}, fmt.Errorf("a user has up to %d bytes of UTF-8", maxUser)
	}
	return c, goodPeriod(c.Start, c.End)
}

// importRows stores one batch and tells which rows were there.
func (b *Book) importRows(ctx context.Context, job string, rows []Entry, lines []int, out *Imported) error {
	made, err := b.store.PutNew(ctx, tableCode, rows)
	if err != nil {
		return err
	}
	for i, ok := range made {
		if ok {
			out.Added++
			continue
		}
		row, err := b.store.Get(ctx, tableCode, rows[i].Key)
		switch {
		case err != nil:
			return err
		case text(row, "batch") == job:
			out.Same++
		default:
			out.refuse(lines[i], "this code exists: "+rows[i].Key.Text("uuid"))
		}
	}
	return nil
}

// Statistics are a campaign's figures.
type Statistics struct {
	Codes   int64            `json:"codes"` // made and imported, without those deleted
	Used    int64            `json:"used"`
	Revoked int64            `json:"revoked"`
	Deleted int64            `json:"deleted"`
	Days    map[string]int64 `json:"days"`  // uses by UTC day
	Exact   bool             `json:"exact"` // the codes themselves were counted
}

// Statistics returns the figures as they were counted while things happened.
func (b *Book) Statistics(ctx context.Context, campaign string) (Statistics, error) {
	s := Statistics{Days: map[string]int64{}}
	jobs, err := b.Jobs(ctx, campaign)
	if err != nil {
		return s, err
	}
	for _, j := range jobs {
		if j.Kind != "revoke" {
			s.Codes += j.Made
		}
	}
	row, err := b.store.Get(ctx, tableCounter, counterKey(campaign, "figures"))
	for column := range row {
		if day, ok := strings.CutPrefix(column, "d_"); ok {
			s.Days[day] = number(row, column)
		}
	}
	s.Used, s.Revoked, s.Deleted = number(row, "used"), number(row, "revoked"), number(row, "deleted")
	s.Codes -= s.Deleted
	return s, err
}

// Recount counts the codes themselves: exact, and a read of all of them.
func (b *Book) Recount(ctx context.Context, campaign string) (Statistics, error) {
	s := Statistics{Days: map[string]int64{}, Exact: true}
	err := b.Walk(ctx, Filter{Campaign: campaign}, func(c Code) (bool, error) {
		s.Codes++
		switch c.State {
		case Active:
			s.Used++
			if c.Used != 0 {
				s.Days[time.UnixMilli(c.Used).UTC().Format(time.DateOnly)]++
			}
		case Void:
			s.Revoked++
		}
		return true, nil
	})
	return s, err
}

// parseNum reads a number that a caller may have written as text.
func parseNum(s string) (int64, bool) {
	n, err := strconv.ParseInt(strings.Trim(s, `"`), 10, 64)
	return n, err == nil
}
