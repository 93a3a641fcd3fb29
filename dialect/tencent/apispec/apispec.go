// Package apispec describes the services of Tencent's API Gateway and their APIs, with all defaults
// applied.
//
// The template reader (components) writes a Service into sluice.Endpoint.Spec as JSON, the gateway's
// dialect (apigateway) reads it. Names are those of the templates (tencent.md 4.3).
package apispec

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice"
)

// The protocols of an API.
const (
	HTTP      = "HTTP"
	WebSocket = "WEBSOCKET"
)

// What answers an API.
const (
	SCF     = "SCF"       // a function; of a WebSocket API up to three
	Server  = "HTTP"      // another server
	Sockets = "WEBSOCKET" // another server, to which a WebSocket API's connections go through
	Mock    = "MOCK"      // a fixed text
)

// What a client's message is called in the event that the transport function gets (section 1.5).
const (
	DataRecv = "data recv" // as the cloud documents it
	DataSend = "data send" // as the websocket component's functions expect it
)

// Service is an API Gateway service: one address with its APIs, released to one environment.
type Service struct {
	ID          string   `json:"serviceId"`
	Name        string   `json:"serviceName"`
	Description string   `json:"serviceDesc,omitempty"`
	Region      string   `json:"region"`
	Environment string   `json:"environment"` // release, prepub or test
	SubDomain   string   `json:"subDomain"`   // its own host name
	Domains     []Domain `json:"customDomains,omitempty"`
	APIs        []API    `json:"apis"`
}

// Domain is a custom domain of a service.
type Domain struct {
	Name string `json:"domain"`         // lower case, no port
	Base string `json:"path,omitempty"` // what stands in place of the environment in its paths, "/v1"; "" is nothing
	Keep bool   `json:"keep,omitempty"` // its paths begin with the environment, as those of SubDomain do
}

// API is one path of a service.
type API struct {
	ID       string       `json:"apiId"`
	Name     string       `json:"apiName,omitempty"`
	Path     string       `json:"path"`     // begins with a slash; {name} is any segment. A = in front asks for exactly it
	Method   string       `json:"method"`   // ANY, GET, HEAD, POST, PUT, DELETE …; GET of a WebSocket API
	Protocol string       `json:"protocol"` // HTTP or WebSocket
	Type     string       `json:"serviceType"`
	Timeout  int          `json:"serviceTimeout"` // seconds, 1 to 1800; of a WebSocket API how long a connection may be idle
	CORS     bool         `json:"enableCORS,omitempty"`
	Params   []Param      `json:"param,omitempty"` // those that events list by themselves
	Function Function     `json:"function,omitzero"`
	Roles    Roles        `json:"roles,omitzero"` // of a WebSocket API
	Backend  Backend      `json:"serviceConfig,omitzero"`
	Mock     string       `json:"serviceMockReturnMessage,omitempty"`
	Base64   bool         `json:"isBase64Encoded,omitempty"`           // bodies reach the function as base64
	Triggers []Base64Rule `json:"base64EncodedTriggerRules,omitempty"` // those of requests that one of them matches do
	Settings Settings     `json:"settings,omitzero"`
	At       sluice.Place `json:"at"`
}

// Param is a declared parameter.
type Param struct {
	Name     string `json:"name"`
	Position string `json:"position"` // PATH, QUERY or HEADER
	Required bool   `json:"required,omitempty"`
	Default  string `json:"defaultValue,omitempty"`
}

// Base64Rule matches requests by a header.
type Base64Rule struct {
	Name   string   `json:"name"` // Accept or Content-Type
	Values []string `json:"value"`
}

// Function names a function on the cloud.
type Function struct {
	Name       string `json:"functionName,omitempty"`
	Namespace  string `json:"functionNamespace,omitempty"` // "" is default
	Qualifier  string `json:"functionQualifier,omitempty"` // "" is $LATEST
	Integrated bool   `json:"isIntegratedResponse,omitempty"`
}

// Roles are the functions of a WebSocket API; Name is empty in those that are absent (section 1.1).
type Roles struct {
	Register  Function `json:"register,omitzero"`
	Transport Function `json:"transport,omitzero"`
	Cleanup   Function `json:"cleanup,omitzero"`
}

// Backend is another server.
type Backend struct {
	URL    string `json:"url,omitempty"`
	Path   string `json:"path,omitempty"`
	Method string `json:"method,omitempty"`
}

// Settings of a WebSocket API are ours: where the cloud's documents leave something open, they choose.
type Settings struct {
	UplinkAction    string   `json:"uplinkAction,omitempty"`          // DataRecv or DataSend; "" is DataRecv
	IgnoreFailures  bool     `json:"ignoreTransportErrors,omitempty"` // closeOnTransportError: false
	CleanupOnClient bool     `json:"cleanupOnClient,omitempty"`       // cleanupOn: client
	MaxMessage      int      `json:"maxMessageBytes,omitempty"`       // 0 is 1 MiB
	Uplink          int      `json:"uplinkConcurrency,omitempty"`     // messages of a connection under way at once; 0 is 1
	Origins         []string `json:"origins,omitempty"`               // that may connect; empty is any
}

// Parse reads the description of an endpoint.
func Parse(ep *sluice.Endpoint) (*Service, error) {
	var s Service
	if err := json.Unmarshal(ep.Spec, &s); err != nil {
		return nil, &sluice.Error{Code: sluice.Invalid, At: ep.At, Msg: fmt.Sprintf("API Gateway service %q cannot be read: %v", ep.Name, err), Err: err}
	}
	return &s, nil
}

// Endpoint is a service as an app has it.
func (s *Service) Endpoint(at sluice.Place) (sluice.Endpoint, error) {
	spec, err := json.Marshal(s)
	ep := sluice.Endpoint{Name: s.ID, Spec: spec, At: at}
	for _, d := range s.Domains {
		ep.Hosts = append(ep.Hosts, d.Name)
	}
	return ep, err
}

// ServiceID and APIID are the ids of what is told apart by parts: always the same for the same parts, so
// that they are known before anything is made and stay through every deploy (section 4.3).
func ServiceID(parts ...string) string { return "service-" + spell("service", parts) }

// APIID is the id of an API; see ServiceID.
func APIID(parts ...string) string { return "api-" + spell("api", parts) }

func spell(kind string, parts []string) string {
	const alphabet = "0123456789abcdefghijklmnopqrstuvwxyz"
	h := sha256.New()
	fmt.Fprint(h, kind)
	for _, p := range parts {
		fmt.Fprintf(h, " %d:%s", len(p), p)
	}
	sum := h.Sum(nil)
	out := make([]byte, 8)
	for i := range out {
		out[i] = alphabet[int(sum[i])%len(alphabet)]
	}
	return string(out)
}

// SubDomain is the host name of a service; appid is the account's (section 1.1).
func SubDomain(id, appid, region string) string {
	return id + "-" + appid + "." + ShortRegion(region) + ".apigw.tencentcs.com"
}

// ShortRegion is a region as host names of API Gateway spell it: "gz" for ap-guangzhou.
func ShortRegion(region string) string {
	if s, ok := shortRegions[region]; ok {
		return s
	}
	return strings.TrimPrefix(region, "ap-")
}

var shortRegions = map[string]string{
	"ap-guangzhou": "gz", "ap-shanghai": "sh", "ap-beijing": "bj", "ap-chengdu": "cd", "ap-chongqing": "cq",
	"ap-hongkong": "hk", "ap-singapore": "sg", "ap-mumbai": "in", "ap-seoul": "kr", "ap-tokyo": "jp",
	"ap-bangkok": "th", "na-siliconvalley": "usw", "na-ashburn": "use", "na-toronto": "ca", "eu-frankfurt": "de",
	"ap-nanjing": "nj",
}
