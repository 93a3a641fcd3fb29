// Del_code deletes an activation code: {"uuid":"…"} is answered with SUCCEED when it is gone.
package main

import "github.com/sluicehq/sluice/apps/codes/internal/codes"

func main() { codes.ServeEvents((*codes.Book).DelCode) }
