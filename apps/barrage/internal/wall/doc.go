// Package wall is the danmaku wall behind its three functions: who is watching, what was said,
// what may be shown, and how it gets to the screens.
//
// A message comes in as a [Post], is cleaned, limited, filtered and stored, and leaves through
// the [Outbox] to every screen, in order. A moderator's decision is a conditional update, so a
// message is passed exactly once however many moderators press the key. Nothing that must
// survive is in memory: any number of instances of the functions share the tables, and a screen
// that missed a push finds it again in [Wall.State].
//
// Everything durable goes through [Store], a handful of calls that [Tablestore] makes with the
// official SDK and that tests make on a map.
//
// One goroutine runs per lane of the outbox that has something to send; [Outbox.Close] waits for
// them. Locks guard maps only and are never held across a call to the store or the network.
package wall
