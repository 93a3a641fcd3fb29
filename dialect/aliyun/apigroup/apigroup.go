// Package apigroup describes one group of APIs of Alibaba's API Gateway, with all defaults applied.
//
// The template reader (sdevs) writes it into sluice.Endpoint.Spec as JSON, the gateway's dialect
// (apigateway) reads it. It holds data and no behaviour. Values of closed sets are spelled as the
// cloud's OpenAPI spells them (aliyun.md section 2).
package apigroup

import (
	"time"

	"github.com/sluicehq/sluice"
)

// Group is an API group: what one apigateway or api-gateway module of a template asks for.
type Group struct {
	Name      string   `json:"name"`
	BasePath  string   `json:"basePath,omitempty"` // prefix of every request path, with its slash and without a final one; "" is none
	Stage     string   `json:"stage"`              // RELEASE, PRE or TEST
	Region    string   `json:"region,omitempty"`
	SubDomain string   `json:"subDomain"`         // the group's own host, {group}.{region}.alicloudapi.localhost
	Domains   []string `json:"domains,omitempty"` // custom domains bound to the stage, lower case, no ports
	APIs      []API    `json:"apis"`              // in the template's order; matching is by section 2.2, not by order
	Settings  Settings `json:"settings,omitzero"`
}

// Settings are what the cloud has no field for: a module's own prop "sluice", which the cloud's tools
// pass over (sections 1.2, 1.3, 1.6, 1.7).
type Settings struct {
	Life            time.Duration `json:"life,omitempty"`            // connectionLifetime: then CR is sent; 0 is for ever
	LatestDevice    bool          `json:"latestDevice,omitempty"`    // duplicateDevice latest: a device's new connection closes the older
	NotifyLocal     bool          `json:"notifyLocal,omitempty"`     // notifyAllow loopback: only callers on this machine may notify
	RequireRegister bool          `json:"requireRegister,omitempty"` // only devices whose REGISTER succeeded are notified
	NoFarewell      bool          `json:"noFarewell,omitempty"`      // unregisterOnDisconnect false: a lost device is not unregistered
	// UnregisteredIdle is how long a connection whose device has unregistered may be silent; 0 is 5 minutes.
	// When it is shorter than the idle time of all, it holds for those that have not registered yet, too.
	UnregisteredIdle time.Duration `json:"unregisteredIdle,omitempty"`
	// FormatStatus is the status for an event function's answer that is none: fcFormatErrorStatus, 0 is 502.
	FormatStatus int      `json:"formatStatus,omitempty"`
	Throttle     Throttle `json:"throttle,omitzero"`
}

// Throttle is how many requests a second are served, over HTTP and in sockets together; 0 is without limit.
type Throttle struct {
	Instance int `json:"instance,omitempty"` // of all groups of the app
	Group    int `json:"group,omitempty"`    // of this group
	API      int `json:"api,omitempty"`      // of each of its APIs
}

// The types of an API on the WebSocket side (section 1.4).
const (
	Common     = "COMMON"
	Register   = "REGISTER"
	Unregister = "UNREGISTER"
	Notify     = "NOTIFY"
)

// The modes in which a request reaches the backend (section 2.3).
const (
	Passthrough        = "PASSTHROUGH"
	Mapping            = "MAPPING"
	MappingPassthrough = "MAPPING_PASSTHROUGH"
)

// API is one API of a group.
type API struct {
	Name          string         `json:"name"`
	Protocols     []string       `json:"protocols"`               // of HTTP, HTTPS, WS
	Method        string         `json:"method"`                  // a verb in upper case, or ANY
	Path          string         `json:"path"`                    // begins with a slash; [name] is a segment, a final /* a tail; without the group's BasePath
	Mode          string         `json:"mode"`                    // Passthrough, Mapping or MappingPassthrough
	BodyFormat    string         `json:"bodyFormat,omitempty"`    // FORM or STREAM; "" is the mode's own
	WebSocketType string         `json:"webSocketType"`           // Common, Register, Unregister or Notify
	Auth          string         `json:"auth"`                    // ANONYMOUS, APP, APPOPENID or OPENID
	AppCodeAuth   string         `json:"appCodeAuth,omitempty"`   // DEFAULT, DISABLE, HEADER or HEADER_QUERY; "" is DEFAULT
	ForceNonce    bool           `json:"forceNonce,omitempty"`    // refuse requests without X-Ca-Nonce
	ResultType    string         `json:"resultType,omitempty"`    // JSON, TEXT, BINARY, XML, HTML or PASSTHROUGH
	RequestParams []RequestParam `json:"requestParams,omitempty"` // what the mapping modes accept
	ServiceParams []ServiceParam `json:"serviceParams,omitempty"` // what the backend gets, in every mode
	Backend       Backend        `json:"backend"`
	Description   string         `json:"description,omitempty"`
	Place         sluice.Place   `json:"place"` // in the template
}

// The places where a parameter stands.
const (
	InPath  = "PATH"
	InQuery = "QUERY"
	InHead  = "HEAD"
	InBody  = "BODY"
)

// RequestParam is a parameter that clients send.
type RequestParam struct {
	Name      string   `json:"name"`
	In        string   `json:"in"`   // InPath, InQuery, InHead or InBody
	Type      string   `json:"type"` // String, Int, Long, Float, Double or Boolean
	Required  bool     `json:"required,omitempty"`
	Default   string   `json:"default,omitempty"`
	Min       *float64 `json:"min,omitempty"` // of numbers
	Max       *float64 `json:"max,omitempty"`
	MinLength *int     `json:"minLength,omitempty"` // of strings
	MaxLength *int     `json:"maxLength,omitempty"`
	Pattern   string   `json:"pattern,omitempty"` // a regular expression
	Enum      []string `json:"enum,omitempty"`
}

// Where the value of a ServiceParam comes from.
const (
	FromRequest  = "REQUEST"
	FromConstant = "CONSTANT"
	FromSystem   = "SYSTEM"
)

// ServiceParam is a parameter that the backend gets.
type ServiceParam struct {
	Name    string `json:"name"`
	In      string `json:"in"`                // InPath, InQuery, InHead or InBody
	Source  string `json:"source"`            // FromRequest, FromConstant or FromSystem
	Request string `json:"request,omitempty"` // FromRequest: the RequestParam's name; FromSystem: the system's (CaClientIp …)
	Value   string `json:"value,omitempty"`   // FromConstant
}

// The types of a Backend.
const (
	HTTP    = "HTTP"    // another server, or one of our buckets by its host
	FCEvent = "FCEvent" // a function, called with the event of section 2.6
	FCHTTP  = "FCHTTP"  // a function's HTTP trigger, section 2.7
	OSS     = "OSS"     // one object
	Mock    = "MOCK"    // a fixed answer
)

// Backend says who answers an API. Fields that do not belong to its Type are zero.
type Backend struct {
	Type    string        `json:"type"`
	Timeout time.Duration `json:"timeout"` // nanoseconds; never 0

	Address     string `json:"address,omitempty"`     // HTTP: scheme://host[:port] without a path
	Path        string `json:"path,omitempty"`        // HTTP: the service path S of section 2.4. FCHTTP: the function's path. Begins with a slash
	Method      string `json:"method,omitempty"`      // HTTP and FCHTTP: a verb, or ANY for the request's
	ContentType string `json:"contentType,omitempty"` // the Content-Type that the backend gets; "" is the client's

	Service          string `json:"service,omitempty"`  // FCEvent and FCHTTP: the service (FC 2.0); "" for FC 3.0
	Function         string `json:"function,omitempty"` // FCEvent and FCHTTP: sluice.Function.Name; "" in FCHTTP when BaseURL is foreign
	Qualifier        string `json:"qualifier,omitempty"`
	BaseURL          string `json:"baseURL,omitempty"`          // FCHTTP: as the template has it
	OnlyBusinessPath bool   `json:"onlyBusinessPath,omitempty"` // FCHTTP

	Bucket string `json:"bucket,omitempty"` // OSS, and HTTP when Address is a bucket of this app
	Prefix string `json:"prefix,omitempty"` // HTTP to a bucket: goes before the key that the path names; mostly ""
	Key    string `json:"key,omitempty"`    // OSS: the object; "" is the request's path

	MockBody    string   `json:"mockBody,omitempty"`
	MockStatus  int      `json:"mockStatus,omitempty"` // 200 when the template says nothing
	MockHeaders []Header `json:"mockHeaders,omitempty"`
}

// Header is one header of a Mock answer.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}
