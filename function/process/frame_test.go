//go:build unix

package process

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
)

func TestFramesComeBackAsTheyWent(t *testing.T) {
	t.Parallel()
	var b []byte
	want := []frame{
		{kind: frameStop},
		{kind: frameInvoke, id: 7, meta: []byte(`{"rid":"x"}`), body: []byte("body")},
		{kind: frameLog, flags: 4, id: 1 << 31, body: bytes.Repeat([]byte("l"), 3<<20)},
		{kind: frameLoad, meta: bytes.Repeat([]byte("m"), maxMeta)},
	}
	for _, f := range want {
		b = appendFrame(b, f)
	}
	r := &frames{r: bufio.NewReaderSize(pieces{bytes.NewReader(b), new(bool)}, 16)}
	for _, w := range want {
		got, err := r.next()
		for err == os.ErrDeadlineExceeded {
			got, err = r.next()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got.kind != w.kind || got.flags != w.flags || got.id != w.id || !bytes.Equal(got.meta, w.meta) || !bytes.Equal(got.body, w.body) {
			t.Errorf("frame %d is not the same", w.kind)
		}
	}
	for {
		_, err := r.next()
		if err == os.ErrDeadlineExceeded {
			continue
		}
		if err != io.EOF {
			t.Errorf("at the end: %v", err)
		}
		break
	}
}

// pieces reads at most 4 KB at a time, so that frames come in pieces, and fails in between as a read
// whose deadline has passed.
type pieces struct {
	r     io.Reader
	tired *bool
}

func (o pieces) Read(p []byte) (int, error) {
	if *o.tired = !*o.tired; *o.tired {
		return 0, os.ErrDeadlineExceeded
	}
	return o.r.Read(p[:min(len(p), 4<<10)])
}

func TestLongBodiesGoInChunks(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunkSize, chunkSize + 1, 5*chunkSize - 1} {
		body := bytes.Repeat([]byte("b"), size)
		r := &frames{r: bufio.NewReader(bytes.NewReader(appendCall(nil, frame{kind: frameInvoke, id: 3, meta: []byte("{}"), body: body})))}
		var got []byte
		for n := 0; ; n++ {
			f, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if wantKind := map[bool]byte{true: frameInvoke, false: frameChunk}[n == 0]; f.kind != wantKind || f.id != 3 || (n == 0) != (len(f.meta) > 0) {
				t.Fatalf("frame %d: %+v", n, f.kind)
			}
			got = append(got, f.body...)
			if f.flags&flagMore == 0 {
				break
			}
		}
		if !bytes.Equal(got, body) {
			t.Errorf("%d bytes came as %d", size, len(got))
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(nil, frame{kind: frameResult, id: 1, meta: []byte("{}"), body: []byte("x")}))
	f.Add(appendCall(nil, frame{kind: frameInvoke, body: make([]byte, 100)}))
	f.Add([]byte(strings.Repeat("\xff", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &frames{r: bufio.NewReader(bytes.NewReader(b))}
		var out []byte
		for {
			fr, err := r.next()
			if err != nil {
				break
			}
			out = appendFrame(out, fr)
		}
		if !bytes.HasPrefix(b, out) {
			t.Error(cmp.Diff(b, out))
		}
	})
}

// FuzzHandle feeds an instance whatever a shim might send: it must neither panic nor answer twice.
func FuzzHandle(f *testing.F) {
	for kind := frameHello; kind <= frameInitError; kind++ {
		f.Add(kind, byte(0), uint32(1), []byte(`{"kind":"handled","lvl":"INFO","p":1,"status":200,"headers":{"a":["b"]}}`), []byte("body"))
		f.Add(kind, byte(1), uint32(1), []byte(`{"p":-1,"status":"x"}`), []byte{})
	}
	f.Fuzz(func(t *testing.T, kind, flags byte, id uint32, meta, body []byte) {
		i := &instance{ctl: make(chan frame, 1), done: make(chan struct{}), calls: map[uint32]*call{}}
		i.w.dead = true
		i.version.Store(&loaded{v: version(t, "f", ""), logs: &logs{}, maxResult: 8})
		c := &call{rid: "r", done: make(chan sluice.Result, 1)}
		i.calls[1] = c
		for range 3 { // a second answer would block
			i.handle(frame{kind: kind, flags: flags, id: id, meta: meta, body: body})
		}
	})
}
