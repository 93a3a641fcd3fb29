package websocket

import (
	"net/http"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/gateway"
)

// This file holds what AWS is believed to do and nobody has recorded (marked [U] in the specification,
// aws.md section 10). Each has a test whose name ends in Unverified; to correct one, change it here.
// What is believed of null and objects in selection expressions is in package document.

// Texts of error frames.
const (
	textTimeout   = "Endpoint request timed out"
	textThrottled = "Too Many Requests"
)

// Handshakes that fail.
const (
	statusFailed  = http.StatusBadGateway     // the $connect function failed, or its answer is malformed
	statusTimeout = http.StatusGatewayTimeout // the $connect integration did not answer in time

	bodyAuthorizerFailed = `{"message":null}`
	textDenied           = "User is not authorized to access this resource"
	textDeniedExplicitly = "User is not authorized to access this resource with an explicit deny"
	textMissing          = "Missing required request parameters: [%s]"
)

// refused answers a handshake that the $connect integration refuses: its status, and none of its body and
// headers.
func refused(status int) *fault {
	if status < 300 || status > 599 { // no handshake can end so
		status = statusFailed
	}
	return &fault{status: status, empty: true}
}

// Answers of @connections.
const (
	textInvalidID = "Invalid connectionId: %s"
	textTooLong   = "Message too long"
)

// malformedTold says whether a malformed answer of a function on a one-way route sends an error frame.
const malformedTold = false

// idleReset is what starts the idle time anew: whether pings do is not known.
const idleReset = gateway.MessagesAndPings

// deleted closes a connection for DeleteConnection. That the function sees 1000 is recorded, what the
// client sees is not.
var deleted = sluice.CloseSpec{Code: 1000}

// missingJSON is what $input.json makes of a path that leads nowhere.
const missingJSON = `""`

// goingAway is the reason of closes by us, which $disconnect sees.
const goingAway = "Going away"

// farewell is what a $disconnect event says of a connection's end (aws.md 1.7). The first two cases and
// reasons of clients are recorded; the rest is not.
func farewell(ev *sluice.Event) (code int, reason string) {
	switch {
	case ev.Cause == sluice.ClientClose && ev.Code == 1005:
		return ev.Code, "Client-side close frame status not set"
	case ev.Cause == sluice.ServerClose && ev.Code == 1000:
		return ev.Code, "Connection Closed Normally"
	case ev.Cause == sluice.ClientClose:
		return ev.Code, ev.Reason
	case ev.Cause == sluice.Idle, ev.Cause == sluice.MaxLife, ev.Cause == sluice.Drain:
		return 1001, goingAway
	case ev.Cause == sluice.PeerLost:
		return 1006, ""
	}
	return ev.Code, ""
}

// contextValue is a value of an authorizer's context as events have it: text, whatever it was.
func contextValue(v any) any { return document.Text(v) }

// variablesShown says whether events have the stage's variables: only when it has some. Authorizers
// always get them.
func variablesShown(vars map[string]string) bool { return len(vars) > 0 }

// upgradeRequired answers a plain request (the status is recorded, the body is not).
func upgradeRequired() *fault {
	return &fault{status: http.StatusUpgradeRequired, text: "Upgrade Required"}
}

// noSuchCall answers a method or a path that the management API does not have.
func noSuchCall() *fault {
	return &fault{status: http.StatusForbidden, text: "Missing Authentication Token", kind: "MissingAuthenticationTokenException"}
}
