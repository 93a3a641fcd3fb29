// Package gateway holds the connections of clients, so that functions need not.
//
//	listeners ──► shard ──► wire.ParseRequest ──► Router ──► Open ─┐
//	                │          (not an upgrade: net/http)          │ workers:
//	                │ frames ──► Control ──► Message ──────────────┼──► Handler.Handle
//	                │            (on the shard)                    │
//	                │ end ──► journal ──► Close ───────────────────┘
//	                │
//	                ◄── mailbox ◄── replies · Push · PushMany · PushGroup · Close
//
// A shard is one goroutine that owns its connections (reactor.Loop), and nothing in it waits: handlers
// and the journal run on workers and answer by the shard's mailbox. An idle connection is some 150
// bytes in an array and an entry in epoll; it has no goroutine, timer, channel or buffer. At the end of
// each turn, every connection that has something to be written gets one write of all of it.
//
// What the bytes mean only a dialect knows: it is the Handler of an Endpoint.
//
// Promises. Open is first and alone, and nothing is delivered or pushed before the 101 is written.
// Messages are handed over in the order of Seq. Close is told once and last, when it is owed; what is
// owed is in the journal before the reply that owed it goes out, and leaves it when Close has been
// handled, so a crash tells it late and never drops it. Queued means "in the write queue", no more.
//
// Goroutines: one for each shard, owned by Run; workers, each as long as there is work; net/http's;
// and where loops cannot own descriptors (TLS, other systems) one for each connection that reads, and
// one while it writes. Run waits for all of them but net/http's own.
//
// Locks: aliases.mu, workers.mu and a loop's mailbox; each is held for a few instructions, and none
// while another is taken. State that others than the shard may see is in atomics of conn.
package gateway
