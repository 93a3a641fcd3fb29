package fc

import (
	"cmp"
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
		if err := r.compile(); err != nil {
			return nil, faultf("InvalidArgument", "path %q of domain '%s': %v", r.Path, f.Name, err)
		}
	}
	return f, nil
}

// compile makes the patterns of rules ready. A wildcard rule matches the end of a path, or with ^ all of it.
func (r *domainRoute) compile() error {
	for j := range r.Rewrite.Wildcard {
		w := &r.Rewrite.Wildcard[j]
		match, whole := strings.CutPrefix(w.Match, "^")
		text := strings.ReplaceAll(regexp.QuoteMeta(match), `\*`, "(.*)") + "$"
		if whole {
			text = "^" + text
		} else {
			text = "^.*?" + text
		}
		w.pattern = regexp.MustCompile(text)
		w.Replacement = braced(w.Replacement)
	}
	for j := range r.Rewrite.Regex {
		w := &r.Rewrite.Regex[j]
		var err error
		if w.pattern, err = regexp.Compile(w.Match); err != nil {
			return fmt.Errorf("regular expression %q: %w", w.Match, err)
		}
		w.Replacement = braced(w.Replacement)
	}
	return nil
}

var dollar = regexp.MustCompile(`\$(\d)`)

// braced writes $1 as ${1}: what follows it is not part of a name.
func braced(replacement string) string { return dollar.ReplaceAllString(replacement, "$${$1}") }

// domain serves one custom domain on the public listener.
type domain struct {
	o      Options
	v3     bool
	name   string
	routes []domainRoute // the longest path first
}

// Domains are the handlers of the custom domains that an app got through the API, and of those whose
// paths its template tells apart, by host name.
func Domains(o Options, app *sluice.App) (map[string]http.Handler, error) {
	o = New(o).o
	m := &made{}
	if len(app.Spec) > 0 {
		if err := json.Unmarshal(app.Spec, m); err != nil {
			return nil, fmt.Errorf("read the description of app %q: %w", app.Name, err)
		}
	}
	domains := map[string]*domain{}
	triggers := map[string]*Trigger{}
	for i := range app.Functions {
		f := &app.Functions[i]
		if f.HTTP == nil {
			continue
		}
		t := NewTrigger(o, app.Name, f)
		triggers[string(f.Name)] = t
		for _, route := range f.HTTP.Routes {
			r, err := routeOf(&route, t)
			if err != nil {
				return nil, &sluice.Error{Code: sluice.Invalid, Msg: fmt.Sprintf("host %q of function %q: %v", route.Host, f.Name, err), At: f.At, Err: err}
			}
			d := domains[strings.ToLower(route.Host)]
			if d == nil {
				d = &domain{o: o, v3: f.Group == "", name: route.Host}
				domains[strings.ToLower(route.Host)] = d
			}
			d.routes = append(d.routes, *r)
		}
	}
	for i := range app.Functions { // who has all of a host has what others leave
		f := &app.Functions[i]
		if f.HTTP == nil {
			continue
		}
		for _, host := range f.HTTP.Hosts {
			if d := domains[strings.ToLower(host)]; d != nil {
				d.routes = append(d.routes, domainRoute{Path: "/*", FunctionName: string(f.Name), trigger: triggers[string(f.Name)]})
			}
		}
	}
	for _, doc := range m.Domains {
		f, err := doc.domain()
		if err != nil {
			return nil, err
		}
		d := &domain{o: o, v3: m.Service == "", name: f.Name, routes: f.Config.Routes}
		for i := range d.routes {
			d.routes[i].trigger = triggers[d.routes[i].FunctionName]
		}
		domains[strings.ToLower(f.Name)] = d
	}
	out := map[string]http.Handler{}
	for host, d := range domains {
		slices.SortStableFunc(d.routes, func(a, b domainRoute) int { return len(b.Path) - len(a.Path) })
		out[host] = d
	}
	return out, nil
}

// routeOf is a template's route.
func routeOf(route *sluice.Route, t *Trigger) (*domainRoute, error) {
	r := &domainRoute{Path: cmp.Or(route.Path, "/*"), FunctionName: string(t.f.Name), Methods: route.Methods, trigger: t}
	for _, w := range route.Rewrite {
		rule := rewrite{Match: w.Match, Replacement: w.To}
		switch w.Kind {
		case "equal":
			r.Rewrite.Equal = append(r.Rewrite.Equal, rule)
		case "wildcard":
			r.Rewrite.Wildcard = append(r.Rewrite.Wildcard, rule)
		case "regex":
			r.Rewrite.Regex = append(r.Rewrite.Regex, rule)
		default:
			return nil, fmt.Errorf("rewriting by %q is not known", w.Kind)
		}
	}
	return r, r.compile()
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
			path, query, _ := strings.Cut(to, "?")
			r.URL.Path, r.URL.RawPath = path, ""
			if query != "" {
				r.URL.RawQuery = strings.TrimSuffix(query+"&"+r.URL.RawQuery, "&")
			}
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
	for _, w := range slices.Concat(r.Rewrite.Wildcard, r.Rewrite.Regex) {
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
