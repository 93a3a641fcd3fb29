package websocket

import (
	"net/http"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

// Post reads the call that apps make most, POST of @connections/{id}, for gateway.Poster. It says no to all
// that ServeHTTP refuses.
func (x *App) Post(r *http.Request, body []byte) (p gateway.Post, ok bool) {
	t := x.find(r.Host, segments(r))
	if t.stage == nil || t.disabled || len(t.rest) != 2 || t.rest[0] != verbConnections || len(body) > x.apis.o.MaxMessage {
		return p, false
	}
	id, err := sluice.ParseConnID(t.rest[1])
	if err != nil {
		return p, false
	}
	signed, fail := x.apis.o.Verifier.Verify(r, body)
	if fail != nil || !t.stage.may(signed.Principal) || !x.apis.requests.take(x.apis.o.Now()) {
		return p, false
	}
	h := make(http.Header, 4)
	answerTo(h, sluice.NewRequestID())
	return gateway.Post{To: id, App: x.name, Endpoint: t.stage.endpoint.Name, Frame: sluice.Frame{Data: body}, Header: h}, true
}
