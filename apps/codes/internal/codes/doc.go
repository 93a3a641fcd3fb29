// Package codes is the code office behind five functions: campaigns of activation codes, coupons and
// gifts, their codes, and who used them.
//
// A code is one row of the table code, keyed by its text, so that no two campaigns share one. Everything
// that happens to it is one conditional update of that row: of a thousand who use a code at once one
// succeeds, and a kill leaves it used or unused, nothing between. A campaign's limits are counters on
// rows of their own; a use reserves there, is decided on the code's row, and settles. What a crash leaves
// reserved is found by its mark and given back once the code's row can no longer be decided by whoever
// left it (limits.go says how).
//
// Codes are made by jobs. A job's codes follow from its secret and their number, so that a job that was
// killed goes on where its row says and writes the same codes again, each on the condition that it is not
// there. Any instance of any function may carry a job on, also two at once.
//
// Everything durable goes through [Store], a handful of calls that [Tablestore] makes with the official
// SDK and that tests make on a map. Locks guard maps only and are never held during a call.
package codes
