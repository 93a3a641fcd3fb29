package codes_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
	"github.com/sluicehq/sluice/apps/codes/internal/codestest"
)

// office is a book on a store in memory, with a clock that tests turn.
type office struct {
	*codes.Book
	store *codestest.Memory
	t     *testing.T

	mu  sync.Mutex
	now time.Time
}

func newOffice(t *testing.T) *office {
	t.Helper()
	o := &office{store: codestest.New(), t: t, now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)}
	o.restart()
	return o
}

// restart is a new instance on the same tables.
func (o *office) restart() {
	o.Book = codes.New(codes.Options{Store: o.store, Log: slog.New(slog.DiscardHandler), Now: o.clock, AdminPassword: "pass"})
	if err := o.Prepare(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
}

func (o *office) clock() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}

func (o *office) later(d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = o.now.Add(d)
}

// campaign makes one with that many codes, and returns its id and them.
func (o *office) campaign(c codes.NewCampaign, num int64) (string, []string) {
	o.t.Helper()
	ctx := o.t.Context()
	if c.Name == "" {
		c.Name = "Summer"
	}
	if c.Type == "" {
		c.Type = "coupon"
	}
	camp, err := o.MakeCampaign(ctx, c, "", "admin")
	if err != nil {
		o.t.Fatal(err)
	}
	j, err := o.Order(ctx, codes.Order{Campaign: camp.ID, Num: num})
	if err == nil {
		j, err = o.Work(ctx, camp.ID, j.ID)
	}
	if err != nil || j.State != codes.Done {
		o.t.Fatal(j, err)
	}
	return camp.ID, o.all(camp.ID)
}

func (o *office) all(campaign string) (list []string) {
	o.t.Helper()
	if err := o.Walk(o.t.Context(), codes.Filter{Campaign: campaign}, func(c codes.Code) (bool, error) {
		list = append(list, c.Code)
		return true, nil
	}); err != nil {
		o.t.Fatal(err)
	}
	return list
}

// kind is the kind of a refusal, "" for none.
func kind(err error) codes.Kind {
	if e, ok := errors.AsType[*codes.Error](err); ok {
		return e.Kind
	}
	if err != nil {
		return codes.Kind(err.Error())
	}
	return ""
}

func (o *office) use(code, user, key string) codes.Kind {
	_, err := o.Use(o.t.Context(), codes.Use{Code: code, User: user, Key: key})
	return kind(err)
}

func TestOfManyWhoUseACodeOneSucceeds(t *testing.T) {
	for _, c := range []codes.NewCampaign{{}, {PerUser: 1, Total: 5}} {
		o := newOffice(t)
		_, list := o.campaign(c, 1)
		var mu sync.Mutex
		got := map[codes.Kind]int{}
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				k := o.use(list[0], fmt.Sprint("user", i), "")
				mu.Lock()
				got[k]++
				mu.Unlock()
			})
		}
		wg.Wait()
		if got[""] != 1 || got[codes.Used] != 199 {
			t.Errorf("limits %d and %d: %v", c.PerUser, c.Total, got)
		}
	}
}

func TestTheSameRequestAgainGetsTheSameAnswer(t *testing.T) {
	o := newOffice(t)
	_, list := o.campaign(codes.NewCampaign{PerUser: 1}, 2)
	for range 2 {
		if k := o.use(list[0], "ann", "k1"); k != "" {
			t.Fatal(k)
		}
	}
	if k := o.use(list[0], "ann", "k2"); k != codes.Used {
		t.Error("another key:", k)
	}
	if k := o.use(list[0], "bob", "k1"); k != codes.Used {
		t.Error("another user with the same key:", k)
	}
}

func TestLimitsHoldUnderAStampede(t *testing.T) {
	o := newOffice(t)
	id, list := o.campaign(codes.NewCampaign{PerUser: 2, Total: 12}, 100)
	var mu sync.Mutex
	used, byUser := 0, map[string]int{}
	var wg sync.WaitGroup
	for i, code := range list {
		wg.Go(func() {
			user := fmt.Sprint("user", i%10)
			if k := o.use(code, user, ""); k == "" {
				mu.Lock()
				used++
				byUser[user]++
				mu.Unlock()
			} else if k != codes.Limit && k != codes.Slow {
				t.Error(k)
			}
		})
	}
	wg.Wait()
	if used != 12 {
		t.Errorf("%d codes were used, want 12", used)
	}
	for user, n := range byUser {
		if n > 2 {
			t.Errorf("%s has used %d", user, n)
		}
	}
	s, err := o.Recount(t.Context(), id)
	if err != nil || s.Used != 12 || s.Codes != 100 {
		t.Error(s, err)
	}
	_, list = o.campaign(codes.NewCampaign{PerUser: 1}, 1)
	if k := o.use(list[0], "", ""); k != codes.Invalid {
		t.Error("without a user:", k)
	}
}

// TestWhatACrashLeavesReservedComesBack kills a use at each of its writes, in both directions: before it is
// done, and after it but before anybody hears of it.
func TestWhatACrashLeavesReservedComesBack(t *testing.T) {
	crash := errors.New("power cut")
	for _, at := range []string{"before counter user/ann", "after counter user/ann", "before counter total", "after counter total", "before code", "after code"} {
		t.Run(at, func(t *testing.T) {
			o := newOffice(t)
			id, list := o.campaign(codes.NewCampaign{PerUser: 1, Total: 1}, 2)
			dead := false
			trap := func(when string) func(string, string, codes.Key) error {
				return func(call, table string, key codes.Key) error {
					if dead {
						return crash
					}
					where := when + " " + table
					if table == "counter" {
						where += " " + key.Text("name")
					}
					if dead = call == "update" && where == at; dead {
						return crash
					}
					return nil
				}
			}
			o.store.Before, o.store.After = trap("before"), trap("after")
			if k := o.use(list[0], "ann", "k"); !strings.HasSuffix(string(k), crash.Error()) {
				t.Fatal(k)
			}
			o.store.Before, o.store.After = nil, nil
			o.restart()
			o.later(time.Minute)
			done := at == "after code"
			if done {
				if k := o.use(list[0], "ann", "k"); k != "" {
					t.Error("the same request again:", k)
				}
			}
			want := codes.Kind("")
			if done {
				want = codes.Limit
			}
			if k := o.use(list[1], "ann", ""); k != want {
				t.Errorf("another code: %q, want %q", k, want)
			}
			if s, err := o.Recount(t.Context(), id); err != nil || s.Used != 1 {
				t.Error(s, err)
			}
		})
	}
}

func TestPeriodsAreEnforcedWhereTheCampaignSaysSo(t *testing.T) {
	for _, enforce := range []bool{true, false} {
		o := newOffice(t)
		c := codes.NewCampaign{Start: codes.At("2026-06-02 00:00:00"), End: codes.At("2026-06-03T00:00:00Z"), Enforce: &enforce}
		_, list := o.campaign(c, 3)
		for i, want := range []codes.Kind{codes.NotYet, "", codes.Expired} {
			if !enforce {
				want = ""
			}
			if k := o.use(list[i], "", ""); k != want {
				t.Errorf("enforce %v, day %d: %q, want %q", enforce, i, k, want)
			}
			o.later(24 * time.Hour)
		}
	}
}

func TestAJobThatWasKilledGoesOnWithoutADuplicate(t *testing.T) {
	o := newOffice(t)
	camp, err := o.MakeCampaign(t.Context(), codes.NewCampaign{Name: "Gifts", Type: "gift"}, "", "admin")
	if err != nil {
		t.Fatal(err)
	}
	const num = 12_345
	var j codes.Job
	for i := range 2 { // the key makes it once
		again, err := o.Order(t.Context(), codes.Order{Campaign: camp.ID, Num: num, Key: "k"})
		if err != nil || i == 1 && again.ID != j.ID {
			t.Fatal(again, err)
		}
		j = again
	}
	if _, err := o.Order(t.Context(), codes.Order{Campaign: camp.ID, Num: num + 1, Key: "k"}); kind(err) != codes.Conflict {
		t.Fatal(err)
	}
	var mu sync.Mutex
	writes := 0
	kill := func(n int) func(string, string, codes.Key) error {
		return func(call, table string, key codes.Key) error {
			mu.Lock()
			defer mu.Unlock()
			if writes++; writes >= n {
				return errors.New("killed")
			}
			return nil
		}
	}
	for n := 1; ; n += 3 {
		writes = 0
		if n%2 == 0 {
			o.store.Before = kill(n)
		} else {
			o.store.After = kill(n)
		}
		err := o.WorkAll(t.Context())
		o.store.Before, o.store.After = nil, nil
		o.restart()
		if err == nil {
			break
		}
		if n > 1000 {
			t.Fatal("no end")
		}
	}
	if err := o.WorkAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if j, err = o.Job(t.Context(), camp.ID, j.ID); err != nil || j.State != codes.Done || j.Made != num {
		t.Fatal(j, err)
	}
	if got := len(o.all(camp.ID)); got != num {
		t.Errorf("%d codes, want %d", got, num)
	}
}

func TestWorkersOnOneJobDoNotDisturbEachOther(t *testing.T) {
	o := newOffice(t)
	camp, err := o.MakeCampaign(t.Context(), codes.NewCampaign{Name: "Gifts", Type: "gift", Format: "uuid"}, "", "admin")
	if err != nil {
		t.Fatal(err)
	}
	j, err := o.Order(t.Context(), codes.Order{Campaign: camp.ID, Num: 5000})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := o.Work(t.Context(), camp.ID, j.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if j, err = o.Job(t.Context(), camp.ID, j.ID); err != nil || j.Made != 5000 || len(o.all(camp.ID)) != 5000 {
		t.Error(j, err)
	}
}

func TestAJobWhoseTimeIsOverSaysHowFarItCame(t *testing.T) {
	o := newOffice(t)
	j, err := o.Order(t.Context(), codes.Order{Campaign: codes.Classic, Num: 5000})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if j, err = o.Work(ctx, codes.Classic, j.ID); err != nil || j.State != codes.Running {
		t.Error(j, err)
	}
}

func TestRevokedCodesCannotBeUsed(t *testing.T) {
	o := newOffice(t)
	id, list := o.campaign(codes.NewCampaign{}, 500)
	if k := o.use(list[0], "", ""); k != "" {
		t.Fatal(k)
	}
	if _, err := o.Revoke(t.Context(), list[1]); err != nil {
		t.Fatal(err)
	}
	if k := o.use(list[1], "", ""); k != codes.Revoked {
		t.Error(k)
	}
	if _, err := o.Revoke(t.Context(), list[0]); kind(err) != codes.Used {
		t.Error("a used code:", err)
	}
	j, err := o.RevokeAll(t.Context(), id, "", "", "admin")
	if err == nil {
		j, err = o.Work(t.Context(), id, j.ID)
	}
	if err != nil || j.Made != 498 || j.State != codes.Done {
		t.Fatal(j, err)
	}
	for _, count := range []func(context.Context, string) (codes.Statistics, error){o.Statistics, o.Recount} {
		s, err := count(t.Context(), id)
		if err != nil || s.Codes != 500 || s.Used != 1 || s.Revoked != 499 || s.Days["2026-06-01"] != 1 {
			t.Error(s, err)
		}
	}
}

func TestAnExportComesBackAsItWas(t *testing.T) {
	o := newOffice(t)
	id, list := o.campaign(codes.NewCampaign{Start: codes.At("2026-01-01"), End: codes.At("2027-01-01")}, 450)
	if k := o.use(list[3], "=ann", ""); k != "" {
		t.Fatal(k)
	}
	var whole strings.Builder
	if last, err := o.Export(t.Context(), &whole, codes.Filter{Campaign: id}, 0); err != nil || last != "" {
		t.Fatal(last, err)
	}
	var parts strings.Builder
	for after, n := "", 0; ; n++ {
		next, err := o.Export(t.Context(), &parts, codes.Filter{Campaign: id, After: after}, 100)
		if err != nil || n > 5 {
			t.Fatal(n, err)
		}
		if next == "" {
			break
		}
		after = next
	}
	if whole.String() != parts.String() || strings.Count(whole.String(), "\n") != 451 || !strings.Contains(whole.String(), ",'=ann,") {
		t.Errorf("%.300s\n%.300s", whole.String(), parts.String())
	}
	// Into another store, in two halves, the first of them twice.
	to := newOffice(t)
	camp, err := to.MakeCampaign(t.Context(), codes.NewCampaign{Name: "Back", Type: "gift"}, "", "admin")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(whole.String(), "\n")
	first, second := strings.Join(lines[:200], ""), strings.Join(lines[200:], "")
	var added, same int64
	for _, part := range []struct {
		text    string
		columns []string
		line    int
	}{{first, nil, 1}, {first, nil, 1}, {second, []string{"code", "state", "start", "end", "user", "used"}, 201}} {
		in, err := to.Import(t.Context(), camp.ID, "import-1", "admin", strings.NewReader(part.text), part.columns, part.line)
		if err != nil || in.Count != 0 {
			t.Fatal(in, err)
		}
		added, same = added+in.Added, same+in.Same
	}
	if added != 450 || same != 199 {
		t.Error(added, same)
	}
	var back strings.Builder
	if _, err := to.Export(t.Context(), &back, codes.Filter{Campaign: camp.ID}, 0); err != nil || back.String() != whole.String() {
		t.Error("what comes back is not what went out", err)
	}
	if s, err := to.Statistics(t.Context(), camp.ID); err != nil || s.Codes != 450 {
		t.Error(s, err)
	}
}

func TestAnImportTellsWhatItLeftOut(t *testing.T) {
	o := newOffice(t)
	_, list := o.campaign(codes.NewCampaign{}, 1)
	in, err := o.Import(t.Context(), codes.Classic, "", "admin", strings.NewReader("\ufeffOLD-1\nOLD 2\n"+list[0]+"\nOLD-3,nonsense\nOLD-4,unactived,yesterday\n\"broken\nOLD-1\n\""), nil, 1)
	if err != nil || in.Added != 1 || in.Count != 5 {
		t.Errorf("%+v %v", in, err)
	}
	if o.use("OLD-1", "", "") != "" {
		t.Error("what was imported cannot be used")
	}
}

func TestNonsenseIsRefused(t *testing.T) {
	o := newOffice(t)
	ctx := t.Context()
	for _, c := range []codes.NewCampaign{
		{Type: "gift"}, {Name: "x"}, {Name: "x", Type: "gift", Format: "long"}, {Name: "x", Type: "gift", Prefix: "OIL"}, {Name: "x", Type: "gift", Prefix: "TOOOOOOLONG"},
		{Name: "x", Type: "gift", PerUser: -1}, {Name: "x", Type: "gift", Format: "uuid", Prefix: "A"}, {Name: "x", Type: "gift", Start: codes.At("soon")},
		{Name: "x", Type: "gift", Start: codes.At("2026-01-02"), End: codes.At("2026-01-01")}, {Name: strings.Repeat("x", 81), Type: "gift"}, {Name: "\xff", Type: "gift"},
	} {
		if _, err := o.MakeCampaign(ctx, c, "", "admin"); kind(err) != codes.Invalid {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, num := range []int64{0, -1, codes.MaxJob + 1} {
		if _, err := o.Order(ctx, codes.Order{Campaign: codes.Classic, Num: num}); kind(err) != codes.Invalid {
			t.Error(num, err)
		}
	}
	if _, err := o.Order(ctx, codes.Order{Campaign: "none", Num: 1}); kind(err) != codes.NotFound {
		t.Error(err)
	}
	for _, code := range []string{"", "../..", "a b", strings.Repeat("x", 70), "\x00", "码"} {
		if k := o.use(code, "", ""); k != codes.NotFound {
			t.Errorf("%q: %s", code, k)
		}
	}
}

func TestWhoGuessesHasToWait(t *testing.T) {
	o := newOffice(t)
	_, list := o.campaign(codes.NewCampaign{}, 1)
	guess := func(code string) codes.Kind {
		_, err := o.Use(t.Context(), codes.Use{Code: code, Client: "1.2.3.4"})
		return kind(err)
	}
	for range 30 {
		if k := guess("NOTHING"); k != codes.NotFound {
			t.Fatal(k)
		}
	}
	if k := guess(list[0]); k != codes.Slow {
		t.Error(k)
	}
	o.later(time.Minute)
	if k := guess(list[0]); k != "" {
		t.Error(k)
	}
}
