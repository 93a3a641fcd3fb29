package wire

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// record is a Sink that writes down what it gets. It stops Feed after stop events, when not 0.
type record struct {
	got  []string
	stop int
}

func (r *record) add(kind string, data []byte) bool {
	if len(data) > 40 {
		data = fmt.Appendf(nil, "%s…(%d)", data[:8], len(data))
	}
	r.got = append(r.got, kind+" "+string(data))
	return r.stop == 0 || len(r.got)%r.stop != 0
}

func (r *record) Message(data []byte, binary bool) bool {
	if binary {
		return r.add("binary", data)
	}
	return r.add("text", data)
}
func (r *record) Ping(data []byte) bool { return r.add("ping", data) }
func (r *record) Pong(data []byte) bool { return r.add("pong", data) }
func (r *record) Close(code int, reason string) {
	r.add("close", fmt.Append(nil, code, " ", reason))
}

// run feeds a stream in parts of a size and returns what came of it: events, then the close code of
// a violation.
func run(t testing.TB, stream []byte, size int, lim Limits, stop int) []string {
	t.Helper()
	r := &record{stop: stop}
	var state *State
	buf := append([]byte(nil), stream...) // Feed unmasks in place
	for len(buf) > 0 {
		part := buf[:min(size, len(buf))]
		next, n, err := Feed(state, part, lim, r)
		if n > len(part) || n < len(part) && err == nil && stop == 0 && !strings.HasPrefix(last(r.got), "close") {
			t.Fatalf("took %d of %d", n, len(part))
		}
		if err != nil {
			return append(r.got, fmt.Sprint("violation ", err.Code))
		}
		if strings.HasPrefix(last(r.got), "close") {
			return r.got
		}
		state, buf = next, buf[n:]
	}
	if state != nil {
		r.got = append(r.got, "unfinished")
	}
	return r.got
}

func last(s []string) string {
	if len(s) == 0 {
		return ""
	}
	return s[len(s)-1]
}

// cl builds a client's frame. first holds FIN, RSV and opcode.
func cl(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0x9a, 0xf0, 0x55}
	b = append(b, mask[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^mask[i%4])
	}
	return b
}

func closing(code int, reason string) []byte {
	return cl(0x88, string(binary.BigEndian.AppendUint16(nil, uint16(code)))+reason)
}

func join(frames ...[]byte) []byte { return bytes.Join(frames, nil) }

// The case groups are those of the Autobahn test suite.
func TestFeed(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("*", n) }
	shown := func(kind string, n int) []string {
		if n > 40 {
			return []string{fmt.Sprintf("%s %s…(%d)", kind, long(8), n)}
		}
		return []string{kind + " " + long(n)}
	}
	type tc struct {
		name string
		in   []byte
		want []string
	}
	var cases []tc
	add := func(name string, in []byte, want ...string) { cases = append(cases, tc{name, in, want}) }

	for _, n := range []int{0, 1, 125, 126, 127, 128, 65535, 65536} {
		add(fmt.Sprint("1 text of ", n), cl(0x81, long(n)), shown("text", n)...)
		add(fmt.Sprint("1 binary of ", n), cl(0x82, long(n)), shown("binary", n)...)
	}
	add("2 ping", cl(0x89, ""), "ping ")
	add("2 ping with payload", cl(0x89, "Hello\x00\xff"), "ping Hello\x00\xff")
	add("2 ping of 125", cl(0x89, long(125)), shown("ping", 125)...)
	add("2 ping of 126", cl(0x89, long(126)), "violation 1002")
	add("2 pong unasked", cl(0x8a, "x"), "pong x")
	add("2 many pings", bytes.Repeat(cl(0x89, "p"), 10), strings.Split(strings.Repeat("ping p,", 9)+"ping p", ",")...)
	for rsv := byte(1); rsv < 8; rsv++ {
		add(fmt.Sprint("3 reserved bits ", rsv), join(cl(0x81, "a"), cl(0x81|rsv<<4, "b")), "text a", "violation 1002")
		add(fmt.Sprint("3 reserved bits in a ping ", rsv), cl(0x89|rsv<<4, "b"), "violation 1002")
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprint("4 reserved opcode ", op), join(cl(0x81, "a"), cl(0x80|op, "")), "text a", "violation 1002")
		add(fmt.Sprint("4 reserved opcode with payload ", op), cl(0x80|op, "x"), "violation 1002")
	}
	add("5 fragmented ping", join(cl(0x09, "a"), cl(0x80, "b")), "violation 1002")
	add("5 fragmented pong", join(cl(0x0a, "a"), cl(0x80, "b")), "violation 1002")
	add("5 two fragments", join(cl(0x01, "a"), cl(0x80, "b")), "text ab")
	add("5 binary fragments", join(cl(0x02, "a"), cl(0x00, "b"), cl(0x80, "c")), "binary abc")
	add("5 ping between fragments", join(cl(0x01, "a"), cl(0x89, "p"), cl(0x80, "b")), "ping p", "text ab")
	add("5 many between", join(cl(0x01, "a"), cl(0x89, "1"), cl(0x00, "b"), cl(0x89, "2"), cl(0x8a, ""), cl(0x80, "c"), cl(0x81, "d")), "ping 1", "ping 2", "pong ", "text abc", "text d")
	add("5 empty fragments", join(cl(0x01, ""), cl(0x00, ""), cl(0x80, "")), "text ")
	add("5 empty ends", join(cl(0x01, ""), cl(0x00, "m"), cl(0x80, "")), "text m")
	add("5 continuation of nothing, final", join(cl(0x80, "a"), cl(0x81, "b")), "violation 1002")
	add("5 continuation of nothing", join(cl(0x00, "a"), cl(0x81, "b")), "violation 1002")
	add("5 continuation after a whole message", join(cl(0x01, "a"), cl(0x80, "b"), cl(0x00, "c")), "text ab", "violation 1002")
	add("5 text in a fragmented text", join(cl(0x01, "a"), cl(0x81, "b")), "violation 1002")
	add("5 binary in a fragmented text", join(cl(0x01, "a"), cl(0x82, "b")), "violation 1002")
	add("5 close in a fragmented text", join(cl(0x01, "a"), closing(1000, "")), "close 1000 ")
	add("no mask", []byte{0x81, 1, 'a'}, "violation 1002")
	add("length out of range", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "violation 1002")
	add("unfinished", join(cl(0x81, "a"), cl(0x81, "bc")[:7]), "text a", "unfinished")
	add("unfinished header", join(cl(0x81, "a"), cl(0x81, "bc")[:3]), "text a", "unfinished")
	add("unfinished message", cl(0x01, ""), "unfinished")

	add("7 close", closing(1000, ""), "close 1000 ")
	add("7 close without payload", cl(0x88, ""), "close 1005 ")
	add("7 close of one byte", cl(0x88, "\x03"), "violation 1002")
	add("7 close with a reason", closing(1000, "Hello Wörld"), "close 1000 Hello Wörld")
	add("7 reason of 123", closing(1000, long(123)), fmt.Sprintf("close 1000 ***…(%d)", 128))
	add("7 reason of 124", closing(1000, long(124)), "violation 1002")
	add("7 reason that is not UTF-8", closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"), "violation 1007")
	add("7 nothing after close", join(closing(1000, ""), cl(0x81, "x"), closing(1001, "")), "close 1000 ")
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		add(fmt.Sprint("7 code ", code), closing(code, ""), fmt.Sprintf("close %d ", code))
	}
	for _, code := range []int{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		add(fmt.Sprint("7 code ", code), closing(code, "why"), "violation 1002")
	}
	for _, kb := range []int{64, 256, 1024, 4096, 16384} {
		add(fmt.Sprintf("9 %d KB text", kb), cl(0x81, long(kb<<10)), shown("text", kb<<10)...)
		add(fmt.Sprintf("9 %d KB binary", kb), cl(0x82, long(kb<<10)), shown("binary", kb<<10)...)
	}
	for size := 64; size <= 1<<20; size *= 4 {
		for name, first := range map[string]byte{"text": 0x01, "binary": 0x02} {
			pieces := [][]byte{cl(first, long(size))}
			for range (1<<20)/size - 1 {
				pieces = append(pieces, cl(0x00, long(size)))
			}
			add(fmt.Sprintf("9 1 MB of %s in fragments of %d", name, size), join(append(pieces, cl(0x80, ""))...), shown(name, 1<<20)...)
		}
	}
	for _, size := range []int{0, 16, 64, 256, 1024, 4096} {
		var all [][]byte
		var want []string
		for range 1000 {
			all, want = append(all, cl(0x81, long(size))), append(want, shown("text", size)...)
		}
		add(fmt.Sprintf("9 1000 texts of %d", size), join(all...), want...)
	}
	add("10 64 KB in parts", cl(0x81, long(65536)), shown("text", 65536)...)

	for _, c := range cases {
		for _, size := range []int{1 << 30, 65536, 1300, 7, 1} {
			if size < 1000 && len(c.in) > 1<<18 {
				continue
			}
			for _, stop := range []int{0, 1} {
				if diff := cmp.Diff(c.want, run(t, c.in, size, Limits{}, stop)); diff != "" {
					t.Errorf("%s, %d bytes a read, stopped %v:\n%s", c.name, size, stop == 1, diff)
				}
			}
		}
	}
}

// Group 6: text must be UTF-8, and is refused at the first byte that cannot be.
func TestFeedUTF8(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\x7f", "\u0080", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff",
		"\ud7ff", "\ue000", "\ufffd", "\ufffe", "\U0001fffe", "𝄞", "\uf8ff", "",
	} {
		for cut := 0; cut <= len(s); cut++ {
			in := join(cl(0x01, s[:cut]), cl(0x80, s[cut:]))
			if diff := cmp.Diff([]string{"text " + s}, run(t, in, 1, Limits{}, 0)); diff != "" {
				t.Errorf("%q cut at %d:\n%s", s, cut, diff)
			}
		}
	}
	for _, tc := range []struct {
		text  string
		fatal int // bytes after which it is hopeless; 0 only at the end
	}{
		{"\x80", 1}, {"\xbf", 1}, {"\xfe", 1}, {"\xff", 1}, {"\xc0\xaf", 1}, {"\xc1\xbf", 1}, {"a\xe0\x80\xaf", 3}, {"\xe0\x9f\xbf", 2},
		{"\xf0\x80\x80\xaf", 2}, {"\xf0\x8f\xbf\xbf", 2}, {"\xf8\x88\x80\x80\x80", 1}, {"\xfc\x84", 1}, {"\xed\xa0\x80", 2}, {"\xed\xbf\xbf", 2},
		{"\xf4\x90\x80\x80", 2}, {"\xf5\x80", 1}, {"κόσμε\xed\xa0\x80edited", 12}, {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90", 13},
		{"\xc3", 0}, {"\xe2\x82", 0}, {"\xf0\x9f\x98", 0}, {"a\xf0", 0}, {"\xc3(", 2}, {"\xe2(\xa1", 2}, {"\xf0(\x8c\xbc", 2}, {"\xe2\x82(", 3},
	} {
		want := []string{"violation 1007"}
		for _, in := range [][]byte{cl(0x81, tc.text), join(cl(0x01, tc.text), cl(0x80, ""))} {
			for _, size := range []int{1 << 20, 3, 1} {
				if diff := cmp.Diff(want, run(t, in, size, Limits{}, 0)); diff != "" {
					t.Errorf("%q, %d bytes a read:\n%s", tc.text, size, diff)
				}
			}
		}
		if tc.fatal > 0 {
			in := cl(0x81, tc.text+"more and more")
			if diff := cmp.Diff(want, run(t, in[:6+tc.fatal], 1, Limits{}, 0)); diff != "" {
				t.Errorf("%q is not refused at once:\n%s", tc.text, diff)
			}
		}
	}
	if diff := cmp.Diff([]string{"binary \xff\xfe"}, run(t, cl(0x82, "\xff\xfe"), 1, Limits{}, 0)); diff != "" {
		t.Error(diff)
	}
}

func TestFeedLimits(t *testing.T) {
	t.Parallel()
	lim := Limits{MaxFrame: 100, MaxMessage: 150}
	for _, tc := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"frame at the limit", cl(0x82, strings.Repeat("x", 100)), []string{"binary xxxxxxxx…(100)"}},
		{"frame beyond", cl(0x81, strings.Repeat("x", 101)), []string{"violation 1009"}},
		{"frame beyond, only its head", cl(0x81, strings.Repeat("x", 101))[:8], []string{"violation 1009"}},
		{"message at the limit", join(cl(0x02, strings.Repeat("x", 100)), cl(0x80, strings.Repeat("x", 50))), []string{"binary xxxxxxxx…(150)"}},
		{"message beyond", join(cl(0x02, strings.Repeat("x", 100)), cl(0x80, strings.Repeat("x", 51))), []string{"violation 1009"}},
		{"huge length", []byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, []string{"violation 1009"}},
	} {
		if diff := cmp.Diff(tc.want, run(t, tc.in, 1<<20, lim, 0)); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

func TestFeedReservesNoMoreThanTwiceWhatCame(t *testing.T) {
	t.Parallel()
	state, _, err := Feed(nil, []byte{0x82, 0xff, 0, 0, 0, 0, 0x3f, 0, 0, 0, 0, 0, 0, 0, 'x'}, Limits{}, &record{})
	if err != nil || cap(state.msg) > 64 {
		t.Errorf("a promise of 1 GB reserved %d bytes (%v)", cap(state.msg), err)
	}
}

func TestFeedOfWholeMessagesAllocatesNothing(t *testing.T) {
	stream := bytes.Repeat(cl(0x81, "hello"), 10)
	buf := make([]byte, len(stream))
	var sink silent
	if n := testing.AllocsPerRun(100, func() {
		copy(buf, stream)
		if state, _, err := Feed(nil, buf, Limits{}, &sink); state != nil || err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type silent struct{ n int }

func (s *silent) Message([]byte, bool) bool { s.n++; return true }
func (s *silent) Ping([]byte) bool          { return true }
func (s *silent) Pong([]byte) bool          { return true }
func (s *silent) Close(int, string)         {}

// pack compresses as a client does.
func pack(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 9)
	w.Write([]byte(text))
	w.Flush()
	return strings.TrimSuffix(b.String(), flushTail)
}

// Groups 12 and 13: permessage-deflate.
func TestFeedDeflate(t *testing.T) {
	t.Parallel()
	lim := Limits{Deflate: true, MaxMessage: 1 << 20}
	text := strings.Repeat("deflate ", 1000)
	p := pack(text)
	shown := "text deflate …(8000)"
	for _, tc := range []struct {
		name string
		in   []byte
		want []string
	}{
		{"message", cl(0xc1, p), []string{shown}},
		{"two messages, no context", join(cl(0xc1, p), cl(0xc1, p)), []string{shown, shown}},
		{"fragments", join(cl(0x41, p[:9]), cl(0x89, "p"), cl(0x00, p[9:20]), cl(0x80, p[20:])), []string{"ping p", shown}},
		{"uncompressed", cl(0x81, "plain"), []string{"text plain"}},
		{"empty", cl(0xc2, "\x00"), []string{"binary "}},
		{"bit on a continuation", join(cl(0x41, p[:9]), cl(0xc0, p[9:])), []string{"violation 1002"}},
		{"bit on a ping", cl(0xc9, ""), []string{"violation 1002"}},
		{"other bits", cl(0xa1, p), []string{"violation 1002"}},
		{"both bits", cl(0xe1, p), []string{"violation 1002"}},
		{"rubbish", cl(0xc1, "\xff\xff\xff"), []string{"violation 1007"}},
		{"not UTF-8 inside", cl(0xc1, pack("abc\xff")), []string{"violation 1007"}},
		{"binary inside", cl(0xc2, pack("abc\xff")), []string{"binary abc\xff"}},
		{"bomb", cl(0xc2, pack(strings.Repeat("\x00", 1<<20+1))), []string{"violation 1009"}},
	} {
		for _, size := range []int{1 << 20, 5, 1} {
			if diff := cmp.Diff(tc.want, run(t, tc.in, size, lim, 0)); diff != "" {
				t.Errorf("%s, %d bytes a read:\n%s", tc.name, size, diff)
			}
		}
	}
}

func TestOutgoing(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 125, 126, 65535, 65536} {
		data := bytes.Repeat([]byte("ab"), n)[:n]
		o := NewOutgoing(data, n%2 == 0)
		f := o.Frame(false)
		if o.Size() != n || !bytes.HasSuffix(f, data) || len(f) != HeaderSize(n)+n || f[1]&0x80 != 0 {
			t.Errorf("%d: head % x, size %d", n, f[:2], o.Size())
		}
		if first, again := o.Frame(true), o.Frame(true); &first[0] != &again[0] {
			t.Error("compressed twice")
		}
		if n >= minDeflate {
			// What we compress, Feed inflates.
			packed := o.Frame(true)
			head := HeaderSize(len(packed) - 2)
			got := run(t, cl(packed[0], string(packed[head:])), 1<<20, Limits{Deflate: true}, 0)
			kind := map[bool]string{true: "binary", false: "text"}[n%2 == 0]
			if want := fmt.Sprintf("%s %s…(%d)", kind, data[:8], n); len(got) != 1 || got[0] != want && n > 40 {
				t.Errorf("%d bytes came back as %q, want %q", n, got, want)
			}
		}
	}
}

func TestAppendClose(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 100)
	for _, tc := range []struct {
		code   int
		reason string
		want   string
	}{
		{1000, "", "\x88\x02\x03\xe8"},
		{1001, "bye", "\x88\x05\x03\xe9bye"},
		{1005, "not sent", "\x88\x00"},
		{0, "", "\x88\x00"},
		{4000, long, "\x88\x7c\x0f\xa0" + long[:122]},
		{1000, "\xff", "\x88\x02\x03\xe8"},
	} {
		if got := string(AppendClose(nil, tc.code, tc.reason)); got != tc.want {
			t.Errorf("close %d %.10q is %q, want %q", tc.code, tc.reason, got, tc.want)
		}
	}
}

// However a stream is cut into reads, and however often the Sink stops, the same comes of it.
func FuzzFeed(f *testing.F) {
	for _, seed := range [][]byte{
		cl(0x81, "hello"), join(cl(0x01, "\xc3"), cl(0x89, ""), cl(0x80, "\xa4")), closing(1000, "x"), cl(0xc1, pack("hello hello")),
		{0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0}, cl(0x82, strings.Repeat("x", 300)),
	} {
		f.Add(seed, uint8(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		for _, lim := range []Limits{{}, {MaxFrame: 64, MaxMessage: 100, Deflate: true}} {
			whole := run(t, b, 1<<30, lim, 0)
			for _, stop := range []int{0, 1, 2} {
				parts := run(t, b, int(size)+1, lim, stop)
				// Reading on, a fail-fast check may see a fault in what a longer read finds unfinished: never.
				if diff := cmp.Diff(whole, parts); diff != "" {
					t.Fatalf("cut and whole differ:\n%s", diff)
				}
			}
		}
	})
}
