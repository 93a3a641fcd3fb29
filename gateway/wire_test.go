package gateway

import (
	"bytes"
	"compress/flate"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// The tables of all cases are in package wire; here they go through sockets.
func TestProtocolOverSockets(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, MaxFrame: 1 << 20, MaxMessage: 2 << 20}, &handler{handle: echo})
		big := strings.Repeat("*", 65536)
		half := bytes.Repeat([]byte("a"), 1<<19)
		join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
		for _, tc := range []struct {
			name string
			send []byte
			want []frame // before the close
			code int     // of the close frame; 0: it stays open
			chop int     // bytes a write; 0 all at once
		}{
			{name: "empty text", send: masked(0x81, nil), want: []frame{{0x81, []byte{}}}},
			{name: "64 KB text", send: masked(0x81, []byte(big)), want: []frame{{0x81, []byte(big)}}},
			{name: "64 KB binary, chopped", send: masked(0x82, []byte(big)), want: []frame{{0x82, []byte(big)}}, chop: 997},
			{name: "byte by byte", send: join(masked(0x01, []byte("\xc3")), masked(0x89, []byte("p")), masked(0x80, []byte("\xa4x"))), want: []frame{{0x8a, []byte("p")}, {0x81, []byte("äx")}}, chop: 1},
			{name: "ping", send: masked(0x89, []byte("hi")), want: []frame{{0x8a, []byte("hi")}}},
			{name: "unasked pong, then ping", send: join(masked(0x8a, []byte("x")), masked(0x89, nil)), want: []frame{{0x8a, []byte{}}}},
			{name: "long ping", send: masked(0x89, make([]byte, 126)), code: 1002},
			{name: "reserved bit", send: masked(0xc1, []byte("x")), code: 1002},
			{name: "reserved opcode", send: masked(0x83, nil), code: 1002},
			{name: "unmasked", send: []byte{0x81, 1, 'x'}, code: 1002},
			{name: "continuation of nothing", send: masked(0x80, []byte("x")), code: 1002},
			{name: "text in a fragmented text", send: join(masked(0x01, []byte("x")), masked(0x81, []byte("y"))), code: 1002},
			{name: "bad UTF-8", send: masked(0x81, []byte("\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80")), code: 1007},
			{name: "bad UTF-8 in an unfinished frame", send: masked(0x81, []byte("a\xff"+big))[:100], code: 1007},
			{name: "frame too big", send: masked(0x81, make([]byte, 1<<20+1))[:2000], code: 1009},
			{name: "a text without an end", send: join(masked(0x01, half), masked(0x00, half), masked(0x00, half), masked(0x00, half), masked(0x00, []byte("b"))), code: 1009},
			{name: "close code that may not be", send: masked(0x88, []byte{3, 236}), code: 1002},
			{name: "message after close", send: join(masked(0x88, []byte{3, 232}), masked(0x81, []byte("x"))), code: 1000},
		} {
			c := s.dial()
			go func() {
				step := len(tc.send)
				if tc.chop > 0 {
					step = tc.chop
				}
				for b := tc.send; len(b) > 0; b = b[min(step, len(b)):] {
					if _, err := c.Write(b[:min(step, len(b))]); err != nil {
						return
					}
				}
			}()
			for _, want := range tc.want {
				if f, err := c.next(); err != nil || f.first != want.first || !bytes.Equal(f.data, want.data) {
					t.Errorf("%s: got %v (%v), want %v", tc.name, f, err, want)
				}
			}
			if tc.code != 0 {
				c.wantClose(tc.code)
				c.wantEnd()
			} else {
				c.text("still here")
				c.want("still here")
			}
			c.Close()
		}
		eventually(t, "all are gone", func() bool { return s.Stats().Live == 0 })
	})
}

func TestCompressedMessages(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true, Deflate: true}, &handler{handle: echo})
		c := s.connect()
		resp := c.greet("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
		if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "permessage-deflate; server_no_context_takeover; client_no_context_takeover" {
			t.Fatalf("agreed to %q", got)
		}
		text := strings.Repeat("compress me ", 100)
		var packed bytes.Buffer
		w, _ := flate.NewWriter(&packed, 5)
		w.Write([]byte(text))
		w.Flush()
		plain := s.dial() // the same message, to one who has not agreed
		for range 2 {
			c.write(masked(0xc1, bytes.TrimSuffix(packed.Bytes(), []byte("\x00\x00\xff\xff"))))
			inflated := func() string {
				f, err := c.next()
				if err != nil || f.first != 0xc1 || len(f.data) > len(text)/4 {
					t.Fatalf("got %v (%v), %d bytes", f, err, len(f.data))
				}
				out, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(f.data), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff"))))
				if err != nil {
					t.Fatal(err)
				}
				return string(out)
			}
			if got := inflated(); got != text {
				t.Errorf("echo %.40q", got)
			}
			s.PushMany(t.Context(), s.conns(2), sluice.Frame{Data: []byte(text)})
			if got := inflated(); got != text {
				t.Errorf("push %.40q", got)
			}
			plain.want(text)
		}
	})
}

func TestHalfAHandshakeAndSlowlorisAreCutOff(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, streams bool) {
		s := start(t, streams, Policy{AutoAccept: true}, &handler{})
		begin := time.Now()
		half, slow := s.connect(), s.connect()
		half.write([]byte(handshake))
		ended := make(chan bool)
		go func() {
			defer close(ended)
			for _, b := range []byte(handshake + strings.Repeat("X: y\r\n", 1000)) {
				if _, err := slow.Write([]byte{b}); err != nil {
					return
				}
				select {
				case <-time.After(100 * time.Millisecond):
				case <-t.Context().Done():
					return
				}
			}
		}()
		half.wantEnd()
		slow.wantEnd()
		<-ended
		if took := time.Since(begin); took < handshakeTimeout-time.Second {
			t.Errorf("cut off after %v already", took)
		}
		eventually(t, "the slots are free", func() bool { return s.Stats().Live == 0 })
	})
}

func TestTimeouts(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		t.Run("ping keeps an idle client", func(t *testing.T) {
			s := start(t, streams, Policy{AutoAccept: true, Ping: 250 * time.Millisecond, Idle: 3 * time.Second}, &handler{})
			c := s.dial()
			for range 14 { // longer than Idle
				f, err := c.next()
				if err != nil || f.first != 0x89 {
					t.Fatalf("got %v (%v)", f, err)
				}
				c.write(masked(0x8a, f.data))
			}
			c.wantClose(1001) // pongs have ended
		})
		t.Run("life ends after a notice", func(t *testing.T) {
			s := start(t, streams, Policy{AutoAccept: true, MaxLife: 200 * time.Millisecond, LifeNotice: []byte("CR"), NoticeGrace: 300 * time.Millisecond}, &handler{})
			begin := time.Now()
			c := s.dial()
			c.want("CR")
			if took := time.Since(begin); took < 100*time.Millisecond {
				t.Errorf("notice after %v", took)
			}
			c.wantClose(1001)
			if took := time.Since(begin); took < 400*time.Millisecond {
				t.Errorf("closed after %v", took)
			}
		})
		t.Run("rate", func(t *testing.T) {
			s := start(t, streams, Policy{AutoAccept: true, FrameRate: 5, FrameBurst: 10, RateNotice: []byte("OS"), RateGrace: 300 * time.Millisecond}, &handler{handle: echo})
			c := s.dial()
			got, begin := map[string]int{}, time.Now()
			go func() {
				for range 100 {
					if _, err := c.Write(masked(0x81, []byte("m"))); err != nil {
						return
					}
					time.Sleep(10 * time.Millisecond)
				}
			}()
			for {
				f, err := c.next()
				if err != nil {
					t.Fatal(err)
				}
				if f.first == 0x88 {
					break
				}
				got[string(f.data)]++
			}
			if most := 11 + int(5*time.Since(begin).Seconds()); got["OS"] != 1 || got["m"] < 10 || got["m"] > most {
				t.Errorf("answers %v, want one OS and 10 to %d m", got, most)
			}
		})
	})
}

func TestControlIsAskedFirst(t *testing.T) {
	both(t, func(t *testing.T, streams bool) {
		events := make(chan *sluice.Event, 10)
		s := start(t, streams, Policy{AutoAccept: true, TextOnly: true}, &handler{
			control: func(c ControlConn, data []byte, binary bool) Control {
				switch string(data) {
				case "H1":
					return Control{Consumed: true, Send: []sluice.Frame{{Data: []byte("HO")}}}
				case "RG":
					return Control{Consumed: true, Alias: &sluice.Alias{Name: "d"}}
				case "who":
					return Control{Consumed: true, Send: []sluice.Frame{{Data: []byte(c.Alias)}}}
				case "boom":
					panic("deliberate")
				case "bye":
					return Control{Consumed: true, Send: []sluice.Frame{{Data: []byte("last")}}, Close: &sluice.CloseSpec{Code: 4002}}
				}
				return Control{}
			},
			handle: func(_ context.Context, ev *sluice.Event) sluice.Reply { events <- ev; return sluice.Reply{} },
		})
		c := s.dial()
		for _, m := range []string{"H1", "RG", "who"} {
			c.text(m)
		}
		c.want("HO")
		c.want("d")
		c.write(masked(0x82, []byte("text in binary")))
		c.write(masked(0x82, []byte("\xff")))
		for i, want := range []sluice.Frame{{Data: []byte("text in binary")}, {Data: []byte("\xff"), Binary: true}} {
			ev := receive(t, events, "message")
			if ev.Seq != uint64(i+1) || ev.Frame.Binary != want.Binary || !bytes.Equal(ev.Frame.Data, want.Data) {
				t.Errorf("event %+v", ev)
			}
		}
		c.text("bye")
		c.want("last")
		c.wantClose(4002)
		c = s.dial()
		c.text("boom")
		c.wantClose(1011)
		if s.Stats().Panics != 1 {
			t.Errorf("stats %+v", s.Stats())
		}
	})
}
