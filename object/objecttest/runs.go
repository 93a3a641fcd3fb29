package objecttest

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice/object"
)

// Objects of several segments: appended, and put together from parts.

func appends(t *testing.T, s *object.Store) {
	ctx := t.Context()
	var all []byte
	add := func(n int) {
		t.Helper()
		data := noise(t, n)
		in := object.AppendInput{PutInput: input("log", data), Position: int64(len(all))}
		o := must(s.Append(ctx, "box", in))(t)
		all = append(all, data...)
		if o.Size != int64(len(all)) || o.Kind != object.Appendable {
			t.Fatalf("after %d bytes the object is %+v", len(all), o)
		}
	}
	add(0)
	for i := range 300 { // more than a reader takes at once
		add(1 + i*37%9000)
	}
	add(100_000)
	add(0)
	add(5)
	if !bytes.Equal(content(t, s, "log"), all) {
		t.Fatal("appended bytes read otherwise")
	}
	checkRanges(t, s, "log", all)

	_, err := s.Append(ctx, "box", object.AppendInput{PutInput: input("log", []byte("x")), Position: 3})
	refused(t, err, object.WrongPosition)
	var e *object.Error
	if errors.As(err, &e) && e.Size != int64(len(all)) {
		t.Errorf("a wrong position is told that the length is %d, not %d", e.Size, len(all))
	}
	_, err = s.Append(ctx, "box", object.AppendInput{PutInput: input("none", []byte("x")), Position: 3})
	refused(t, err, object.WrongPosition)
	must(s.Put(ctx, "box", input("plain", []byte("x"))))(t)
	_, err = s.Append(ctx, "box", object.AppendInput{PutInput: input("plain", []byte("x")), Position: 1})
	refused(t, err, object.NotAppendable)
	must(s.Put(ctx, "box", input("log", []byte("new"))))(t)
	if got := content(t, s, "log"); string(got) != "new" {
		t.Errorf("an appended object that is replaced reads %q", got)
	}
}

func part(t *testing.T, s *object.Store, id string, n int, data []byte) object.PartRef {
	t.Helper()
	p := must(s.PutPart(t.Context(), "box", id, n, input("k", data)))(t)
	return object.PartRef{Number: n, ETag: p.ETag}
}

func parts(t *testing.T, s *object.Store) {
	ctx := t.Context()
	u := must(s.Begin(ctx, "box", object.PutInput{Key: "k", Header: map[string]string{"Content-Type": "a/b"}}))(t)
	data := map[int][]byte{2: noise(t, 2<<20), 7: noise(t, 300_000), 9000: noise(t, 10)}
	part(t, s, u.ID, 7, noise(t, 50_000)) // replaced below
	part(t, s, u.ID, 3, noise(t, 50_000)) // not named
	part(t, s, u.ID, 4, noise(t, 50))     // not named
	refs := []object.PartRef{}
	for _, n := range []int{9000, 7, 2} {
		refs = append([]object.PartRef{part(t, s, u.ID, n, data[n])}, refs...)
	}
	_, list, more, err := s.ListParts(ctx, "box", "k", u.ID, 2, 3)
	if err != nil || !more || len(list) != 3 || list[0].Number != 3 || list[2].Number != 7 || list[2].Size != 300_000 {
		t.Errorf("ListParts is %+v, more %v, %v", list, more, err)
	}
	complete := func(in object.CompleteInput) error {
		_, err := s.Complete(ctx, "box", "k", u.ID, in)
		return err
	}
	refused(t, complete(object.CompleteInput{Parts: []object.PartRef{refs[1], refs[0]}}), object.PartOrder)
	refused(t, complete(object.CompleteInput{Parts: []object.PartRef{refs[0], refs[0]}}), object.PartOrder)
	refused(t, complete(object.CompleteInput{Parts: []object.PartRef{{Number: 2, ETag: "00"}}}), object.BadPart)
	refused(t, complete(object.CompleteInput{Parts: []object.PartRef{{Number: 5}}}), object.BadPart)
	refused(t, complete(object.CompleteInput{Parts: []object.PartRef{refs[2], {Number: 9999}}}), object.BadPart)
	refused(t, complete(object.CompleteInput{}), object.BadPart)
	refused(t, complete(object.CompleteInput{Parts: refs, MinPart: 1 << 20}), object.PartTooSmall)
	refused(t, complete(object.CompleteInput{Parts: refs, Condition: object.Condition{IfMatch: "*"}}), object.NoSuchKey)

	o := must(s.Complete(ctx, "box", "k", u.ID, object.CompleteInput{Parts: refs, MinPart: 100 << 10}))(t)
	all := slices.Concat(data[2], data[7], data[9000])
	sum := md5.New()
	for _, n := range []int{2, 7, 9000} {
		m := md5.Sum(data[n])
		sum.Write(m[:])
	}
	if want := fmt.Sprintf("%x-3", sum.Sum(nil)); o.ETag != want || o.Kind != object.Multipart || o.Parts != 3 ||
		o.Size != int64(len(all)) || o.Header["Content-Type"] != "a/b" {
		t.Errorf("object is %+v, want ETag %s", o, want)
	}
	if !bytes.Equal(content(t, s, "k"), all) {
		t.Fatal("parts read otherwise")
	}
	checkRanges(t, s, "k", all)

	refused(t, complete(object.CompleteInput{Parts: refs}), object.NoSuchUpload)
	_, err = s.PutPart(ctx, "box", u.ID, 1, input("k", nil))
	refused(t, err, object.NoSuchUpload)
	_, err = s.PutPart(ctx, "box", u.ID, 10001, input("k", nil))
	refused(t, err, object.BadPart)

	many := must(s.Begin(ctx, "box", object.PutInput{Key: "k"}))(t)
	all = nil
	for n := 1; n <= 200; n++ { // more than a reader takes at once, inline
		data := noise(t, 500)
		part(t, s, many.ID, n, data)
		all = append(all, data...)
	}
	must(s.Complete(ctx, "box", "k", many.ID, object.CompleteInput{All: true}))(t)
	if !bytes.Equal(content(t, s, "k"), all) {
		t.Fatal("many small parts read otherwise")
	}
	checkRanges(t, s, "k", all)

	late := must(s.Begin(ctx, "box", object.PutInput{Key: "new", Condition: object.Condition{NoOverwrite: true}}))(t)
	must(s.PutPart(ctx, "box", late.ID, 1, input("new", []byte("x"))))(t)
	must(s.Put(ctx, "box", input("new", []byte("first"))))(t)
	_, err = s.Complete(ctx, "box", "new", late.ID, object.CompleteInput{All: true})
	refused(t, err, object.KeyExists)
}

func uploads(t *testing.T, s *object.Store) {
	ctx := t.Context()
	ids := map[string]string{}
	for _, k := range []string{"a/1", "a/2", "b", "b", "b", "c"} {
		u := must(s.Begin(ctx, "box", object.PutInput{Key: k}))(t)
		ids[u.ID] = k
		must(s.PutPart(ctx, "box", u.ID, 1, object.PutInput{Key: k, Body: io.LimitReader(zeros{}, 20_000), Size: -1}))(t)
	}
	for _, page := range []int{1, 2, 100} {
		for _, delimiter := range []string{"", "/"} {
			var got []string
			in, after := object.ListInput{Delimiter: delimiter, Max: page}, ""
			for {
				l := must(s.ListUploads(ctx, "box", in, after))(t)
				got = append(got, l.Prefixes...)
				for _, u := range l.Uploads {
					if ids[u.ID] != u.Key {
						t.Errorf("upload %s is for %q", u.ID, u.Key)
					}
					got = append(got, u.Key)
				}
				if !l.Truncated {
					break
				}
				in.After, after = l.NextKey, l.NextID
			}
			want := []string{"a/1", "a/2", "b", "b", "b", "c"}
			if delimiter != "" {
				want = []string{"a/", "b", "b", "b", "c"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("uploads with delimiter %q in pages of %d (-want +got):\n%s", delimiter, page, diff)
			}
		}
	}
	for id, k := range ids {
		if err := s.Abort(ctx, "box", k, id); err != nil {
			t.Error(err)
		}
		refused(t, s.Abort(ctx, "box", k, id), object.NoSuchUpload)
	}
	if l := must(s.ListUploads(ctx, "box", object.ListInput{Max: 10}, ""))(t); len(l.Uploads) != 0 {
		t.Errorf("%d uploads are left", len(l.Uploads))
	}
	refused(t, s.Abort(ctx, "box", "k", ""), object.NoSuchUpload)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
