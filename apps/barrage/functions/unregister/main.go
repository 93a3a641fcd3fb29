// Unregister is the function behind the gateway's UNREGISTER API, which is called when a device
// leaves or is lost: it forgets the device.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"github.com/sluicehq/sluice/apps/barrage/internal/wall"
)

func main() {
	w, store := wall.FromEnv(nil)
	mux := http.NewServeMux()
	mux.Handle("POST /invoke", wall.HandleEvent(func(ctx context.Context, e wall.Event) (any, error) {
		id := e.Headers["x-ca-deviceid"]
		if id == "" {
			return nil, &wall.Error{Kind: wall.Invalid, Text: "no x-ca-deviceid"}
		}
		return map[string]string{"deviceId": id}, w.Unregister(ctx, id)
	}))
	if err := wall.Serve(w, store, mux); err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}
