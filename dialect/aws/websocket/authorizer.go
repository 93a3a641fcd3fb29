package websocket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
	"github.com/sluicehq/sluice/dialect/aws/websocket/policy"
)

// invoke is the action that policies of authorizers are asked about.
const invoke = "execute-api:Invoke"

// authorizer is a function that decides who may connect (aws.md 1.8).
type authorizer struct {
	st       *Stage
	function string
	sources  []source
}

func (st *Stage) newAuthorizer(spec *apispec.Authorizer) (*authorizer, error) {
	a := &authorizer{st: st}
	var err error
	if a.function, _, _, err = backendOf(st.expand(spec.URI)); err != nil || a.function == "" {
		return nil, fmt.Errorf("authorizer %q does not name a function", spec.Name)
	}
	for _, s := range spec.IdentitySource {
		src, err := newSource(s)
		if err != nil {
			return nil, fmt.Errorf("authorizer %q: %w", spec.Name, err)
		}
		a.sources = append(a.sources, src)
	}
	return a, nil
}

// authorize lets a handshake through or not: API key, then IAM or the authorizer.
func (st *Stage) authorize(ctx context.Context, c *call, r *route) error {
	fromAuthorizer := st.api.spec.APIKeySelectionExpression == "$context.authorizer.usageIdentifierKey"
	id := identity{}
	if r.spec.APIKeyRequired && !fromAuthorizer {
		if !st.apiKey(&id, c.ev.Conn.Handshake.Header.Get("X-Api-Key")) {
			return forbidden()
		}
	}
	switch {
	case r.spec.AuthorizationType == "AWS_IAM":
		signed, err := st.signed(c.ev.Conn.Handshake)
		if err != nil {
			return err
		}
		st.caller(&id, signed)
	case r.authorizer != nil:
		if err := r.authorizer.ask(ctx, c); err != nil {
			return err
		}
	}
	if r.spec.APIKeyRequired && fromAuthorizer && !st.apiKey(&id, c.usage) {
		return forbidden()
	}
	if id != (identity{}) {
		c.attrs[attrIdentity] = string(encode(id))
	}
	return nil
}

// apiKey looks an API key up.
func (st *Stage) apiKey(id *identity, value string) bool {
	for _, k := range st.api.spec.Keys {
		if value != "" && k.Value == value {
			id.APIKey, id.APIKeyID = k.Value, k.ID
			return true
		}
	}
	return false
}

// signed checks the signature of a handshake: in its headers, or in its query, where browsers have it.
func (st *Stage) signed(hs *sluice.Handshake) (*sigv4.Signed, error) {
	r := &http.Request{
		Method: http.MethodGet, URL: &url.URL{Path: hs.Path, RawQuery: hs.RawQuery}, Host: hs.Host,
		Header: hs.Header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	signed, fail := st.apis.o.Verifier.Verify(r, []byte{})
	if fail != nil {
		return nil, signatureFault(fail)
	}
	if !st.may(signed.Principal) {
		return nil, forbidden()
	}
	return signed, nil
}

// may reports whether whoever signed may use the app's APIs: the app, and the operator.
func (st *Stage) may(p access.Principal) bool { return p.Admin() || p.App == st.api.app.name }

// caller is who signed, as events name him.
func (st *Stage) caller(id *identity, s *sigv4.Signed) {
	account := st.apis.o.Account
	id.AccessKey, id.AccountID, id.Caller, id.User = s.KeyID, account, s.KeyID, s.KeyID
	switch {
	case s.Function != "":
		id.UserARN = "arn:aws:sts::" + account + ":assumed-role/" + string(s.App) + "/" + string(s.Function)
	case s.App != "":
		id.UserARN = "arn:aws:iam::" + account + ":user/" + string(s.App)
	default:
		id.UserARN = "arn:aws:iam::" + account + ":root"
	}
}

// arn names what of the stage is used: "$connect", "POST/@connections/{id}".
func (st *Stage) arn(what string) string {
	return "arn:aws:execute-api:" + st.api.app.region + ":" + st.apis.o.Account + ":" + st.api.spec.ID + "/" + st.spec.Name + "/" + what
}

// ask has the function decide, and keeps what it says of the client.
func (a *authorizer) ask(ctx context.Context, c *call) error {
	unauthorized := &fault{status: http.StatusUnauthorized, text: "Unauthorized", kind: "UnauthorizedException"}
	for _, s := range a.sources {
		if vals := s.values(c, nil); len(vals) == 0 || vals[0] == "" {
			return unauthorized
		}
	}
	broken := func(err error) error {
		return &fault{status: http.StatusInternalServerError, kind: "AuthorizerConfigurationException", body: bodyAuthorizerFailed, err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, authorizerTimeout)
	defer cancel()
	arn := a.st.arn(routeConnect)
	began := a.st.apis.o.Now()
	res, err := a.st.apis.o.Functions.Invoke(ctx, a.st.api.app.name, a.function, c.authorizerEvent(arn), c.ev.Conn.ID)
	took := a.st.apis.o.Now().Sub(began).Milliseconds()
	switch {
	case err != nil:
		return broken(err)
	case res.Failure != nil && res.Failure.Message == "Unauthorized":
		return unauthorized
	case res.Failure != nil:
		return broken(fmt.Errorf("authorizer %s: %s", a.function, res.Failure.Message))
	case len(res.Payload) > a.st.apis.o.MaxAuthorizer:
		return broken(fmt.Errorf("authorizer %s: its answer has %d bytes, %d are the most", a.function, len(res.Payload), a.st.apis.o.MaxAuthorizer))
	}
	v, err := readVerdict(res.Payload)
	if err != nil {
		return broken(fmt.Errorf("authorizer %s: %w", a.function, err))
	}
	decision := v.policy.Decide(policy.Request{
		Action: invoke, Resource: arn,
		Context: map[string]string{"aws:sourceip": sourceIP(c.ev.Conn), "aws:useragent": c.attrs[attrAgent]},
	})
	if decision != policy.Allow {
		text := textDenied
		if decision == policy.Deny {
			text = textDeniedExplicitly
		}
		return &fault{status: http.StatusForbidden, kind: "AccessDeniedException", body: `{"Message":` + string(quote(text)) + `}`}
	}
	said := v.context(took)
	if len(said) > maxSaid { // the gateway room would not keep it
		return broken(fmt.Errorf("authorizer %s: what it says takes %d bytes as text, %d are the most", a.function, len(said), maxSaid))
	}
	c.usage = v.usage
	c.attrs[attrAuthorizer] = said
	return nil
}

// Allows reports whether the policy that an authorizer returned lets a client at an address use a
// resource of an API: some statement allows it, and none denies.
func Allows(document json.RawMessage, resource, sourceIP string) (bool, error) {
	p, err := policy.Parse(document)
	if err != nil {
		return false, err
	}
	return p.Decide(policy.Request{Action: invoke, Resource: resource, Context: map[string]string{"aws:sourceip": sourceIP}}) == policy.Allow, nil
}

// verdict is an authorizer's answer.
type verdict struct {
	principal string
	policy    *policy.Document
	said      *document.Object // what it tells functions of the client; nil is nothing
	usage     string
}

func readVerdict(b []byte) (v verdict, err error) {
	var raw struct {
		Principal json.RawMessage `json:"principalId"`
		Policy    json.RawMessage `json:"policyDocument"`
		Context   json.RawMessage `json:"context"`
		Usage     string          `json:"usageIdentifierKey"`
	}
	if err := json.Unmarshal(b, &raw); err != nil {
		return v, err
	}
	if json.Unmarshal(raw.Principal, &v.principal) != nil || v.principal == "" {
		return v, errors.New("its answer has no principalId")
	}
	if v.policy, err = policy.Parse(raw.Policy); err != nil {
		return v, err
	}
	v.usage = raw.Usage
	if len(raw.Context) == 0 || bytes.Equal(raw.Context, []byte("null")) {
		return v, nil
	}
	doc, err := document.Parse(raw.Context)
	if err != nil {
		return v, err
	}
	var ok bool
	if v.said, ok = doc.(*document.Object); !ok {
		return v, errors.New("its context is no object")
	}
	for _, key := range v.said.Keys() {
		m, _ := v.said.Get(key)
		switch m.(type) {
		case string, bool, json.Number, nil:
		default:
			return v, fmt.Errorf("%s of its context is neither text, number nor boolean", key)
		}
	}
	return v, nil
}

// context is requestContext.authorizer of later events.
func (v verdict) context(took int64) string {
	o := &document.Object{}
	o.Set("principalId", v.principal)
	o.Set("integrationLatency", json.Number(strconv.FormatInt(took, 10)))
	if v.usage != "" {
		o.Set("usageIdentifierKey", v.usage)
	}
	if v.said != nil {
		for _, key := range v.said.Keys() {
			if m, _ := v.said.Get(key); m != nil && key != "principalId" && key != "integrationLatency" {
				o.Set(key, contextValue(m))
			}
		}
	}
	return string(document.Marshal(o))
}

// signatureFault words why a signature is refused (aws.md 2).
func signatureFault(e *sigv4.Error) *fault {
	f := &fault{status: http.StatusForbidden, text: e.Message, kind: "InvalidSignatureException"}
	switch e.Reason {
	case sigv4.Missing:
		f.kind, f.text = "MissingAuthenticationTokenException", "Missing Authentication Token"
	case sigv4.Incomplete:
		f.kind = "IncompleteSignatureException"
	case sigv4.UnknownKey, sigv4.BadToken:
		f.kind = "UnrecognizedClientException"
	case sigv4.TokenExpired, sigv4.Expired:
		f.kind = "ExpiredTokenException"
	case sigv4.Internal:
		return &fault{status: http.StatusInternalServerError, kind: "InternalServerErrorException", text: "Internal server error", ids: true, err: errors.New(e.Message)}
	}
	if strings.TrimSpace(f.text) == "" {
		f.text = "Forbidden"
	}
	return f
}
