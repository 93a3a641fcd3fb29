// Package tablestore speaks Tablestore (OTS), Alibaba's table store, on the table room: signed HTTP
// POSTs whose path is the operation and whose bodies are protobuf messages with PlainBuffer rows inside.
//
// A request passes through the files in this order: handler (envelope, headers), sign (who sent it),
// instance (whose data it may reach), one operation (tables, index, write, read, search), and back through the
// handler, which signs the answer as SDKs demand. row turns cells into a change of a row, filter
// decides on rows, plainbuffer and proto are the two codecs. errors has every code the cloud knows.
//
// An instance is the scope of its tables. It belongs to the app of the same name, or else to the first
// app that uses it; the operator may use every instance and claims none.
//
// It has no goroutines and no locks, and keeps nothing but caches of who owns which instance and which
// table an index is of. Local transactions, the records of streams, SQL, and of Search the aggregations and
// the geo, vector and nested queries are not served.
package tablestore
