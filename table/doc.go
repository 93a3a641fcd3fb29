// Package table holds rows: descriptors, typed ordered keys, multi-version columns, secondary
// indexes, change streams, TTL, auto-increment keys, all on one kv.Store and all in one transaction
// a write. It knows no cloud: conditions and update expressions come in as a [Mutate], wire formats
// stay in the dialects.
//
// A write and all that follows from it are one transaction of the store; DESIGN.md has the layout.
// The only goroutine is the caller of [Tables.Run], which sweeps; nothing waits for it. The one lock
// guards the cache of descriptions and is never held across a call to the store.
package table
