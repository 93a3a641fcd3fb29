package sluice

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"time"
)

// ConnID names one connection for ever. Its 11 bytes carry node, shard, slot, generation and a
// check (package gateway lays them out), so that a push finds its connection without a directory.
type ConnID [11]byte

// String is the 16-character form that clients and functions see (base64, as AWS writes ids).
func (id ConnID) String() string { return base64.URLEncoding.EncodeToString(id[:]) }

// IsZero reports whether id names no connection.
func (id ConnID) IsZero() bool { return id == ConnID{} }

// ErrConnID is what ParseConnID returns for text that is not the shape of an id.
var ErrConnID = errors.New("malformed connection id")

// ParseConnID reads the form written by String. It checks the shape only: whether such a
// connection was ever made, the gateway says.
func ParseConnID(s string) (ConnID, error) {
	var id ConnID
	if len(s) != 16 {
		return id, ErrConnID
	}
	var b [12]byte
	if n, err := base64.URLEncoding.Decode(b[:], []byte(s)); err != nil || n != len(id) {
		return id, ErrConnID
	}
	copy(id[:], b[:])
	return id, nil
}

// Alias is a second name for a connection, chosen by its client (Alibaba's deviceId). Several live
// connections of one scope may share a name unless the endpoint's policy says otherwise.
type Alias struct {
	Scope string `json:"scope"`
	Name  string `json:"name"`
}

// Handshake is the HTTP request that opened a connection.
type Handshake struct {
	Method       string         `json:"method"`
	Path         string         `json:"path"`
	RawQuery     string         `json:"query,omitempty"`
	Host         string         `json:"host"`
	Header       http.Header    `json:"header,omitempty"`
	Remote       netip.AddrPort `json:"remote"`
	TLS          bool           `json:"tls,omitempty"`
	Subprotocols []string       `json:"subprotocols,omitempty"`
	// Spelling is how the client wrote the names of headers where that is not as Header has them.
	Spelling map[string]string `json:"spelling,omitempty"`
}

// Conn is a snapshot of one connection, as events and Get carry it.
type Conn struct {
	ID          ConnID            `json:"id"`
	App         AppName           `json:"app"`
	Endpoint    string            `json:"endpoint"`
	Alias       *Alias            `json:"alias,omitempty"`
	Handshake   *Handshake        `json:"handshake,omitempty"` // only what the endpoint's policy keeps; nil after the Open event otherwise
	Remote      netip.AddrPort    `json:"remote"`
	Subprotocol string            `json:"subprotocol,omitempty"`
	ConnectedAt time.Time         `json:"connectedAt"`
	LastActive  time.Time         `json:"lastActive"`
	Attrs       map[string]string `json:"attrs,omitempty"` // set by replies; at most 12 KB together
}

// Frame is one message, up or down: always bytes inside.
type Frame struct {
	Data   []byte
	Binary bool
}

// CloseSpec says how to close a connection: an RFC 6455 code and a reason of at most 123 bytes.
type CloseSpec struct {
	Code   int
	Reason string
}

// Outcome is what became of a push, a close or a look-up.
type Outcome uint8

// The outcomes. Queued means "in the socket's write queue"; no stronger acknowledgement exists.
const (
	Queued    Outcome = iota + 1
	Gone              // the connection was there and is not any more
	NotFound          // no connection was ever called so
	Pending           // the connection is not open yet
	Overflow          // its reader is too slow: the queue is full. It is being closed, unless its endpoint's pushes wait
	TooLarge          // the message exceeds the endpoint's limit
	Forbidden         // the caller may not do this to this connection
)

// String is the outcome in lower case, for logs and JSON.
func (o Outcome) String() string {
	if o == 0 || int(o) >= len(outcomes) {
		return "unknown"
	}
	return outcomes[o]
}

var outcomes = [...]string{"", "queued", "gone", "notfound", "pending", "overflow", "toolarge", "forbidden"}
