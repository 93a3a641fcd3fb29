// Package reactor moves bytes between sockets and one goroutine.
//
// A [Loop] is that goroutine. It owns its sockets and calls its [Events], all of them from itself, so
// what it calls needs no lock. Everybody else speaks to it by [Loop.Post].
//
//	            ┌── descriptors: epoll (Linux) ────────────┐
//	sockets ────┤                                          ├── Loop ── Events
//	            └── streams: a goroutine for each net.Conn ┘     ▲
//	                                                           Post
//
// A descriptor costs nothing but its entry in epoll. A stream (TLS, any other net.Conn, and all
// sockets on systems without epoll) costs a reading goroutine, and a writing one while it writes.
// Both are used in the same way: no call of a Loop blocks.
//
// The package knows nothing of what the bytes mean. Lock order: Loop.mu alone, held for a few
// instructions and never around a call.
package reactor
