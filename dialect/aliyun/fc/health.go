package fc

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/function"
)

// probeSoon is between the first checks of a server: nobody wants to wait for a whole period then.
const probeSoon = 100 * time.Millisecond

// well asks the server once how it is.
func (in *instance) well(ctx context.Context, h *sluice.HealthCheck) bool {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(h.Timeout, time.Second))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+in.address+h.Path, http.NoBody)
	if err != nil {
		return false
	}
	res, err := in.client.RoundTrip(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode >= 200 && res.StatusCode < 400
}

// awaitWell returns when a server that accepts connections says that it is well.
func (in *instance) awaitWell(ctx context.Context, limit time.Duration) error {
	h := in.Version.Spec.Health
	late := time.NewTimer(limit)
	defer late.Stop()
	next := time.NewTimer(h.Delay)
	defer next.Stop()
	for good := 0; ; {
		select {
		case <-next.C:
		case <-in.Process.Exited():
			return &function.StartError{Failure: in.startFailure("CAExited", "exited before it was well ("+in.Process.ExitText()+")")}
		case <-late.C:
			return &function.StartError{Failure: in.startFailure("FunctionNotStarted", fmt.Sprintf("is not well after %v (health check of %s)", limit, h.Path))}
		case <-ctx.Done():
			return ctx.Err()
		}
		if good++; !in.well(ctx, h) {
			good = 0
		}
		if good >= max(h.Good, 1) {
			return nil
		}
		next.Reset(min(cmp.Or(h.Every, 3*time.Second), probeSoon))
	}
}

// watch checks the server until the instance ends. One that keeps being unwell takes no more calls.
func (in *instance) watch() {
	h := in.Version.Spec.Health
	t := time.NewTicker(cmp.Or(h.Every, 3*time.Second))
	defer t.Stop()
	for bad := 0; ; {
		select {
		case <-t.C:
		case <-in.Done():
			return
		}
		if bad++; in.well(context.Background(), h) {
			bad = 0
		}
		if bad >= cmp.Or(h.Bad, 3) {
			in.log("", fmt.Sprintf("health check of %s failed %d times: the instance is replaced", h.Path, bad))
			in.Spoil()
			return
		}
	}
}
