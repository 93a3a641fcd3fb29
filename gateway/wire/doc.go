// Package wire is the WebSocket protocol (RFC 6455, RFC 7692) without I/O: bytes in, events out.
//
// A handshake is read by [ParseRequest] and answered by [AppendAccept] or [AppendRefusal]. Frames of
// a client are read by [Feed], which works in the caller's buffer: a message that is whole in it is
// unmasked in place and handed on without a copy. Only what a read leaves unfinished is kept, in a
// [State] that is nil between messages, so an idle connection holds nothing. Frames of the server are
// built once, by [AppendFrame] and [NewOutgoing], and may be shared by any number of receivers.
//
// The package knows no socket, no goroutine and no clock. It never panics on what it reads.
package wire
