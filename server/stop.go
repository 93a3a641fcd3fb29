package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sluicehq/sluice/internal/whole"
)

// stop ends everything in the order of the data's way, each step with a share of one deadline. What
// a kill would lose nothing of, a stop does not wait for.
func (s *Server) stop(admin *http.Server, front *whole.Listener, endStreams func()) {
	goodbye := s.cfg.Drain + max(s.cfg.Drain, time.Second) // for those who do not answer
	deadline := goodbye + 7*time.Second
	all, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	step := func(name string, share time.Duration, f func(ctx context.Context) error) {
		ctx, cancel := context.WithTimeout(all, share)
		defer cancel()
		if err := f(ctx); err != nil {
			s.log.Warn("stopping: "+name, "err", err)
		}
	}
	// Stop accepting, tell clients to go, let running invocations and the Close events they leave
	// behind finish.
	step("clients", goodbye, func(ctx context.Context) error { return s.gateway.Drain(ctx, s.cfg.Drain) })
	step("functions", 5*time.Second, s.functions.Stop)
	step("admin", 2*time.Second, func(ctx context.Context) error {
		endStreams()
		if err := admin.Shutdown(ctx); err != nil {
			return errors.Join(err, admin.Close())
		}
		return front.Wait(ctx)
	})
}
