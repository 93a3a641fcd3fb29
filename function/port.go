package function

import (
	"context"
	"errors"
	"strings"

	"github.com/sluicehq/sluice/internal/ports"
)

// portTries is how often a program is started when others take its port.
const portTries = 3

// OnFreePort starts a program on a port that is free, and again on another when somebody else was quicker to take it.
func OnFreePort[T any](ctx context.Context, start func(port int) (T, error)) (T, error) {
	for try := 1; ; try++ {
		port, err := ports.Free()
		if err != nil {
			var none T
			return none, err
		}
		in, err := start(port)
		if try == portTries || ctx.Err() != nil || !PortTaken(ctx, err, port) {
			return in, err
		}
	}
}

// PortTaken reports whether a start failed because of somebody else on the program's port: the program has said so,
// or they serve it now that the program is gone.
func PortTaken(ctx context.Context, err error, port int) bool {
	var failed *StartError
	if !errors.As(err, &failed) {
		return false
	}
	said := failed.Failure.Message + "\n" + strings.Join(failed.Failure.Stack, "\n")
	return ports.Taken(said) || ports.Accepts(ctx, port)
}
