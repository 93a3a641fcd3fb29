package codes

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// sessionLife is how long a login lasts: a working day.
const sessionLife = 12 * time.Hour

// hashRounds is the cost of a password check; about 50 ms of one core.
const hashRounds = 200_000

// secrets are the keys as stored.
type secrets struct {
	salt, hash string // of the generated password; empty when the password is given
	key        []byte // signs sessions; changes with the password
}

// prepareSecrets makes the session key and, unless a password is given, the password.
func (b *Book) prepareSecrets(ctx context.Context) error {
	if err := b.putOnce(ctx, tableSecret, Key{{"name", "session"}}, Row{"value": rand.Text() + rand.Text()}); err != nil {
		return err
	}
	if b.password != "" || b.announce == nil {
		return nil
	}
	row, err := b.store.Get(ctx, tableSecret, Key{{"name", "password"}})
	if err != nil || row != nil {
		return err
	}
	password, salt := strings.ToLower(rand.Text()[:12]), rand.Text()
	hash, err := hashPassword(password, salt)
	if err != nil {
		return err
	}
	err = b.store.Put(ctx, tableSecret, Key{{"name", "password"}}, Row{"salt": salt, "value": hash}, Expect{Absent: true})
	if errors.Is(err, ErrCondition) { // another instance was first, and announced its own
		return nil
	}
	if err == nil {
		b.announce(password)
	}
	return err
}

// loadSecrets reads the keys once.
func (b *Book) loadSecrets(ctx context.Context) (*secrets, error) {
	b.mu.Lock()
	s := b.secrets
	b.mu.Unlock()
	if s != nil {
		return s, nil
	}
	session, err := b.store.Get(ctx, tableSecret, Key{{"name", "session"}})
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, fmt.Errorf("table %s has no session key", tableSecret)
	}
	s = new(secrets)
	if b.password == "" {
		row, err := b.store.Get(ctx, tableSecret, Key{{"name", "password"}})
		if err != nil {
			return nil, err
		}
		s.salt, s.hash = text(row, "salt"), text(row, "value")
	}
	mac := hmac.New(sha256.New, []byte(text(session, "value")))
	mac.Write([]byte(b.password + "\x00" + s.hash))
	s.key = mac.Sum(nil)
	if b.password == "" && s.hash == "" {
		return s, nil // the password is still to be made: look again next time
	}
	b.mu.Lock()
	b.secrets = s
	b.mu.Unlock()
	return s, nil
}

// Login checks the password and returns a session token with its end.
func (b *Book) Login(ctx context.Context, password string) (token string, expires time.Time, err error) {
	if wait := b.logins.wait("", 30, 10, true); wait > 0 {
		return "", time.Time{}, &Error{Kind: Slow, Text: "too many attempts", After: wait}
	}
	s, err := b.loadSecrets(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	given, want := password, b.password
	if want == "" {
		want = s.hash
		if given, err = hashPassword(password, s.salt); err != nil {
			return "", time.Time{}, err
		}
	}
	x, y := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if want == "" || subtle.ConstantTimeCompare(x[:], y[:]) != 1 {
		return "", time.Time{}, &Error{Kind: Unauthorized, Text: "wrong password"}
	}
	expires = b.now().Add(sessionLife)
	body := strconv.FormatInt(expires.Unix(), 10) + "." + rand.Text()
	return body + "." + sign(s.key, body), expires, nil
}

// CheckSession returns an [Error] of kind [Unauthorized] unless the token is a live session's.
func (b *Book) CheckSession(ctx context.Context, token string) error {
	refused := &Error{Kind: Unauthorized, Text: "log in first"}
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return refused
	}
	s, err := b.loadSecrets(ctx)
	if err != nil {
		return err
	}
	body := token[:cut]
	if !hmac.Equal([]byte(token[cut+1:]), []byte(sign(s.key, body))) {
		return refused
	}
	end, _, _ := strings.Cut(body, ".")
	if n, err := strconv.ParseInt(end, 10, 64); err != nil || b.now().Unix() >= n {
		return refused
	}
	return nil
}

func sign(key []byte, body string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func hashPassword(password, salt string) (string, error) {
	h, err := pbkdf2.Key(sha256.New, password, []byte(salt), hashRounds, 32)
	return hex.EncodeToString(h), err
}
