package control

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// madeSpec is App.Spec of the app of an API that was made here, domainSpec the beginning of that of the
// app that keeps domain names.
const madeSpec = `{"apigateway":"api"}`

const defaultRegion = "us-east-1"

// api is one API as it is deployed.
type api struct {
	app  *sluice.App
	at   int // in app.Endpoints
	spec *apispec.API
	book *book
	made bool // here; else a template describes it, and it can only be read
}

// serveGateway serves API Gateway v2 (aws.md 1.1).
func (c *Control) serveGateway(w http.ResponseWriter, r *http.Request, _ string) error {
	who, body, err := admit(c.gateway, w, r)
	if err != nil {
		return err
	}
	if c.o.Apps == nil {
		return &fault{status: http.StatusServiceUnavailable, kind: "ServiceUnavailableException", msg: "APIs cannot be managed on this server"}
	}
	q := &query{r: r, who: who.Principal, region: cmp.Or(who.Region, defaultRegion), body: record{}}
	if len(body) > 0 && json.Unmarshal(body, &q.body) != nil || q.body == nil {
		return invalidf("Invalid request body")
	}
	path, err := segments(r)
	if err != nil {
		return err
	}
	if r.Method != http.MethodGet {
		if !q.who.Admin() {
			return &fault{status: http.StatusForbidden, kind: "AccessDeniedException", msg: "this key is of app " + string(q.who.App) + ", and APIs are the operator's to change"}
		}
		select {
		case c.changing <- struct{}{}:
			defer func() { <-c.changing }()
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	status, v, err := c.dispatch(r.Context(), q, path)
	switch {
	case err != nil:
		return err
	case v == nil:
		w.WriteHeader(status)
		return nil
	}
	return answer(w, status, v)
}

// dispatch finds the operation of a path.
func (c *Control) dispatch(ctx context.Context, q *query, path []string) (int, any, error) {
	unknown := &fault{status: http.StatusNotFound, kind: "NotFoundException", msg: "sluice does not serve " + q.r.Method + " " + q.r.URL.Path + " of API Gateway"}
	if len(path) < 2 || path[0] != "v2" {
		return 0, nil, unknown
	}
	switch path[1] {
	case "apis":
	case "domainnames":
		return c.domainNames(ctx, q, path[2:], unknown)
	case "tags":
		if len(path) != 3 {
			return 0, nil, unknown
		}
		return c.tags(ctx, q, path[2], unknown)
	default:
		return 0, nil, unknown
	}
	switch {
	case len(path) == 2 && q.r.Method == http.MethodGet:
		list, err := c.apis(ctx, q)
		if err != nil {
			return 0, nil, err
		}
		var items []record
		for _, a := range list {
			items = append(items, a.book.API)
		}
		return page(q, items)
	case len(path) == 2 && q.r.Method == http.MethodPost:
		return c.createAPI(ctx, q)
	case len(path) == 2:
		return 0, nil, unknown
	}
	a, err := c.api(ctx, q, path[2])
	if err != nil {
		return 0, nil, err
	}
	if q.r.Method != http.MethodGet && !a.made {
		return 0, nil, conflictf("API %s is described by a template of app %s; change it there", a.spec.ID, a.app.Name)
	}
	switch {
	case len(path) == 3:
		return c.oneAPI(ctx, q, a, unknown)
	case len(path) == 4 && path[3] == "cors" && q.r.Method == http.MethodDelete:
		delete(a.book.API, "corsConfiguration")
		return http.StatusNoContent, nil, c.deploy(ctx, a, true)
	}
	return c.parts(ctx, q, a, &apis, "", path[3:], unknown)
}

// parts serves the resources below a kind; shelf is the path of the one that they belong to.
func (c *Control) parts(ctx context.Context, q *query, a *api, parent *kind, shelf string, path []string, unknown error) (int, any, error) {
	i := slices.IndexFunc(parent.below, func(k *kind) bool { return k.path == path[0] })
	if i < 0 {
		return 0, nil, unknown
	}
	k := parent.below[i]
	shelf += k.path
	if len(path) == 1 {
		switch q.r.Method {
		case http.MethodGet:
			return page(q, a.book.Shelves[shelf])
		case http.MethodPost:
			r, err := c.create(ctx, q, a, k, shelf)
			return http.StatusCreated, r, err
		}
		return 0, nil, unknown
	}
	r := a.book.find(shelf, k.id, path[1])
	if r == nil {
		return 0, nil, missingf(k.name, "Unable to find %s by %s %s within the provided API", k.name, map[bool]string{true: "name", false: "ID"}[k.own], path[1])
	}
	if len(path) > 2 {
		if q.r.Method == http.MethodDelete && clear(r, path[2:]) {
			return http.StatusNoContent, nil, c.deploy(ctx, a, true)
		}
		return c.parts(ctx, q, a, k, shelf+"/"+path[1]+"/", path[2:], unknown)
	}
	switch q.r.Method {
	case http.MethodGet:
		return http.StatusOK, r, nil
	case http.MethodPatch:
		if err := c.update(ctx, q, a, k, r); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, r, nil
	case http.MethodDelete:
		if k.used != nil {
			if err := k.used(a.book, path[1]); err != nil {
				return 0, nil, err
			}
		}
		a.book.drop(shelf, k.id, path[1])
		if k == &deployments {
			delete(a.book.Snapshots, path[1])
		}
		return http.StatusNoContent, nil, c.deploy(ctx, a, k != &deployments && k != &stages)
	}
	return 0, nil, unknown
}

// clear takes away a part of a record that has an address of its own. False says that it has none.
func clear(r record, path []string) bool {
	switch {
	case len(path) == 1 && path[0] == "accesslogsettings":
		delete(r, "accessLogSettings")
		return true
	case len(path) == 2 && (path[0] == "routesettings" || path[0] == "requestparameters"):
		key := map[string]string{"routesettings": "routeSettings", "requestparameters": "requestParameters"}[path[0]]
		if m, ok := r[key].(map[string]any); ok {
			delete(m, path[1])
		}
		return true
	}
	return false
}

// create makes a resource.
func (c *Control) create(ctx context.Context, q *query, a *api, k *kind, shelf string) (record, error) {
	r := fill(k, record{})
	if err := k.apply(r, q.body); err != nil {
		return nil, err
	}
	if k == &deployments {
		return c.createDeployment(ctx, a, r)
	}
	if !k.own {
		r[k.id] = newID(7)
	} else if a.book.find(shelf, k.id, r.text(k.id)) != nil {
		return nil, conflictf("%s already exists", k.name)
	}
	if k.check != nil {
		if err := k.check(a.book, r); err != nil {
			return nil, err
		}
	}
	if err := c.fits(q, a.book, k); err != nil {
		return nil, err
	}
	if most := c.most(k); most > 0 && len(a.book.Shelves[shelf]) >= most {
		return nil, &fault{status: http.StatusTooManyRequests, kind: "ConflictException", msg: apispec.Full(k.name + "s")}
	}
	if k == &stages {
		r["createdDate"], r["lastUpdatedDate"] = c.now(), c.now()
	}
	a.book.Shelves[shelf] = append(a.book.Shelves[shelf], r)
	if k == &stages && r.truth("autoDeploy") {
		c.autoDeploy(a, r)
	}
	return r, c.deploy(ctx, a, k != &stages)
}

// most is how many of a kind an API may have; 0 or less is any number. That AWS answers 429 and calls it a
// conflict was seen in a report of a user of its.
func (c *Control) most(k *kind) int {
	switch k {
	case &routes:
		return c.o.Quotas.Routes
	case &integrations:
		return c.o.Quotas.Integrations
	case &stages:
		return c.o.Quotas.Stages
	case &authorizers:
		return c.o.Quotas.Authorizers
	}
	return 0
}

// fits refuses a timeout that a client asks for and that is too short or too long.
func (c *Control) fits(q *query, b *book, k *kind) error {
	longest := c.o.Quotas.Longest(b.API.text("protocolType"))
	ms, asked := q.body["timeoutInMillis"].(float64)
	if k == &integrations && asked && !apispec.Fits(ms, longest) {
		return invalidf("%s", apispec.BadTimeout(longest))
	}
	return nil
}

// update changes a resource.
func (c *Control) update(ctx context.Context, q *query, a *api, k *kind, r record) error {
	if k == &deployments {
		delete(q.body, "stageName")
	} else if k.own {
		delete(q.body, k.id)
	}
	if k == &stages && q.body.text("deploymentId") != "" && (r.truth("autoDeploy") && q.body["autoDeploy"] != false || q.body.truth("autoDeploy")) {
		return invalidf("Deployment ID cannot be set on a Stage when AutoDeploy is true")
	}
	if err := k.apply(r, q.body); err != nil {
		return err
	}
	if k.check != nil {
		if err := k.check(a.book, r); err != nil {
			return err
		}
	}
	if err := c.fits(q, a.book, k); err != nil {
		return err
	}
	if k == &stages {
		if r["lastUpdatedDate"] = c.now(); q.body.truth("autoDeploy") {
			c.autoDeploy(a, r)
		}
	}
	return c.deploy(ctx, a, k != &stages && k != &deployments)
}

// createDeployment freezes the API as it is, and shows it on a stage when the client names one.
func (c *Control) createDeployment(ctx context.Context, a *api, r record) (record, error) {
	if len(a.book.Shelves["routes"]) == 0 && a.book.webSocket() {
		return nil, invalidf("At least one route is required before deploying the Api.")
	}
	now, err := a.book.snapshot()
	if err != nil {
		return nil, err
	}
	id := newID(6)
	if name := r.text("stageName"); name != "" {
		st := a.book.find("stages", "stageName", name)
		if st == nil {
			return nil, missingf("Stage", "Unable to find Stage by name %s within the provided API", name)
		}
		st["deploymentId"], st["lastUpdatedDate"] = id, c.now()
		delete(r, "stageName")
	}
	r["deploymentId"], r["createdDate"], r["deploymentStatus"], r["autoDeployed"] = id, c.now(), "DEPLOYED", false
	a.book.Shelves["deployments"] = append(a.book.Shelves["deployments"], r)
	a.book.Snapshots[id] = now
	return r, c.deploy(ctx, a, false)
}

// autoDeploy gives a stage a deployment of what the API is now, in place of the last such one.
func (c *Control) autoDeploy(a *api, st record) {
	old := st.text("deploymentId")
	if d := a.book.find("deployments", "deploymentId", old); d.truth("autoDeployed") {
		a.book.drop("deployments", "deploymentId", old)
	}
	id := newID(6)
	st["deploymentId"] = id
	st["lastDeploymentStatusMessage"] = "Successfully deployed stage with deployment ID '" + id + "'"
	a.book.Shelves["deployments"] = append(a.book.Shelves["deployments"], record{"deploymentId": id, "createdDate": c.now(), "deploymentStatus": "DEPLOYED", "autoDeployed": true,
		"description": "Automatic deployment triggered by changes to the Api configuration"})
}

// deploy puts a changed API into service. altered says that what a deployment would freeze is another now.
func (c *Control) deploy(ctx context.Context, a *api, altered bool) error {
	if altered {
		for _, st := range a.book.Shelves["stages"] {
			if st.truth("autoDeploy") {
				c.autoDeploy(a, st)
			}
		}
	}
	spec, err := a.book.compile()
	if err != nil {
		return err
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	app := *a.app
	app.Title = spec.Name
	app.Endpoints = []sluice.Endpoint{{Name: spec.ID, Spec: text, Hosts: []string{spec.ID + ".execute-api." + app.Region + ".amazonaws.com"}}}
	return c.o.Apps.Deploy(ctx, &app)
}

func (c *Control) now() string { return c.o.Now().UTC().Format(time.RFC3339) }

// apis are all that a principal may see, in the order of their ids.
func (c *Control) apis(ctx context.Context, q *query) ([]*api, error) {
	apps, err := c.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	var list []*api
	for _, app := range apps {
		if app.Dialect != "aws" || !q.who.Admin() && q.who.App != app.Name {
			continue
		}
		for i := range app.Endpoints {
			spec, err := apispec.Parse(&app.Endpoints[i])
			if err != nil {
				return nil, err
			}
			if spec.REST {
				continue // one of API Gateway v1
			}
			region := cmp.Or(app.Region, defaultRegion)
			list = append(list, &api{app: app, at: i, spec: spec, book: bookOf(spec, region), made: string(app.Spec) == madeSpec})
		}
	}
	slices.SortFunc(list, func(a, b *api) int { return strings.Compare(a.spec.ID, b.spec.ID) })
	return list, nil
}

// api finds one.
func (c *Control) api(ctx context.Context, q *query, id string) (*api, error) {
	list, err := c.apis(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if a.spec.ID == id {
			return a, nil
		}
	}
	return nil, missingf("Api", "Invalid API identifier specified %s:%s", account, id)
}

// createAPI makes an API. An HTTP API may come with a target: then it has a route, and a stage that serves
// it.
func (c *Control) createAPI(ctx context.Context, q *query) (int, any, error) {
	r := fill(&apis, record{})
	if err := apis.apply(r, q.body); err != nil {
		return 0, nil, err
	}
	if err := checkAPI(nil, r); err != nil {
		return 0, nil, err
	}
	target, key := r.text("target"), cmp.Or(r.text("routeKey"), "$default")
	delete(r, "target")
	delete(r, "routeKey")
	id := newID(10)
	protocol := r.text("protocolType")
	r["apiId"], r["apiEndpoint"], r["createdDate"] = id, endpointOf(protocol, id, q.region), c.now()
	if r["tags"] == nil {
		r["tags"] = map[string]any{}
	}
	b := &book{API: r, Shelves: map[string][]record{}, Snapshots: map[string]*apispec.Snapshot{}}
	if target != "" {
		in := record{"integrationId": newID(7), "integrationType": "HTTP_PROXY", "integrationUri": target, "integrationMethod": "ANY", "connectionType": "INTERNET", "payloadFormatVersion": "1.0"}
		if strings.HasPrefix(target, "arn:") {
			in["integrationType"], in["integrationMethod"], in["payloadFormatVersion"] = "AWS_PROXY", "POST", "2.0"
		}
		b.Shelves["integrations"] = []record{in}
		b.Shelves["routes"] = []record{fill(&routes, record{"routeId": newID(7), "routeKey": key, "target": "integrations/" + in.text("integrationId")})}
		b.Shelves["stages"] = []record{fill(&stages, record{"stageName": "$default", "autoDeploy": true, "createdDate": c.now(), "lastUpdatedDate": c.now()})}
	}
	if err := c.folder(); err != nil {
		return 0, nil, err
	}
	app := &sluice.App{Name: sluice.AppName("api-" + id), Dialect: "aws", Region: q.region, Dir: c.o.Dir, Spec: []byte(madeSpec)}
	if err := c.deploy(ctx, &api{app: app, book: b, made: true}, true); err != nil {
		return 0, nil, err
	}
	return http.StatusCreated, r, nil
}

func (c *Control) oneAPI(ctx context.Context, q *query, a *api, unknown error) (int, any, error) {
	switch q.r.Method {
	case http.MethodGet:
		return http.StatusOK, a.book.API, nil
	case http.MethodPatch:
		if p := q.body.text("protocolType"); p != "" && p != a.spec.Protocol {
			return 0, nil, invalidf("The protocol type of an API cannot be changed")
		}
		for _, key := range []string{"target", "routeKey", "credentialsArn", "protocolType", "tags"} {
			delete(q.body, key)
		}
		if err := apis.apply(a.book.API, q.body); err != nil {
			return 0, nil, err
		}
		if err := checkAPI(nil, a.book.API); err != nil {
			return 0, nil, err
		}
		if err := c.deploy(ctx, a, true); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, a.book.API, nil
	case http.MethodDelete:
		if list := a.book.Shelves["mappings"]; len(list) > 0 {
			return 0, nil, invalidf("API %s is mapped to domain %s", a.spec.ID, list[0].text("domainName"))
		}
		return http.StatusNoContent, nil, c.o.Apps.Remove(ctx, a.app.Name)
	}
	return 0, nil, unknown
}

// page is a part of a list: maxResults items from nextToken on.
func page(q *query, items []record) (int, any, error) {
	v := q.r.URL.Query()
	from, most := 0, len(items)
	if s := v.Get("nextToken"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 || n > len(items) {
			return 0, nil, invalidf("Invalid pagination token")
		}
		from = n
	}
	if s := v.Get("maxResults"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return 0, nil, invalidf("maxResults should be a positive number")
		}
		most = n
	}
	to := min(from+most, len(items))
	out := record{"items": append([]record{}, items[from:to]...)}
	if to < len(items) {
		out["nextToken"] = strconv.Itoa(to)
	}
	return http.StatusOK, out, nil
}
