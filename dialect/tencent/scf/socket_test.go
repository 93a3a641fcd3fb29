package scf

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
)

// frame is a frame with an opcode, masked when it is a client's.
func frame(op byte, payload string, ofClient bool) []byte {
	b, mask := []byte{0x80 | op}, byte(0)
	if ofClient {
		mask = 0x80
	}
	switch n := len(payload); {
	case n < 126:
		b = append(b, mask|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, mask|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, mask|127), uint64(n))
	}
	if !ofClient {
		return append(b, payload...)
	}
	key := []byte{7, 8, 9, 10}
	b = append(b, key...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

func closes(code int, ofClient bool) []byte {
	return frame(opClose, string([]byte{byte(code >> 8), byte(code)})+"reason", ofClient)
}

// tunneled is a tunnel that runs, with both of its ends.
func tunneled(t *testing.T, ctx context.Context, quiet time.Duration) (client, server net.Conn, over <-chan *sluice.Failure) {
	t.Helper()
	mine, its := net.Pipe()
	hers, back := net.Pipe()
	tn := newTunnel(its, hers, quiet)
	done := make(chan *sluice.Failure, 1)
	go func() { done <- tn.run(ctx) }()
	for _, c := range []net.Conn{mine, back} {
		c.SetDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { c.Close() })
	}
	return mine, back, done
}

func write(t *testing.T, c io.Writer, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

func hears(t *testing.T, c io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("got %x (%v), want %x", got[:n], err, want)
	}
}

func status(f *sluice.Failure) string {
	if f == nil {
		return "200"
	}
	s, _, _ := strings.Cut(told(f), " ")
	return s
}

func TestFramesPassThroughAsTheyAre(t *testing.T) {
	t.Parallel()
	client, server, over := tunneled(t, t.Context(), time.Minute)
	for _, n := range []int{0, 1, 125, 126, 65535, 65536, maxPacket} {
		text := strings.Repeat("x", n)
		up, down := frame(2, text, true), frame(1, text, false)
		go func() {
			client.Write(up[:min(3, len(up))])
			client.Write(up[min(3, len(up)):])
		}()
		hears(t, server, up)
		go server.Write(down)
		hears(t, client, down)
	}
	go client.Write(closes(1000, true))
	hears(t, server, closes(1000, true))
	go func() {
		server.Write(closes(1000, false))
		server.Close()
	}()
	hears(t, client, closes(1000, false))
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the client's connection is still open")
	}
	if f := <-over; f != nil {
		t.Errorf("%+v", f)
	}
}

func TestTheEndOfASocketIsTheFunctionsStatus(t *testing.T) {
	t.Parallel()
	const none = 0 // a side that leaves without a word
	for _, tc := range []struct {
		by   string
		code int
		want string
	}{
		{"client", 1000, "200"}, {"client", 1010, "200"}, {"client", 1011, "456"}, {"client", 1001, "456"}, {"client", 4000, "456"}, {"client", none, "456"},
		{"server", 1000, "200"}, {"server", 1011, "200"}, {"server", 1010, "439"}, {"server", 4000, "439"}, {"server", none, "439"},
		{"client", codeNone, "200"}, {"server", codeNone, "200"},
	} {
		t.Run(fmt.Sprint(tc.by, tc.code), func(t *testing.T) {
			t.Parallel()
			client, server, over := tunneled(t, t.Context(), time.Minute)
			one, other, ofClient := client, server, tc.by == "client"
			if !ofClient {
				one, other = server, client
			}
			said := closes(tc.code, ofClient)
			switch tc.code {
			case none:
				said = nil
			case codeNone:
				said = frame(opClose, "", ofClient)
			}
			write(t, one, said)
			hears(t, other, said)
			one.Close()
			if tc.code != none { // it has been told, and need not answer
				other.Close()
			}
			go io.Copy(io.Discard, other)
			if got := status(<-over); got != tc.want {
				t.Errorf("status %s, want %s", got, tc.want)
			}
		})
	}
}

func TestAQuietSocketEnds(t *testing.T) {
	t.Parallel()
	client, server, over := tunneled(t, t.Context(), 50*time.Millisecond)
	go io.Copy(io.Discard, server)
	hears(t, client, closeFrame(codeGoingAway, false))
	if f := <-over; status(f) != "455" || f.Message != "nothing was said on the WebSocket for 50ms" {
		t.Errorf("%+v", f)
	}
}

func TestASocketLastsNoLongerThanItsFunctionMay(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	client, server, over := tunneled(t, ctx, time.Minute)
	go io.Copy(io.Discard, client)
	hears(t, server, closeFrame(codeGoingAway, true))
	if f := <-over; status(f) != "433" {
		t.Errorf("%+v", f)
	}
}

func TestASocketSaysGoodbyeWhenTheServerStops(t *testing.T) {
	t.Parallel()
	for name, begun := range map[string]bool{"between frames": false, "within a frame": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			its, client := net.Pipe()
			hers, server := net.Pipe()
			tn := newTunnel(its, hers, time.Minute)
			over := make(chan *sluice.Failure, 1)
			go func() { over <- tn.run(t.Context()) }()
			want := closeFrame(codeGoingAway, true)
			if begun { // which no other may interrupt
				write(t, client, frame(1, "hi", true)[:3])
				hears(t, server, frame(1, "hi", true)[:3])
				want = nil
			}
			its.SetReadDeadline(time.Unix(1, 0))
			hears(t, client, closeFrame(codeGoingAway, false))
			if got, _ := io.ReadAll(server); !bytes.Equal(got, want) {
				t.Errorf("the server got %x, want %x", got, want)
			}
			if f := <-over; f != nil {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestAPacketOfMoreThanAMegabyteClosesTheSocket(t *testing.T) {
	t.Parallel()
	client, server, over := tunneled(t, t.Context(), time.Minute)
	go io.Copy(io.Discard, server)
	go client.Write(frame(1, strings.Repeat("x", maxPacket+1), true))
	hears(t, client, closeFrame(codeTooBig, false))
	if f := <-over; status(f) != "456" {
		t.Errorf("%+v", f)
	}
}

// FuzzFrames cuts one stream of frames at any place, and wants to see the same of it.
func FuzzFrames(f *testing.F) {
	f.Add(append(frame(1, "hello", true), closes(1001, true)...), 3)
	f.Add(append(frame(2, strings.Repeat("x", 70000), false), closes(4000, false)...), 70003)
	f.Add([]byte{0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 5)
	f.Fuzz(func(t *testing.T, b []byte, at int) {
		at = min(max(at, 0), len(b))
		var whole, parts frames
		want := whole.scan(b)
		got := parts.scan(b[:at])
		if got == nil {
			got = parts.scan(b[at:])
		}
		if got != want || whole.closed != parts.closed || whole.code != parts.code || want == nil && whole.rests() != parts.rests() {
			t.Fatalf("cut at %d: %v %+v, whole %v %+v", at, got, parts, want, whole)
		}
	})
}
