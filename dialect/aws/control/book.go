package control

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// record is a resource as clients see it: its JSON object.
type record map[string]any

func (r record) text(key string) string { s, _ := r[key].(string); return s }
func (r record) truth(key string) bool  { b, _ := r[key].(bool); return b }

// book is all that the control plane knows of one API. It travels in apispec.API.Control.
type book struct {
	API       record                       `json:"api"`
	Shelves   map[string][]record          `json:"shelves"`             // "routes", "routes/{id}/routeresponses" …
	Snapshots map[string]*apispec.Snapshot `json:"snapshots,omitempty"` // by deployment
}

// find is a resource of a shelf, by the value of its id; nil when there is none.
func (b *book) find(shelf, field, id string) record {
	for _, r := range b.Shelves[shelf] {
		if r.text(field) == id {
			return r
		}
	}
	return nil
}

// drop takes a resource away, with all that stands below it.
func (b *book) drop(shelf, field, id string) {
	b.Shelves[shelf] = slices.DeleteFunc(b.Shelves[shelf], func(r record) bool { return r.text(field) == id })
	maps.DeleteFunc(b.Shelves, func(k string, _ []record) bool { return strings.HasPrefix(k, shelf+"/"+id+"/") })
}

// into reads a record as a part of the data plane's description.
func into(r record, v any) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return invalidf("Invalid request body: %v", err)
	}
	return nil
}

// recordOf is the reverse of into.
func recordOf(v any) record {
	b, err := json.Marshal(v)
	r := record{}
	if err != nil || json.Unmarshal(b, &r) != nil {
		return record{} // descriptions always marshal
	}
	return r
}

// snapshot compiles the part of a book that a deployment freezes.
func (b *book) snapshot() (*apispec.Snapshot, error) {
	s := &apispec.Snapshot{Routes: []apispec.Route{}, Integrations: []apispec.Integration{}}
	for _, r := range b.Shelves["routes"] {
		var rt apispec.Route
		if err := into(r, &rt); err != nil {
			return nil, err
		}
		rt.Integration = strings.TrimPrefix(r.text("target"), "integrations/")
		for _, resp := range b.Shelves["routes/"+rt.ID+"/routeresponses"] {
			rt.Responses = append(rt.Responses, resp.text("routeResponseKey"))
		}
		s.Routes = append(s.Routes, rt)
	}
	for _, r := range b.Shelves["integrations"] {
		var in apispec.Integration
		if err := into(r, &in); err != nil {
			return nil, err
		}
		for _, resp := range b.Shelves["integrations/"+in.ID+"/integrationresponses"] {
			var ir apispec.IntegrationResponse
			if err := into(resp, &ir); err != nil {
				return nil, err
			}
			in.Responses = append(in.Responses, ir)
		}
		s.Integrations = append(s.Integrations, in)
	}
	for _, r := range b.Shelves["authorizers"] {
		var z apispec.Authorizer
		if err := into(r, &z); err != nil {
			return nil, err
		}
		s.Authorizers = append(s.Authorizers, z)
	}
	for _, r := range b.Shelves["models"] {
		var m apispec.Model
		if err := into(r, &m); err != nil {
			return nil, err
		}
		s.Models = append(s.Models, m)
	}
	return s, nil
}

// compile makes the data plane's description of a book.
func (b *book) compile() (*apispec.API, error) {
	a := &apispec.API{}
	if err := into(b.API, a); err != nil {
		return nil, err
	}
	now, err := b.snapshot()
	if err != nil {
		return nil, err
	}
	a.Current, a.Stages = *now, []apispec.Stage{}
	for _, r := range b.Shelves["stages"] {
		var s apispec.Stage
		if err := into(r, &s); err != nil {
			return nil, err
		}
		if s.Frozen = b.Snapshots[s.Deployment]; s.Frozen == nil && !s.AutoDeploy {
			s.Frozen = &apispec.Snapshot{} // nothing was deployed to it
		} else if s.AutoDeploy {
			s.Frozen = nil
		}
		a.Stages = append(a.Stages, s)
	}
	for _, r := range b.Shelves["mappings"] {
		a.Mappings = append(a.Mappings, apispec.Mapping{Domain: r.text("domainName"), Path: r.text("apiMappingKey"), Stage: r.text("stage")})
	}
	a.Control, err = json.Marshal(b)
	return a, err
}

// bookOf is the book of an API: its own, or what its template's description says.
func bookOf(a *apispec.API, region string) *book {
	b := &book{}
	if len(a.Control) > 0 && json.Unmarshal(a.Control, b) == nil && b.API != nil {
		if b.Shelves == nil {
			b.Shelves = map[string][]record{}
		}
		if b.Snapshots == nil {
			b.Snapshots = map[string]*apispec.Snapshot{}
		}
		return b
	}
	b = &book{API: recordOf(a), Shelves: map[string][]record{}, Snapshots: map[string]*apispec.Snapshot{}}
	for _, key := range []string{"logicalId", "stages", "current", "rest", "apiKeys", "mappings", "control"} {
		delete(b.API, key)
	}
	b.API["apiEndpoint"] = endpointOf(a.Protocol, a.ID, region)
	for _, rt := range a.Current.Routes {
		r := recordOf(rt)
		delete(r, "routeResponses")
		delete(r, "integrationId")
		if rt.Integration != "" {
			r["target"] = "integrations/" + rt.Integration
		}
		b.Shelves["routes"] = append(b.Shelves["routes"], fill(&routes, r))
		for _, key := range rt.Responses {
			shelf := "routes/" + rt.ID + "/routeresponses"
			b.Shelves[shelf] = append(b.Shelves[shelf], record{"routeResponseKey": key, "routeResponseId": apispec.ID(7, a.ID, rt.ID, key)})
		}
	}
	for _, in := range a.Current.Integrations {
		r := recordOf(in)
		delete(r, "integrationResponses")
		b.Shelves["integrations"] = append(b.Shelves["integrations"], fill(&integrations, r))
		for _, resp := range in.Responses {
			shelf := "integrations/" + in.ID + "/integrationresponses"
			if resp.ID == "" {
				resp.ID = apispec.ID(7, a.ID, in.ID, resp.Key)
			}
			b.Shelves[shelf] = append(b.Shelves[shelf], recordOf(resp))
		}
	}
	for _, z := range a.Current.Authorizers {
		b.Shelves["authorizers"] = append(b.Shelves["authorizers"], recordOf(z))
	}
	for _, m := range a.Current.Models {
		b.Shelves["models"] = append(b.Shelves["models"], recordOf(m))
	}
	for _, s := range a.Stages {
		r := recordOf(s)
		delete(r, "frozen")
		b.Shelves["stages"] = append(b.Shelves["stages"], fill(&stages, r))
		if s.Deployment != "" && b.find("deployments", "deploymentId", s.Deployment) == nil {
			b.Shelves["deployments"] = append(b.Shelves["deployments"], record{"deploymentId": s.Deployment, "deploymentStatus": "DEPLOYED", "autoDeployed": false})
		}
	}
	for _, m := range a.Mappings {
		b.Shelves["mappings"] = append(b.Shelves["mappings"], record{"apiMappingId": apispec.ID(6, a.ID, m.Domain, m.Path), "domainName": m.Domain, "apiMappingKey": m.Path,
			"stage": m.Stage, "apiId": a.ID})
	}
	return b
}

// endpointOf is the address that API Gateway tells of an API.
func endpointOf(protocol, id, region string) string {
	scheme := "https://"
	if protocol == apispec.WebSocket {
		scheme = "wss://"
	}
	return scheme + id + ".execute-api." + region + ".amazonaws.com"
}

// fill writes the defaults of a kind into a record.
func fill(k *kind, r record) record {
	for key, v := range k.defaults {
		if _, have := r[key]; !have {
			r[key] = v
		}
	}
	return r
}
