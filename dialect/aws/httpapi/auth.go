package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// authorizerTime is how long a Lambda authorizer may take (section 1.8).
const authorizerTime = 10 * time.Second

// authorize lets a request in, or answers it.
func (c *call) authorize() bool {
	switch c.route.AuthorizationType {
	case "", "NONE":
		return true
	case "AWS_IAM":
		signed, bad := c.o.Verify.Verify(c.r, c.body)
		if bad != nil {
			c.refuse(http.StatusForbidden, "Forbidden")
			return false
		}
		c.auth = iamContext(signed.KeyID)
		return true
	}
	au := c.stage.served.Authorizer(c.route.Authorizer)
	if au == nil {
		c.failed("route %q has no authorizer %q", c.route.Key, c.route.Authorizer)
		return false
	}
	if au.Type == "JWT" {
		return c.authorizeJWT(au)
	}
	return c.authorizeFunction(au)
}

func (c *call) authorizeJWT(au *apispec.Authorizer) bool {
	token := ""
	for _, source := range au.IdentitySource {
		if token = c.identity(source); token != "" {
			break
		}
	}
	if rest, ok := cutFold(token, "Bearer "); ok {
		token = rest
	}
	if token == "" || au.JWT == nil {
		return c.unauthorized("")
	}
	auth, err := c.tokens.check(c.r.Context(), token, au.JWT, c.route.Scopes)
	switch {
	case errors.Is(err, errScope):
		c.w.Header().Set("Www-Authenticate", `Bearer scope="`+strings.Join(c.route.Scopes, " ")+`" error="insufficient_scope"`)
		c.refuse(http.StatusForbidden, "Forbidden")
		return false
	case err != nil:
		return c.unauthorized(err.Error())
	}
	c.auth = auth
	return true
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return strings.TrimSpace(s[len(prefix):]), true
	}
	return s, false
}

func (c *call) unauthorized(why string) bool {
	value := "Bearer"
	if why != "" {
		value += ` scope="" error="invalid_token" error_description="` + strings.ReplaceAll(why, `"`, "'") + `"`
	}
	c.w.Header().Set("Www-Authenticate", value)
	c.refuse(http.StatusUnauthorized, "Unauthorized")
	return false
}

// identity is what an identity source names in a request; "" when it is not there. HTTP APIs write
// $request.header.X, REST APIs method.request.header.X.
func (c *call) identity(source string) string {
	source = strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(source, "$"), "method."), "route.")
	switch kind, name, _ := strings.Cut(strings.TrimPrefix(source, "request."), "."); kind {
	case "header":
		return c.r.Header.Get(name)
	case "querystring":
		return query(c.r).Get(name)
	case "stageVariables":
		return c.stage.Variables[name]
	case "context":
		if name == "httpMethod" {
			return c.r.Method
		}
	}
	return ""
}

// verdict is what a Lambda authorizer has said.
type verdict struct {
	allowed bool
	auth    map[string]any
}

// verdicts keep what authorizers said, by who asked. They are of one API.
type verdicts struct {
	now   func() time.Time
	mu    sync.Mutex // guards known
	known map[string]keptVerdict
}

type keptVerdict struct {
	verdict
	until time.Time
}

func newVerdicts(now func() time.Time) *verdicts {
	return &verdicts{now: now, known: map[string]keptVerdict{}}
}

func (v *verdicts) get(key string) (verdict, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	k, ok := v.known[key]
	return k.verdict, ok && v.now().Before(k.until)
}

func (v *verdicts) put(key string, d verdict, life time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= 10000 {
		clear(v.known)
	}
	v.known[key] = keptVerdict{d, v.now().Add(life)}
}

func (c *call) authorizeFunction(au *apispec.Authorizer) bool {
	values := make([]string, len(au.IdentitySource))
	for i, source := range au.IdentitySource {
		if values[i] = c.identity(source); values[i] == "" {
			c.refuse(http.StatusUnauthorized, "Unauthorized")
			return false
		}
	}
	life := time.Duration(0)
	if au.TTL != nil {
		life = time.Duration(*au.TTL) * time.Second
	} else if c.spec.REST {
		life = 300 * time.Second
	}
	// Without a source there is nothing to know a caller by. A policy may tell paths of one route apart.
	key := ""
	if life > 0 && len(values) > 0 {
		resource := c.route.Key
		if !au.Simple {
			resource = c.r.Method + " " + c.path
		}
		key = strings.Join(append([]string{au.ID, c.stage.Name, resource}, values...), "\x00")
		if d, ok := c.cache.get(key); ok {
			return c.enter(d)
		}
	}
	d, status, err := c.ask(au, values)
	if err != nil {
		c.o.Log.Warn("authorizer failed", "app", c.o.App, "api", c.spec.ID, "request", c.id, "authorizer", au.Name, "err", err)
		c.refuse(status, map[int]string{401: "Unauthorized", 500: "Internal Server Error"}[status])
		return false
	}
	if key != "" {
		c.cache.put(key, d, life)
	}
	return c.enter(d)
}

// enter lets a request in whose authorizer allows it.
func (c *call) enter(d verdict) bool {
	if !d.allowed {
		if c.spec.REST {
			c.refuse(http.StatusForbidden, "User is not authorized to access this resource")
		} else {
			c.refuse(http.StatusForbidden, "Forbidden")
		}
		return false
	}
	c.auth = d.auth
	return true
}

// ask calls an authorizer. status is what the client gets for an error.
func (c *call) ask(au *apispec.Authorizer, values []string) (d verdict, status int, err error) {
	v2 := au.PayloadFormat == "2.0" && !c.spec.REST
	arn := "arn:aws:execute-api:" + c.o.Region + ":" + account + ":" + c.spec.ID + "/" + c.stage.Name + "/" + c.r.Method + c.path
	var event map[string]any
	source := c.payload1()
	if v2 {
		source = c.payload2()
	}
	if err := json.Unmarshal(source, &event); err != nil {
		return d, http.StatusInternalServerError, err
	}
	event["type"] = "REQUEST"
	delete(event, "body")
	delete(event, "isBase64Encoded")
	if v2 {
		event["routeArn"], event["identitySource"] = arn, values
	} else {
		event["methodArn"], event["identitySource"] = arn, strings.Join(values, ",")
		if len(values) > 0 {
			event["authorizationToken"] = values[0]
		}
	}
	if au.Type == "TOKEN" {
		event = map[string]any{"type": "TOKEN", "methodArn": arn, "authorizationToken": strings.Join(values, ",")}
	}
	payload, err := json.Marshal(event)
	if err != nil {
		return d, http.StatusInternalServerError, err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), authorizerTime)
	defer cancel()
	began := time.Now()
	res, err := c.o.Functions.Invoke(ctx, c.o.App, expand(au.URI, c.stage.Variables), payload, sluice.ConnID{})
	switch {
	case err != nil:
		return d, http.StatusInternalServerError, err
	case res.Failure != nil && res.Failure.Message == "Unauthorized":
		return d, http.StatusUnauthorized, errors.New("the authorizer refuses")
	case res.Failure != nil:
		return d, http.StatusInternalServerError, errors.New(res.Failure.Type + ": " + res.Failure.Message)
	}
	if d, err = c.read(au, res.Payload, arn, v2, time.Since(began)); err != nil {
		return d, http.StatusInternalServerError, err
	}
	return d, 0, nil
}

// read reads what an authorizer answers: the simple form of 2.0, or a policy.
func (c *call) read(au *apispec.Authorizer, payload []byte, arn string, v2 bool, took time.Duration) (verdict, error) {
	var said struct {
		Authorized *bool           `json:"isAuthorized"`
		Context    map[string]any  `json:"context"`
		Principal  string          `json:"principalId"`
		Policy     json.RawMessage `json:"policyDocument"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return verdict{}, err
	}
	if v2 && au.Simple {
		if said.Authorized == nil {
			return verdict{}, errors.New("its answer has no isAuthorized")
		}
		return verdict{*said.Authorized, map[string]any{"lambda": said.Context}}, nil
	}
	if said.Principal == "" || said.Policy == nil {
		return verdict{}, errors.New("its answer has no principalId or no policyDocument")
	}
	allowed, err := c.o.Allows(said.Policy, arn, clientIP(c.r))
	if err != nil {
		return verdict{}, err
	}
	if v2 {
		return verdict{allowed, map[string]any{"lambda": said.Context}}, nil
	}
	auth := map[string]any{"principalId": said.Principal, "integrationLatency": took.Milliseconds()}
	for name, v := range said.Context {
		auth[name] = text(v)
	}
	return verdict{allowed, auth}, nil
}
