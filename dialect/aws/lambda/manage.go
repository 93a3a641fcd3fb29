package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
)

// Apps is what the control plane needs of the deploy room.
type Apps interface {
	// List is every app as it is deployed now.
	List(ctx context.Context) ([]*sluice.App, error)
	// History is the kept revisions of an app, the current one among them.
	History(ctx context.Context, app sluice.AppName) ([]*sluice.App, error)
	// Deploy puts an app into service in place of what has its name. A failed one changes nothing.
	Deploy(ctx context.Context, app *sluice.App) error
	// Remove takes an app away.
	Remove(ctx context.Context, app sluice.AppName) error
}

// Objects is what the control plane needs of the object room: code may come from there.
type Objects interface {
	Bucket(ctx context.Context, name string) (*object.Bucket, error)
	Get(ctx context.Context, bucket, key string) (*object.Content, error)
}

// query is one request of the control plane whose signer is known.
type query struct {
	r      *http.Request
	who    access.Principal
	region string
	args   map[string]string
	body   []byte
}

// route is one operation (section 3.2). Its path begins after the API's date; {names} are one segment each.
type route struct {
	method, path string
	status       int
	serve        func(a *API, ctx context.Context, q *query) (any, error)
}

var routes = []route{
	{"POST", "functions", 201, (*API).createFunction},
	{"GET", "functions", 200, (*API).listFunctions},
	{"GET", "functions/{function}", 200, (*API).getFunction},
	{"DELETE", "functions/{function}", 204, (*API).deleteFunction},
	{"GET", "functions/{function}/configuration", 200, (*API).getConfiguration},
	{"PUT", "functions/{function}/configuration", 200, (*API).updateConfiguration},
	{"PUT", "functions/{function}/code", 200, (*API).updateCode},
	{"GET", "functions/{function}/code-signing-config", 200, (*API).getCodeSigning},
	{"POST", "functions/{function}/versions", 201, (*API).publishVersion},
	{"GET", "functions/{function}/versions", 200, (*API).listVersions},
	{"POST", "functions/{function}/aliases", 201, (*API).createAlias},
	{"GET", "functions/{function}/aliases", 200, (*API).listAliases},
	{"GET", "functions/{function}/aliases/{alias}", 200, (*API).getAlias},
	{"PUT", "functions/{function}/aliases/{alias}", 200, (*API).updateAlias},
	{"DELETE", "functions/{function}/aliases/{alias}", 204, (*API).deleteAlias},
	{"POST", "functions/{function}/policy", 201, (*API).addPermission},
	{"GET", "functions/{function}/policy", 200, (*API).getPolicy},
	{"DELETE", "functions/{function}/policy/{statement}", 204, (*API).removePermission},
	{"PUT", "functions/{function}/concurrency", 200, (*API).putConcurrency},
	{"GET", "functions/{function}/concurrency", 200, (*API).getConcurrency},
	{"DELETE", "functions/{function}/concurrency", 204, (*API).deleteConcurrency},
	{"POST", "functions/{function}/url", 201, (*API).createURL},
	{"GET", "functions/{function}/url", 200, (*API).getURL},
	{"PUT", "functions/{function}/url", 200, (*API).updateURL},
	{"DELETE", "functions/{function}/url", 204, (*API).deleteURL},
	{"GET", "functions/{function}/urls", 200, (*API).listURLs},
	{"PUT", "functions/{function}/event-invoke-config", 200, (*API).putInvokeConfig},
	{"POST", "functions/{function}/event-invoke-config", 200, (*API).updateInvokeConfig},
	{"GET", "functions/{function}/event-invoke-config", 200, (*API).getInvokeConfig},
	{"DELETE", "functions/{function}/event-invoke-config", 204, (*API).deleteInvokeConfig},
	{"GET", "functions/{function}/event-invoke-config/list", 200, (*API).listInvokeConfigs},
	{"POST", "event-source-mappings", 202, (*API).createMapping},
	{"GET", "event-source-mappings", 200, (*API).listMappings},
	{"GET", "event-source-mappings/{uuid}", 200, (*API).getMapping},
	{"PUT", "event-source-mappings/{uuid}", 202, (*API).updateMapping},
	{"DELETE", "event-source-mappings/{uuid}", 202, (*API).deleteMapping},
	{"GET", "tags/{arn}", 200, (*API).listTags},
	{"POST", "tags/{arn}", 204, (*API).tag},
	{"DELETE", "tags/{arn}", 204, (*API).untag},
	{"GET", "layers", 200, (*API).listLayers},
	{"POST", "layers/{layer}/versions", 201, (*API).publishLayer},
	{"GET", "layers/{layer}/versions", 200, (*API).listLayerVersions},
	{"GET", "layers/{layer}/versions/{version}", 200, (*API).getLayer},
	{"DELETE", "layers/{layer}/versions/{version}", 204, (*API).deleteLayer},
	{"GET", "account-settings", 200, (*API).accountSettings},
}

// match reads a path's arguments; nil when it is another's.
func (o *route) match(path []string) map[string]string {
	want := strings.Split(o.path, "/")
	if len(want) != len(path) {
		return nil
	}
	args := map[string]string{}
	for i, w := range want {
		if name, ok := strings.CutPrefix(w, "{"); ok && path[i] != "" {
			args[strings.TrimSuffix(name, "}")] = path[i]
		} else if w != path[i] {
			return nil
		}
	}
	return args
}

// manage serves an operation of the control plane.
func (a *API) manage(w http.ResponseWriter, r *http.Request, who access.Principal, region string, path []string, body []byte) error {
	q := &query{r: r, who: who, region: cmp.Or(region, DefaultRegion), body: body}
	var op *route
	for i := range routes {
		if args := routes[i].match(path[1:]); args != nil && routes[i].method == r.Method {
			op, q.args = &routes[i], args
			break
		}
	}
	switch {
	case op == nil && r.URL.Path == "/"+path[0]+"/layers" && r.URL.Query().Get("find") == "LayerVersion": // GetLayerVersionByArn
		op = &route{serve: (*API).getLayerByARN}
	case op == nil:
		return faultf(http.StatusNotFound, "UnknownOperationException", "sluice does not serve %s %s of Lambda", r.Method, r.URL.Path)
	case op.path == "layers" && r.URL.Query().Get("find") == "LayerVersion":
		op = &route{status: http.StatusOK, serve: (*API).getLayerByARN}
	}
	if a.o.Apps == nil {
		return faultf(http.StatusServiceUnavailable, "ServiceException", "functions cannot be managed on this server")
	}
	if r.Method != http.MethodGet {
		select { // what is deployed is read, altered and deployed again
		case a.changing <- struct{}{}:
			defer func() { <-a.changing }()
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	answer, err := op.serve(a, r.Context(), q)
	if err != nil {
		return err
	}
	if answer == nil {
		w.WriteHeader(op.status)
		return nil
	}
	b, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(op.status)
	w.Write(b)
	return nil
}

// read decodes the request's body.
func (q *query) read(into any) error {
	if len(q.body) == 0 {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(q.body, into); {
	case errors.As(err, &wrong):
		return faultf(http.StatusBadRequest, "SerializationException", "%s cannot be a %s", wrong.Field, wrong.Value)
	case err != nil:
		return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: %v", err)
	}
	return nil
}

// invalid is a value that breaks a constraint of the service's model.
func invalid(value any, name, constraint string, args ...any) error {
	return faultf(http.StatusBadRequest, "ValidationException", "1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, name, fmt.Sprintf(constraint, args...))
}

// within is an error unless a number is in a range.
func within(n int, name string, lo, hi int) error {
	switch {
	case n < lo:
		return invalid(n, name, "Member must have value greater than or equal to %d", lo)
	case n > hi:
		return invalid(n, name, "Member must have value less than or equal to %d", hi)
	}
	return nil
}

// deployed is a function together with the app that it may be changed in.
type deployed struct {
	*Function
	app *sluice.App // nil when a template in a folder describes the function: it can only be read
}

// madeSpec is App.Spec of the app of a function that the control plane has made.
var madeSpec = []byte(`{"lambda":"function"}`)

// isMade reports whether an app is a function's that the control plane has made.
func isMade(app *sluice.App) bool {
	return app.Dialect == dialect && string(app.Spec) == string(madeSpec) && len(app.Functions) == 1
}

// alterable reports whether the functions of an app may be changed here: those that were made here and, until
// the next deploy, those of stacks. Templates in folders are the truth about theirs.
func (a *API) alterable(app *sluice.App) bool {
	return isMade(app) || app.Dialect == dialect && a.o.Stacks != "" && app.Dir == a.o.Stacks && len(app.Functions) > 0
}

// catalog is every function that a principal may manage, by name.
func (a *API) catalog(ctx context.Context, who access.Principal) ([]deployed, error) {
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	made := map[sluice.AppName]*sluice.App{}
	for _, app := range apps {
		if a.alterable(app) {
			made[app.Name] = app
		}
	}
	var list []deployed
	for _, s := range a.o.Lambda.functions.List(who.App) {
		if v, ok := a.o.Lambda.functions.Version(s.App, s.Name); ok && v.Dialect == dialect {
			list = append(list, deployed{describe(v), made[s.App]})
		}
	}
	slices.SortStableFunc(list, func(a, b deployed) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// function finds the function that a request names, and the qualifier with which it does.
func (a *API) function(ctx context.Context, q *query, named string) (f deployed, qualifier string, err error) {
	found, qualifier, err := a.o.Lambda.resolve(q.who.App, named, q.r.URL.Query().Get("Qualifier"))
	if err != nil {
		return f, "", err
	}
	if !q.who.Admin() && q.who.App != found.App {
		return f, "", faultf(http.StatusForbidden, "AccessDeniedException", "this key is of app %s, and %s is not its function", q.who.App, found.ARN)
	}
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return f, "", err
	}
	f.Function = found
	if i := slices.IndexFunc(apps, func(app *sluice.App) bool { return app.Name == found.App && a.alterable(app) }); i >= 0 {
		f.app = apps[i]
	}
	return f, qualifier, nil
}

// change lets fn alter the function that a request names, and deploys it. What fn gets is its own; the
// function as it is then comes back.
func (a *API) change(ctx context.Context, q *query, named string, fn func(f *sluice.Function, e *Extra, qualifier string) error) (*Function, error) {
	f, qualifier, err := a.function(ctx, q, named)
	switch {
	case err != nil:
		return nil, err
	case f.app == nil:
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "function %s belongs to app %s, which has been deployed from a template: change that and deploy it again", f.Name, f.App)
	}
	app := *f.app
	at := slices.IndexFunc(app.Functions, func(s sluice.Function) bool { return s.Name == f.Spec.Name })
	if at < 0 {
		return nil, missingf("Function not found: %s", f.ARN)
	}
	var spec sluice.Function
	b, _ := json.Marshal(app.Functions[at]) // came from JSON
	if err := json.Unmarshal(b, &spec); err != nil {
		return nil, err
	}
	e := extraOf(&spec)
	e.Arch, spec.Physical = cmp.Or(e.Arch, "x86_64"), PhysicalName(&spec) // as templates may leave them
	if err := fn(&spec, e, qualifier); err != nil {
		return nil, err
	}
	e.Revision = NewRequestID()
	spec.Extra = e.Marshal()
	app.Functions = slices.Clone(app.Functions)
	app.Functions[at] = spec
	if err := a.deploy(ctx, &app); err != nil {
		return nil, err
	}
	return a.o.Lambda.Find(f.App, f.Name)
}

// deploy puts a function's app into service.
func (a *API) deploy(ctx context.Context, app *sluice.App) error {
	err := a.o.Apps.Deploy(ctx, app)
	if sluice.KindOf(err) == sluice.Conflict {
		err = faultf(http.StatusConflict, "ResourceConflictException", "The operation cannot be performed at this time. An update is in progress for resource: %s", ARN(app.Region, PhysicalName(&app.Functions[0])))
	}
	a.sweep(ctx)
	return err
}

// unchanged holds a revision that a client has seen against what is there.
func (e *Extra) unchanged(revision string) error {
	if revision != "" && revision != e.Revision {
		return faultf(http.StatusPreconditionFailed, "PreconditionFailedException", "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API to retrieve the latest RevisionId")
	}
	return nil
}

var labelText = regexp.MustCompile(`[^a-z0-9-]+`)

// appName is the name of the app for a function: the function's own when that can be a host name and is
// free.
func appName(function string, apps []*sluice.App) sluice.AppName {
	label := strings.Trim(labelText.ReplaceAllString(strings.ToLower(function), "-"), "-")
	if len(label) > 50 {
		label = strings.TrimRight(label[:50], "-")
	}
	name := sluice.AppName(label)
	if label != function || slices.ContainsFunc(apps, func(app *sluice.App) bool { return app.Name == name }) {
		name = sluice.AppName(strings.TrimLeft(label+"-"+shortID(function), "-"))
	}
	return name
}

// page cuts a listing at Marker and MaxItems. The marker is the position of the next item.
func page[T any](q *query, all []T) (items []T, next string, err error) {
	v := q.r.URL.Query()
	limit, from := 50, 0
	if s := v.Get("MaxItems"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > 10000 {
			return nil, "", invalid(s, "maxItems", "Member must be between 1 and 10000")
		}
		limit = min(n, limit)
	}
	if s := v.Get("Marker"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, "", invalidf("The pagination token is not valid.")
		}
		from = min(n, len(all))
	}
	end := min(from+limit, len(all))
	if end < len(all) {
		next = strconv.Itoa(end)
	}
	return append([]T{}, all[from:end]...), next, nil
}

// listing is the answer of a list operation: the items under their name, and where to go on.
func listing[T any](q *query, name string, all []T) (any, error) {
	items, next, err := page(q, all)
	if err != nil {
		return nil, err
	}
	out := map[string]any{name: items}
	if next != "" {
		out["NextMarker"] = next
	}
	return out, nil
}
