package lambda

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
)

func TestSchedules(t *testing.T) {
	after := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC) // a Sunday
	for text, want := range map[string]string{
		"rate(5 minutes)": "2026-03-01T10:05:00Z", "rate(1 hour)": "2026-03-01T11:00:00Z", "rate( 2 days )": "2026-03-03T10:00:00Z",
		"cron(0 12 * * ? *)": "2026-03-01T12:00:00Z", "cron(15 10 ? * MON-FRI *)": "2026-03-02T10:15:00Z", "cron(0 8 1 * ? *)": "2026-04-01T08:00:00Z",
		"cron(0/15 * ? * 1 *)": "2026-03-01T10:15:00Z", "cron(0 9 ? * 2#1 *)": "2026-03-02T09:00:00Z", "cron(0 0 L * ? 2027)": "2027-01-31T00:00:00Z",
		"rate(0 minutes)": "", "rate(5 weeks)": "", "rate(99999999 days)": "", "cron(0 12 * * * *)": "", "cron(0 12 * * ?)": "", "at(2026-01-01T00:00:00)": "", "": "",
	} {
		s, err := ParseSchedule(text)
		got := ""
		if err == nil {
			got = s.Next(after).Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("%s: %q, want %q (%v)", text, got, want, err)
		}
	}
}

func TestScheduledEvents(t *testing.T) {
	v := &function.Version{Env: map[string]string{"AWS_REGION": "eu-west-1"}}
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	var got map[string]any
	json.Unmarshal(scheduledEvent(v, sluice.Timer{Name: "tick"}, at), &got)
	if id, _ := got["id"].(string); len(id) != 36 {
		t.Errorf("%v", got)
	}
	delete(got, "id")
	if diff := cmp.Diff(map[string]any{"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "account": Account, "time": "2026-03-01T10:00:00Z", "region": "eu-west-1",
		"resources": []any{"arn:aws:events:eu-west-1:000000000000:rule/tick"}, "detail": map[string]any{}}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := string(scheduledEvent(v, sluice.Timer{Payload: `{"a":1}`}, at)); got != `{"a":1}` {
		t.Error(got)
	}
}

func TestObjectsCallFunctions(t *testing.T) {
	w := newWorld(t)
	notify := NewNotify(w.functions, w.queue)
	url, _ := heard(t, nil)
	env := map[string]string{"EAR": url}
	w.deploy("chat", sluice.Function{Name: "f", Env: env, Objects: []sluice.ObjectEvents{{Bucket: "b", Events: []string{"s3:ObjectCreated:*"}, Prefix: "in/"}}})
	w.deploy("chat", sluice.Function{Name: "g", Env: env, Objects: []sluice.ObjectEvents{{Bucket: "b", Events: []string{"s3:ObjectRemoved:Delete"}}}})
	w.deploy("chat", sluice.Function{Name: "h", Env: env, Objects: []sluice.ObjectEvents{{Bucket: "b", Events: []string{"s3:LifecycleExpiration:*"}}}})
	calls := func(name sluice.FunctionName) uint64 {
		s, _ := w.functions.Status("chat", name)
		return s.Stats.Invocations
	}
	tell := func(act object.Act, key string) {
		t.Helper()
		if err := w.store.Update(t.Context(), kv.Locks{}, func(tx kv.Txn) error {
			_, err := notify(tx, &object.Change{Act: act, Bucket: object.Bucket{Name: "b"}, Object: object.Object{Key: key}, At: time.Now()})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		w.queue.Wake()
	}
	tell(object.ByPut, "in/a")
	w.until("f is called", func() bool { return calls("f") == 1 })
	tell(object.ByPut, "out/a")
	tell(object.ByDelete, "in/a")
	w.until("g is called", func() bool { return calls("g") == 1 })
	tell(object.ByExpiry, "in/b")
	tell(object.ByExpiryMark, "in/c")
	w.until("h is called", func() bool { return calls("h") == 2 })
	if calls("g") != 1 {
		t.Error("g does not ask for what a rule deletes")
	}
	if calls("f") != 1 {
		t.Error("f asks for other objects")
	}
}

func TestObjectEvents(t *testing.T) {
	v := &function.Version{Spec: sluice.Function{Name: "f"}, Env: map[string]string{"AWS_REGION": "eu-west-1"}}
	at := time.Date(2026, 3, 1, 10, 0, 0, 5e6, time.UTC)
	c := &object.Change{Act: object.ByPut, Bucket: object.Bucket{Name: "b"}, Object: object.Object{Key: "in/a b+ü.jpg", Size: 5, ETag: "abc"}, At: at, Origin: object.Origin{Request: "R", IP: "192.0.2.1", Who: "W"}}
	got := string(objectEvent(v, &sluice.ObjectEvents{Name: "rule"}, "ObjectCreated:Put", "r", c))
	want := `{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-west-1","eventTime":"2026-03-01T10:00:00.005Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"W"},` +
		`"requestParameters":{"sourceIPAddress":"192.0.2.1"},"responseElements":{"x-amz-id-2":"R","x-amz-request-id":"R"},"s3":{"s3SchemaVersion":"1.0","configurationId":"rule",` +
		`"bucket":{"name":"b","ownerIdentity":{"principalId":"000000000000"},"arn":"arn:aws:s3:::b"},"object":{"key":"in/a+b%2B%C3%BC.jpg","size":5,"eTag":"abc","sequencer":"189B2EAF2B0A2B40"}}}]}`
	cut := func(s string) string { before, _, _ := strings.Cut(s, `"sequencer"`); return before }
	if cut(got) != cut(want) {
		t.Errorf("\n%s\n%s", got, want)
	}
	c.Act = object.ByDelete
	if got := string(objectEvent(v, &sluice.ObjectEvents{}, "ObjectRemoved:Delete", "r", c)); strings.Contains(got, `"size"`) || strings.Contains(got, "eTag") || !strings.Contains(got, `"configurationId":"f"`) {
		t.Error(got)
	}
}
