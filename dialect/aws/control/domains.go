package control

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// domainApp keeps the custom domain names, in its Spec.
const domainApp = "api-domains"

// register is what domainApp keeps.
type register struct {
	Domains []record `json:"domains"`
}

func (c *Control) register(ctx context.Context) (*register, error) {
	apps, err := c.o.Apps.List(ctx)
	if err != nil {
		return nil, err
	}
	reg := &register{}
	for _, app := range apps {
		if app.Name == domainApp && app.Dialect == "aws" {
			return reg, json.Unmarshal(app.Spec, reg)
		}
	}
	return reg, nil
}

func (c *Control) keep(ctx context.Context, q *query, reg *register) error {
	if len(reg.Domains) == 0 {
		return c.o.Apps.Remove(ctx, domainApp)
	}
	text, err := json.Marshal(reg)
	if err != nil {
		return err
	}
	return c.o.Apps.Deploy(ctx, &sluice.App{Name: domainApp, Title: "domain names of API Gateway", Dialect: "aws", Region: q.region, Dir: c.o.Dir, Spec: text})
}

// domainNames serves custom domains and what they show.
func (c *Control) domainNames(ctx context.Context, q *query, path []string, unknown error) (int, any, error) {
	reg, err := c.register(ctx)
	if err != nil {
		return 0, nil, err
	}
	if len(path) == 0 {
		switch q.r.Method {
		case http.MethodGet:
			return page(q, reg.Domains)
		case http.MethodPost:
			r := fill(&domains, record{})
			if err := domains.apply(r, q.body); err != nil {
				return 0, nil, err
			}
			name := strings.ToLower(r.text("domainName"))
			if reg.find(name) != nil {
				return 0, nil, conflictf("The domain name you provided already exists.")
			}
			r["domainName"] = name
			for _, e := range configurations(r) {
				e["apiGatewayDomainName"], e["domainNameStatus"] = "d-"+apispec.ID(10, name)+".execute-api."+q.region+".amazonaws.com", "AVAILABLE"
			}
			reg.Domains = append(reg.Domains, r)
			return http.StatusCreated, r, c.keep(ctx, q, reg)
		}
		return 0, nil, unknown
	}
	r := reg.find(strings.ToLower(path[0]))
	if r == nil {
		return 0, nil, missingf("DomainName", "Invalid domain name identifier specified")
	}
	name := r.text("domainName")
	if len(path) > 1 {
		if path[1] != mappings.path || len(path) > 3 {
			return 0, nil, unknown
		}
		return c.mappings(ctx, q, name, path[2:], unknown)
	}
	switch q.r.Method {
	case http.MethodGet:
		return http.StatusOK, r, nil
	case http.MethodPatch:
		delete(q.body, "domainName")
		if err := domains.apply(r, q.body); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, r, c.keep(ctx, q, reg)
	case http.MethodDelete:
		list, err := c.apis(ctx, q)
		if err != nil {
			return 0, nil, err
		}
		for _, a := range list {
			for _, m := range a.book.Shelves["mappings"] {
				if a.made && m.text("domainName") == name {
					return 0, nil, invalidf("Domain name %s is mapped to API %s; delete the mapping first", name, a.spec.ID)
				}
			}
		}
		reg.Domains = slices.DeleteFunc(reg.Domains, func(o record) bool { return o.text("domainName") == name })
		return http.StatusNoContent, nil, c.keep(ctx, q, reg)
	}
	return 0, nil, unknown
}

func (reg *register) find(name string) record {
	for _, r := range reg.Domains {
		if r.text("domainName") == name {
			return r
		}
	}
	return nil
}

func configurations(r record) []map[string]any {
	var out []map[string]any
	list, _ := r["domainNameConfigurations"].([]any)
	for _, e := range list {
		if m, ok := e.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

// mappings serves what a domain shows.
func (c *Control) mappings(ctx context.Context, q *query, domain string, path []string, unknown error) (int, any, error) {
	list, err := c.apis(ctx, q)
	if err != nil {
		return 0, nil, err
	}
	var owner *api
	var found record
	var all []record
	for _, a := range list {
		for _, r := range a.book.Shelves["mappings"] {
			if r.text("domainName") != domain {
				continue
			}
			all = append(all, shown(r))
			if len(path) > 0 && r.text("apiMappingId") == path[0] {
				owner, found = a, r
			}
		}
	}
	switch {
	case len(path) == 0 && q.r.Method == http.MethodGet:
		return page(q, all)
	case len(path) == 0 && q.r.Method == http.MethodPost:
		r := record{}
		if err := mappings.apply(r, q.body); err != nil {
			return 0, nil, err
		}
		r["apiMappingKey"] = strings.Trim(r.text("apiMappingKey"), "/")
		for _, o := range all {
			if o.text("apiMappingKey") == r.text("apiMappingKey") {
				return 0, nil, conflictf("ApiMapping key already exists for this domain name")
			}
		}
		r["apiMappingId"], r["domainName"] = newID(6), domain
		if err := c.shelve(ctx, q, r); err != nil {
			return 0, nil, err
		}
		return http.StatusCreated, shown(r), nil
	case len(path) == 0:
		return 0, nil, unknown
	case owner == nil:
		return 0, nil, missingf("ApiMapping", "Unable to find ApiMapping by ID %s", path[0])
	case q.r.Method == http.MethodGet:
		return http.StatusOK, shown(found), nil
	case !owner.made:
		return 0, nil, conflictf("API %s is described by a template of app %s; change it there", owner.spec.ID, owner.app.Name)
	}
	switch q.r.Method {
	case http.MethodPatch:
		r := recordOf(found)
		if err := mappings.apply(r, q.body); err != nil {
			return 0, nil, err
		}
		if r.text("apiId") != owner.spec.ID {
			return 0, nil, invalidf("A mapping cannot move to another API; make a new one")
		}
		owner.book.drop("mappings", "apiMappingId", path[0])
		if err := c.mapTo(ctx, owner, r); err != nil {
			return 0, nil, err
		}
		return http.StatusOK, shown(r), nil
	case http.MethodDelete:
		owner.book.drop("mappings", "apiMappingId", path[0])
		return http.StatusNoContent, nil, c.deploy(ctx, owner, false)
	}
	return 0, nil, unknown
}

// shelve writes a new mapping into the API that it names.
func (c *Control) shelve(ctx context.Context, q *query, r record) error {
	a, err := c.api(ctx, q, r.text("apiId"))
	if err != nil {
		return err
	}
	if !a.made {
		return conflictf("API %s is described by a template of app %s; change it there", a.spec.ID, a.app.Name)
	}
	return c.mapTo(ctx, a, r)
}

func (c *Control) mapTo(ctx context.Context, a *api, r record) error {
	if a.book.find("stages", "stageName", r.text("stage")) == nil {
		return missingf("Stage", "Unable to find Stage by name %s within the provided API", r.text("stage"))
	}
	a.book.Shelves["mappings"] = append(a.book.Shelves["mappings"], r)
	return c.deploy(ctx, a, false)
}

// shown is a mapping without the domain, which its address has.
func shown(r record) record {
	out := recordOf(r)
	delete(out, "domainName")
	return out
}

// tags serves those of an API or of a stage.
func (c *Control) tags(ctx context.Context, q *query, arn string, unknown error) (int, any, error) {
	_, path, ok := strings.Cut(arn, "::/apis/")
	if !ok {
		return 0, nil, invalidf("Invalid ARN specified in the request")
	}
	parts := strings.Split(path, "/")
	a, err := c.api(ctx, q, parts[0])
	if err != nil {
		return 0, nil, err
	}
	r := a.book.API
	switch {
	case len(parts) == 3 && parts[1] == "stages":
		if r = a.book.find("stages", "stageName", parts[2]); r == nil {
			return 0, nil, missingf("Stage", "Unable to find Stage by name %s within the provided API", parts[2])
		}
	case len(parts) > 1:
		return 0, nil, invalidf("Invalid ARN specified in the request")
	}
	tags, _ := r["tags"].(map[string]any)
	if tags == nil {
		tags = map[string]any{}
	}
	if q.r.Method == http.MethodGet {
		return http.StatusOK, record{"tags": tags}, nil
	}
	if !a.made {
		return 0, nil, conflictf("API %s is described by a template of app %s; change it there", a.spec.ID, a.app.Name)
	}
	r["tags"] = tags
	switch q.r.Method {
	case http.MethodPost:
		more, ok := q.body["tags"].(map[string]any)
		if !ok {
			return 0, nil, invalidf("tags is not a map")
		}
		for k, v := range more {
			if _, ok := v.(string); !ok {
				return 0, nil, invalidf("tag %s is not text", k)
			}
			tags[k] = v
		}
		return http.StatusCreated, record{}, c.deploy(ctx, a, false)
	case http.MethodDelete:
		for _, k := range q.r.URL.Query()["tagKeys"] {
			delete(tags, k)
		}
		return http.StatusNoContent, nil, c.deploy(ctx, a, false)
	}
	return 0, nil, unknown
}
