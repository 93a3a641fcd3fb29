package apispec

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// Quotas are how much one API may have (aws.md 1.12). 0 is AWS's default, less is without limit.
type Quotas struct {
	Routes       int           // default 300
	Integrations int           // default 300
	Stages       int           // default 10
	Authorizers  int           // default 10
	Timeout      time.Duration // the longest that an integration of a WebSocket API may ask for; default 29 s
}

// Filled is the quotas with all defaults.
func (q Quotas) Filled() Quotas {
	return Quotas{cmp.Or(q.Routes, 300), cmp.Or(q.Integrations, 300), cmp.Or(q.Stages, 10), cmp.Or(q.Authorizers, 10), cmp.Or(q.Timeout, 29*time.Second)}
}

// Full is what AWS says when a kind of things ("Routes") has become too many.
func Full(kind string) string {
	return "Maximum number of " + kind + " for this API has been reached. Please contact AWS if you need additional " + kind + "."
}

// Check holds the APIs of a template against the quotas. What is deployed already is not asked again: a
// quota that was made smaller takes nothing away. REST APIs have quotas of their own, which nobody counts.
func (q Quotas) Check(app *sluice.App) error {
	q = q.Filled()
	var errs []error
	for i := range app.Endpoints {
		a, err := Parse(&app.Endpoints[i])
		if err != nil {
			return err
		}
		name := cmp.Or(a.Logical, a.Name, a.ID)
		for _, in := range a.Current.Integrations {
			if longest := q.Longest(a.Protocol); in.TimeoutMS != 0 && !Fits(float64(in.TimeoutMS), longest) {
				errs = append(errs, &sluice.Error{
					Code: sluice.Invalid, At: app.Endpoints[i].At, Msg: fmt.Sprintf("API %s, integration of %s: %s", name, a.Current.callers(in.ID), BadTimeout(longest)),
					Hint: "of WebSocket APIs the server's setting aws.websocket.timeout allows more",
				})
			}
		}
		if a.REST {
			continue
		}
		for _, c := range [...]struct {
			kind, setting string
			have, most    int
		}{
			{"Routes", "max-routes", len(a.Current.Routes), q.Routes},
			{"Integrations", "max-integrations", len(a.Current.Integrations), q.Integrations},
			{"Stages", "max-stages", len(a.Stages), q.Stages},
			{"Authorizers", "max-authorizers", len(a.Current.Authorizers), q.Authorizers},
		} {
			if c.most > 0 && c.have > c.most {
				errs = append(errs, &sluice.Error{
					Code: sluice.TooMuch, At: app.Endpoints[i].At, Msg: fmt.Sprintf("API %s: %s (it has %d, %d are the most)", name, Full(c.kind), c.have, c.most),
					Hint: "the setting aws.api." + c.setting + " of the server allows more",
				})
			}
		}
	}
	return errors.Join(errs...)
}

// callers names the routes of an integration.
func (s *Snapshot) callers(integration string) string {
	var keys []string
	for _, r := range s.Routes {
		if r.Integration == integration {
			keys = append(keys, r.Key)
		}
	}
	if keys == nil {
		return "no route"
	}
	return strings.Join(keys, ", ")
}

// Longest is the longest timeout that an integration may ask for.
func (q Quotas) Longest(protocol string) time.Duration {
	if protocol == WebSocket {
		return cmp.Or(q.Timeout, 29*time.Second)
	}
	return 30 * time.Second
}

// shortest is the shortest timeout that an integration may ask for.
const shortest = 50 * time.Millisecond

// Fits reports whether an integration may ask for a timeout of so many milliseconds.
func Fits(ms float64, longest time.Duration) bool {
	return ms >= float64(shortest.Milliseconds()) && ms <= float64(longest.Milliseconds())
}

// BadTimeout is what AWS says of an integration's timeout that is too short or too long.
func BadTimeout(longest time.Duration) string {
	return fmt.Sprintf("Timeout should be between %d ms and %d ms", shortest.Milliseconds(), longest.Milliseconds())
}
