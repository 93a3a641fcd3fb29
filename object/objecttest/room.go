package objecttest

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/object"
)

// Room checks the object room's behaviour on a store and an engine. open makes empty ones.
func Room(t *testing.T, open func(t *testing.T) (kv.Store, object.Body)) {
	r := &room{open: open}
	for name, test := range map[string]func(*testing.T, *object.Store){
		"buckets are made, listed, altered and deleted when empty":  buckets,
		"what is put is what is got, inline or not":                 sizes,
		"any range is read as it was put":                           ranges,
		"conditions decide a write":                                 conditions,
		"bytes that are not as announced are refused":               announced,
		"delete is idempotent, many at once":                        deletes,
		"a copy is the same bytes with its own metadata":            copies,
		"a listing is in byte order, page by page":                  listings,
		"appends make one object":                                   appends,
		"parts make an object, whatever order they come in":         parts,
		"an upload is listed, and gone when aborted":                uploads,
		"puts to one key at once leave one of them whole":           race,
		"a reader keeps its bytes while the object is replaced":     readers,
		"a bucket made anew does not show the old bucket's objects": anew,
	} {
		t.Run(name, func(t *testing.T) { test(t, r.store(t)) })
	}
}

type room struct {
	open func(t *testing.T) (kv.Store, object.Body)
}

func (r *room) store(t *testing.T) *object.Store {
	t.Helper()
	store, body := r.open(t)
	t.Cleanup(func() { store.Close() })
	s, err := object.Open(t.Context(), store, body, object.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateBucket(t.Context(), object.Bucket{Name: "box"}); err != nil {
		t.Fatal(err)
	}
	return s
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func refused(t *testing.T, err error, want object.Reason) {
	t.Helper()
	if got := object.ReasonOf(err); got != want {
		t.Errorf("error is %v (%v), want reason %q", err, got, want)
	}
}

func input(key string, data []byte) object.PutInput {
	return object.PutInput{Key: key, Body: bytes.NewReader(data), Size: int64(len(data))}
}

func content(t *testing.T, s *object.Store, key string) []byte {
	t.Helper()
	c := must(s.Get(t.Context(), "box", key))(t)
	defer c.Close()
	data, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	if int64(len(data)) != c.Size {
		t.Errorf("%s has %d bytes, its Size is %d", key, len(data), c.Size)
	}
	if sum := crc64.Checksum(data, crc64.MakeTable(crc64.ECMA)); sum != c.CRC64 {
		t.Errorf("%s has CRC %d, says %d", key, sum, c.CRC64)
	}
	return data
}

func buckets(t *testing.T, s *object.Store) {
	ctx := t.Context()
	for _, name := range []string{"", "ab", "-ab", "ab-", "Abc", "a_b", strings.Repeat("a", 64), "a/b"} {
		_, err := s.CreateBucket(ctx, object.Bucket{Name: name})
		refused(t, err, object.BadBucketName)
	}
	b := must(s.CreateBucket(ctx, object.Bucket{Name: "bin", App: "app"}))(t)
	if b.ACL != object.Private || b.Created.IsZero() || b.ID == 0 {
		t.Errorf("new bucket is %+v", b)
	}
	had, err := s.CreateBucket(ctx, object.Bucket{Name: "bin", App: "other"})
	refused(t, err, object.BucketExists)
	if diff := cmp.Diff(b, had); diff != "" {
		t.Errorf("the bucket that has the name (-want +got):\n%s", diff)
	}
	must(s.AlterBucket(ctx, "bin", func(b *object.Bucket) error { b.ACL, b.ID = object.PublicRead, 99; return nil }))(t)
	got := must(s.Bucket(ctx, "bin"))(t)
	if got.ACL != object.PublicRead || got.ID != b.ID {
		t.Errorf("altered bucket is %+v", got)
	}
	oops := errors.New("oops")
	if _, err := s.AlterBucket(ctx, "bin", func(b *object.Bucket) error { b.ACL = "x"; return oops }); !errors.Is(err, oops) {
		t.Errorf("AlterBucket returns %v", err)
	}
	names := func(prefix, after string, n int) (l []string) {
		for _, b := range must(s.Buckets(ctx, prefix, after, n))(t) {
			l = append(l, b.Name)
		}
		return l
	}
	for _, c := range []struct {
		prefix, after string
		n             int
		want          []string
	}{{"", "", 0, []string{"bin", "box"}}, {"", "bin", 0, []string{"box"}}, {"", "", 1, []string{"bin"}}, {"bo", "", 0, []string{"box"}}, {"bo", "a", 0, []string{"box"}}} {
		if diff := cmp.Diff(c.want, names(c.prefix, c.after, c.n)); diff != "" {
			t.Errorf("Buckets(%q, %q, %d) (-want +got):\n%s", c.prefix, c.after, c.n, diff)
		}
	}
	must(s.Put(ctx, "bin", input("k", nil)))(t)
	refused(t, s.DeleteBucket(ctx, "bin"), object.BucketNotEmpty)
	if err := s.Delete(ctx, "bin", "k"); err != nil {
		t.Fatal(err)
	}
	u := must(s.Begin(ctx, "bin", object.PutInput{Key: "k"}))(t)
	refused(t, s.DeleteBucket(ctx, "bin"), object.BucketNotEmpty)
	if err := s.Abort(ctx, "bin", "k", u.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteBucket(ctx, "bin"); err != nil {
		t.Fatal(err)
	}
	refused(t, s.DeleteBucket(ctx, "bin"), object.NoSuchBucket)
	_, err = s.Put(ctx, "bin", input("k", nil))
	refused(t, err, object.NoSuchBucket)
	_, err = s.List(ctx, "bin", object.ListInput{Max: 1})
	refused(t, err, object.NoSuchBucket)
}

func sizes(t *testing.T, s *object.Store) {
	for _, n := range []int{0, 1, 16<<10 - 1, 16 << 10, 16<<10 + 1, 5<<20 + 1} {
		data := noise(t, n)
		in := input("k", data)
		in.Header = map[string]string{"Content-Type": "text/plain"}
		in.Meta = map[string]string{"who": "me"}
		sum := md5.Sum(data)
		in.MD5 = sum[:]
		o := must(s.Put(t.Context(), "box", in))(t)
		if o.ETag != hex.EncodeToString(sum[:]) || o.Kind != object.Normal {
			t.Errorf("%d bytes: stored as %+v", n, o)
		}
		if diff := cmp.Diff(o, must(s.Head(t.Context(), "box", "k"))(t)); diff != "" {
			t.Errorf("%d bytes: Put and Head differ:\n%s", n, diff)
		}
		if !bytes.Equal(content(t, s, "k"), data) {
			t.Errorf("%d bytes come back otherwise", n)
		}
	}
	in := input("unknown length", []byte("abc"))
	in.Size = -1
	must(s.Put(t.Context(), "box", in))(t)
	for _, key := range []string{"", strings.Repeat("k", 1025), "\xff"} {
		_, err := s.Put(t.Context(), "box", input(key, nil))
		refused(t, err, object.BadKey)
	}
	_, err := s.Get(t.Context(), "box", "nothing")
	refused(t, err, object.NoSuchKey)
	_, err = s.Get(t.Context(), "nothing", "k")
	refused(t, err, object.NoSuchBucket)
}

func checkRanges(t *testing.T, s *object.Store, key string, data []byte) {
	t.Helper()
	c := must(s.Get(t.Context(), "box", key))(t)
	defer c.Close()
	for i := range 40 {
		from := rand.IntN(len(data) + 1)
		n := rand.IntN(len(data) - from + 1)
		if i == 0 {
			from, n = 0, len(data)
		}
		if _, err := c.Seek(int64(from), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.LimitReader(c, int64(n)))
		if err != nil || !bytes.Equal(got, data[from:from+n]) {
			t.Fatalf("%s: bytes %d to %d read otherwise (%d bytes, %v)", key, from, from+n, len(got), err)
		}
	}
	if at, err := c.Seek(-1, io.SeekEnd); err != nil || at != int64(len(data)-1) {
		t.Errorf("Seek to the last byte is %d, %v", at, err)
	}
	if got, _ := io.ReadAll(c); !bytes.Equal(got, data[len(data)-1:]) {
		t.Errorf("the last byte reads %v", got)
	}
	if _, err := c.Seek(-1, io.SeekStart); err == nil {
		t.Error("Seek before the beginning succeeds")
	}
	if _, err := c.Seek(int64(len(data)+5), io.SeekStart); err != nil {
		t.Error(err)
	}
	if n, err := c.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read past the end is %d, %v", n, err)
	}
}

func ranges(t *testing.T, s *object.Store) {
	for _, n := range []int{1, 1000, 300_000} {
		data := noise(t, n)
		must(s.Put(t.Context(), "box", input("k", data)))(t)
		checkRanges(t, s, "k", data)
	}
}

func conditions(t *testing.T, s *object.Store) {
	ctx := t.Context()
	try := func(c object.Condition, data string) error {
		in := input("k", []byte(data))
		in.Condition = c
		_, err := s.Put(ctx, "box", in)
		return err
	}
	refused(t, try(object.Condition{IfMatch: "*"}, "a"), object.NoSuchKey)
	refused(t, try(object.Condition{NoOverwrite: true}, "a"), 0)
	refused(t, try(object.Condition{NoOverwrite: true}, "b"), object.KeyExists)
	refused(t, try(object.Condition{IfMatch: "0123"}, "b"), object.ConditionFailed)
	o := must(s.Head(ctx, "box", "k"))(t)
	refused(t, try(object.Condition{IfMatch: strings.ToUpper(o.ETag)}, "c"), 0)
	if got := content(t, s, "k"); string(got) != "c" {
		t.Errorf("object is %q", got)
	}
}

func announced(t *testing.T, s *object.Store) {
	for _, n := range []int{100, 100_000} {
		data := noise(t, n)
		in := input("k", data)
		in.MD5 = make([]byte, 16)
		_, err := s.Put(t.Context(), "box", in)
		refused(t, err, object.BadDigest)
		for _, off := range []int64{-1, 1} {
			in = input("k", data)
			in.Size += off
			_, err = s.Put(t.Context(), "box", in)
			refused(t, err, object.Incomplete)
		}
		in = input("k", data)
		in.Body = io.MultiReader(bytes.NewReader(data[:n/2]), broken{io.ErrUnexpectedEOF})
		_, err = s.Put(t.Context(), "box", in)
		refused(t, err, object.Incomplete)
		for _, size := range []int64{-1, int64(n)} {
			in = input("k", data)
			in.Size, in.Limit = size, int64(n-1)
			_, err = s.Put(t.Context(), "box", in)
			refused(t, err, object.TooLarge)
		}
	}
	_, err := s.Head(t.Context(), "box", "k")
	refused(t, err, object.NoSuchKey)
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func deletes(t *testing.T, s *object.Store) {
	ctx := t.Context()
	for i := range 5 {
		must(s.Put(ctx, "box", input(fmt.Sprint("k", i), noise(t, i*10_000))))(t)
	}
	for range 2 {
		if err := s.Delete(ctx, "box", "k0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.RemoveMany(ctx, "box", []object.Ref{{Key: "k1"}, {Key: "k3"}, {Key: "k3"}, {Key: "never"}}, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := keys(t, s, object.ListInput{Max: 10}), []string{"k2", "k4"}; !slices.Equal(got, want) {
		t.Errorf("left are %v, want %v", got, want)
	}
	refused(t, s.Delete(ctx, "nothing", "k"), object.NoSuchBucket)
}

func copies(t *testing.T, s *object.Store) {
	ctx := t.Context()
	data := noise(t, 50_000)
	in := input("from", data)
	in.Header, in.Meta = map[string]string{"Content-Type": "a/b"}, map[string]string{"x": "1"}
	src := must(s.Put(ctx, "box", in))(t)
	to := object.CopyInput{FromBucket: "box", FromKey: "from", PutInput: object.PutInput{Key: "to"}}
	o := must(s.Copy(ctx, "box", to))(t)
	if o.ETag != src.ETag || o.Header["Content-Type"] != "a/b" || o.Meta["x"] != "1" {
		t.Errorf("copy is %+v", o)
	}
	to.Replace, to.Meta = true, map[string]string{"y": "2"}
	o = must(s.Copy(ctx, "box", to))(t)
	if diff := cmp.Diff(map[string]string{"y": "2"}, o.Meta); diff != "" || len(o.Header) != 0 {
		t.Errorf("copy with new metadata is %+v", o)
	}
	if err := s.Delete(ctx, "box", "from"); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, s, "to"), data) {
		t.Error("copy reads otherwise")
	}
	to.FromKey, to.Meta = "to", map[string]string{"z": "3"} // onto itself
	o = must(s.Copy(ctx, "box", to))(t)
	if diff := cmp.Diff(map[string]string{"z": "3"}, o.Meta); diff != "" || !bytes.Equal(content(t, s, "to"), data) {
		t.Errorf("copy onto itself is %+v", o)
	}
	no := errors.New("no")
	to.Accept = func(*object.Object) error { return no }
	if _, err := s.Copy(ctx, "box", to); !errors.Is(err, no) {
		t.Errorf("a source that is not accepted is copied: %v", err)
	}
	to.Accept, to.FromKey = nil, "nothing"
	_, err := s.Copy(ctx, "box", to)
	refused(t, err, object.NoSuchKey)
}

func keys(t *testing.T, s *object.Store, in object.ListInput) (names []string) {
	t.Helper()
	for _, o := range must(s.List(t.Context(), "box", in))(t).Objects {
		names = append(names, o.Key)
	}
	return names
}

// listings compares with a listing made by hand, for every page size.
func listings(t *testing.T, s *object.Store) {
	all := []string{"a", "a/", "a/1", "a/2", "a/b/c", "a/b/d", "aa", "b//x", "b/1", "c", "ü/1", "ü/2", "ｚ", "😀/x", "A", " ", "~"}
	for i := range 40 {
		all = append(all, fmt.Sprintf("many/%02d/x", i/4)+fmt.Sprint(i), fmt.Sprintf("flat%02d", i))
	}
	for _, k := range all {
		must(s.Put(t.Context(), "box", input(k, nil)))(t)
	}
	slices.Sort(all)
	for _, in := range []object.ListInput{
		{}, {Delimiter: "/"}, {Prefix: "a"}, {Prefix: "a/", Delimiter: "/"}, {Prefix: "a/b", Delimiter: "/"}, {Prefix: "many/", Delimiter: "/"},
		{Prefix: "ü"}, {Prefix: "none"}, {Delimiter: "a"}, {After: "flat20"}, {After: "a/b/c", Delimiter: "/"}, {Prefix: "b", After: "a"},
	} {
		var want []string // common prefixes are marked
		for _, k := range all {
			if !strings.HasPrefix(k, in.Prefix) || in.After != "" && k <= in.After {
				continue
			}
			if in.Delimiter != "" {
				if i := strings.Index(k[len(in.Prefix):], in.Delimiter); i >= 0 {
					k = "P:" + k[:len(in.Prefix)+i+len(in.Delimiter)]
				}
			}
			if len(want) == 0 || want[len(want)-1] != k {
				want = append(want, k)
			}
		}
		for _, page := range []int{1, 2, 7, 1000} {
			var got []string
			next := in
			for next.Max = page; ; {
				l := must(s.List(t.Context(), "box", next))(t)
				if n := len(l.Objects) + len(l.Prefixes); n > page || l.Truncated && n < page {
					t.Fatalf("%+v: a page of %d has %d entries", in, page, n)
				}
				var both []string
				for _, o := range l.Objects {
					both = append(both, o.Key)
				}
				for _, p := range l.Prefixes {
					both = append(both, "P:"+p)
				}
				slices.SortFunc(both, func(a, b string) int {
					return strings.Compare(strings.TrimPrefix(a, "P:"), strings.TrimPrefix(b, "P:"))
				})
				got = append(got, both...)
				if !l.Truncated {
					break
				}
				next.After = l.Next
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v in pages of %d (-want +got):\n%s", in, page, diff)
			}
		}
	}
	if l := must(s.List(t.Context(), "box", object.ListInput{}))(t); len(l.Objects) != 0 || l.Truncated {
		t.Errorf("a listing of nothing has %d, truncated %v", len(l.Objects), l.Truncated)
	}
}

func race(t *testing.T, s *object.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 5 {
				data := bytes.Repeat([]byte{byte(i)}, 10_000*(n+1)) // inline and not
				if _, err := s.Put(t.Context(), "box", input("k", data)); err != nil {
					t.Error(err)
				}
				c, err := s.Get(t.Context(), "box", "k")
				if err != nil {
					t.Error(err)
					continue
				}
				got, err := io.ReadAll(c)
				c.Close()
				if sum := md5.Sum(got); err != nil || hex.EncodeToString(sum[:]) != c.ETag {
					t.Errorf("read %d bytes that are not those of the ETag, %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	content(t, s, "k")
}

func readers(t *testing.T, s *object.Store) {
	ctx := t.Context()
	for name, make := range map[string]func(data []byte){
		"put": func(data []byte) { must(s.Put(ctx, "box", input("k", data)))(t) },
		"append": func(data []byte) {
			for at := 0; at < len(data); at += 30_000 {
				end := min(at+30_000, len(data))
				must(s.Append(ctx, "box", object.AppendInput{PutInput: input("k", data[at:end]), Position: int64(at)}))(t)
			}
		},
	} {
		data := noise(t, 3_000_000)
		make(data)
		c := must(s.Get(ctx, "box", "k"))(t)
		half, err := io.ReadAll(io.LimitReader(c, 1000))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(ctx, "box", "k"); err != nil {
			t.Fatal(err)
		}
		rest, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(append(half, rest...), data) {
			t.Errorf("%s: a reader that was there before the delete reads %d bytes, %v", name, len(half)+len(rest), err)
		}
		c.Close()
	}
}

func anew(t *testing.T, s *object.Store) {
	ctx := t.Context()
	must(s.Put(ctx, "box", input("k", nil)))(t)
	if err := s.Delete(ctx, "box", "k"); err != nil {
		t.Fatal(err)
	}
	old := must(s.Bucket(ctx, "box"))(t)
	if err := s.DeleteBucket(ctx, "box"); err != nil {
		t.Fatal(err)
	}
	b := must(s.CreateBucket(ctx, object.Bucket{Name: "box"}))(t)
	if b.ID == old.ID {
		t.Error("the new bucket has the old one's id")
	}
}
