// Register is the function behind the gateway's REGISTER API: it remembers which device shows or
// moderates the wall, or plays on it. A device that wants to moderate brings a session.
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
		return register(ctx, w, e)
	}))
	if err := wall.Serve(w, store, mux); err != nil {
		slog.Error("serve", "err", err)
		os.Exit(1)
	}
}

// register answers with what it stored, as the original app does.
func register(ctx context.Context, w *wall.Wall, e wall.Event) (any, error) {
	room, err := wall.FindRoom(e.QueryParameters["docId"])
	if err != nil {
		return nil, err
	}
	d := wall.Device{ID: e.Headers["x-ca-deviceid"], Type: e.QueryParameters["type"], User: e.QueryParameters["userId"]}
	if d.Type == wall.TypeAdmin {
		if err := w.CheckSession(ctx, e.QueryParameters["token"]); err != nil {
			return nil, err
		}
	}
	if err := w.Register(ctx, d); err != nil {
		return nil, err
	}
	return map[string]string{"deviceId": d.ID, "docId": room.DocID, "type": d.Type}, nil
}
