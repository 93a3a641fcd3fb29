// Package access knows who may sign requests: access keys of apps and of the operator, temporary
// credentials of functions.
//
// Long-lived keys are rows in kv. Temporary credentials are not stored: their token carries who they
// are for and until when, and their secret is derived from the token with the master key, so that any
// node that shares the store can check them.
package access

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv"
)

// Lookup errors, which each dialect words its own way.
var (
	ErrUnknownKey = errors.New("access: no such access key")
	ErrBadToken   = errors.New("access: malformed or foreign security token")
	ErrExpired    = errors.New("access: security token expired")
)

// Principal is who signed.
type Principal struct {
	App      sluice.AppName      `json:"app,omitempty"` // "" is the operator, who may do everything
	Function sluice.FunctionName `json:"fn,omitempty"`
}

// Admin reports whether the principal is the operator.
func (p Principal) Admin() bool { return p.App == "" }

// Credentials sign requests. Token is empty for long-lived keys.
type Credentials struct {
	ID      string    `json:"id"`
	Secret  string    `json:"secret"`
	Token   string    `json:"token,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// Keys is the room. It is safe for concurrent use.
type Keys struct {
	store  kv.Store
	now    func() time.Time
	master []byte

	mu     sync.RWMutex // guards the fields below
	cache  map[string]row
	tokens map[string]temporary
}

type row struct {
	Secret    string    `json:"secret"`
	Principal Principal `json:"principal"`
}

// temporary is what a token that was checked once says, and the secret that it makes.
type temporary struct {
	claims
	secret string
}

// maxTokens is how many tokens are remembered: a function has one.
const maxTokens = 4096

const (
	masterKey = "P/master"
	keyPrefix = "P/key/"
	appPrefix = "P/app/"
)

// Open reads the master key, or makes it in an empty store.
func Open(ctx context.Context, store kv.Store) (*Keys, error) {
	fresh := make([]byte, 32)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make master key: %w", err)
	}
	k := &Keys{store: store, now: time.Now, cache: map[string]row{}, tokens: map[string]temporary{}}
	err := store.Update(ctx, kv.Locks{Keys: [][]byte{[]byte(masterKey)}}, func(tx kv.Txn) error {
		v, ok, err := tx.Get([]byte(masterKey))
		if err != nil {
			return err
		}
		if ok {
			k.master = append([]byte(nil), v...)
			return nil
		}
		k.master = fresh
		tx.Put([]byte(masterKey), fresh)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read master key: %w", err)
	}
	return k, nil
}

// AppKey returns the long-lived key pair of an app ("" is the operator's), made on first use.
func (k *Keys) AppKey(ctx context.Context, app sluice.AppName) (Credentials, error) {
	ref := []byte(appPrefix + string(app))
	fresh := Credentials{ID: "SLAK" + strings.ToUpper(randomHex(8)), Secret: randomHex(16)}
	var c Credentials
	err := k.store.Update(ctx, kv.Locks{Keys: [][]byte{ref}}, func(tx kv.Txn) error {
		id, ok, err := tx.Get(ref)
		if err != nil {
			return err
		}
		if ok {
			v, ok, err := tx.Get([]byte(keyPrefix + string(id)))
			if err != nil {
				return err
			}
			var r row
			if !ok || json.Unmarshal(v, &r) != nil {
				return fmt.Errorf("access key %s of app %q: %w", id, app, kv.ErrCorrupt)
			}
			c = Credentials{ID: string(id), Secret: r.Secret}
			return nil
		}
		c = fresh
		v, _ := json.Marshal(row{Secret: c.Secret, Principal: Principal{App: app}})
		tx.Put([]byte(keyPrefix+c.ID), v)
		tx.Put(ref, []byte(c.ID))
		return nil
	})
	return c, err
}

// Drop removes the key pair of an app.
func (k *Keys) Drop(ctx context.Context, app sluice.AppName) error {
	ref := []byte(appPrefix + string(app))
	var id string
	err := k.store.Update(ctx, kv.Locks{Keys: [][]byte{ref}}, func(tx kv.Txn) error {
		v, ok, err := tx.Get(ref)
		if err != nil || !ok {
			return err
		}
		id = string(v)
		tx.Delete(ref)
		tx.Delete([]byte(keyPrefix + id))
		return nil
	})
	k.mu.Lock()
	delete(k.cache, id)
	k.mu.Unlock()
	return err
}

// claims is what a token says; field names are short because tokens travel in headers.
type claims struct {
	ID      string              `json:"i"`
	App     sluice.AppName      `json:"a"`
	Fn      sluice.FunctionName `json:"f,omitempty"`
	Expires int64               `json:"e"` // unix seconds
}

// Temporary makes credentials for a principal that end after ttl. prefix begins the key id ("STS." for
// Alibaba, "ASIA" for AWS, "AKID" for Tencent: SDKs look at it).
func (k *Keys) Temporary(prefix string, p Principal, ttl time.Duration) Credentials {
	end := k.now().Add(ttl).Truncate(time.Second)
	c := claims{ID: prefix + strings.ToUpper(randomHex(8)), App: p.App, Fn: p.Function, Expires: end.Unix()}
	body, _ := json.Marshal(c)
	token := base64.RawURLEncoding.EncodeToString(body) + "." + k.mac("token", body)
	return Credentials{ID: c.ID, Secret: k.mac("secret", []byte(token))[:32], Token: token, Expires: end}
}

// Lookup finds the secret with which a request must have been signed, and who that is. token is the
// security token that came along, or empty.
func (k *Keys) Lookup(ctx context.Context, id, token string) (secret string, p Principal, err error) {
	if token != "" {
		t, err := k.temporary(token)
		switch {
		case err != nil, t.ID != id:
			return "", p, ErrBadToken
		case k.now().Unix() >= t.Expires:
			return "", p, ErrExpired
		}
		return t.secret, Principal{App: t.App, Function: t.Fn}, nil
	}
	k.mu.RLock()
	r, ok := k.cache[id]
	k.mu.RUnlock()
	if ok {
		return r.Secret, r.Principal, nil
	}
	if id == "" {
		return "", p, ErrUnknownKey
	}
	err = k.store.View(ctx, func(rd kv.Reader) error {
		v, ok, err := rd.Get([]byte(keyPrefix + id))
		if err != nil {
			return err
		}
		if !ok {
			return ErrUnknownKey
		}
		return json.Unmarshal(v, &r)
	})
	if err != nil {
		return "", p, err
	}
	k.mu.Lock()
	k.cache[id] = r
	k.mu.Unlock()
	return r.Secret, r.Principal, nil
}

// temporary checks a token, or remembers that it did.
func (k *Keys) temporary(token string) (t temporary, err error) {
	k.mu.RLock()
	t, ok := k.tokens[token]
	k.mu.RUnlock()
	if ok {
		return t, nil
	}
	body, mac, ok := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(body)
	var c claims
	if !ok || err != nil || !hmac.Equal([]byte(mac), []byte(k.mac("token", raw))) || json.Unmarshal(raw, &c) != nil {
		return t, ErrBadToken
	}
	t = temporary{c, k.mac("secret", []byte(token))[:32]}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.tokens) >= maxTokens {
		clear(k.tokens)
	}
	k.tokens[strings.Clone(token)] = t
	return t, nil
}

func (k *Keys) mac(purpose string, data []byte) string {
	h := hmac.New(sha256.New, k.master)
	h.Write([]byte(purpose))
	h.Write([]byte{0})
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// Derive makes 32 secret bytes for a purpose, the same on every node that shares the store and for ever.
func (k *Keys) Derive(purpose string) []byte {
	h := hmac.New(sha256.New, k.master)
	h.Write([]byte("derive " + purpose))
	return h.Sum(nil)
}
