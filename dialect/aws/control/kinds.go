package control

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// kind is a kind of resource within an API (aws.md 1.1).
type kind struct {
	name     string // in messages
	path     string // of its collection, and its shelf
	id       string // the field with its id
	own      bool   // clients choose the id
	fields   map[string]byte
	required []string
	defaults record
	check    func(b *book, r record) error // of a whole record, made or changed
	used     func(b *book, id string) error
	below    []*kind
}

// The types of fields.
const (
	text     = 's'
	truth    = 't'
	number   = 'n'
	fieldMap = 'm'
	list     = 'l'
)

var (
	apis = kind{name: "API", path: "apis", id: "apiId",
		fields: map[string]byte{"name": text, "protocolType": text, "routeSelectionExpression": text, "apiKeySelectionExpression": text, "description": text, "disableExecuteApiEndpoint": truth,
			"disableSchemaValidation": truth, "ipAddressType": text, "version": text, "tags": fieldMap, "corsConfiguration": fieldMap, "target": text, "routeKey": text, "credentialsArn": text},
		required: []string{"name", "protocolType"},
		defaults: record{"apiKeySelectionExpression": "$request.header.x-api-key", "disableExecuteApiEndpoint": false, "ipAddressType": "ipv4"},
		check:    checkAPI,
		below:    []*kind{&routes, &integrations, &authorizers, &models, &deployments, &stages}}

	routes = kind{name: "Route", path: "routes", id: "routeId",
		fields: map[string]byte{"routeKey": text, "target": text, "authorizationType": text, "authorizerId": text, "apiKeyRequired": truth, "operationName": text, "modelSelectionExpression": text,
			"requestModels": fieldMap, "requestParameters": fieldMap, "routeResponseSelectionExpression": text, "authorizationScopes": list},
		required: []string{"routeKey"},
		defaults: record{"authorizationType": "NONE", "apiKeyRequired": false},
		check:    checkRoute,
		below:    []*kind{&routeResponses}}

	routeResponses = kind{name: "RouteResponse", path: "routeresponses", id: "routeResponseId",
		fields:   map[string]byte{"routeResponseKey": text, "responseModels": fieldMap, "responseParameters": fieldMap, "modelSelectionExpression": text},
		required: []string{"routeResponseKey"},
		check: func(_ *book, r record) error {
			if r.text("routeResponseKey") != "$default" {
				return invalidf("Invalid route response key specified. Only $default is supported.")
			}
			return nil
		}}

	integrations = kind{name: "Integration", path: "integrations", id: "integrationId",
		fields: map[string]byte{"integrationType": text, "integrationUri": text, "integrationMethod": text, "integrationSubtype": text, "connectionType": text, "connectionId": text,
			"contentHandlingStrategy": text, "credentialsArn": text, "description": text, "passthroughBehavior": text, "requestParameters": fieldMap, "responseParameters": fieldMap, "requestTemplates": fieldMap,
			"templateSelectionExpression": text, "timeoutInMillis": number, "payloadFormatVersion": text, "tlsConfig": fieldMap},
		required: []string{"integrationType"},
		defaults: record{"connectionType": "INTERNET"},
		check:    checkIntegration,
		used: func(b *book, id string) error {
			for _, r := range b.Shelves["routes"] {
				if r.text("target") == "integrations/"+id {
					return conflictf("Cannot delete Integration '%s', it is referenced by Route with key '%s'", id, r.text("routeKey"))
				}
			}
			return nil
		},
		below: []*kind{&integrationResponses}}

	integrationResponses = kind{name: "IntegrationResponse", path: "integrationresponses", id: "integrationResponseId",
		fields: map[string]byte{"integrationResponseKey": text, "contentHandlingStrategy": text, "responseParameters": fieldMap, "responseTemplates": fieldMap, "templateSelectionExpression": text},

		required: []string{"integrationResponseKey"}}

	authorizers = kind{name: "Authorizer", path: "authorizers", id: "authorizerId",
		fields: map[string]byte{"authorizerType": text, "authorizerUri": text, "identitySource": list, "name": text, "authorizerCredentialsArn": text, "authorizerResultTtlInSeconds": number,
			"authorizerPayloadFormatVersion": text, "enableSimpleResponses": truth, "identityValidationExpression": text, "jwtConfiguration": fieldMap},
		required: []string{"authorizerType", "name", "identitySource"},
		check:    checkAuthorizer,
		used: func(b *book, id string) error {
			for _, r := range b.Shelves["routes"] {
				if r.text("authorizerId") == id {
					return conflictf("Cannot delete authorizer '%s', it is referenced by Route with key '%s'", id, r.text("routeKey"))
				}
			}
			return nil
		}}

	models = kind{name: "Model", path: "models", id: "modelId",
		fields:   map[string]byte{"name": text, "contentType": text, "description": text, "schema": text},
		required: []string{"name", "schema"},
		check: func(b *book, r record) error {
			return unique(b, "models", "modelId", "name", r, "Model name already exists for this API")
		}}

	deployments = kind{name: "Deployment", path: "deployments", id: "deploymentId",
		fields: map[string]byte{"description": text, "stageName": text},
		used: func(b *book, id string) error {
			if b.find("stages", "deploymentId", id) != nil {
				return invalidf("Active stages pointing to this deployment must be moved or deleted")
			}
			return nil
		}}

	stages = kind{name: "Stage", path: "stages", id: "stageName", own: true,
		fields: map[string]byte{"stageName": text, "deploymentId": text, "autoDeploy": truth, "description": text, "stageVariables": fieldMap, "defaultRouteSettings": fieldMap, "routeSettings": fieldMap,
			"accessLogSettings": fieldMap, "clientCertificateId": text, "tags": fieldMap},
		required: []string{"stageName"},
		defaults: record{"defaultRouteSettings": map[string]any{"detailedMetricsEnabled": false}, "routeSettings": map[string]any{}, "stageVariables": map[string]any{}, "tags": map[string]any{}},
		check:    checkStage,
		used: func(b *book, id string) error {
			for _, r := range b.Shelves["mappings"] {
				if r.text("stage") == id {
					return conflictf("Stage '%s' is mapped to domain %s", id, r.text("domainName"))
				}
			}
			return nil
		}}

	mappings = kind{name: "ApiMapping", path: "apimappings", id: "apiMappingId",
		fields:   map[string]byte{"apiId": text, "apiMappingKey": text, "stage": text},
		required: []string{"apiId", "stage"}}

	domains = kind{name: "DomainName", path: "domainnames", id: "domainName", own: true,
		fields:   map[string]byte{"domainName": text, "domainNameConfigurations": list, "mutualTlsAuthentication": fieldMap, "routingMode": text, "tags": fieldMap},
		required: []string{"domainName"},
		defaults: record{"apiMappingSelectionExpression": "$request.basepath"}}
)

// apply writes what a client sent over a record. An empty text takes a field away.
func (k *kind) apply(r, sent record) error {
	for key, v := range sent {
		typ, known := k.fields[key]
		if !known || v == nil {
			continue
		}
		ok := false
		switch typ {
		case text:
			_, ok = v.(string)
		case truth:
			_, ok = v.(bool)
		case number:
			_, ok = v.(float64)
		case fieldMap:
			_, ok = v.(map[string]any)
		case list:
			_, ok = v.([]any)
		}
		if !ok {
			return &fault{status: 400, kind: "SerializationException", msg: "Invalid value for field " + key}
		}
		if v == "" {
			delete(r, key)
			continue
		}
		r[key] = v
	}
	for _, key := range k.required {
		if v, have := r[key]; !have || v == "" {
			return invalidf("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", key)
		}
	}
	return nil
}

func oneOf(r record, key string, values ...string) error {
	if v := r.text(key); v != "" && !slices.Contains(values, v) {
		return invalidf("1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: [%s]", v, key, strings.Join(values, ", "))
	}
	return nil
}

func within(r record, key string, lo, hi float64) error {
	if v, have := r[key].(float64); have && (v < lo || v > hi) {
		return invalidf("%s should be between %v and %v", key, lo, hi)
	}
	return nil
}

// unique is an error when another record of a shelf has the same value for a field.
func unique(b *book, shelf, id, field string, r record, msg string) error {
	for _, o := range b.Shelves[shelf] {
		if o.text(field) == r.text(field) && o.text(id) != r.text(id) {
			return conflictf("%s", msg)
		}
	}
	return nil
}

// first is the first of errors that is one.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *book) webSocket() bool { return b.API.text("protocolType") == apispec.WebSocket }

func checkAPI(_ *book, r record) error {
	if err := first(oneOf(r, "protocolType", "WEBSOCKET", "HTTP"), oneOf(r, "ipAddressType", "ipv4", "dualstack"),
		oneOf(r, "apiKeySelectionExpression", "$request.header.x-api-key", "$context.authorizer.usageIdentifierKey")); err != nil {
		return err
	}
	expression := r.text("routeSelectionExpression")
	if r.text("protocolType") == apispec.HTTP {
		if expression == "" {
			r["routeSelectionExpression"] = "$request.method $request.path"
		}
		return nil
	}
	switch {
	case expression == "":
		return invalidf("Route selection expression is required for WebSocket APIs")
	case r["corsConfiguration"] != nil:
		return invalidf("CORS is not supported for WebSocket APIs")
	case r["target"] != nil || r["routeKey"] != nil:
		return invalidf("Quick create is not supported for WebSocket APIs")
	}
	return nil
}

var httpRoute = regexp.MustCompile(`^(ANY|GET|PUT|POST|DELETE|PATCH|HEAD|OPTIONS) /\S*$`)

func checkRoute(b *book, r record) error {
	key := r.text("routeKey")
	types := []string{"NONE", "AWS_IAM", "CUSTOM"}
	switch {
	case !b.webSocket():
		types = append(types, "JWT")
		if key != "$default" && !httpRoute.MatchString(key) {
			return invalidf("The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"")
		}
	case strings.HasPrefix(key, "$") && !slices.Contains([]string{"$connect", "$disconnect", "$default"}, key):
		return invalidf("Invalid route key %s", key)
	case key != "$connect" && r.text("authorizationType") != "" && r.text("authorizationType") != "NONE":
		return invalidf("Currently, authorization is restricted to the $connect route only")
	}
	if err := first(oneOf(r, "authorizationType", types...), unique(b, "routes", "routeId", "routeKey", r, "Route with key "+key+" already exists for this API")); err != nil {
		return err
	}
	if to := r.text("target"); to != "" {
		id, ok := strings.CutPrefix(to, "integrations/")
		if !ok {
			return invalidf("Invalid target specified: %s", to)
		}
		if b.find("integrations", "integrationId", id) == nil {
			return missingf("Integration", "Unable to find Integration by ID %s within the provided API", id)
		}
	}
	z := r.text("authorizerId")
	switch typ := r.text("authorizationType"); {
	case z != "" && b.find("authorizers", "authorizerId", z) == nil:
		return missingf("Authorizer", "Unable to find Authorizer by ID %s within the provided API", z)
	case z == "" && (typ == "CUSTOM" || typ == "JWT"):
		return invalidf("AuthorizerId is required when authorizationType is %s", typ)
	}
	return nil
}

func checkIntegration(b *book, r record) error {
	typ := r.text("integrationType")
	if err := first(oneOf(r, "integrationType", "AWS", "AWS_PROXY", "HTTP", "HTTP_PROXY", "MOCK"), oneOf(r, "connectionType", "INTERNET", "VPC_LINK"),
		oneOf(r, "contentHandlingStrategy", "CONVERT_TO_BINARY", "CONVERT_TO_TEXT"), oneOf(r, "passthroughBehavior", "WHEN_NO_MATCH", "NEVER", "WHEN_NO_TEMPLATES")); err != nil {
		return err
	}
	switch {
	case typ != "MOCK" && r.text("integrationUri") == "":
		return invalidf("Integration URI is required for integration type %s", typ)
	case r.text("connectionType") == "VPC_LINK" && !strings.HasPrefix(r.text("integrationUri"), "http://") && !strings.HasPrefix(r.text("integrationUri"), "https://"):
		return invalidf("VPC links are not run by sluice: the integration URI has to be an address that it reaches itself")
	case r.text("integrationSubtype") != "":
		return invalidf("Integration subtype %s is not run by sluice", r.text("integrationSubtype"))
	}
	preset := func(key string, v any) {
		if _, have := r[key]; !have {
			r[key] = v
		}
	}
	preset("timeoutInMillis", float64(apispec.Quotas{}.Longest(b.API.text("protocolType")).Milliseconds()))
	preset("payloadFormatVersion", "1.0")
	if b.webSocket() {
		preset("passthroughBehavior", "WHEN_NO_MATCH")
		if typ != "AWS_PROXY" && typ != "HTTP_PROXY" {
			preset("integrationResponseSelectionExpression", "${integration.response.statuscode}")
		}
	}
	return nil
}

func checkAuthorizer(b *book, r record) error {
	types := []string{"REQUEST"}
	if !b.webSocket() {
		types = append(types, "JWT")
	}
	if err := first(oneOf(r, "authorizerType", types...), within(r, "authorizerResultTtlInSeconds", 0, 3600),
		unique(b, "authorizers", "authorizerId", "name", r, "Authorizer name already exists for this API")); err != nil {
		return err
	}
	if r.text("authorizerType") == "REQUEST" && r.text("authorizerUri") == "" {
		return invalidf("AuthorizerUri is required for authorizers of type REQUEST")
	}
	return nil
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

func checkStage(b *book, r record) error {
	name, d := r.text("stageName"), r.text("deploymentId")
	switch {
	case !stageName.MatchString(name) && (b.webSocket() || name != "$default"):
		return invalidf("Stage name only allows a-z, A-Z, 0-9, hyphen and underscore")
	case d != "" && b.find("deployments", "deploymentId", d) == nil:
		return missingf("Deployment", "Unable to find Deployment by ID %s within the provided API", d)
	}
	return nil
}
