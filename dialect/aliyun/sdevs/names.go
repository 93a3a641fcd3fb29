package sdevs

// kind is what a module's component makes.
type kind uint8

const (
	ignored kind = iota // warned of; its outputs are ""
	fc
	fc3
	fcDomain
	oss
	website
	apigateway
	apiGateway
	dns
	jamstack
)

// components are the ones that sluice runs, by name (section 5.4).
var components = map[string]kind{
	"fc": fc, "fc-deploy": fc, "fc3": fc3, "fc-domain": fcDomain, "fc3-domain": fcDomain,
	"oss": oss, "website": website, "apigateway": apigateway, "api-gateway": apiGateway,
	"dns": dns, "domain": dns, "jamstack-api": jamstack,
}

// needless are components that make what sluice has no use for, or makes by itself.
var needless = []string{"ram", "vpc", "nas", "sls", "log", "cdn", "fnf", "ros", "acr", "slb", "alb", "ecs", "eip",
	"mns", "eventbridge", "kms", "oos", "arms", "tablestore", "layer", "fc-layer", "fc3-layer", "logger"}

// props are the names that a component reads, to find those at the wrong level (repair R4).
var props = map[kind][]string{
	fc: {"region", "service", "function", "triggers", "customDomains"},
	fc3: {"region", "functionName", "runtime", "code", "handler", "description", "memorySize", "cpu", "diskSize", "timeout",
		"instanceConcurrency", "internetAccess", "environmentVariables", "role", "layers", "logConfig", "nasConfig", "vpcConfig",
		"ossMountConfig", "tracingConfig", "gpuConfig", "customDNS", "instanceLifecycleConfig", "customRuntimeConfig",
		"customContainerConfig", "asyncInvokeConfig", "concurrencyConfig", "provisionConfig", "scalingConfig", "triggers",
		"customDomain", "annotations", "tags", "resourceGroupId", "sessionAffinity", "disableOndemand"},
	fcDomain:   {"region", "domainName", "protocol", "routeConfig", "routeConfigs", "routes"},
	oss:        {"region", "bucket", "codeUri", "subDir", "acl", "cors", "referer", "website", "customDomains", "ossObject", "src"},
	website:    {"region", "bucket", "src", "hosts"},
	apigateway: {"regionId", "groupName", "customerDomain", "stageName", "instanceId", "basePath", "description", "apis"},
	apiGateway: {"region", "groupName", "stageName", "instanceId", "basePath", "description", "customDomain", "defaultDomain", "apis"},
	dns:        {"domainName", "value", "type"},
	jamstack:   {"region", "app", "sourceCode", "route", "runtime", "memorySize", "timeout", "environmentVariables", "description"},
}

// The names that deeper levels of props have, to find misspelled ones.
var (
	functionProps = []string{"name", "description", "codeUri", "ossBucket", "ossKey", "handler", "runtime", "memorySize", "timeout",
		"initializer", "initializationTimeout", "instanceConcurrency", "instanceType", "caPort", "cpu", "diskSize", "gpuMemorySize",
		"environmentVariables", "layers", "instanceLifecycleConfig", "customRuntimeConfig", "customContainerConfig",
		"customHealthCheckConfig", "asyncConfiguration", "customDNS", "instanceSoftConcurrency"}
	gatewaySettingProps = []string{"connectionLifetime", "duplicateDevice", "fcFormatErrorStatus", "notifyAllow", "requireRegister", "throttle",
		"unregisteredIdle", "unregisterOnDisconnect"}
	throttleProps = []string{"api", "group", "instance"}
	apiProps      = []string{"apiName", "description", "regionId", "visibility", "authType", "appCodeAuthType", "forceNonceCheck",
		"webSocketApiType", "allowSignatureMethod", "requestConfig", "serviceConfig", "requestParameters", "serviceParameters",
		"serviceParametersMap", "constantParameters", "systemParameters", "resultType", "resultSample", "failResultSample",
		"openIdConnectConfig", "errorCodeSamples", "resultDescriptions", "disableInternet", "groupId", "apiId"}
	requestProps = []string{"requestProtocol", "requestHttpMethod", "requestPath", "requestMode", "bodyFormat", "bodyModel",
		"postBodyDescription"}
	serviceProps = []string{"serviceProtocol", "serviceAddress", "servicePath", "serviceHttpMethod", "serviceTimeout",
		"serviceVpcEnable", "contentTypeCatagory", "contentTypeCategory", "contentTypeValue", "functionComputeConfig", "ossConfig",
		"vpcConfig", "mock", "mockResult", "mockStatusCode", "mockHeaders", "resultType", "aoneAppName", "eventBridgeConfig"}
	functionComputeProps = []string{"fcType", "fcRegionId", "fcBaseUrl", "fcVersion", "serviceName", "functionName", "qualifier",
		"roleArn", "path", "method", "onlyBusinessPath", "contentTypeCatagory", "contentTypeCategory", "contentTypeValue",
		"selectServiceName", "selectFunctionName", "triggerName"}
)

// typos warns of the keys of a map that are none of known but look like one. Others may be new on
// the cloud, and are not ours to judge.
func (r *reading) typos(w view, known []string) {
	if !w.v.IsMap() {
		return
	}
	have := map[string]bool{}
	for _, k := range known {
		have[lowerFirst(k)] = true
	}
	for _, f := range w.v.Fields {
		if have[lowerFirst(f.Key)] {
			continue
		}
		if n := nearest(f.Key, known); n != "" && distance(f.Key, n, 4) <= 3 {
			r.warn(f.At, "module %q: key %q means nothing; did you mean %q?", w.m.name, f.Key, n)
		}
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]|0x20) + s[1:]
}
