package codes

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"
)

// MaxJob is how many codes one job makes.
const MaxJob = 10_000_000

// Job is a run that makes codes, revokes them, or what an import has brought.
type Job struct {
	ID       string `json:"id"`
	Campaign string `json:"campaign"`
	Kind     string `json:"kind"`  // generate, import or revoke
	State    string `json:"state"` // running, done or failed
	Num      int64  `json:"num"`   // codes to make; 0 where that is not known
	Made     int64  `json:"made"`  // codes made, imported or revoked
	Error    string `json:"error,omitempty"`
	Start    int64  `json:"start"` // period of the codes, epoch seconds
	End      int64  `json:"end"`
	By       string `json:"by"`
	Created  int64  `json:"created"`      // ms
	Changed  int64  `json:"changed"`      // ms
	Of       string `json:"of,omitempty"` // the job whose codes are revoked; "" is the whole campaign

	secret string // of generated codes
	next   int64  // number of the code to try next
	after  string // the last code that was looked at, of a revocation
}

// The states of a job.
const (
	Running = "running"
	Done    = "done"
	Failed  = "failed"
)

func jobKey(campaign, id string) Key { return Key{{"campaign", campaign}, {"id", id}} }

func (j Job) row() Row {
	return Row{
		"kind": j.Kind, "state": j.State, "num": j.Num, "made": j.Made, "error": j.Error, "start": j.Start, "end": j.End, "by": j.By,
		"created": j.Created, "changed": j.Changed, "of": j.Of, "secret": j.secret, "next": j.next, "after": j.after,
	}
}

func jobOf(k Key, r Row) Job {
	return Job{
		ID: k.Text("id"), Campaign: k.Text("campaign"), Kind: text(r, "kind"), State: text(r, "state"), Num: number(r, "num"), Made: number(r, "made"),
		Error: text(r, "error"), Start: number(r, "start"), End: number(r, "end"), By: text(r, "by"), Created: number(r, "created"),
		Changed: number(r, "changed"), Of: text(r, "of"), secret: text(r, "secret"), next: number(r, "next"), after: text(r, "after"),
	}
}

// Order asks for codes.
type Order struct {
	Campaign string
	Num      int64
	Start    Time // "" is the campaign's
	End      Time
	Key      string // idempotency key: makes the job once; "" is none
	By       string
}

// Order makes the job that makes codes. [Book.Work] does it.
func (b *Book) Order(ctx context.Context, o Order) (Job, error) {
	if o.Num < 1 || o.Num > MaxJob {
		return Job{}, invalid("num is 1 to %d codes", MaxJob)
	}
	c, err := b.Campaign(ctx, o.Campaign)
	if err != nil {
		return Job{}, err
	}
	start, end, err := b.period(o.Start, o.End)
	if err != nil {
		return Job{}, err
	}
	if o.Start.text == "" {
		start = c.Start
	}
	if o.End.text == "" {
		end = c.End
	}
	if err := goodPeriod(start, end); err != nil {
		return Job{}, err
	}
	return b.begin(ctx, Job{Kind: "generate", Campaign: c.ID, Num: o.Num, Start: start, End: end, By: o.By, secret: rand.Text() + rand.Text()}, o.Key)
}

// RevokeAll makes the job that revokes the unused codes of a campaign, or of one job of it.
func (b *Book) RevokeAll(ctx context.Context, campaign, of, key, by string) (Job, error) {
	if _, err := b.Campaign(ctx, campaign); err != nil {
		return Job{}, err
	}
	if of != "" {
		if _, err := b.Job(ctx, campaign, of); err != nil {
			return Job{}, err
		}
	}
	return b.begin(ctx, Job{Kind: "revoke", Campaign: campaign, Of: of, By: by}, key)
}

// begin stores a new job, or finds the one that the key has made before.
func (b *Book) begin(ctx context.Context, j Job, key string) (Job, error) {
	j.ID, j.State, j.Created = newID(), Running, b.now().UnixMilli()
	j.Changed = j.Created
	if key != "" {
		j.ID = keyedID("job "+j.Kind+" "+j.Campaign, key)
	}
	// What is to do is noted first: a job without a note would be forgotten by a crash between the two.
	if j.Kind != "import" {
		if err := b.store.Put(ctx, tableTodo, jobKey(j.Campaign, j.ID), Row{"created": j.Created}, Expect{}); err != nil {
			return Job{}, err
		}
	}
	err := b.store.Put(ctx, tableJob, jobKey(j.Campaign, j.ID), j.row(), Expect{Absent: true})
	if errors.Is(err, ErrCondition) {
		old, err := b.Job(ctx, j.Campaign, j.ID)
		if err == nil && (old.Num != j.Num || old.Start != j.Start || old.End != j.End || old.Of != j.Of) {
			err = errKey
		}
		return old, err
	}
	if err != nil {
		return Job{}, err
	}
	detail := "job " + j.ID
	if j.Num > 0 {
		detail += fmt.Sprintf(", %d codes", j.Num)
	}
	return j, b.Note(ctx, j.By, j.Kind, j.Campaign, detail)
}

// Job reads a job.
func (b *Book) Job(ctx context.Context, campaign, id string) (Job, error) {
	key := jobKey(campaign, id)
	row, err := b.store.Get(ctx, tableJob, key)
	if err == nil && row == nil {
		err = &Error{Kind: NotFound, Text: fmt.Sprintf("there is no job %.40q", id)}
	}
	if err != nil {
		return Job{}, err
	}
	return jobOf(key, row), nil
}

// Jobs lists a campaign's jobs, in no order; at most 1,000.
func (b *Book) Jobs(ctx context.Context, campaign string) ([]Job, error) {
	page, _, err := b.store.Range(ctx, Query{Table: tableJob, From: Key{{"campaign", campaign}, {"id", nil}}, To: Key{{"campaign", campaign}, {"id", nil}}, Limit: 1000})
	out := make([]Job, 0, len(page))
	for _, e := range page {
		out = append(out, jobOf(e.Key, e.Row))
	}
	return out, err
}

// WorkAll carries on every job that is not done, until ctx ends.
func (b *Book) WorkAll(ctx context.Context) error {
	any := Key{{"campaign", nil}, {"id", nil}}
	return b.each(ctx, Query{Table: tableTodo, From: any, To: any, Limit: 100}, func(page []Entry) error {
		for _, e := range page {
			j, err := b.Work(ctx, e.Key.Text("campaign"), e.Key.Text("id"))
			if refusal, ok := errors.AsType[*Error](err); ok && refusal.Kind == NotFound {
				// Noted, and killed before the job was stored; or just about to be.
				if b.now().Sub(time.UnixMilli(number(e.Row, "created"))) < time.Minute {
					continue
				}
				err = b.store.Delete(ctx, tableTodo, e.Key, Expect{})
			}
			if err != nil {
				return err
			}
			b.log.Info("carried on", "campaign", j.Campaign, "job", j.ID, "state", j.State, "made", j.Made)
		}
		return nil
	})
}

// lanes is how many batches one worker writes at once.
const lanes = 8

// Work carries a job on until it is done or ctx ends, and returns how far it is. That ctx has ended is no
// error. Several may work on one job: what one has done the others find done.
func (b *Book) Work(ctx context.Context, campaign, id string) (Job, error) {
	for {
		j, err := b.Job(context.WithoutCancel(ctx), campaign, id)
		if err != nil {
			return Job{}, err
		}
		if j.State != Running || j.Kind == "import" {
			return j, b.store.Delete(context.WithoutCancel(ctx), tableTodo, jobKey(campaign, id), Expect{})
		}
		if ctx.Err() != nil {
			return j, nil
		}
		step := b.generate
		if j.Kind == "revoke" {
			step = b.revokeMany
		}
		before := j
		if err = step(ctx, &j); err == nil {
			err = b.advance(ctx, before, j)
		}
		if err != nil && ctx.Err() != nil {
			continue // the time is over: the row says how far it came
		}
		if err != nil {
			return before, err
		}
	}
}

// advance writes how far a job is, unless another worker was faster.
func (b *Book) advance(ctx context.Context, before, now Job) error {
	err := b.store.Update(ctx, tableJob, jobKey(now.Campaign, now.ID), Change{Set: Row{
		"state": now.State, "made": now.Made, "error": now.Error, "next": now.next, "after": now.after, "changed": b.now().UnixMilli(),
	}}, Expect{Exists: true, Tests: []Test{{Column: "next", Value: before.next}, {Column: "state", Value: before.State}}})
	if errors.Is(err, ErrCondition) {
		return nil
	}
	if err == nil && now.State != Running {
		detail := fmt.Sprintf("job %s, %d codes", now.ID, now.Made)
		if now.Kind == "revoke" {
			b.count(ctx, now.Campaign, map[string]int64{"revoked": now.Made})
		}
		if now.Error != "" {
			detail += ": " + now.Error
		}
		err = b.Note(ctx, now.By, now.Kind+" "+now.State, now.Campaign, detail)
	}
	return err
}

// generate makes the next codes of a job: as many as are missing, at most a batch for each lane. Which
// numbers those are follows from the job's row alone. A number whose text another job or an import has
// taken is skipped.
func (b *Book) generate(ctx context.Context, j *Job) error {
	camp, err := b.rules(ctx, j.Campaign)
	if err != nil {
		return err
	}
	maker := NewMaker(j.secret, camp.Prefix, camp.Format == "uuid")
	size := min(j.Num-j.Made, lanes*MaxPut)
	counts, errs := make([]int64, lanes), make([]error, lanes)
	var wg sync.WaitGroup
	for lane := range int64(lanes) {
		from, to := lane*MaxPut, min((lane+1)*MaxPut, size)
		if from >= to {
			break
		}
		wg.Go(func() {
			rows := make([]Entry, 0, MaxPut)
			for i := from; i < to; i++ {
				c := Code{Code: maker.Code(j.next + i), Campaign: j.Campaign, State: Unused, Start: j.Start, End: j.End, Batch: j.ID}
				rows = append(rows, Entry{Key: codeKey(c.Code), Row: c.row()})
			}
			counts[lane], errs[lane] = b.putCodes(ctx, j.ID, rows)
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	var made int64
	for _, n := range counts {
		made += n
	}
	j.next += size
	j.Made += made
	switch {
	case j.Made == j.Num:
		j.State = Done
	case made*2 < size:
		j.State, j.Error = Failed, "too many of the codes are taken"
	}
	return nil
}

// putCodes puts at most MaxPut new codes of a job and counts those that are there now as this job's.
func (b *Book) putCodes(ctx context.Context, job string, rows []Entry) (int64, error) {
	made, err := b.store.PutNew(ctx, tableCode, rows)
	if err != nil {
		return 0, err
	}
	var n int64
	var doubtful []Key // there already: this job's, from before a kill, or another's
	for i, ok := range made {
		if ok {
			n++
		} else {
			doubtful = append(doubtful, rows[i].Key)
		}
	}
	for len(doubtful) > 0 {
		some := doubtful[:min(len(doubtful), MaxGet)]
		doubtful = doubtful[len(some):]
		found, err := b.store.GetMany(ctx, tableCode, some)
		if err != nil {
			return 0, err
		}
		for _, row := range found {
			if text(row, "batch") == job {
				n++
			}
		}
	}
	return n, nil
}

// revokeMany revokes the unused ones among the next codes of a campaign.
func (b *Book) revokeMany(ctx context.Context, j *Job) error {
	from := Key{{"campaign", j.Campaign}, {"uuid", nil}}
	if j.after != "" {
		from[1].Value = j.after + "\x00"
	}
	page, next, err := b.store.Range(ctx, Query{Table: indexCode, From: from, To: Key{{"campaign", j.Campaign}, {"uuid", nil}}, Limit: 1000})
	if err != nil {
		return err
	}
	work := make(chan string)
	counts, errs := make([]int64, 16), make([]error, 16)
	var wg sync.WaitGroup
	for lane := range counts {
		wg.Go(func() {
			for code := range work {
				if errs[lane] != nil {
					continue
				}
				changed, err := b.revoke(ctx, code)
				if errs[lane] = err; changed {
					counts[lane]++
				}
			}
		})
	}
	for _, e := range page {
		j.after = e.Key.Text("uuid")
		if State(text(e.Row, "status")) == Unused && (j.Of == "" || text(e.Row, "batch") == j.Of) {
			work <- j.after
		}
	}
	close(work)
	wg.Wait()
	for _, n := range counts {
		j.Made += n
	}
	j.next++
	if next == nil {
		j.State = Done
	}
	return errors.Join(errs...)
}
