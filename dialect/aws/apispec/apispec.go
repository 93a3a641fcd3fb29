// Package apispec describes the APIs of API Gateway v2 (WebSocket and HTTP) as templates and the control
// plane give them and as the data plane serves them. It is what travels in sluice.Endpoint.Spec. JSON
// names are those of the control plane (aws.md 1.1).
package apispec

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"github.com/sluicehq/sluice"
)

// The protocols of an API.
const (
	WebSocket = "WEBSOCKET"
	HTTP      = "HTTP"
)

// API is one API with all that belongs to it.
type API struct {
	ID                        string            `json:"apiId"`
	Logical                   string            `json:"logicalId,omitempty"` // its name in the template
	Name                      string            `json:"name"`
	Protocol                  string            `json:"protocolType"`   // WebSocket or HTTP
	REST                      bool              `json:"rest,omitempty"` // an HTTP API that came as a REST API: payload 1.0, stage in the path
	RouteSelectionExpression  string            `json:"routeSelectionExpression,omitempty"`
	APIKeySelectionExpression string            `json:"apiKeySelectionExpression,omitempty"`
	Description               string            `json:"description,omitempty"`
	Version                   string            `json:"version,omitempty"`
	DisableExecuteAPI         bool              `json:"disableExecuteApiEndpoint,omitempty"`
	DisableSchemaValidation   bool              `json:"disableSchemaValidation,omitempty"`
	Tags                      map[string]string `json:"tags,omitempty"`
	CORS                      *CORS             `json:"corsConfiguration,omitempty"`
	Stages                    []Stage           `json:"stages"`
	Binary                    []string          `json:"binaryMediaTypes,omitempty"` // of REST APIs: bodies that events carry in base64
	Keys                      []Key             `json:"apiKeys,omitempty"`          // of routes with apiKeyRequired
	Mappings                  []Mapping         `json:"mappings,omitempty"`         // custom domains
	Current                   Snapshot          `json:"current"`                    // what a new deployment would freeze
	Control                   json.RawMessage   `json:"control,omitempty"`          // what the control plane that made it remembers
}

// Snapshot is the part of an API that a deployment freezes.
type Snapshot struct {
	Routes       []Route       `json:"routes"`
	Integrations []Integration `json:"integrations"`
	Authorizers  []Authorizer  `json:"authorizers,omitempty"`
	Models       []Model       `json:"models,omitempty"`
}

// Stage is one stage of an API.
type Stage struct {
	Name       string                   `json:"stageName"` // case sensitive; "$default" for HTTP APIs only
	Variables  map[string]string        `json:"stageVariables,omitempty"`
	Default    *RouteSettings           `json:"defaultRouteSettings,omitempty"`
	Settings   map[string]RouteSettings `json:"routeSettings,omitempty"` // by route key
	Access     *AccessLog               `json:"accessLogSettings,omitempty"`
	AutoDeploy bool                     `json:"autoDeploy,omitempty"`
	Deployment string                   `json:"deploymentId,omitempty"`
	Frozen     *Snapshot                `json:"frozen,omitempty"` // nil: the API's Current is served
}

// AccessLog is where and how a stage tells of its requests.
type AccessLog struct {
	Destination string `json:"destinationArn,omitempty"` // the ARN of a log group
	Format      string `json:"format,omitempty"`         // with $context variables
}

// RouteSettings are throttles of a route; zero is none.
type RouteSettings struct {
	Burst int     `json:"throttlingBurstLimit,omitempty"`
	Rate  float64 `json:"throttlingRateLimit,omitempty"`
}

// Route is one route. Key is "$connect", "$default", "sendmessage", or "GET /items/{id}" for HTTP APIs.
type Route struct {
	ID                       string               `json:"routeId"`
	Key                      string               `json:"routeKey"`
	Integration              string               `json:"integrationId,omitempty"`     // "" has no target
	AuthorizationType        string               `json:"authorizationType,omitempty"` // "" and NONE, AWS_IAM, CUSTOM, JWT
	Authorizer               string               `json:"authorizerId,omitempty"`
	Scopes                   []string             `json:"authorizationScopes,omitempty"`
	APIKeyRequired           bool                 `json:"apiKeyRequired,omitempty"`
	OperationName            string               `json:"operationName,omitempty"`
	ModelSelectionExpression string               `json:"modelSelectionExpression,omitempty"`
	RequestModels            map[string]string    `json:"requestModels,omitempty"`
	RequestParameters        map[string]Parameter `json:"requestParameters,omitempty"`
	ResponseSelection        string               `json:"routeResponseSelectionExpression,omitempty"`
	Responses                []string             `json:"routeResponses,omitempty"` // keys of its route responses
}

// TwoWay reports whether a route's answers go to the client (aws.md 1.6: either sign is enough).
func (r *Route) TwoWay() bool { return r.ResponseSelection != "" || len(r.Responses) > 0 }

// Parameter says whether a request parameter has to be there.
type Parameter struct {
	Required bool `json:"required"`
}

// Integration is what a route calls.
type Integration struct {
	ID                   string                `json:"integrationId"`
	Type                 string                `json:"integrationType"` // AWS_PROXY, AWS, HTTP, HTTP_PROXY, MOCK
	URI                  string                `json:"integrationUri,omitempty"`
	Subtype              string                `json:"integrationSubtype,omitempty"`
	Method               string                `json:"integrationMethod,omitempty"`
	ContentHandling      string                `json:"contentHandlingStrategy,omitempty"`
	PassthroughBehaviour string                `json:"passthroughBehavior,omitempty"`
	RequestParameters    map[string]string     `json:"requestParameters,omitempty"`
	RequestTemplates     map[string]string     `json:"requestTemplates,omitempty"`
	TemplateSelection    string                `json:"templateSelectionExpression,omitempty"`
	TimeoutMS            int                   `json:"timeoutInMillis,omitempty"` // 0 is 29,000 (HTTP APIs: 30,000)
	PayloadFormat        string                `json:"payloadFormatVersion,omitempty"`
	Responses            []IntegrationResponse `json:"integrationResponses,omitempty"`
	// ResponseParameters are what an HTTP API changes of answers, by their status.
	ResponseParameters map[string]map[string]string `json:"responseParameters,omitempty"`
}

// IntegrationResponse turns a backend's answer into the client's.
type IntegrationResponse struct {
	ID                string            `json:"integrationResponseId,omitempty"`
	Key               string            `json:"integrationResponseKey"` // "$default", "/2\d\d/", "/.*timeout.*/"
	ContentHandling   string            `json:"contentHandlingStrategy,omitempty"`
	Parameters        map[string]string `json:"responseParameters,omitempty"`
	Templates         map[string]string `json:"responseTemplates,omitempty"`
	TemplateSelection string            `json:"templateSelectionExpression,omitempty"`
}

// Authorizer decides who may connect or call.
type Authorizer struct {
	ID             string   `json:"authorizerId"`
	Name           string   `json:"name"`
	Type           string   `json:"authorizerType"` // REQUEST, JWT; TOKEN of REST APIs
	URI            string   `json:"authorizerUri,omitempty"`
	IdentitySource []string `json:"identitySource,omitempty"`
	PayloadFormat  string   `json:"authorizerPayloadFormatVersion,omitempty"`
	Simple         bool     `json:"enableSimpleResponses,omitempty"`
	TTL            *int     `json:"authorizerResultTtlInSeconds,omitempty"` // HTTP APIs only
	JWT            *JWT     `json:"jwtConfiguration,omitempty"`
}

// JWT is whose tokens a JWT authorizer takes.
type JWT struct {
	Issuer   string   `json:"issuer,omitempty"`
	Audience []string `json:"audience,omitempty"`
}

// Model is a JSON schema that bodies are held against.
type Model struct {
	ID          string `json:"modelId,omitempty"`
	Name        string `json:"name"`
	ContentType string `json:"contentType,omitempty"`
	Schema      string `json:"schema"`
}

// Key is an API key.
type Key struct {
	ID    string `json:"id"`
	Value string `json:"value"`
}

// Mapping shows a stage under a custom domain. Path "" is its root.
type Mapping struct {
	Domain string `json:"domainName"`
	Path   string `json:"apiMappingKey,omitempty"`
	Stage  string `json:"stage"`
}

// CORS answers browsers' preflights of HTTP APIs.
type CORS struct {
	Origins     []string `json:"allowOrigins,omitempty"`
	Methods     []string `json:"allowMethods,omitempty"`
	Headers     []string `json:"allowHeaders,omitempty"`
	Expose      []string `json:"exposeHeaders,omitempty"`
	Credentials bool     `json:"allowCredentials,omitempty"`
	MaxAge      *int     `json:"maxAge,omitempty"`
}

// Served is what a stage serves.
func (a *API) Served(s *Stage) *Snapshot {
	if s.Frozen != nil {
		return s.Frozen
	}
	return &a.Current
}

// Stage finds a stage by its name; nil when there is none.
func (a *API) Stage(name string) *Stage {
	for i := range a.Stages {
		if a.Stages[i].Name == name {
			return &a.Stages[i]
		}
	}
	return nil
}

// Route finds a route by its key; nil when there is none.
func (s *Snapshot) Route(key string) *Route {
	for i := range s.Routes {
		if s.Routes[i].Key == key {
			return &s.Routes[i]
		}
	}
	return nil
}

// Integration finds an integration by its id; nil when there is none.
func (s *Snapshot) Integration(id string) *Integration {
	for i := range s.Integrations {
		if s.Integrations[i].ID == id {
			return &s.Integrations[i]
		}
	}
	return nil
}

// Authorizer finds an authorizer by its id; nil when there is none.
func (s *Snapshot) Authorizer(id string) *Authorizer {
	for i := range s.Authorizers {
		if s.Authorizers[i].ID == id {
			return &s.Authorizers[i]
		}
	}
	return nil
}

// Parse reads the description of an endpoint.
func Parse(ep *sluice.Endpoint) (*API, error) {
	var a API
	if err := json.Unmarshal(ep.Spec, &a); err != nil {
		return nil, &sluice.Error{Code: sluice.Invalid, At: ep.At, Msg: fmt.Sprintf("endpoint %q: %v", ep.Name, err)}
	}
	return &a, nil
}

// StreamLabel is what stands for the label in the ARN of a table's stream where a template names it: the
// label is the time at which a stream begins, and nobody knows that before there is a table. It means the
// table's present stream.
const StreamLabel = "2020-01-01T00:00:00.000"

// ID makes an id of n characters [a-z0-9], the first a letter, that is always the same for the same
// parts: an API keeps its address through every deploy, and it is known before anything is made
// (aws.md 0 has the lengths: 10 for APIs, 7 for what is in them).
func ID(n int, parts ...string) string {
	return spell(n, "abcdefghijklmnopqrstuvwxyz0123456789", parts)
}

// Suffix is the 12 characters [A-Z0-9] that end the physical name of a resource without a name of its own
// (aws.md 7.2); as constant as ID.
func Suffix(parts ...string) string { return spell(12, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", parts) }

func spell(n int, alphabet string, parts []string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	sum := h.Sum(nil)
	out := make([]byte, n)
	for i := range out {
		size := len(alphabet)
		if i == 0 {
			size = 26
		}
		out[i] = alphabet[int(sum[i])%size]
	}
	return string(out)
}
