package object_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/objecttest"
)

// gossip is a room whose changes are told: those of each commit.
type gossip struct {
	*object.Store
	kv   kv.Store
	told []string
	fail error
}

func newGossip(t *testing.T) *gossip {
	t.Helper()
	g := &gossip{kv: memory.New()}
	var err error
	g.Store, err = object.Open(t.Context(), g.kv, &objecttest.Bodies{}, object.Options{Notify: g.notify})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.CreateBucket(t.Context(), object.Bucket{Name: "box", App: "app"}); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g *gossip) notify(tx kv.Txn, c *object.Change) (func(), error) {
	tx.Put([]byte("Q/heard"), []byte(c.Object.Key))
	line := fmt.Sprintf("%d %s/%s %d->%d %s", c.Act, c.Bucket.App, c.Object.Key, c.Was, c.Object.Size, c.Who)
	return func() { g.told = append(g.told, line) }, g.fail
}

func (g *gossip) heard(t *testing.T) (key string) {
	t.Helper()
	err := g.kv.View(t.Context(), func(r kv.Reader) error {
		v, _, err := r.Get([]byte("Q/heard"))
		key = string(v)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEveryChangeIsTold(t *testing.T) {
	text := func(key, s string) object.PutInput {
		return object.PutInput{Key: key, Body: strings.NewReader(s), Size: -1}
	}
	for name, tc := range map[string]struct {
		do   func(t *testing.T, g *gossip) error
		want []string
	}{
		"a put, and one over it": {func(t *testing.T, g *gossip) error {
			_, err := g.Put(object.From(t.Context(), object.Origin{Who: "me"}), "box", text("k", "one"))
			if err == nil {
				_, err = g.Put(t.Context(), "box", text("k", "three"))
			}
			return err
		}, []string{"1 app/k 0->3 me", "1 app/k 3->5 "}},
		"a put that is refused": {func(t *testing.T, g *gossip) error {
			in := text("k", "one")
			in.IfMatch = "*"
			if _, err := g.Put(t.Context(), "box", in); object.ReasonOf(err) != object.NoSuchKey {
				return fmt.Errorf("put: %v", err)
			}
			return nil
		}, nil},
		"copies, one onto itself": {func(t *testing.T, g *gossip) error {
			_, err := g.Put(t.Context(), "box", text("a", "one"))
			for _, to := range []string{"b", "a"} {
				if err == nil {
					_, err = g.Copy(t.Context(), "box", object.CopyInput{FromBucket: "box", FromKey: "a", PutInput: object.PutInput{Key: to}, Replace: true})
				}
			}
			return err
		}, []string{"1 app/a 0->3 ", "2 app/b 0->3 ", "2 app/a 3->3 "}},
		"a change of settings is none": {func(t *testing.T, g *gossip) error {
			_, err := g.Put(t.Context(), "box", text("a", ""))
			if err == nil {
				_, err = g.AlterObject(t.Context(), "box", "a", func(o *object.Object) error { o.ACL = object.PublicRead; return nil })
			}
			return err
		}, []string{"1 app/a 0->0 "}},
		"an upload when it is complete": {func(t *testing.T, g *gossip) error {
			u, err := g.Begin(t.Context(), "box", object.PutInput{Key: "k"})
			if err == nil {
				_, err = g.PutPart(t.Context(), "box", u.ID, 1, text("k", "part"))
			}
			if err == nil {
				_, err = g.Complete(t.Context(), "box", "k", u.ID, object.CompleteInput{All: true})
			}
			return err
		}, []string{"3 app/k 0->4 "}},
		"appends": {func(t *testing.T, g *gossip) error {
			_, err := g.Append(t.Context(), "box", object.AppendInput{PutInput: text("k", "one")})
			if err == nil {
				_, err = g.Append(t.Context(), "box", object.AppendInput{PutInput: text("k", "two"), Position: 3})
			}
			return err
		}, []string{"4 app/k 0->3 ", "4 app/k 3->6 "}},
		"deletes of what is there": {func(t *testing.T, g *gossip) error {
			for _, k := range []string{"a", "b", "c"} {
				if _, err := g.Put(t.Context(), "box", text(k, "x")); err != nil {
					return err
				}
			}
			g.told = nil
			err := errors.Join(g.Delete(t.Context(), "box", "a"), g.Delete(t.Context(), "box", "a"))
			_, many := g.RemoveMany(t.Context(), "box", []object.Ref{{Key: "a"}, {Key: "b"}, {Key: "c"}}, nil)
			return errors.Join(err, many)
		}, []string{"5 app/a 1->1 ", "6 app/b 1->1 ", "6 app/c 1->1 "}},
		"a site's files": {func(t *testing.T, g *gossip) error {
			dir := t.TempDir()
			site := &sluice.Site{Bucket: "box", Prefix: "web/", Dir: dir}
			err := os.WriteFile(filepath.Join(dir, "a.txt"), []byte("hi"), 0o600)
			for range 2 { // the second changes nothing
				if err == nil {
					_, _, err = g.Sync(t.Context(), site, "")
				}
			}
			if err == nil {
				err = os.Remove(filepath.Join(dir, "a.txt"))
			}
			if err == nil {
				_, _, err = g.Sync(t.Context(), site, "")
			}
			return err
		}, []string{"1 app/web/a.txt 0->2 ", "5 app/web/a.txt 2->2 "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGossip(t)
			if err := tc.do(t, g); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, g.told); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsToldBelongsToTheChange(t *testing.T) {
	g := newGossip(t)
	put := func(key string) error {
		_, err := g.Put(t.Context(), "box", object.PutInput{Key: key, Size: -1})
		return err
	}
	g.fail = errors.New("queue full")
	if err := put("a"); !errors.Is(err, g.fail) || len(g.told) != 0 || g.heard(t) != "" {
		t.Errorf("%v, told %v, heard %q", err, g.told, g.heard(t))
	}
	if _, err := g.Head(t.Context(), "box", "a"); object.ReasonOf(err) != object.NoSuchKey {
		t.Errorf("the object is there: %v", err)
	}
	g.fail = nil
	if err := put("b"); err != nil || g.heard(t) != "b" {
		t.Errorf("%v, heard %q", err, g.heard(t))
	}
}
