// Package config is the settings of one sluice process: one struct, filled from defaults, then a YAML
// file, then SLUICE_* variables, then flags. The three spell the same keys: listen, --listen,
// SLUICE_LISTEN; admin-password, --admin-password, SLUICE_ADMIN_PASSWORD.
//
// What can be set of a cloud's dialect has dots in its key: aws.websocket.idle, --aws.websocket.idle,
// SLUICE_AWS_WEBSOCKET_IDLE. In the file the parts may stand below each other:
//
//	aws:
//	  strict: true
//	  websocket: {idle: 1m, max-message: 256KB}
//
// config.go has the struct and fills it; settings.go has the keys.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is every setting. Rooms and dialects never see it: package server fills their options from it.
type Config struct {
	Data          string        // data folder. Default: .sluice beside the template (dev), ./sluice-data (serve)
	Listen        []string      // public addresses. Default 127.0.0.1:8080; port 0 takes a free one
	Admin         string        // admin address. Default 127.0.0.1:4566; port 0 takes a free one
	AdminPassword string        // asked for on the admin listener (user admin); must be set when it is not loopback
	LogLevel      string        // debug, info, warn, error. Default info (dev: warn)
	IdleTTL       time.Duration // how long an idle instance lives. Default 5m (dev: 15m)
	Node          uint16        // this node's number. Default 1
	WSURLFix      string        // auto, off: correct the port for sockets in pages of a cloud where it is 8080. Default auto
	Drain         time.Duration // window over which connections are told to go at a stop; the last has as long again to go, at least 1s. Default 3s (dev: 1s)

	AWS     AWS
	Aliyun  Aliyun
	Tencent Tencent
}

// AWS is what can be set of the AWS dialect (aws.md).
type AWS struct {
	Auth        string       // verify, relaxed: whether signatures have to be right (8.1). Default verify
	Passthrough []string     // hosts of AWS that sluice does not serve and functions may ask (8.4). Default none
	Inject      string       // auto, hook, proxy, off: how functions that ask for AWS's names come to us (8.4). Default auto: by both
	Strict      bool         // quotas that sluice leaves off are AWS's (1.12). Default false
	WebSocket   AWSWebSocket // of WebSocket APIs
	API         AWSAPI       // of the description of APIs
}

// AWSWebSocket is the quotas and ways of AWS's WebSocket APIs. The zero value of a field is its default,
// Off is none.
type AWSWebSocket struct {
	Ordered       bool          // a connection's message waits until the one before is answered (1.11). Default false
	AcceptBinary  bool          // binary messages go to $default as base64, else close 1003 (1.5). Default false
	MaxFrame      int           // bytes of one frame from a client (1.12). Default 32 KB
	MaxMessage    int           // bytes of one message, up and down (1.12). Default 128 KB
	Idle          time.Duration // without a message up or down (1.12). Default 10m
	MaxLife       time.Duration // of a connection (1.12). Default Off (strict: 2h)
	Ping          time.Duration // to a client that was silent for so long (1.11). Default 30s
	MaxPings      int           // in a row without an answer: the client is lost (1.11). Default 2
	ConnectRate   float64       // new connections a second over all APIs (1.12). Default Off (strict: 500)
	RequestRate   float64       // messages and @connections calls a second over all APIs (1.12). Default Off (strict: 10000)
	RequestBurst  int           // of them at once. Default RequestRate (strict: 5000)
	Timeout       time.Duration // of an integration (1.12). Default 29s
	MaxAuthorizer int           // bytes of an authorizer's answer (1.12). Default 8 KB
}

// AWSAPI is how much one WebSocket or HTTP API may have (1.12). The zero value of a field is its default,
// Off is without limit.
type AWSAPI struct {
	Routes       int // default 300
	Integrations int // default 300
	Stages       int // default 10
	Authorizers  int // default 10
}

// Aliyun is what can be set of the Alibaba Cloud dialect. What belongs to one gateway stands in its
// template instead (aliyun.md).
type Aliyun struct {
	Tablestore Tablestore
}

// Tablestore is the quotas and ways of Tablestore (tablestore.md).
type Tablestore struct {
	Strict    bool // refuse what the documents forbid and sluice otherwise allows. Default false
	MaxTables int  // tables and index tables of one instance. Default 64
}

// Tencent is what can be set of the Tencent Cloud dialect (tencent.md).
type Tencent struct {
	COS COS
}

// COS is the settings of COS.
type COS struct {
	Hosts map[string]string // host, without port → the bucket that it stands for (section 4). Default none
}

// Default is what a setting is when nobody says.
func Default() Config {
	return Config{
		Listen:   []string{"127.0.0.1:8080"},
		Admin:    "127.0.0.1:4566",
		LogLevel: "info",
		IdleTTL:  5 * time.Minute,
		Node:     1,
		Drain:    3 * time.Second,
		WSURLFix: "auto",
		AWS:      AWS{Auth: "verify", Inject: "auto"},
	}
}

// Load fills a Config: base, then file ("" is none; a named one must exist), then the environment.
// Flags come after, by Set.
func Load(base Config, file string, env func(string) (string, bool)) (Config, error) {
	c := base
	var errs []error
	if file != "" {
		errs = append(errs, c.loadFile(file))
	}
	for _, s := range c.Settings() {
		name := s.Variable()
		if v, ok := env(name); ok && v != "" {
			if err := s.set(v); err != nil {
				errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
			}
		}
	}
	return c, errors.Join(errs...)
}

// Set sets one key from text, as a flag does.
func (c *Config) Set(key, value string) error {
	all := c.Settings()
	if i := find(all, key); i >= 0 {
		return all[i].set(value)
	}
	return unknown(key, all)
}

func find(all []Setting, key string) int {
	return slices.IndexFunc(all, func(s Setting) bool { return s.Key == key })
}

func (c *Config) loadFile(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("settings file %s does not exist", file)
		}
		return fmt.Errorf("read settings: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(doc.Content) == 0 {
		return nil
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: settings must be key: value lines", file, root.Line)
	}
	l := loader{file: file, all: c.Settings(), seen: map[string]int{}}
	l.load("", root)
	return errors.Join(l.errs...)
}

// loader sets what a file says.
type loader struct {
	file string
	all  []Setting
	seen map[string]int // the line of each key
	errs []error
}

// load sets what a mapping says; prefix is the keys above it, each with its dot.
func (l *loader) load(prefix string, m *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		k, v := m.Content[i], m.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		key := prefix + k.Value
		at := find(l.all, key)
		var err error
		switch first, again := l.seen[key]; {
		case at < 0 && v.Kind == yaml.MappingNode && below(l.all, key) != "":
			l.load(key+".", v)
		case at < 0 && v.Tag == "!!null" && below(l.all, key) != "": // a heading with nothing under it
		case at < 0:
			err = unknown(key, l.all)
		case again:
			err = fmt.Errorf("%s is set in line %d already", key, first)
		default:
			l.seen[key] = k.Line
			if err = l.all[at].set(plain(v)); err != nil {
				err = fmt.Errorf("%s: %w", key, err)
			}
		}
		if err != nil {
			l.errs = append(l.errs, fmt.Errorf("%s:%d: %w", l.file, k.Line, err))
		}
	}
}

// plain is a value of the file as a flag would have it.
func plain(v *yaml.Node) string {
	var parts []string
	switch v.Kind {
	case yaml.SequenceNode:
		for _, n := range v.Content {
			parts = append(parts, n.Value)
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(v.Content); i += 2 {
			parts = append(parts, v.Content[i].Value+"="+v.Content[i+1].Value)
		}
	default:
		return v.Value
	}
	return strings.Join(parts, ",")
}

// Validate reports everything that is wrong at once.
func (c *Config) Validate() error {
	var errs []error
	for _, a := range c.Listen {
		if _, _, err := net.SplitHostPort(a); err != nil {
			errs = append(errs, fmt.Errorf("listen %q: want host:port", a))
		}
	}
	if host, _, err := net.SplitHostPort(c.Admin); err != nil {
		errs = append(errs, fmt.Errorf("admin %q: want host:port or http://host:port", c.Admin))
	} else if !loopback(host) && c.AdminPassword == "" {
		errs = append(errs, fmt.Errorf("admin %q is reachable from other machines: set an administrator password with --admin-password or SLUICE_ADMIN_PASSWORD", c.Admin))
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		errs = append(errs, fmt.Errorf("log-level %q: want debug, info, warn or error", c.LogLevel))
	}
	if c.WSURLFix != "auto" && c.WSURLFix != "off" {
		errs = append(errs, fmt.Errorf("ws-url-fix %q: want auto or off", c.WSURLFix))
	}
	if a := c.AWS.Auth; a != "verify" && a != "relaxed" {
		errs = append(errs, fmt.Errorf("aws.auth %q: want verify or relaxed", a))
	} else if a == "relaxed" { // anybody could be the operator
		for _, addr := range append([]string{c.Admin}, c.Listen...) {
			if host, _, err := net.SplitHostPort(addr); err == nil && !loopback(host) {
				errs = append(errs, fmt.Errorf("aws.auth relaxed: %q is reachable from other machines, where signatures have to be verified", addr))
			}
		}
	}
	for _, p := range c.AWS.Passthrough {
		if _, err := path.Match(p, ""); err != nil {
			errs = append(errs, fmt.Errorf("aws.passthrough %q: want the beginning of a host, or a pattern with *", p))
		}
	}
	if !slices.Contains([]string{"auto", "hook", "proxy", "off"}, c.AWS.Inject) {
		errs = append(errs, fmt.Errorf("aws.inject %q: want auto, hook, proxy or off", c.AWS.Inject))
	}
	if c.Node == 0 {
		errs = append(errs, errors.New("node: want a number from 1 to 65535"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// below is the first setting whose key begins with that of a group; "" when the key is no group's.
func below(all []Setting, group string) string {
	for _, s := range all {
		if strings.HasPrefix(s.Key, group+".") {
			return s.Key
		}
	}
	return ""
}

// unknown is the error for a key that there is not, with the one that was meant, most likely: a few letters
// away, or the same below another.
func unknown(key string, all []Setting) error {
	if first := below(all, key); first != "" {
		return fmt.Errorf("%q is no setting, but the beginning of some, as of %q", key, first)
	}
	best, at := "", 4
	for _, s := range all {
		for name := s.Key; name != ""; name = name[:max(strings.LastIndexByte(name, '.'), 0)] {
			d := distance(key, name)
			if strings.HasSuffix(name, "."+key) {
				d = 1
			}
			if d < at {
				best, at = name, d
			}
		}
	}
	if best == "" {
		return fmt.Errorf("unknown setting %q", key)
	}
	return fmt.Errorf("unknown setting %q: did you mean %q?", key, best)
}

// distance counts the edits from a to b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := prev
			if a[i] != b[j] {
				cost = 1 + min(prev, row[j], row[j+1])
			}
			prev, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
