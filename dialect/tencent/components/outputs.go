package components

import (
	"cmp"
	"strings"

	"github.com/sluicehq/sluice/dialect/tencent/apispec"
	"github.com/sluicehq/sluice/dialect/tencent/scf"
)

// outputs is what an instance tells others. It looks only at what names things, so that functions and
// gateways may refer to each other.
func (r *reading) outputs(in *instance) *value {
	w, at := in.view(), in.at
	switch in.kind {
	case function:
		name, namespace := in.functionName(), cmp.Or(w.at("namespace").str(), scf.DefaultNamespace)
		runtime, handler := cmp.Or(w.at("runtime").str(), defaultRuntime), cmp.Or(w.at("handler").str(), defaultHandler)
		return of(at, pairs{
			"name", name, "functionName", name, "namespace", namespace, "runtime", runtime, "handler", handler, "region", in.region(),
			"lastVersion", scf.Latest, "qualifier", scf.Latest, "traffic", 1,
			"Name", name, "Namespace", namespace, "Runtime", runtime, "Handler", handler, "Region", in.region(),
		})
	case gateway:
		return r.gatewayOutputs(in, w)
	case websocket:
		id, environment := in.socketService()
		url, back := "ws://"+r.address(id)+"/"+environment+"/", r.pushURL(apispec.APIID(id, "/", "GET"))
		name := in.socketFunction()
		return of(at, pairs{
			"region", in.region(), "url", url, "wsBackUrl", back, "functionName", name, "serviceId", id,
			"apigw", pairs{"url", url, "wsBackUrl", back, "id", id, "environment", environment, "subDomain", r.address(id)},
			"faas", pairs{"name", name, "namespace", scf.DefaultNamespace, "runtime", cmp.Or(w.at("faas", "runtime").str(), defaultRuntime)},
		})
	case bucket, website:
		name, region := in.bucketOf(), in.region()
		host := name + ".cos." + region + ".myqcloud.com"
		page := name + ".cos-website." + region + ".myqcloud.com"
		if in.kind == website {
			return of(at, pairs{"region", region, "bucket", name, "bucketName", name, "host", page, "url", "http://" + page, "website", "http://" + page})
		}
		return of(at, pairs{"region", region, "bucket", name, "bucketName", name, "cosOrigin", host, "host", host, "url", "https://" + host, "website", "https://" + page})
	case multiFunction:
		var list pairs
		for _, e := range w.at("functions").entries() {
			list = append(list, e.key, pairs{"name", cmp.Or(e.at("name").str(), in.name+"-"+in.stage+"-"+in.app+"-"+e.key)})
		}
		id := apispec.ServiceID(string(r.app.Name), in.stage, in.name)
		return of(at, pairs{"region", in.region(), "functions", list, "serviceId", id, "apigwId", id, "url", "http://" + r.address(id) + "/" + defaultEnvironment + "/"})
	}
	return of(at, pairs{})
}

// gatewayOutputs is what an instance of apigateway tells: in the first edition its APIs are under url.
func (r *reading) gatewayOutputs(in *instance, w view) *value {
	id := in.serviceOf(w.at("serviceId"))
	environment := cmp.Or(w.at("environment").str(), defaultEnvironment)
	var apis []any
	for _, e := range w.at("endpoints").items() {
		path := cmp.Or(e.at("path").str(), "/")
		method := strings.ToUpper(cmp.Or(e.at("method").str(), "ANY"))
		api := pairs{"path", path, "method", method, "apiName", cmp.Or(e.at("apiName").str(), "index")}
		if strings.EqualFold(e.at("protocol").str(), apispec.WebSocket) {
			one := apiOf(e.at("apiId"), id, path, "GET")
			api = append(api, "apiId", one, "internalDomain", r.pushURL(one))
		} else {
			api = append(api, "apiId", apiOf(e.at("apiId"), id, path, method))
		}
		apis = append(apis, api)
	}
	protocols := w.at("protocols").strs()
	if len(protocols) == 0 {
		protocols = []string{"http"}
	}
	name := cmp.Or(w.at("serviceName").str(), "serverless")
	return of(in.at, pairs{
		"serviceId", id, "serviceName", name, "subDomain", r.address(id), "environment", environment, "region", in.region(),
		"protocols", protocols, "url", apis, "apis", apis, "apiList", apis, "instanceId", "",
	})
}
