// Package object holds buckets and objects, multipart uploads, listings and static websites.
//
// Metadata lives in kv, so that a listing is one scan in UTF-8 byte order; bodies live in an engine
// ([Body]). The bytes of an object are a run of segments: one for a plain object, one a part for a
// multipart upload, one or more an append. A segment of up to 16 KiB is in kv itself, a longer one is
// a body of the engine. Completing an upload names its parts, it moves no bytes.
//
// A row is committed after the bodies that it names are durable, and a body is removed after the row
// that named it is gone: a crash leaves an orphan body, which [Store.Run] sweeps, and never a row
// without its body. A reader that is under way keeps the bytes it reads until it is closed.
//
// Rules of a bucket's own may end its objects, versions and uploads ([Rule], [Store.Follow]): the same sweeps
// follow them, so that what is due goes within the hour.
//
// Nothing here knows a cloud's signature, header or error name. [Store.Run] is the only goroutine,
// and its caller owns it.
package object
