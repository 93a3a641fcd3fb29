package wall

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

// sessionLife is how long a login lasts: a long event with its rehearsal.
const sessionLife = 24 * time.Hour

// hashRounds is the cost of a password check; about 50 ms of one core.
const hashRounds = 200_000

// secrets are the room's keys as stored.
type secrets struct {
	salt, hash string // of the generated password; empty when the password is given
	key        []byte // signs sessions; changes with the password
}

// prepareSecrets makes the session key and, unless a password is given, the password.
func (w *Wall) prepareSecrets(ctx context.Context) error {
	if err := w.putOnce(ctx, tableSecret, Key{{"name", "session"}}, Row{"value": rand.Text() + rand.Text()}); err != nil {
		return err
	}
	if w.password != "" || w.announce == nil {
		return nil
	}
	row, err := w.store.Get(ctx, tableSecret, Key{{"name", "password"}})
	if err != nil || row != nil {
		return err
	}
	password, salt := strings.ToLower(rand.Text()[:12]), rand.Text()
	hash, err := hashPassword(password, salt)
	if err != nil {
		return err
	}
	_, err = w.store.Put(ctx, tableSecret, Key{{"name", "password"}}, Row{"salt": salt, "value": hash}, Expect{Absent: true})
	if errors.Is(err, ErrCondition) { // another instance was first, and announced its own
		return nil
	}
	if err == nil {
		w.announce(password)
	}
	return err
}

// loadSecrets reads the keys once.
func (w *Wall) loadSecrets(ctx context.Context) (*secrets, error) {
	w.mu.Lock()
	s := w.secrets
	w.mu.Unlock()
	if s != nil {
		return s, nil
	}
	session, err := w.store.Get(ctx, tableSecret, Key{{"name", "session"}})
	if err != nil {
		return nil, err
	}
	if session == nil {
		return nil, fmt.Errorf("table %s has no session key", tableSecret)
	}
	s = new(secrets)
	if w.password == "" {
		row, err := w.store.Get(ctx, tableSecret, Key{{"name", "password"}})
		if err != nil {
			return nil, err
		}
		s.salt, s.hash = text(row, "salt"), text(row, "value")
	}
	mac := hmac.New(sha256.New, []byte(text(session, "value")))
	mac.Write([]byte(w.password + "\x00" + s.hash))
	s.key = mac.Sum(nil)
	if w.password == "" && s.hash == "" {
		return s, nil // the password is still to be made: look again next time
	}
	w.mu.Lock()
	w.secrets = s
	w.mu.Unlock()
	return s, nil
}

// Login checks the password and returns a session token with its end.
func (w *Wall) Login(ctx context.Context, password string) (token string, expires time.Time, err error) {
	if wait := w.logins.Take("", 30, 10); wait > 0 {
		return "", time.Time{}, &Error{Kind: Slow, Text: "too many attempts", After: wait}
	}
	s, err := w.loadSecrets(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	given, want := password, w.password
	if want == "" {
		want = s.hash
		if given, err = hashPassword(password, s.salt); err != nil {
			return "", time.Time{}, err
		}
	}
	a, b := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(want))
	if want == "" || subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return "", time.Time{}, &Error{Kind: Unauthorized, Text: "wrong password"}
	}
	expires = w.now().Add(sessionLife)
	body := strconv.FormatInt(expires.Unix(), 10) + "." + rand.Text()
	return body + "." + sign(s.key, body), expires, nil
}

// CheckSession returns an [Error] of kind [Unauthorized] unless the token is a live session's.
func (w *Wall) CheckSession(ctx context.Context, token string) error {
	refused := &Error{Kind: Unauthorized, Text: "log in first"}
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return refused
	}
	s, err := w.loadSecrets(ctx)
	if err != nil {
		return err
	}
	body := token[:cut]
	if !hmac.Equal([]byte(token[cut+1:]), []byte(sign(s.key, body))) {
		return refused
	}
	end, _, _ := strings.Cut(body, ".")
	if n, err := strconv.ParseInt(end, 10, 64); err != nil || w.now().Unix() >= n {
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
