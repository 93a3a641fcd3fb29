package apigateway

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

// notify sends a request's body down to the device, devices or group that its headers name (section
// 1.7). The body goes as it is: Content-Type is not looked at, for clients send JSON as a form.
func (g *Group) notify(w http.ResponseWriter, c *call) error {
	if g.o.Group.Settings.NotifyLocal && !local(c.remote) {
		return faultf(A403PR, "Unauthorized")
	}
	if len(c.body) > maxMessage {
		return faultf(I413RL, "Request body too Large")
	}
	f := sluice.Frame{Data: append([]byte(wordNotify), c.body...)}
	if group := c.r.Header.Get(headerGroup); group != "" {
		return counts(w, g.o.Sockets.PushGroup(c.r.Context(), g.crowd(group), f), nil)
	}
	ids := strings.Split(strings.Join(c.r.Header.Values(headerDevice), ","), ",")
	if len(ids) == 1 {
		id := strings.TrimSpace(ids[0])
		if id == "" {
			return faultf(I400MH, "Header `x-ca-deviceid` is Required")
		}
		if r := g.push(c.r.Context(), []string{id}, f)[0]; r.Delivered == 0 {
			return pushFault(id, r.Outcome)
		}
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
		return nil
	}
	devices, seen := []string{}, map[string]bool{}
	for _, id := range ids {
		if id = strings.TrimSpace(id); id != "" && !seen[id] {
			seen[id] = true
			devices = append(devices, id)
		}
	}
	delivered, failed := 0, []string{}
	for i, r := range g.push(c.r.Context(), devices, f) {
		delivered += r.Delivered
		if r.Delivered == 0 {
			failed = append(failed, devices[i])
		}
	}
	return counts(w, delivered, failed)
}

// push sends one message to devices.
func (g *Group) push(ctx context.Context, devices []string, f sluice.Frame) []gateway.Reach {
	as := make([]sluice.Alias, len(devices))
	for i, id := range devices {
		as[i] = g.alias(id)
	}
	return g.o.Sockets.PushAliases(ctx, as, f)
}

// local reports whether a caller is on this machine.
func local(remote string) bool {
	ip, err := netip.ParseAddr(remote)
	return err == nil && ip.Unmap().IsLoopback()
}

// crowd is how the gateway room knows a group of this endpoint's connections.
func (g *Group) crowd(name string) gateway.Group {
	return gateway.Group{App: g.o.App, Name: g.o.Endpoint + "/" + name}
}

// alias is how the gateway room knows a device of this group that may be notified.
func (g *Group) alias(id string) sluice.Alias { return sluice.Alias{Scope: g.scope, Name: id} }

// pushFault words the outcome of a push that reached nobody.
func pushFault(id string, o sluice.Outcome) error {
	switch o {
	case sluice.TooLarge:
		return faultf(I413RL, "Request body too Large")
	case sluice.Overflow:
		return faultf(X504TO, "Service timeout")
	}
	return faultf(I404DD, "Device id `%s` not found", id)
}

// counts answers a call to many devices, our extension.
func counts(w http.ResponseWriter, delivered int, failed []string) error {
	b := append([]byte(`{"delivered":`), strconv.Itoa(delivered)...)
	b = append(b, `,"failed":[`...)
	for i, id := range failed {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, id)
	}
	b = append(b, "]}"...)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(http.StatusOK)
	_, err := w.Write(b)
	return err
}
