// Package sigv4 checks and makes AWS Signature Version 4, in headers and in queries (aws.md 8.1).
package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/access"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	stamp     = "20060102T150405Z"
	skew      = 15 * time.Minute
	maxExpiry = 7 * 24 * time.Hour // of a presigned request
	maxKeys   = 1024               // signing keys that are remembered
)

// Unsigned is the payload hash of a body that is not signed.
const Unsigned = "UNSIGNED-PAYLOAD"

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// Reason tells why a request is refused; each service has its own names for it.
type Reason uint8

// The reasons, in the order in which they are looked for.
const (
	Missing      Reason = iota + 1 // no signature at all
	Incomplete                     // a part of it is missing or malformed
	Skewed                         // its date is too far from our clock
	Expired                        // a presigned request's time is over
	WrongScope                     // it is for another service, or its date is not its scope's
	UnknownKey                     // there is no such access key
	BadToken                       // the security token is not ours, or not that key's
	TokenExpired                   // the security token's time is over
	Mismatch                       // it is wrong
	Internal                       // the keys cannot be read
)

// Error is why a request is refused. Message is what AWS's services say.
type Error struct {
	Reason  Reason
	Message string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Keys finds the secret of an access key; access.Keys does.
type Keys interface {
	Lookup(ctx context.Context, id, token string) (string, access.Principal, error)
}

// Relaxed is what Keys may be besides: when it says so, signatures have to be there, whole and in time, but
// not right.
type Relaxed interface{ Relaxed() bool }

// Verifier checks signatures for one service. It is safe for concurrent use.
type Verifier struct {
	keys     Keys
	services []string
	relaxed  bool // signatures are not compared
	now      func() time.Time

	mu      sync.RWMutex // guards derived
	derived map[scope]*key
}

// scope is what a signing key is derived from.
type scope struct{ secret, date, region, service, term string }

// New makes a Verifier that takes signatures scoped to any of services.
func New(keys Keys, services ...string) *Verifier {
	r, ok := keys.(Relaxed)
	return &Verifier{keys: keys, services: services, relaxed: ok && r.Relaxed(), now: time.Now, derived: map[scope]*key{}}
}

// Relaxed reports whether signatures may be wrong.
func (v *Verifier) Relaxed() bool { return v.relaxed }

// At sets the clock, for tests.
func (v *Verifier) At(now func() time.Time) *Verifier {
	v.now = now
	return v
}

// Signed is a request whose signature holds.
type Signed struct {
	access.Principal
	KeyID     string
	Region    string
	Service   string
	Presigned bool
	Unchecked bool   // nobody has compared it: those of chunks need not hold either
	Payload   string // the hash that was signed: hex, Unsigned, or one of the STREAMING- values
	// Time, Scope, Signature and the key go on to the signatures of chunks (aws.md 6.3).
	Time      string
	Scope     string // "20260131/us-east-1/s3/aws4_request"
	Signature string
	key       *key
}

// parts are a signature as a request has it.
type parts struct {
	credential, signed, signature, date, token string
	presigned                                  bool
}

// Verify checks the signature of a request. With a body, its hash is checked, too; without, the caller
// compares the body with Signed.Payload when it has come.
func (v *Verifier) Verify(r *http.Request, body []byte) (*Signed, *Error) {
	p, fail := find(r)
	if fail != nil {
		return nil, fail
	}
	at, err := time.Parse(stamp, p.date)
	if err != nil {
		if at, err = http.ParseTime(p.date); err != nil {
			at, err = time.Parse(time.RFC1123Z, p.date)
		}
		if err != nil {
			return nil, &Error{Incomplete, "Date must be in ISO-8601 'basic format'. Got '" + p.date + "'. See http://en.wikipedia.org/wiki/ISO_8601"}
		}
		at = at.UTC()
		p.date = at.Format(stamp)
	}
	now := v.now().UTC()
	if fail := v.checkTime(r, p, at, now); fail != nil {
		return nil, fail
	}
	s, fail := v.signer(r.Context(), p)
	if fail != nil {
		return nil, fail
	}
	var own bool
	if s.Payload, own = payload(r, p.presigned, s.Service, body); !own && body != nil && wrongHash(s.Payload, body) || !v.relaxed && !s.holds(r, p.signed) {
		return nil, mismatch
	}
	return s, nil
}

var unsigned = &Error{Missing, "Missing Authentication Token"}

var mismatch = &Error{Mismatch, "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}

// signer finds whose a credential is, and the key that it signs with.
func (v *Verifier) signer(ctx context.Context, p parts) (*Signed, *Error) {
	id, all, sc, ok := cutCredential(p.credential)
	if !ok {
		return nil, &Error{Incomplete, "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" + p.credential + "'"}
	}
	if fail := v.checkScope(sc.date, sc.service, sc.term, p.date); fail != nil {
		return nil, fail
	}
	secret, who, err := v.keys.Lookup(ctx, id, p.token)
	if err != nil {
		return nil, lookupError(err)
	}
	sc.secret = secret
	return &Signed{Principal: who, KeyID: id, Region: sc.region, Service: sc.service, Presigned: p.presigned, Unchecked: v.relaxed, Time: p.date,
		Scope: all, Signature: p.signature, key: v.key(sc)}, nil
}

// Policy is a text that is signed in place of a request, as the forms of S3 have it.
type Policy struct{ Text, Algorithm, Credential, Date, Token, Signature string }

// VerifyPolicy checks the signature of a policy. How long that holds, the policy itself says.
func (v *Verifier) VerifyPolicy(ctx context.Context, p Policy) (*Signed, *Error) {
	for _, f := range []struct{ name, value string }{{"X-Amz-Credential", p.Credential}, {"X-Amz-Date", p.Date}, {"X-Amz-Signature", p.Signature}} {
		if f.value == "" {
			return nil, &Error{Incomplete, "Bucket POST must contain a field named '" + f.name + "'.  If it is specified, please check the order of the fields."}
		}
	}
	if p.Algorithm != algorithm {
		return nil, &Error{Incomplete, "X-Amz-Algorithm only supports \"" + algorithm + "\""}
	}
	s, fail := v.signer(ctx, parts{credential: p.Credential, signature: p.Signature, date: p.Date, token: p.Token})
	if fail != nil {
		return nil, fail
	}
	if !v.relaxed && !hmac.Equal([]byte(hex.EncodeToString(mac(s.key.secret, []byte(p.Text)))), []byte(p.Signature)) {
		return nil, mismatch
	}
	return s, nil
}

// holds reports whether the signature is the one that the key makes of the request.
func (s *Signed) holds(r *http.Request, signed string) bool {
	want := s.key.sign(r, s.Service, signed, s.Payload, s.Time, s.Scope)
	var has [len(want)]byte
	return copy(has[:], s.Signature) == len(s.Signature) && subtle.ConstantTimeCompare(want[:], has[:]) == 1
}

// cutCredential takes a credential apart: the key's id, which may have slashes in it, and the scope behind it.
func cutCredential(credential string) (id, all string, sc scope, ok bool) {
	at := len(credential)
	for range 4 {
		if at = strings.LastIndexByte(credential[:at], '/'); at < 0 {
			return "", "", sc, false
		}
	}
	id, all = credential[:at], credential[at+1:]
	date, rest, _ := strings.Cut(all, "/")
	region, rest, _ := strings.Cut(rest, "/")
	service, term, _ := strings.Cut(rest, "/")
	return id, all, scope{date: date, region: region, service: service, term: term}, true
}

// Complete looks whether a request has all parts of a signature, and not whether they hold.
func Complete(r *http.Request) *Error {
	_, fail := find(r)
	return fail
}

// find takes the parts of a signature from the header or the query.
func find(r *http.Request) (parts, *Error) {
	auth := r.Header.Get("Authorization")
	if query := queryOf(r); query.Has("X-Amz-Algorithm") || query.Has("X-Amz-Signature") {
		if auth != "" {
			return parts{}, &Error{Mismatch, "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."}
		}
		var missing strings.Builder
		for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"} {
			if query.Get(name) == "" {
				missing.WriteString("AWS query-string parameters must include '" + name + "'. ")
			}
		}
		if missing.Len() > 0 {
			return parts{}, &Error{Incomplete, missing.String() + "Re-examine the query-string parameters."}
		}
		return parts{query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature"),
			query.Get("X-Amz-Date"), query.Get("X-Amz-Security-Token"), true}, nil
	}
	if !strings.HasPrefix(auth, "AWS4-") {
		return parts{}, unsigned
	}
	// Commas stand between the fields, but AWS takes spaces, too.
	named := ""
	p := parts{date: r.Header.Get("X-Amz-Date"), token: r.Header.Get("X-Amz-Security-Token")}
	if p.date == "" {
		p.date = r.Header.Get("Date")
	}
	for group := range strings.SplitSeq(auth, " ") {
		for field := range strings.SplitSeq(group, ",") {
			name, value, ok := strings.Cut(field, "=")
			if !ok && named == "" {
				named = field
			}
			switch name {
			case "Credential":
				p.credential = value
			case "SignedHeaders":
				p.signed = value
			case "Signature":
				p.signature = value
			}
		}
	}
	var missing strings.Builder
	for _, f := range []struct{ name, value string }{{"Credential", p.credential}, {"Signature", p.signature}, {"SignedHeaders", p.signed}} {
		if f.value == "" {
			missing.WriteString("Authorization header requires '" + f.name + "' parameter. ")
		}
	}
	if p.date == "" {
		missing.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
	}
	if missing.Len() > 0 {
		return parts{}, &Error{Incomplete, missing.String() + "Authorization=" + auth}
	}
	if named != algorithm {
		return parts{}, unsigned
	}
	return p, nil
}

// checkTime holds a request's date against the clock.
func (v *Verifier) checkTime(r *http.Request, p parts, at, now time.Time) *Error {
	if p.presigned {
		seconds, err := strconv.Atoi(r.URL.Query().Get("X-Amz-Expires"))
		life := time.Duration(seconds) * time.Second
		if err != nil { // only S3 asks for it; elsewhere a signature lives as long as one in a header
			life = skew
		}
		if life < 0 || life > maxExpiry {
			return &Error{Incomplete, "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"}
		}
		if now.After(at.Add(life)) {
			return &Error{Expired, "Signature expired: " + p.date + " is now earlier than " + now.Add(-life).Format(stamp) + " (" + now.Format(stamp) + " - " + life.String() + ".)"}
		}
	} else if now.Sub(at) > skew {
		return &Error{Skewed, "Signature expired: " + p.date + " is now earlier than " + now.Add(-skew).Format(stamp) + " (" + now.Format(stamp) + " - 15 min.)"}
	}
	if at.Sub(now) > skew {
		return &Error{Skewed, "Signature not yet current: " + p.date + " is still later than " + now.Add(skew).Format(stamp) + " (" + now.Format(stamp) + " + 15 min.)"}
	}
	return nil
}

func (v *Verifier) checkScope(date, service, term, stamp string) *Error {
	var wrong strings.Builder
	if !slices.Contains(v.services, service) {
		wrong.WriteString("Credential should be scoped to correct service: '" + v.services[0] + "'. ")
	}
	if term != "aws4_request" {
		wrong.WriteString("Credential should be scoped with a valid terminator: 'aws4_request', not '" + term + "'. ")
	}
	if day := stamp[:min(8, len(stamp))]; date != day {
		wrong.WriteString("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" + date + "' != '" + day + "', from '" + stamp + "'. ")
	}
	if wrong.Len() > 0 {
		return &Error{WrongScope, wrong.String()}
	}
	return nil
}

func lookupError(err error) *Error {
	const invalid = "The security token included in the request is invalid."
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		return &Error{UnknownKey, invalid}
	case errors.Is(err, access.ErrBadToken):
		return &Error{BadToken, invalid}
	case errors.Is(err, access.ErrExpired):
		return &Error{TokenExpired, "The security token included in the request is expired"}
	}
	return &Error{Internal, err.Error()}
}

// queryOf is a request's query; nil, which may be read like any, when it has none.
func queryOf(r *http.Request) url.Values {
	if r.URL.RawQuery == "" {
		return nil
	}
	return r.URL.Query()
}

// payload is the hash that the signature has been made with; own says that it is the body's, as we make it.
func payload(r *http.Request, presigned bool, service string, body []byte) (hash string, own bool) {
	if h := r.Header.Get("X-Amz-Content-Sha256"); h != "" {
		return h, false
	}
	if h := queryOf(r).Get("X-Amz-Content-Sha256"); h != "" {
		return h, false
	}
	switch {
	case presigned && service == "s3":
		return Unsigned, false
	case len(body) == 0:
		return emptyHash, true
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), true
}

// wrongHash reports whether a declared hash is of another body.
func wrongHash(declared string, body []byte) bool {
	if declared == Unsigned || strings.HasPrefix(declared, "STREAMING-") {
		return false
	}
	sum := sha256.Sum256(body)
	var text [2 * sha256.Size]byte
	hex.Encode(text[:], sum[:])
	return !strings.EqualFold(declared, string(text[:])) && (declared != emptyHash || len(body) > 0)
}

// key derives a signing key, or remembers it: a key serves a whole day.
func (v *Verifier) key(s scope) *key {
	v.mu.RLock()
	k := v.derived[s]
	v.mu.RUnlock()
	if k != nil {
		return k
	}
	k = derive(s)
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.derived) >= maxKeys {
		clear(v.derived)
	}
	v.derived[s] = k
	return k
}

// key is a signing key. Its desks are used again: an HMAC that has been used once starts with half the work.
type key struct {
	secret []byte
	desks  sync.Pool
}

// desk is what a signature is worked out with.
type desk struct {
	mac hash.Hash
	b   []byte
}

func derive(s scope) *key {
	k := mac([]byte("AWS4"+s.secret), []byte(s.date))
	for _, part := range []string{s.region, s.service, s.term} {
		k = mac(k, []byte(part))
	}
	return &key{secret: k}
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}

// sign is the signature that the key makes of a request, in hex.
func (k *key) sign(r *http.Request, service, signed, payload, date, scope string) (signature [2 * sha256.Size]byte) {
	d, _ := k.desks.Get().(*desk)
	if d == nil {
		d = &desk{mac: hmac.New(sha256.New, k.secret), b: make([]byte, 0, 1024)} // most requests need no more
	}
	defer k.desks.Put(d)
	b := canonical(d.b, r, service, signed, payload)
	sum := sha256.Sum256(b)
	b = append(append(b[:0], algorithm+"\n"...), date...)
	b = append(append(append(b, '\n'), scope...), '\n')
	b = hex.AppendEncode(b, sum[:])
	d.mac.Reset()
	d.mac.Write(b)
	hex.Encode(signature[:], d.mac.Sum(b[:0]))
	return signature
}

// ChunkSignature is the signature of one chunk of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD body, which
// follows prev (the request's own, for the first).
func (s *Signed) ChunkSignature(prev string, chunk []byte) string {
	sum := sha256.Sum256(chunk)
	return s.sign("-PAYLOAD", prev+"\n"+emptyHash+"\n"+hex.EncodeToString(sum[:]))
}

// TrailerSignature is that of the trailing headers of such a body, each "name:value\n".
func (s *Signed) TrailerSignature(prev, trailers string) string {
	sum := sha256.Sum256([]byte(trailers))
	return s.sign("-TRAILER", prev+"\n"+hex.EncodeToString(sum[:]))
}

func (s *Signed) sign(kind, text string) string {
	return hex.EncodeToString(mac(s.key.secret, []byte(algorithm+kind+"\n"+s.Time+"\n"+s.Scope+"\n"+text)))
}

// Sign signs a request in its headers, as the SDKs do.
func Sign(r *http.Request, body []byte, c access.Credentials, region, service string, now time.Time) {
	now = now.UTC()
	r.Header.Set("X-Amz-Date", now.Format(stamp))
	if c.Token != "" {
		r.Header.Set("X-Amz-Security-Token", c.Token)
	}
	if r.Header.Get("X-Amz-Content-Sha256") == "" {
		sum := sha256.Sum256(body)
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	}
	names := []string{"host"}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "content-type" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	signed := strings.Join(names, ";")
	sc := scope{c.Secret, now.Format("20060102"), region, service, "aws4_request"}
	full := sc.date + "/" + region + "/" + service + "/" + sc.term
	sig := derive(sc).sign(r, service, signed, r.Header.Get("X-Amz-Content-Sha256"), now.Format(stamp), full)
	r.Header.Set("Authorization", algorithm+" Credential="+c.ID+"/"+full+", SignedHeaders="+signed+", Signature="+string(sig[:]))
}
