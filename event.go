package sluice

import (
	"net/http"
	"time"
)

// EventKind tells what happened on a connection.
type EventKind uint8

// The three events of a connection's life, in their only order: Open, any Messages, Close.
const (
	Open EventKind = iota + 1
	Message
	Close
)

// String is the kind in lower case.
func (k EventKind) String() string {
	return [...]string{"unknown", "open", "message", "close"}[min(int(k), 3)]
}

// Cause says why a connection ended.
type Cause uint8

// The causes of a Close event.
const (
	ClientClose Cause = iota + 1 // a close frame came
	PeerLost                     // the transport broke, or a former process of ours died with it
	Idle                         // the idle timeout passed
	MaxLife                      // the endpoint's life span passed
	ServerClose                  // a function, an operator, or a newer connection of the same alias closed it
	BackendFail                  // the endpoint closes on failing functions, and one failed
	Drain                        // the server is stopping
	Violation                    // the client broke the protocol or a limit
)

// String is the cause in kebab case.
func (c Cause) String() string {
	return [...]string{"unknown", "client-close", "peer-lost", "idle", "max-life", "server-close", "backend-fail", "drain", "violation"}[min(int(c), 8)]
}

// Event is one thing that happened on one connection, on its way to a dialect.
type Event struct {
	Kind EventKind
	ID   string // the request id, born here; in every log line and error body after it
	Conn Conn   // a snapshot
	Seq  uint64 // per connection, gap-free, from 1
	At   time.Time

	Frame Frame // Message only

	Cause  Cause // Close only; so are the two below
	Code   int   // the close code that came or was sent; 1006 when none
	Reason string
}

// Duty says whether a connection's end has to reach the backend.
type Duty uint8

// A connection begins without the duty. Once it is owed, the gateway journals it before the reply's
// frames go out, so that a Close event is delivered even when the process dies.
const (
	KeepDuty Duty = iota // leave it as it is
	OweClose             // from now on the end of this connection must be told
	NoClose              // from now on it need not
)

// Reply is a dialect's answer to an event.
type Reply struct {
	// Refuse answers an Open event with this HTTP response instead of a connection; nil accepts.
	Refuse *Refusal
	// Subprotocol goes into the handshake answer as it is: a client that did not offer it ends the connection.
	Subprotocol string
	// NoDeflate leaves messages uncompressed, though the endpoint and the client would compress them.
	NoDeflate bool
	// Header is added to the handshake answer.
	Header http.Header
	// Attrs replaces the connection's attributes when not nil.
	Attrs map[string]string
	// Alias binds a second name when not nil.
	Alias *Alias
	// Duty sets whether the end of the connection must be told.
	Duty Duty
	// Idle is how long this connection may be idle from now on, instead of its endpoint's idle time; 0
	// leaves it as it is.
	Idle time.Duration
	// Send goes to the same connection, in order, before any push made after this reply.
	Send []Frame
	// Close closes the connection after Send.
	Close *CloseSpec
}

// Refusal is the HTTP answer to a handshake that is not accepted.
type Refusal struct {
	Status int
	Header http.Header
	Body   []byte
}
