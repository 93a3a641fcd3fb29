// Package object holds buckets and objects, multipart uploads, listings and static websites.
// Metadata lives in kv, so that a listing is one scan in UTF-8 byte order; bodies live in an engine
// ([Body]). An object's row is committed after its body is durable: a crash leaves an orphan body,
// which is swept, and never a row without a body.
package object
