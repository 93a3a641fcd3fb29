// Package fc speaks Alibaba's Function Compute (aliyun.md section 3): the custom runtime, in which a
// function is an HTTP server of its own; the environment of every function; HTTP triggers; and the
// API with which functions are invoked.
//
// Custom is a function.Starter: it starts the function's server as a process on a port of its own and
// passes calls on to it. Triggers and API are http.Handlers over the function room. Nothing here
// keeps state but the instances, each of which owns one goroutine that waits for its process's end
// and the hooks that run after calls (Stop waits for both); asynchronous calls and timers are the
// room's queue and timers with this cloud's numbers.
package fc

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// Account is the account id that functions and addresses show (section 3.1).
const Account = "1000000000000001"

// maxPayload is how much an invocation carries either way (section 3.2).
const maxPayload = 32 << 20

// How long credentials are valid. Those that come with a call are renewed, and live as on the cloud
// (section 3.3). Those in the environment are made at deploy and read when a process starts, which may
// be at any time until the next deploy: they must not end before.
const (
	callLife   = 36 * time.Hour
	deployLife = 10 * 365 * 24 * time.Hour
)

// tokenPrefix begins the ids of temporary keys: the node SDK sends a token only with such a key.
const tokenPrefix = "STS."

// Keys makes and checks credentials: access.Keys.
type Keys interface {
	Temporary(prefix string, p access.Principal, ttl time.Duration) access.Credentials
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Invoker calls functions: the function room.
type Invoker interface {
	Invoke(ctx context.Context, inv sluice.Invocation) (sluice.Result, error)
}

// attrTail in an Invocation's Attrs asks the instance to wait for the last lines of the call's log.
const attrTail = "fc-log-tail"

// plain is v as the cloud writes JSON: with <, > and & as they are. v is of texts, numbers and bools.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
