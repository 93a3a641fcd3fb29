// Use_code uses an activation code: {"uuid":"…"} is answered with SUCCEED once, then with FAILED.
package main

import "github.com/sluicehq/sluice/apps/codes/internal/codes"

func main() { codes.ServeEvents((*codes.Book).UseCode) }
