// Gen_code makes activation codes: {"num":1000,"start period":"2017-12-22 00:00:00","end period":"…"} is
// answered with ok. Every minute a timer calls it to carry on what a kill has left.
package main

import "github.com/sluicehq/sluice/apps/codes/internal/codes"

func main() { codes.ServeEvents((*codes.Book).GenCode) }
