package s3

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// keys tells what a bucket lists: objects by key or, with versions, each version by key, with "-" for a mark.
func keys(t *testing.T, g *rig, url string) string {
	t.Helper()
	var out struct {
		Contents, Version []struct{ Key string }
		DeleteMarker      []struct{ Key string }
		Upload            []struct{ Key string }
	}
	if err := xml.Unmarshal(g.ok(t, "app", "GET", url, "").Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, x := range append(append(out.Contents, out.Version...), out.Upload...) {
		list = append(list, x.Key)
	}
	for _, x := range out.DeleteMarker {
		list = append(list, "-"+x.Key)
	}
	return strings.Join(list, " ")
}

// after sweeps at the end of so many days from now.
func (g *rig) after(t *testing.T, days int) {
	t.Helper()
	g.now = g.now.Add(time.Duration(days) * 24 * time.Hour)
	if err := g.Objects.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func lifecycleOf(rules ...string) string {
	var b strings.Builder
	for i, r := range rules {
		fmt.Fprintf(&b, "<Rule><ID>r%d</ID><Status>Enabled</Status>%s</Rule>", i, r)
	}
	return "<LifecycleConfiguration>" + b.String() + "</LifecycleConfiguration>"
}

func TestObjectsEndAsRulesOfTheirBucketSay(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box?lifecycle", lifecycleOf(
		"<Filter><Prefix>log/</Prefix></Filter><Expiration><Days>3</Days></Expiration>",
		"<Filter><Tag><Key>for</Key><Value>now</Value></Tag></Filter><Expiration><Days>1</Days></Expiration>",
		"<Filter><And><Prefix>big/</Prefix><ObjectSizeGreaterThan>3</ObjectSizeGreaterThan></And></Filter><Expiration><Date>2026-01-05T00:00:00Z</Date></Expiration>"))
	for _, key := range []string{"log/a", "a", "big/four", "big/no"} {
		w := g.ok(t, "app", "PUT", "/box/"+key, strings.TrimPrefix(key, "big/"))
		want := map[string][]string{
			"log/a":    {`expiry-date="Sun, 04 Jan 2026 00:00:00 GMT", rule-id="r0"`},
			"big/four": {`expiry-date="Mon, 05 Jan 2026 00:00:00 GMT", rule-id="r2"`},
		}[key]
		if diff := cmp.Diff(want, w.Header()["x-amz-expiration"]); diff != "" {
			t.Errorf("x-amz-expiration of %s (-want +got):\n%s", key, diff)
		}
	}
	g.ok(t, "app", "PUT", "/box/b", "", "x-amz-tagging: for=now&x=y")
	for _, step := range []struct {
		days int
		want string
	}{{0, "a b big/four big/no log/a"}, {1, "a big/four big/no log/a"}, {1, "a big/four big/no log/a"}, {1, "a big/four big/no"}, {1, "a big/no"}, {99, "a big/no"}} {
		g.after(t, step.days)
		if got := keys(t, g, "/box"); got != step.want {
			t.Errorf("on %s: %q, want %q", g.now.Format(time.DateOnly), got, step.want)
		}
	}
}

func TestVersionsEndAsRulesOfTheirBucketSay(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "", "x-amz-bucket-object-lock-enabled: true")
	g.ok(t, "app", "PUT", "/box?lifecycle", lifecycleOf(
		"<Prefix/><Expiration><Days>10</Days></Expiration>",
		"<Prefix/><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration>",
		"<Prefix>once</Prefix><NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>"))
	for range 3 {
		g.ok(t, "app", "PUT", "/box/a", "")
	}
	g.ok(t, "app", "PUT", "/box/held", "", "x-amz-object-lock-legal-hold: ON")
	g.ok(t, "app", "PUT", "/box/once", "")
	for _, step := range []struct {
		days int
		want string
	}{
		{1, "a a a held once"},
		{1, "a a held once"}, // of the older two one stays
		{8, "a held once -a -held -once"},
		{1, "a held -a -held -once"}, // what is held stays
		{8, "a held -a -held -once"},
		{1, "a held -a -held"}, // a mark with nothing behind it ends as an object does
	} {
		g.after(t, step.days)
		g.after(t, 0) // what one sweep has left alone, another finds alone
		if got := keys(t, g, "/box?versions"); got != step.want {
			t.Errorf("on %s: %q, want %q", g.now.Format(time.DateOnly), got, step.want)
		}
	}
}

func TestUploadsEndAsRulesOfTheirBucketSay(t *testing.T) {
	g := newRig(t)
	g.ok(t, "app", "PUT", "/box", "")
	g.ok(t, "app", "PUT", "/box?lifecycle", lifecycleOf("<Prefix>a</Prefix><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>"))
	g.ok(t, "app", "POST", "/box/a?uploads", "")
	g.ok(t, "app", "POST", "/box/b?uploads", "")
	for _, want := range []string{"a b", "b"} {
		if got := keys(t, g, "/box?uploads"); got != want {
			t.Errorf("uploads are %q, want %q", got, want)
		}
		g.after(t, 1)
	}
}
