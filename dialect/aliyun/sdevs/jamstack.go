package sdevs

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// jamstack reads a module of component jamstack-api: each route is a folder of the source with a function
// of its own, of one service (FC 2.0), and a path of one API group. The route / is the folder index.
func (r *reading) jamstack(m *module) {
	p := m.props()
	source := p.at("sourceCode")
	if source.missing() {
		r.fail(source.place(), "sourceCode is the folder whose folders are the routes", "module %q has no sourceCode", m.name)
		return
	}
	if source.str() == "" {
		return
	}
	dir, name := r.folder(m, source), sluice.DNSLabel(p.at("app", "name").or("jamstack-api-demo"))
	g := apigroup.Group{Name: name, Region: m.regionOr(), SubDomain: name + "." + m.regionOr() + ".alicloudapi.localhost", Stage: "RELEASE"}
	for _, w := range p.at("route").items() {
		route := strings.Trim(w.str(), "/")
		folder := route
		if folder == "" {
			folder = "index"
		}
		if !isFile(filepath.Join(dir, folder, "index.js")) {
			r.fail(w.place(), r.nearFile(r.back(filepath.Join(dir, folder), "index.js")), "route /%s of module %q has no %s/index.js", route, m.name, folder)
			continue
		}
		f := &sluice.Function{
			Name: sluice.FunctionName(name + "-" + sluice.DNSLabel(folder)), Group: name, At: m.at, Runtime: p.at("runtime").or("nodejs20"), Handler: folder + "/index.handler",
			Code: dir, Ignore: r.fcignore(dir), Concurrency: 1,
			MemoryMB:    p.at("memorySize").num(512, 64, 32768),
			Timeout:     p.at("timeout").seconds(60, 1, 86400),
			Description: p.at("description").str(),
			HTTP:        &sluice.HTTPTrigger{Name: "http", Auth: "anonymous"},
		}
		r.environ(m, f, p.at("environmentVariables"))
		f.HTTP.Hosts = []string{localHost(string(f.Name), name)}
		r.owners.functions = append(r.owners.functions, owned{name, string(f.Name), len(r.app.Functions), true})
		r.app.Functions = append(r.app.Functions, *f)
		path := "/*"
		if route != "" {
			path = "/" + route + "/*"
		}
		g.APIs = append(g.APIs, apigroup.API{
			Name: sluice.DNSLabel(folder), Place: w.place(), Method: "ANY", Path: path, Mode: apigroup.Passthrough, Protocols: []string{"HTTP", "HTTPS"},
			WebSocketType: apigroup.Common, Auth: "ANONYMOUS", ResultType: "JSON",
			Backend: apigroup.Backend{Type: apigroup.FCHTTP, Service: name, Function: string(f.Name), Path: "/*", Method: "ANY", Timeout: 60 * time.Second},
		})
	}
	if len(g.APIs) == 0 {
		if p.at("route").missing() {
			r.fail(m.at, "route is a list of paths, such as /hello", "module %q has no route", m.name)
		}
		return
	}
	spec, err := json.Marshal(g)
	if err != nil {
		r.fail(m.at, "", "module %q: %v", m.name, err)
		return
	}
	r.app.Endpoints = append(r.app.Endpoints, sluice.Endpoint{Name: m.name, Hosts: []string{g.SubDomain}, Spec: spec, At: m.at})
	r.app.Outputs = append(r.app.Outputs, sluice.Output{Name: m.name + ".domain", Value: g.SubDomain})
}
