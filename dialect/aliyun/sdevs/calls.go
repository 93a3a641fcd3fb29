package sdevs

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/cron"
)

// timer reads a timer trigger.
func (r *reading) timer(f *sluice.Function, name string, config, w view) {
	t := sluice.Timer{Name: cmp.Or(name, "timer"), Schedule: config.at("cronExpression").str(), Payload: config.at("payload").str()}
	schedule := config.at("cronExpression")
	if t.Schedule == "" && schedule.missing() {
		r.fail(config.place(), `cronExpression is "@every 5m" or "0 0 8 * * *"`, "timer %q of function %q has no schedule", name, f.Name)
	} else if _, err := cron.Parse(t.Schedule); err != nil && !schedule.broken() {
		r.fail(schedule.place(), `cronExpression is "@every 5m" or "0 0 8 * * *"`, "timer %q of function %q: %v", name, f.Name, err)
	}
	if slices.ContainsFunc(f.Timers, func(o sluice.Timer) bool { return o.Name == t.Name }) {
		r.fail(w.place(), "", "function %q has two timers %q", f.Name, t.Name)
	}
	enable := config.at("enable")
	t.Disabled = !enable.v.IsNull() && !enable.yes()
	f.Timers = append(f.Timers, t)
}

// objectEvents reads an oss trigger: the objects of a bucket call the function. Templates name the bucket
// by itself, or by the trigger's source (acs:oss:region:account:bucket).
func (r *reading) objectEvents(f *sluice.Function, name string, config, w view) {
	bucket := config.at("bucketName")
	e := sluice.ObjectEvents{Name: cmp.Or(name, "oss"), Bucket: bucket.str(), Events: config.at("events").strs(", ")}
	if e.Bucket == "" {
		arn := strings.SplitN(w.at("sourceArn").str(), ":", 5)
		if len(arn) == 5 {
			e.Bucket, _, _ = strings.Cut(arn[4], "/")
		}
	}
	key := config.at("filter", "key")
	e.Prefix = cmp.Or(key.at("prefix").str(), config.at("filterPrefix").str())
	e.Suffix = cmp.Or(key.at("suffix").str(), config.at("filterSuffix").str())
	if e.Bucket == "" && !bucket.broken() {
		r.fail(w.place(), "give it config.bucketName, or a sourceArn", "oss trigger %q of function %q names no bucket", e.Name, f.Name)
	}
	if events := config.at("events"); len(e.Events) == 0 && !events.broken() {
		r.fail(events.place(), `events are ["oss:ObjectCreated:*"] or the like`, "oss trigger %q of function %q has no events", e.Name, f.Name)
	}
	for _, ev := range e.Events {
		if !objectEvent.MatchString(ev) {
			r.fail(config.at("events").place(), `events are "oss:ObjectCreated:*", "oss:ObjectRemoved:DeleteObject" or the like`, "event %q of oss trigger %q is not known", ev, e.Name)
		}
	}
	if slices.ContainsFunc(f.Objects, func(o sluice.ObjectEvents) bool { return o.Name == e.Name }) {
		r.fail(w.place(), "", "function %q has two oss triggers %q", f.Name, e.Name)
	}
	f.Objects = append(f.Objects, e)
}

var objectEvent = regexp.MustCompile(`^oss:Object\w+:(\*|\w+)$`)

// async reads how asynchronous calls are made: asyncConfiguration of FC 2.0, asyncInvokeConfig of 3.0.
func (r *reading) async(f *sluice.Function, c view) {
	if c.v.IsNull() {
		return
	}
	f.Async = &sluice.AsyncCalls{
		Retries:   c.at("maxAsyncRetryAttempts").num(3, 0, 8),
		MaxAge:    c.at("maxAsyncEventAgeInSeconds").seconds(0, 1, 2592000),
		OnSuccess: r.destination(f, c, "onSuccess"),
		OnFailure: r.destination(f, c, "onFailure"),
	}
}

// destination is what is told of asynchronous calls; "" when it is none of ours.
func (r *reading) destination(f *sluice.Function, c view, key string) string {
	w := c.at("destination", key)
	if w.v.IsNull() {
		if w = c.at("destinationConfig", key); w.v.IsMap() {
			w = w.at("destination")
		}
	}
	to := w.str()
	if to != "" && !strings.HasPrefix(to, "acs:fc:") {
		r.warn(w.place(), "%s of function %q is %q, which nothing tells here: only functions are told", key, f.Name, to)
		return ""
	}
	return to
}

// health reads how the server of a custom runtime is asked whether it is well.
func (r *reading) health(f *sluice.Function, c view) {
	if c.v.IsNull() || !strings.HasPrefix(f.Runtime, "custom") {
		return
	}
	f.Health = &sluice.HealthCheck{
		Path:    c.at("httpGetUrl").or("/"),
		Delay:   c.at("initialDelaySeconds").seconds(0, 0, 120),
		Every:   c.at("periodSeconds").seconds(3, 1, 120),
		Timeout: c.at("timeoutSeconds").seconds(1, 1, 120),
		Good:    c.at("successThreshold").num(1, 1, 120),
		Bad:     c.at("failureThreshold").num(3, 1, 120),
	}
}

// route reads one route of a custom domain. whole is true when all of the host is the function's.
func (r *reading) route(host string, w view) (route sluice.Route, whole bool) {
	route = sluice.Route{Host: host, Path: w.at("path").or("/*")}
	if route.Path == "/" {
		route.Path = "/*"
	}
	if base := strings.TrimSuffix(route.Path, "*"); !strings.HasPrefix(base, "/") || strings.Contains(base, "*") {
		r.fail(w.at("path").place(), `"/a" is one path, "/a/*" all below it`, "path %q of host %s does not begin with / or has a * that is not its end", route.Path, host)
	}
	for _, verb := range w.at("methods").strs(", ") {
		route.Methods = append(route.Methods, strings.ToUpper(verb))
	}
	for _, kind := range []string{"equal", "wildcard", "regex"} {
		for _, rule := range w.at("rewriteConfig", kind+"Rules").items() {
			route.Rewrite = append(route.Rewrite, sluice.Rewrite{Kind: kind, Match: rule.at("match").str(), To: rule.at("replacement").str()})
		}
	}
	return route, route.Path == "/*" && len(route.Methods) == 0 && len(route.Rewrite) == 0
}

// show lets a host, or a part of it, show a function.
func (r *reading) show(f *sluice.Function, host string, at sluice.Place, routes []view) {
	whole := len(routes) == 0
	for _, w := range routes {
		route, all := r.route(host, w)
		if all {
			whole = true
		} else {
			f.HTTP.Routes = append(f.HTTP.Routes, route)
		}
	}
	if !whole || slices.Contains(f.HTTP.Hosts, host) {
		return
	}
	for i := range r.app.Functions {
		if o := &r.app.Functions[i]; o.HTTP != nil && slices.Contains(o.HTTP.Hosts, host) {
			r.warn(at, "host %s shows function %q already, and not %q, too", host, o.Name, f.Name)
			return
		}
	}
	f.HTTP.Hosts = append(f.HTTP.Hosts, host)
}
