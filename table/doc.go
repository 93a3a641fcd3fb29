// Package table holds rows: descriptors, typed ordered keys, multi-version columns, secondary
// indexes, change streams, TTL, auto-increment keys, all on one kv.Store and all in one transaction
// a write. It knows no cloud: conditions and update expressions come in as a [Mutate], wire formats
// stay in the dialects.
package table
