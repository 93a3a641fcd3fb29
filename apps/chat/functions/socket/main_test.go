package main

import (
	"log/slog"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"github.com/sluicehq/sluice/apps/chat/internal/chat"
	"github.com/sluicehq/sluice/apps/chat/internal/chattest"
)

func TestHandle(t *testing.T) {
	lines := &chattest.Lines{}
	c := chat.New(chat.Options{Store: &chattest.Store{}, Push: lines})
	call := func(route, body string, query map[string]string) int {
		e := &events.APIGatewayWebsocketProxyRequest{Body: body, QueryStringParameters: query}
		e.RequestContext.ConnectionID, e.RequestContext.RouteKey = "c", route
		return handle(t.Context(), c, slog.New(slog.DiscardHandler), e).StatusCode
	}
	if status := call("$connect", "", nil); status != 400 {
		t.Errorf("a connection without a name: %d", status)
	}
	if status := call("$connect", "", map[string]string{"nick": "Ann", "session": "0123456789.a"}); status != 200 {
		t.Errorf("a connection: %d", status)
	}
	for _, body := range []string{`{"action":"join","room":"lobby","id":"r"}`, `not JSON`} {
		route := map[bool]string{true: "join", false: "$default"}[body[0] == '{']
		if status := call(route, body, nil); status != 200 {
			t.Errorf("%s: %d", body, status)
		}
	}
	if got := lines.Take("c"); len(got) != 3 || got[0].Type != "joined" || got[1].Type != "log" || got[2].Code != "invalid" {
		t.Errorf("told %+v", got)
	}
	if status := call("$disconnect", "", nil); status != 200 {
		t.Errorf("the end: %d", status)
	}
}
