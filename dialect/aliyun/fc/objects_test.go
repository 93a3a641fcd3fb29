package fc

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

func TestObjectTriggersCallTheirFunction(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &echoes{}
		room := function.New(function.Options{Starters: []function.Starter{e}, NoPrewarm: true, Log: slog.New(slog.DiscardHandler)})
		defer room.Stop(context.Background())
		store := memory.New()
		queue := NewQueue(store, room, nil)
		objects, err := object.Open(t.Context(), store, &objecttest.Bodies{}, object.Options{Notify: NewNotify(room, queue)})
		if err != nil {
			t.Fatal(err)
		}
		err = room.Deploy(t.Context(), &function.Version{App: "app", Dialect: "aliyun", Env: map[string]string{"FC_REGION": "cn-x"}, Spec: sluice.Function{
			Name: "f", Runtime: "fake", Timeout: time.Second, Objects: []sluice.ObjectEvents{
				{Name: "t", Bucket: "box", Events: []string{"oss:ObjectCreated:*", "oss:ObjectRemoved:DeleteObject"}, Prefix: "<in>/"},
			}}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objects.CreateBucket(t.Context(), object.Bucket{Name: "box"}); err != nil {
			t.Fatal(err)
		}
		ctx := object.From(t.Context(), object.Origin{Request: "R1", IP: "10.0.0.9", Who: "app"})
		for key, body := range map[string]string{"<in>/a": "hello", "out/a": "hello"} {
			if _, err := objects.Put(ctx, "box", object.PutInput{Key: key, Body: strings.NewReader(body), Size: -1}); err != nil {
				t.Fatal(err)
			}
		}
		if n := left(t, store); n != 1 {
			t.Errorf("%d calls wait", n)
		}
		if err := objects.Delete(ctx, "box", "<in>/a"); err != nil {
			t.Fatal(err)
		}
		run, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		queue.Run(run)
		event := func(name, object string) string {
			return `{"events":[{"eventName":"` + name + `","eventSource":"acs:oss","eventTime":"2000-01-01T00:00:00.000Z","eventVersion":"1.0",` +
				`"oss":{"bucket":{"arn":"acs:oss:cn-x:` + Account + `:box","name":"box","ownerIdentity":"` + Account + `","virtualBucket":""},` +
				`"object":` + object + `,"ossSchemaVersion":"1.0","ruleId":"ced2ab7c36e4c1674b4eb3faf6a9deb6053bf4e0"},"region":"cn-x",` +
				`"requestParameters":{"sourceIPAddress":"10.0.0.9"},"responseElements":{"requestId":"R1"},"userIdentity":{"principalId":"app"}}]}`
		}
		slices.Sort(e.said) // they run beside each other
		const sum = "5D41402ABC4B2A76B9719D911017C592"
		if diff := cmp.Diff([]string{
			event("ObjectCreated:PutObject", `{"deltaSize":5,"eTag":"`+sum+`","key":"<in>/a","size":5}`),
			event("ObjectRemoved:DeleteObject", `{"deltaSize":-5,"eTag":"`+sum+`","key":"<in>/a","size":0}`),
		}, e.said); diff != "" {
			t.Error(diff)
		}
	})
}

func TestObjectTriggersAreMadeThroughTheAPI(t *testing.T) {
	d := newCounter(t)
	d.must("admin", "POST", "/2016-08-15/services", obj{"serviceName": "svc"})
	d.must("admin", "POST", "/2016-08-15/services/svc/functions", hello(t, nil))
	const path = "/2016-08-15/services/svc/functions/hello/triggers"
	trigger := func(source string, events ...string) obj {
		return obj{"triggerName": "t", "triggerType": "oss", "sourceArn": source,
			"triggerConfig": obj{"events": events, "filter": obj{"key": obj{"prefix": "in/", "suffix": ".jpg"}}}}
	}
	d.refused("400 InvalidArgument", "admin", "POST", path, trigger("acs:oss:cn-x:1", "oss:ObjectCreated:*"))
	d.refused("400 InvalidArgument", "admin", "POST", path, trigger("acs:oss:cn-x:1:box"))
	d.must("admin", "POST", path, trigger("acs:oss:cn-x:1:box", "oss:ObjectCreated:*"))
	if diff := cmp.Diff([]sluice.ObjectEvents{
		{Name: "t", Bucket: "box", Events: []string{"oss:ObjectCreated:*"}, Prefix: "in/", Suffix: ".jpg"},
	}, d.f.all[0].Spec.Objects); diff != "" {
		t.Error(diff)
	}
}
