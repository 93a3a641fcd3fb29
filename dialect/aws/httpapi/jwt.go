package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// keysLife is how long an issuer's keys are believed; an unknown key id has them read again, at most
// once in keysRetry.
const (
	keysLife  = time.Hour
	keysRetry = 10 * time.Second
	keysTime  = 10 * time.Second // to read them
	maxKeys   = 1 << 20          // bytes of an issuer's documents
)

// issuers keep the keys of those whose tokens are taken.
type issuers struct {
	client *http.Client
	now    func() time.Time
	mu     sync.Mutex // guards known
	known  map[string]issuerKeys
}

type issuerKeys struct {
	set  *jose.JSONWebKeySet
	read time.Time
}

func newIssuers(c *http.Client, now func() time.Time) *issuers {
	return &issuers{client: c, now: now, known: map[string]issuerKeys{}}
}

// key finds an issuer's key.
func (s *issuers) key(ctx context.Context, issuer, id string) (*jose.JSONWebKey, error) {
	s.mu.Lock()
	k, ok := s.known[issuer]
	s.mu.Unlock()
	age := s.now().Sub(k.read)
	if ok && age < keysLife {
		if found := k.set.Key(id); len(found) > 0 {
			return &found[0], nil
		}
		if age < keysRetry {
			return nil, fmt.Errorf("issuer %s has no key %q", issuer, id)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, keysTime)
	defer cancel()
	set, err := s.read(ctx, issuer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.known[issuer] = issuerKeys{set, s.now()}
	s.mu.Unlock()
	if found := set.Key(id); len(found) > 0 {
		return &found[0], nil
	}
	return nil, fmt.Errorf("issuer %s has no key %q", issuer, id)
}

func (s *issuers) read(ctx context.Context, issuer string) (*jose.JSONWebKeySet, error) {
	var about struct {
		Keys string `json:"jwks_uri"`
	}
	if err := s.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	return &set, s.get(ctx, about.Keys, &set)
}

func (s *issuers) get(ctx context.Context, address string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	res, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, res.Status)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxKeys)).Decode(v)
}

var errScope = errors.New("insufficient_scope")

// check takes a token apart when it holds: its claims as an event tells them, and the scopes of the
// route that it has (section 4).
func (s *issuers) check(ctx context.Context, token string, want *apispec.JWT, scopes []string) (map[string]any, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.ES256})
	if err != nil {
		return nil, err
	}
	if len(parsed.Headers) != 1 {
		return nil, errors.New("a token has one signature")
	}
	key, err := s.key(ctx, want.Issuer, parsed.Headers[0].KeyID)
	if err != nil {
		return nil, err
	}
	var standard jwt.Claims
	all := map[string]any{}
	if err := parsed.Claims(key, &standard, &all); err != nil {
		return nil, err
	}
	if standard.Expiry == nil {
		return nil, errors.New("the token has no end")
	}
	if err := standard.ValidateWithLeeway(jwt.Expected{Issuer: want.Issuer, Time: s.now()}, 0); err != nil {
		return nil, err
	}
	client, _ := all["client_id"].(string)
	ours := func(a string) bool { return slices.Contains(want.Audience, a) }
	if len(standard.Audience) > 0 && !slices.ContainsFunc(standard.Audience, ours) || len(standard.Audience) == 0 && !ours(client) {
		return nil, errors.New("the token is for others")
	}
	given := strings.Fields(claimText(all["scope"]))
	if len(given) == 0 {
		given = strings.Fields(strings.Trim(claimText(all["scp"]), "[]"))
	}
	var granted []string
	for _, sc := range scopes {
		if slices.Contains(given, sc) {
			granted = append(granted, sc)
		}
	}
	if len(scopes) > 0 && granted == nil {
		return nil, errScope
	}
	claims := map[string]string{}
	for name, v := range all {
		claims[name] = claimText(v)
	}
	var has any
	if granted != nil {
		has = granted
	}
	return map[string]any{"jwt": map[string]any{"claims": claims, "scopes": has}}, nil
}

// claimText is a claim as events carry it: always a text.
func claimText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		parts := make([]string, len(v))
		for i, x := range v {
			parts[i] = claimText(x)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return text(v)
}
