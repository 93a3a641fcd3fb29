// Control is the wall's HTTP API: players send and like, screens ask for what they missed,
// moderators log in and decide. The gateway serves it under /api; here it has no prefix.
package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func main() {
	w, store := wall.FromEnv(func(password string) {
		fmt.Println("barrage admin password: " + password)
	})
	if err := wall.Serve(w, store, routes(w)); err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}
