package access

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/kv/memory"
)

func open(t *testing.T) *Keys {
	t.Helper()
	k, err := Open(t.Context(), memory.New())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestATokenIsCheckedAtEachUse(t *testing.T) {
	k, foreign := open(t), open(t)
	now := time.Unix(1_700_000_000, 0)
	k.now = func() time.Time { return now }
	foreign.now = k.now
	who := Principal{App: "app", Function: "f"}
	c := k.Temporary("ASIA", who, time.Hour)
	other := foreign.Temporary("ASIA", who, time.Hour)
	changed := strings.Replace(c.Token, c.Token[:1], string(c.Token[0]^1), 1)
	for range 2 { // the second time it is remembered
		for _, use := range []struct {
			name, id, token string
			want            error
		}{
			{"its own id", c.ID, c.Token, nil},
			{"another's id", other.ID, c.Token, ErrBadToken},
			{"another server's", other.ID, other.Token, ErrBadToken},
			{"changed", c.ID, changed, ErrBadToken},
			{"without its signature", c.ID, strings.Split(c.Token, ".")[0], ErrBadToken},
			{"no token of ours", c.ID, "x", ErrBadToken},
		} {
			secret, p, err := k.Lookup(t.Context(), use.id, use.token)
			if !errors.Is(err, use.want) {
				t.Errorf("%s: %v", use.name, err)
			}
			if err == nil && (secret != c.Secret || p != who) || err != nil && secret != "" {
				t.Errorf("%s: secret %q of %+v", use.name, secret, p)
			}
		}
	}
	now = now.Add(time.Hour)
	if _, _, err := k.Lookup(t.Context(), c.ID, c.Token); !errors.Is(err, ErrExpired) {
		t.Errorf("after its time: %v", err)
	}
}

func TestOnlySoManyTokensAreRemembered(t *testing.T) {
	k := open(t)
	for range maxTokens + 10 {
		c := k.Temporary("ASIA", Principal{App: "app"}, time.Hour)
		if secret, _, err := k.Lookup(t.Context(), c.ID, c.Token); err != nil || secret != c.Secret {
			t.Fatal(err)
		}
	}
	if len(k.tokens) > maxTokens {
		t.Errorf("%d are remembered", len(k.tokens))
	}
}

func TestAppsKeys(t *testing.T) {
	k := open(t)
	first, err := k.AppKey(t.Context(), "app")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.AppKey(t.Context(), "app"); err != nil || again != first {
		t.Errorf("asked again: %+v, %v", again, err)
	}
	if secret, p, err := k.Lookup(t.Context(), first.ID, ""); err != nil || secret != first.Secret || p.App != "app" || p.Admin() {
		t.Errorf("%q of %+v, %v", secret, p, err)
	}
	if err := k.Drop(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := k.Lookup(t.Context(), first.ID, ""); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("after Drop: %v", err)
	}
}
