// Command functions is each of the chat's three functions; the handler in the template says which:
// register, transport or cleanup.
package main

import (
	"context"
	"log"
	"log/slog"
	"os"

	"github.com/sluicehq/sluice/apps/tencent-chat/internal/chat"
	"github.com/sluicehq/sluice/apps/tencent-chat/internal/runtime"
)

func main() {
	store, err := chat.OpenCOS(os.Getenv("BUCKET"), os.Getenv("REGION"), chat.Keys{
		ID: os.Getenv("TENCENTCLOUD_SECRETID"), Secret: os.Getenv("TENCENTCLOUD_SECRETKEY"), Token: os.Getenv("TENCENTCLOUD_SESSIONTOKEN"),
	})
	if err != nil {
		log.Fatal(err)
	}
	c := chat.New(store, chat.NewGateway(os.Getenv("PUSH_URL")), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	handle, ok := map[string]runtime.Handler{"register": c.Register, "transport": c.Transport, "cleanup": c.Cleanup}[os.Getenv("_HANDLER")]
	if !ok {
		log.Fatalf("handler %q: want register, transport or cleanup", os.Getenv("_HANDLER"))
	}
	log.Fatal(runtime.Serve(context.Background(), handle))
}
