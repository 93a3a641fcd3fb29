// Api is the HTTP API beside the four functions: people use codes, administrators make them and look after
// them. The gateway serves it under /api; here it has no prefix.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/sluicehq/sluice/apps/codes/internal/codes"
)

func main() {
	b, store, err := codes.FromEnv(func(password string) {
		fmt.Println("codes admin password: " + password)
	})
	if err == nil {
		err = codes.Serve(b, store, routes(b))
	}
	if err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}
