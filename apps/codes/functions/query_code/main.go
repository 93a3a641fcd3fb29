// Query_code tells the state of an activation code: {"uuid":"…"} is answered with NO EXISTED, TIMEINVALID,
// UNACTIVED, ACTIVED or REVOKED.
package main

import "github.com/sluicehq/sluice/apps/codes/internal/codes"

func main() { codes.ServeEvents((*codes.Book).QueryCode) }
