package websocket

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/gateway"
)

// control shows a message to the part of a stage that runs on a shard: the answer, when it is one.
func (s *served) control(text string) (answer string, consumed bool) {
	c := s.stage().Control(gateway.ControlConn{ID: s.event(sluice.Message).Conn.ID}, []byte(text), false)
	if len(c.Send) == 1 {
		answer = string(c.Send[0].Data)
	}
	return answer, c.Consumed
}

func TestAMessageForAFunctionThatRefusesIsRefusedWhereItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const to, other = `{"action":"sendmessage"}`, `{"action":"ask"}`
		f := &rooms{invoke: ok}
		var log bytes.Buffer
		s := deploy(t, f, Options{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))}, chat())
		words := func(text string) string { before, _, _ := strings.Cut(text, `"requestId"`); return before }
		if _, taken := s.control(to); taken {
			t.Error("a message is refused before any has been")
		}
		f.refuse = sluice.Errorf(sluice.Throttled, "too many")
		told := s.say(to)
		for range 5 {
			if text, taken := s.control(to); !taken || words(text) != words(told) || len(text) != len(told) {
				t.Errorf("%q, while an event's answer is %q", text, told)
			}
		}
		if _, taken := s.control(other); taken {
			t.Error("a message for another function is refused")
		}
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		f.refuse = nil
		if _, taken := s.control(to); taken || s.stage().full.Load() != 0 {
			t.Error("a message is refused when there is room again")
		}
		time.Sleep(2 * tellEvery)
		synctest.Wait()
		if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `msg="messages were refused"`) || !strings.Contains(got, " refused=6 ") || !strings.Contains(got, `err="too many"`) {
			t.Errorf("%q", got)
		}
	})
}

func TestARefusalThatMustBeToldElsewhereIsAnEvent(t *testing.T) {
	for name, c := range map[string]struct {
		o      Options
		change func(*apispec.API)
	}{
		"in order": {Options{Settings: Settings{Ordered: true}}, func(*apispec.API) {}},
		"an access log": {Options{}, func(a *apispec.API) {
			a.Stages[0].Access = &apispec.AccessLog{Destination: "arn:aws:logs:us-east-1:0:log-group:g", Format: "$context.requestId"}
		}},
		"a model":           {Options{}, withModel},
		"a rate":            {Options{}, limited(100, 100)},
		"every event's log": {Options{Log: slog.New(slog.NewTextHandler(&bytes.Buffer{}, &slog.HandlerOptions{Level: slog.LevelDebug}))}, func(*apispec.API) {}},
	} {
		s := deploy(t, &rooms{refuse: sluice.Errorf(sluice.Throttled, "too many")}, c.o, chat(c.change))
		for range 2 {
			s.say(`{"action":"sendmessage"}`)
			if _, taken := s.control(`{"action":"sendmessage"}`); taken {
				t.Error(name)
			}
		}
	}
}
