package object_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/object"
)

// keepVersions makes a bucket keep versions, or stop to.
func keepVersions(t *testing.T, s *object.Store, how string) {
	t.Helper()
	if _, err := s.AlterBucket(t.Context(), "box", func(b *object.Bucket) error {
		b.Versions = how
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// store puts a text and returns the id of its version.
func store(t *testing.T, s *object.Store, key, body string) string {
	t.Helper()
	o, err := s.Put(t.Context(), "box", object.PutInput{Key: key, Body: strings.NewReader(body), Size: int64(len(body))})
	if err != nil {
		t.Fatal(err)
	}
	return o.VersionID()
}

// content is the text of a version, or the reason why there is none.
func content(t *testing.T, s *object.Store, key, id string) string {
	t.Helper()
	c, err := s.GetVersion(t.Context(), "box", key, id)
	if err != nil {
		return object.ReasonOf(err).String()
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func remove(t *testing.T, s *object.Store, key, id string) object.Removed {
	t.Helper()
	done, err := s.Remove(t.Context(), "box", []object.Ref{{Key: key, Version: id}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return done[0]
}

// versions tells all versions page by page: key, content or "-" of a mark, "!" for the latest.
func versions(t *testing.T, s *object.Store, in object.ListInput) (list []string) {
	t.Helper()
	for after := ""; ; {
		l, err := s.ListVersions(t.Context(), "box", in, after)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l.Prefixes...)
		for i := range l.Versions {
			v := &l.Versions[i]
			text := v.Key + "=-"
			if !v.Marker {
				text = v.Key + "=" + content(t, s, v.Key, v.VersionID())
			}
			if v.Latest {
				text += "!"
			}
			list = append(list, text)
		}
		if !l.Truncated {
			return list
		}
		in.After, after = l.NextKey, l.NextVersion
	}
}

func TestVersionsStayUntilTheyAreRemovedForGood(t *testing.T) {
	s := open(t)
	null := store(t, s.Store, "k", "zero")
	keepVersions(t, s.Store, object.VersionsOn)
	one, two := store(t, s.Store, "k", "one"), store(t, s.Store, "k", strings.Repeat("two", 9000))
	if null != object.NullVersion || one == two || one == null {
		t.Fatalf("versions %q, %q, %q", null, one, two)
	}
	mark := remove(t, s.Store, "k", "")
	if !mark.Marker || !mark.Made || mark.Version == "" {
		t.Errorf("deletion is %+v", mark)
	}
	_, err := s.Head(t.Context(), "box", "k")
	if e := new(object.Error); !errors.As(err, &e) || e.Reason != object.NoSuchKey || e.Version != mark.Version {
		t.Errorf("after the deletion: %v", err)
	}
	for id, want := range map[string]string{one: "one", null: "zero", mark.Version: object.IsMark.String(), "nope": object.NoSuchVersion.String()} {
		if got := content(t, s.Store, "k", id); got != want {
			t.Errorf("version %s is %q, want %q", id, got, want)
		}
	}
	if page, err := s.List(t.Context(), "box", object.ListInput{Max: 10}); err != nil || len(page.Objects) != 0 {
		t.Errorf("listing has %v, %v", page, err)
	}
	if err := s.DeleteBucket(t.Context(), "box"); object.ReasonOf(err) != object.BucketNotEmpty {
		t.Errorf("a bucket with versions is removed: %v", err)
	}
	if r := remove(t, s.Store, "k", mark.Version); !r.Marker || r.Made {
		t.Errorf("removal of the mark is %+v", r)
	}
	if got := content(t, s.Store, "k", ""); len(got) != 27000 {
		t.Errorf("without the mark there is %q", got)
	}
	remove(t, s.Store, "k", two)
	if got := content(t, s.Store, "k", ""); got != "one" {
		t.Errorf("without the newest there is %q", got)
	}
	remove(t, s.Store, "k", null)
	remove(t, s.Store, "k", one)
	if err := s.DeleteBucket(t.Context(), "box"); err != nil {
		t.Error(err)
	}
}

func TestSuspendedVersionsReplaceOnlyTheNullOne(t *testing.T) {
	s := open(t)
	keepVersions(t, s.Store, object.VersionsOn)
	store(t, s.Store, "k", "one")
	keepVersions(t, s.Store, object.VersionsSuspended)
	for _, text := range []string{"two", "three"} {
		if id := store(t, s.Store, "k", text); id != object.NullVersion {
			t.Errorf("version %q", id)
		}
	}
	want := []string{"k=three!", "k=one"}
	if diff := cmp.Diff(want, versions(t, s.Store, object.ListInput{Max: 10})); diff != "" {
		t.Error(diff)
	}
	remove(t, s.Store, "k", "")
	remove(t, s.Store, "k", "")
	if diff := cmp.Diff([]string{"k=-!", "k=one"}, versions(t, s.Store, object.ListInput{Max: 10})); diff != "" {
		t.Error(diff)
	}
	keepVersions(t, s.Store, object.VersionsOn)
	store(t, s.Store, "k", "four")
	keepVersions(t, s.Store, object.VersionsSuspended)
	store(t, s.Store, "k", "five")
	if diff := cmp.Diff([]string{"k=five!", "k=four", "k=one"}, versions(t, s.Store, object.ListInput{Max: 10})); diff != "" {
		t.Error(diff)
	}
}

func TestVersionsAreListedPageByPage(t *testing.T) {
	s := open(t)
	store(t, s.Store, "dir/a", "x")
	keepVersions(t, s.Store, object.VersionsOn)
	for _, key := range []string{"a", "b", "dir/a", "dir/b", "e"} {
		for _, text := range []string{"1", "2", "3"} {
			store(t, s.Store, key, text)
		}
	}
	remove(t, s.Store, "b", "")
	remove(t, s.Store, "dir/b", "")
	remove(t, s.Store, "e", "")
	store(t, s.Store, "e", "4")
	all := []string{"a=3!", "a=2", "a=1", "b=-!", "b=3", "b=2", "b=1", "dir/a=3!", "dir/a=2", "dir/a=1", "dir/a=x",
		"dir/b=-!", "dir/b=3", "dir/b=2", "dir/b=1", "e=4!", "e=-", "e=3", "e=2", "e=1"}
	short := slices.Concat(all[:7], []string{"dir/"}, all[15:])
	for limit := 1; limit < 22; limit++ {
		if diff := cmp.Diff(all, versions(t, s.Store, object.ListInput{Max: limit})); diff != "" {
			t.Fatalf("pages of %d: %s", limit, diff)
		}
		got := versions(t, s.Store, object.ListInput{Max: limit, Delimiter: "/"})
		slices.Sort(got)
		want := slices.Clone(short)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("pages of %d with a delimiter: %s", limit, diff)
		}
	}
}

func TestWhatAcceptRefusesStays(t *testing.T) {
	s := open(t)
	store(t, s.Store, "a", "x")
	store(t, s.Store, "b", "y")
	no := errors.New("held")
	done, err := s.RemoveMany(t.Context(), "box", []object.Ref{{Key: "a"}, {Key: "b"}, {Key: "c"}}, func(_ object.Ref, o *object.Object) error {
		if o != nil && o.Key == "a" {
			return no
		}
		return nil
	})
	if err != nil || done[0].Err != no || done[1].Err != nil || done[2].Err != nil {
		t.Errorf("got %+v, %v", done, err)
	}
	if a, b := content(t, s.Store, "a", ""), content(t, s.Store, "b", ""); a != "x" || b != "no such key" {
		t.Errorf("a is %q, b is %q", a, b)
	}
}

func TestACopyOntoItselfIsAVersionOfItsOwn(t *testing.T) {
	s := open(t)
	keepVersions(t, s.Store, object.VersionsOn)
	one := store(t, s.Store, "k", "one")
	store(t, s.Store, "k", "two")
	if _, err := s.Copy(t.Context(), "box", object.CopyInput{FromBucket: "box", FromKey: "k", FromVersion: one, PutInput: object.PutInput{Key: "k"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"k=one!", "k=two", "k=one"}, versions(t, s.Store, object.ListInput{Max: 10})); diff != "" {
		t.Error(diff)
	}
	if _, err := s.AlterVersion(t.Context(), "box", "k", one, func(o *object.Object) error {
		o.ACL = object.PublicRead
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	old, err := s.HeadVersion(t.Context(), "box", "k", one)
	if now, _ := s.Head(t.Context(), "box", "k"); err != nil || old.ACL != object.PublicRead || now.ACL != "" {
		t.Errorf("access %q and %q, %v", old.ACL, now.ACL, err)
	}
}
