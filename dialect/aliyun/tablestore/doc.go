// Package tablestore speaks Tablestore (OTS), Alibaba's table store, on the table room: signed HTTP
// POSTs whose path is the operation and whose bodies are protobuf messages with PlainBuffer rows inside.
//
// A request passes through the files in this order: handler (envelope, headers), sign (who sent it),
// instance (whose data it may reach), one operation (tables, index, write, read, transaction, stream, split,
// search, scan), and back through the handler, which signs the answer as SDKs demand. row turns cells into
// a change of a row, filter decides on rows, plainbuffer, matrix and proto are the codecs. errors has every
// code the cloud knows.
//
// A search walks its table, or the rows that postings name (candidates): document is a row as an index sees it,
// query (with text, geo, vector and score) decides whether it is a hit, sort orders hits, highlight and inner show
// why they are hits, aggregate and groupby sum them up.
//
// An instance is the scope of its tables. It belongs to the app of the same name, or else to the first
// app that uses it; the operator may use every instance and claims none.
//
// It has no goroutines. It keeps caches of who owns which instance and which table an index is of, and the
// open local transactions, whose one lock is never held across a call. SQL and time series are not served; scores
// and the analyzers with dictionaries are simpler than the cloud's.
package tablestore
