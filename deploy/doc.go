// Package deploy turns an App into running things: it plans, applies, restores and rolls back.
//
// A Reader (one per cloud) has read the template. Plan compares the App with the revision that
// serves now and says what would be done. Apply does it, in this order: actions before, builds,
// copies of the code and a look for syntax errors in it, tables, buckets, sites, functions, and last the app's front, which swaps all
// routes at once; then actions after.
//
// # Revisions
//
// Each Apply that changes something makes a revision: the App as JSON, a hash of every resource and
// the folder that each function and site was copied to. Revisions are in kv under 'A'; which one is
// current is one more key, and writing it is the moment of success. Everything before that can be
// undone: when a step fails, functions and sites that were already switched go back to what the
// current revision says and the new folders are deleted. A crash is the same: Restore, at start,
// puts the current revision back, and sweeps away what the unfinished one left.
//
// A function that did not change keeps its folder, so a revision may name folders of older ones.
// The last five revisions stay, with the folders they name. Tables, buckets and objects are the
// user's data: no plan deletes them, and rolling back does not touch them (sites it does upload
// again, from the copy that the revision kept).
//
// # Actions
//
// A command of the template runs again when its text changed or a file of its folder was touched
// since it last ran; npm install and its like only when a manifest changed. Plan.Force runs all.
//
// # Folders
//
//	Dir/{app}/{revision}/f/{function}   code as it runs: a copy, read-only files, unchanged ones hard-linked;
//	                                    functions with the same code share the copy of the first of them
//	Dir/{app}/{revision}/f/{function}.opt  the content of its layers, for /opt (see Opt)
//	Dir/{app}/{revision}/s/{number}     the files of a site
//	Dir/_builds/{hash}                  executables, and folders of packages, by the hash of what they are made from
//
// # Locks
//
// One Apply, Rollback or Remove per app at a time, under that app's lock; Plan takes none and Apply
// refuses a plan made on another revision. No goroutine outlives a call.
package deploy
