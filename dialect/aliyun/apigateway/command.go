package apigateway

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

// The command words (section 1.2). Clients compare OS and CR with the whole text: nothing may follow.
const (
	wordBind      = "RG#"
	wordBeat      = "H1"
	wordAck       = "NO"
	wordNotify    = "NF#"
	wordOverload  = "OS"
	wordReconnect = "CR"
)

// The answers that are the same for every connection. They are shared and never changed.
var (
	sendNotBound   = []sluice.Frame{{Data: []byte("HF#NotRegistered")}}
	sendBadDevice  = []sluice.Frame{{Data: []byte("RF#InvalidDeviceId")}}
	sendBadMessage = []sluice.Frame{{Data: []byte(`{"status":400,"header":{"x-ca-error-code":"I400BD","x-ca-error-message":"Invalid Body: not a command and not JSON"},"body":""}`)}}
)

// Control answers the command words. What begins like JSON is left for Handle; anything else is
// answered as malformed.
func (g *Group) Control(c gateway.ControlConn, data []byte, _ bool) gateway.Control {
	switch {
	case string(data) == wordBeat:
		if c.Alias == "" {
			return gateway.Control{Consumed: true, Send: sendNotBound}
		}
		return gateway.Control{Consumed: true, Send: say("HO#", c, "")}
	case string(data) == wordAck:
		return gateway.Control{Consumed: true}
	case bytes.HasPrefix(data, []byte(wordBind)):
		id := data[len(wordBind):]
		if !validDevice(id) {
			return gateway.Control{Consumed: true, Send: sendBadDevice}
		}
		ctl := gateway.Control{Consumed: true, Send: say("RO#", c, bound)}
		if string(id) != c.Alias {
			ctl.Alias = &sluice.Alias{Scope: g.newcomers, Name: string(id)}
		}
		return ctl
	}
	if t := bytes.TrimLeft(data, " \t\r\n"); len(t) > 0 && t[0] == '{' {
		return gateway.Control{}
	}
	return gateway.Control{Consumed: true, Send: sendBadMessage}
}

// bound ends an RO: the heartbeat's interval in milliseconds.
var bound = "#" + strconv.FormatInt(keepAlive.Milliseconds(), 10)

// say makes one frame of a word, the connection's credential and a suffix, in one allocation.
func say(word string, c gateway.ControlConn, suffix string) []sluice.Frame {
	m := &struct {
		frame [1]sluice.Frame
		text  [64]byte
	}{}
	b := append(m.text[:0], word...)
	b = appendCredential(b, c.ID, c.ConnectedAt)
	m.frame[0].Data = append(b, suffix...)
	return m.frame[:]
}

// appendCredential writes the name by which a client knows its connection: digits only, for the SDK
// splits at #. It follows from what the gateway holds anyway, so RO and every HO agree.
func appendCredential(b []byte, id sluice.ConnID, at time.Time) []byte {
	b = strconv.AppendInt(b, at.UnixMilli(), 10)
	b = appendPadded(b, binary.BigEndian.Uint64(id[:8]), 20)
	return appendPadded(b, uint64(id[8])<<16|uint64(id[9])<<8|uint64(id[10]), 8)
}

// appendPadded writes n with zeroes to a width.
func appendPadded(b []byte, n uint64, width int) []byte {
	at := len(b)
	for range width {
		b = append(b, '0')
	}
	for i := at + width - 1; n > 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// validDevice reports whether a client may call itself so.
func validDevice(id []byte) bool {
	if len(id) == 0 || len(id) > maxDeviceID {
		return false
	}
	for _, b := range id {
		if b < ' ' || b == 0x7f {
			return false
		}
	}
	return true
}
