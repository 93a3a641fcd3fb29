package scf

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// webPrefix begins the runtimes of web functions in sluice.Function.Runtime.
const webPrefix = "web/"

// WebRuntime is what sluice.Function.Runtime holds of a web function (Type HTTP): its server is started by
// scf_bootstrap, whatever the runtime.
func WebRuntime(runtime string) string { return webPrefix + runtime }

// IsWeb reports whether a function is a web function.
func IsWeb(f *sluice.Function) bool { return strings.HasPrefix(f.Runtime, webPrefix) }

// runtimeOf is a function's runtime as the cloud names it.
func runtimeOf(f *sluice.Function) string { return strings.TrimPrefix(f.Runtime, webPrefix) }

// Extra is what sluice.Function.Extra holds of a function of ours: what the cloud's API tells of it and
// no room needs.
type Extra struct {
	// Aliases are the versions and aliases by which the function may be called besides Latest and Default.
	// All of them run the newest code: sluice keeps one.
	Aliases []string `json:"aliases,omitempty"`
	// Sockets is set when a web function's server takes WebSockets itself (ProtocolType WS, section 1.10).
	Sockets    bool          `json:"sockets,omitempty"`
	SocketIdle time.Duration `json:"socketIdle,omitempty"` // WSParams.IdleTimeOut; 0 is 15 s
	Role       string        `json:"role,omitempty"`
	Modified   time.Time     `json:"modified,omitzero"`
}

// Marshal is the Extra as a function keeps it.
func (e *Extra) Marshal() []byte {
	b, _ := json.Marshal(e) // texts and numbers always marshal
	return b
}

// extraOf reads a function's Extra; what is none is empty.
func extraOf(f *sluice.Function) *Extra {
	var e Extra
	if len(f.Extra) > 0 && json.Unmarshal(f.Extra, &e) != nil {
		return &Extra{}
	}
	return &e
}
