package fc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
)

// domainRoute leads the paths of a custom domain to a function (section 3.13).
type domainRoute struct {
	Path         string   `json:"path"` // "/a" is itself, "/a/*" all below it; the longest wins
	ServiceName  string   `json:"serviceName"`
	FunctionName string   `json:"functionName"`
	Qualifier    string   `json:"qualifier"`
	Methods      []string `json:"methods"`
	Rewrite      struct {
		Equal    []rewrite `json:"equalRules"`
		Wildcard []rewrite `json:"wildcardRules"`
		Regex    []rewrite `json:"regexRules"`
	} `json:"rewriteConfig"`

	trigger *Trigger
}

type rewrite struct {
	Match       string `json:"match"`
	Replacement string `json:"replacement"`
	pattern     *regexp.Regexp
}

// domainFields are what of a custom domain means something here.
type domainFields struct {
	Name   string `json:"domainName"`
	Config struct {
		Routes []domainRoute `json:"routes"`
	} `json:"routeConfig"`
}

var domainName = regexp.MustCompile(`^[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+$`)

// domain reads a custom domain and refuses what cannot be served.
func (d document) domain() (*domainFields, error) {
	f := &domainFields{}
	if err := d.read(f); err != nil {
		return nil, err
	}
	if !domainName.MatchString(f.Name) {
		return nil, faultf("InvalidArgument", "domain name %q is not valid", f.Name)
	}
	for i := range f.Config.Routes {
		r := &f.Config.Routes[i]
		switch {
		case !strings.HasPrefix(r.Path, "/") || strings.Contains(strings.TrimSuffix(r.Path, "*"), "*"):
			return nil, faultf("InvalidArgument", "path %q of domain '%s' does not begin with / or has a * that is not its end", r.Path, f.Name)
		case r.FunctionName == "":
			return nil, faultf("InvalidArgument", "path %q of domain '%s' names no function", r.Path, f.Name)
		case r.Qualifier != "" && r.Qualifier != latest:
			return nil, faultf("AliasNotFound", "alias or version '%s' does not exist", r.Qualifier)
		case r.ServiceName != f.Config.Routes[0].ServiceName:
			return nil, faultf("InvalidArgument", "the paths of domain '%s' lead to several services, which is not supported", f.Name)
		}
		for j := range r.Rewrite.Wildcard {
			w := &r.Rewrite.Wildcard[j]
			w.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(w.Match), `\*`, "(.*)") + "$")
		}
		for j := range r.Rewrite.Regex {
			w := &r.Rewrite.Regex[j]
			var err error
			if w.pattern, err = regexp.Compile(w.Match); err != nil {
				return nil, faultf("InvalidArgument", "regular expression %q of domain '%s': %v", w.Match, f.Name, err)
			}
		}
	}
	return f, nil
}

// domain serves one custom domain on the public listener.
type domain struct {
	o      Options
	v3     bool
	name   string
	routes []domainRoute // the longest path first
}

// Domains are the handlers of the custom domains that an app got through the API, by host name.
func Domains(o Options, app *sluice.App) (map[string]http.Handler, error) {
	if len(app.Spec) == 0 {
		return nil, nil
	}
	m := &made{}
	if err := json.Unmarshal(app.Spec, m); err != nil {
		return nil, fmt.Errorf("read the description of app %q: %w", app.Name, err)
	}
	triggers := map[string]*Trigger{}
	for i := range app.Functions {
		if f := &app.Functions[i]; f.HTTP != nil {
			triggers[string(f.Name)] = NewTrigger(o, app.Name, f)
		}
	}
	out := map[string]http.Handler{}
	for _, doc := range m.Domains {
		f, err := doc.domain()
		if err != nil {
			return nil, err
		}
		d := &domain{o: o, v3: m.Service == "", name: f.Name, routes: f.Config.Routes}
		for i := range d.routes {
			d.routes[i].trigger = triggers[d.routes[i].FunctionName]
		}
		slices.SortStableFunc(d.routes, func(a, b domainRoute) int { return len(b.Path) - len(a.Path) })
		out[strings.ToLower(f.Name)] = d
	}
	return out, nil
}

// ServeHTTP calls the function that the request's path leads to.
func (d *domain) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := d.serve(w, r); err != nil {
		refuse(w, d.o.Log, sluice.NewRequestID(), d.v3, err)
	}
}

func (d *domain) serve(w http.ResponseWriter, r *http.Request) error {
	for i := range d.routes {
		route := &d.routes[i]
		if base, all := strings.CutSuffix(route.Path, "*"); route.Path != r.URL.Path &&
			!(all && (strings.HasPrefix(r.URL.Path, base) || r.URL.Path == strings.TrimSuffix(base, "/"))) {
			continue
		}
		switch {
		case len(route.Methods) > 0 && !slices.Contains(route.Methods, r.Method):
			return faultf("MethodNotSupported", "method %s is not supported by path %s of domain '%s'", r.Method, route.Path, d.name)
		case route.trigger == nil:
			return faultf("TriggerNotFound", "function '%s' does not exist or has no http trigger", route.FunctionName)
		}
		if to := route.rewritten(r.URL.Path); to != r.URL.Path {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = to, ""
		}
		route.trigger.ServeHTTP(w, r)
		return nil
	}
	return faultf("DomainNameNotFound", "domain '%s' has no path for %s", d.name, r.URL.Path)
}

// rewritten is the path that the function sees: equal rules go before wildcards, those before regular
// expressions.
func (r *domainRoute) rewritten(path string) string {
	for _, w := range r.Rewrite.Equal {
		if w.Match == path {
			return w.Replacement
		}
	}
	for _, w := range r.Rewrite.Wildcard {
		if m := w.pattern.FindStringSubmatch(path); m != nil {
			to := w.Replacement
			for _, part := range m[1:] {
				to = strings.Replace(to, "*", part, 1)
			}
			return to
		}
	}
	for _, w := range r.Rewrite.Regex {
		if w.pattern.MatchString(path) {
			return w.pattern.ReplaceAllString(path, w.Replacement)
		}
	}
	return path
}

// showDomain is a custom domain as the API answers it.
func showDomain(stored document) document {
	d := document{}
	for k, v := range stored {
		d[k] = v
	}
	d.set("accountId", Account)
	return d
}

// owner is the app in which a domain is kept: that of the service to which its paths lead.
func (a *API) owner(ctx context.Context, q *query, f *domainFields) (*made, error) {
	to := *q
	to.args = map[string]string{}
	if len(f.Config.Routes) > 0 {
		to.args["service"] = f.Config.Routes[0].ServiceName
	}
	to.v3 = to.args["service"] == ""
	return a.service(ctx, &to, true)
}

// findDomain finds the custom domain that a request's path names.
func (a *API) findDomain(ctx context.Context, q *query, name string) (*made, int, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range all {
		for i, d := range m.Domains {
			if strings.EqualFold(d.text("domainName"), name) {
				return m, i, nil
			}
		}
	}
	return nil, 0, faultf("DomainNameNotFound", "domain name '%s' does not exist", name)
}

func (a *API) createDomain(ctx context.Context, q *query) (any, error) {
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	f, err := d.domain()
	if err != nil {
		return nil, err
	}
	if _, _, err := a.findDomain(ctx, q, f.Name); err == nil {
		return nil, faultf("DomainNameAlreadyExists", "domain name '%s' already exists", f.Name)
	}
	m, err := a.owner(ctx, q, f)
	if err != nil {
		return nil, err
	}
	now := stamp(a.o.Now())
	d.missing("protocol", "HTTP")
	d.set("createdTime", now)
	d.set("lastModifiedTime", now)
	m.Domains = append(m.Domains, d)
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	return showDomain(d), nil
}

func (a *API) listDomains(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	var list []named
	for _, m := range all {
		for _, d := range m.Domains {
			list = append(list, named{d.text("domainName"), showDomain(d)})
		}
	}
	return q.page("customDomains", list)
}

func (a *API) getDomain(ctx context.Context, q *query) (any, error) {
	m, i, err := a.findDomain(ctx, q, q.args["domain"])
	if err != nil {
		return nil, err
	}
	return showDomain(m.Domains[i]), nil
}

func (a *API) updateDomain(ctx context.Context, q *query) (any, error) {
	m, i, err := a.findDomain(ctx, q, q.args["domain"])
	if err != nil {
		return nil, err
	}
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	next := document{}
	for k, v := range m.Domains[i] {
		next[k] = v
	}
	for k, v := range d {
		if k != "domainName" && k != "createdTime" {
			next[k] = v
		}
	}
	f, err := next.domain()
	if err != nil {
		return nil, err
	}
	next.set("lastModifiedTime", stamp(a.o.Now()))
	to, err := a.owner(ctx, q, f)
	if err != nil {
		return nil, err
	}
	if to.App == m.App {
		m.Domains[i] = next
		return showDomain(next), a.save(ctx, m)
	}
	// The old owner lets go first: a host name is one app's at a time.
	m.Domains = slices.Delete(m.Domains, i, i+1)
	if err := a.save(ctx, m); err != nil {
		return nil, err
	}
	to.Domains = append(to.Domains, next)
	return showDomain(next), a.save(ctx, to)
}

func (a *API) deleteDomain(ctx context.Context, q *query) (any, error) {
	m, i, err := a.findDomain(ctx, q, q.args["domain"])
	if err != nil {
		return nil, err
	}
	m.Domains = slices.Delete(m.Domains, i, i+1)
	return nil, a.save(ctx, m)
}
