package function

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

func TestFunctionsWatchTheObjectsTheyAskFor(t *testing.T) {
	room := New(Options{NoPrewarm: true})
	t.Cleanup(func() { room.Stop(context.Background()) })
	for _, v := range []*Version{
		{App: "app", Dialect: "mine", Spec: sluice.Function{Name: "f", Runtime: "fake", Objects: []sluice.ObjectEvents{
			{Name: "made", Bucket: "box", Events: []string{"c:Removed:One", "c:Created:*"}, Prefix: "in/", Suffix: ".jpg"},
			{Name: "all", Bucket: "box", Events: []string{"*"}},
			{Name: "elsewhere", Bucket: "other", Events: []string{"*"}},
		}}},
		{App: "app", Dialect: "other", Spec: sluice.Function{Name: "g", Runtime: "fake", Objects: []sluice.ObjectEvents{{Name: "not mine", Bucket: "box", Events: []string{"*"}}}}},
	} {
		if err := room.Deploy(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		app                sluice.AppName
		bucket, event, key string
		want               []string
	}{
		{"app", "box", "c:Created:Put", "in/a.jpg", []string{"f made", "f all"}},
		{"", "box", "c:Created:Put", "in/a.jpg", []string{"f made", "f all"}},
		{"app", "box", "c:Created:Put", "a.jpg", []string{"f all"}},
		{"app", "box", "c:Created:Put", "in/a.png", []string{"f all"}},
		{"app", "box", "c:Removed:One", "in/a.jpg", []string{"f made", "f all"}},
		{"app", "box", "c:Removed:Ones", "in/a.jpg", []string{"f all"}},
		{"app", "other", "c:Removed:One", "x", []string{"f elsewhere"}},
		{"app", "third", "c:Created:Put", "in/a.jpg", nil},
		{"stranger", "box", "c:Created:Put", "in/a.jpg", nil},
	} {
		var got []string
		for v, o := range room.Watching("mine", tc.app, tc.bucket, tc.event, tc.key) {
			got = append(got, string(v.Spec.Name)+" "+o.Name)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%+v: %s", tc, diff)
		}
	}
}
