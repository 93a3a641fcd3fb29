package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Off is what a limit or a time is when its text is 0 or off: there is none. The zero value of each is
// the cloud's default.
const Off = -1

// maxSize is the most that a size may be: 1 GB.
const maxSize = 1 << 30

// Setting is one key: what a line of the settings file, a variable or a flag sets.
type Setting struct {
	Key     string // "listen", "aws.websocket.idle"
	Usage   string // what it means, on one line
	Default string // as text; "" when there is none
	Switch  bool   // true or false: a flag without a value means true

	set func(string) error
}

// Variable is the name of the environment variable.
func (s Setting) Variable() string {
	return "SLUICE_" + strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(s.Key))
}

// Cloud is the dialect whose setting it is; "" is nobody's. The usual settings are nobody's.
func (s Setting) Cloud() string {
	cloud, _, ok := strings.Cut(s.Key, ".")
	if !ok {
		return ""
	}
	return cloud
}

// Settings are all keys, in the order in which people should read them.
func (c *Config) Settings() []Setting {
	aws, socket, api := &c.AWS, &c.AWS.WebSocket, &c.AWS.API
	return []Setting{
		{Key: "data", Usage: "data folder", Default: ".sluice beside the template, ./sluice-data for serve", set: text(&c.Data)},
		{Key: "listen", Usage: "public addresses; port 0 takes a free one", Default: "127.0.0.1:8080", set: list(&c.Listen)},
		{Key: "admin", Usage: "admin address, host:port or http://host:port", Default: "127.0.0.1:4566", set: address(&c.Admin)},
		{Key: "admin-password", Usage: "administrator's password", set: text(&c.AdminPassword)},
		{Key: "log-level", Usage: "debug, info, warn or error", Default: "info, dev warn", set: text(&c.LogLevel)},
		{Key: "idle-ttl", Usage: "how long an idle function instance lives", Default: "5m, dev 15m", set: duration(&c.IdleTTL)},
		{Key: "drain", Usage: "window over which clients are told to go at a stop; the last has as long again", Default: "3s, dev 1s", set: duration(&c.Drain)},
		{Key: "ws-url-fix", Usage: "auto or off: let pages made for a cloud's socket port 8080 use this one", Default: "auto", set: text(&c.WSURLFix)},
		{Key: "node", Usage: "this node's number, 1 to 65535", Default: "1", set: node(&c.Node)},

		{Key: "aws.strict", Usage: "quotas that are off by default are AWS's: max-life, connect-rate and request-rate", Default: "false", Switch: true, set: truth(&aws.Strict)},
		{Key: "aws.auth", Usage: "verify, or relaxed: signatures may be anybody's, on loopback addresses only", Default: "verify", set: text(&aws.Auth)},
		{Key: "aws.inject", Usage: "how functions that ask for AWS's host names come to sluice: hook (in Node.js and Python), proxy (variables), auto (both), or off", Default: "auto", set: text(&aws.Inject)},
		{Key: "aws.passthrough", Usage: "AWS hosts that sluice does not serve and functions may ask: beginnings (bedrock-runtime) or patterns (*.us-east-1.amazonaws.com)", set: list(&aws.Passthrough)},
		{Key: "aws.websocket.ordered", Usage: "a connection's message waits until the one before is answered", Default: "false", Switch: true, set: truth(&socket.Ordered)},
		{Key: "aws.websocket.binary", Usage: "close or accept: binary messages go to $default as base64", Default: "close", set: choice(&socket.AcceptBinary, "close", "accept")},
		{Key: "aws.websocket.max-frame", Usage: "bytes of one frame from a client; more is close 1009", Default: "32KB", set: size(&socket.MaxFrame)},
		{Key: "aws.websocket.max-message", Usage: "bytes of one message up (close 1009) or down (413)", Default: "128KB", set: size(&socket.MaxMessage)},
		{Key: "aws.websocket.idle", Usage: "a connection without a message up or down ends after so long; 0 is never", Default: "10m", set: limit(&socket.Idle)},
		{Key: "aws.websocket.max-life", Usage: "every connection ends after so long; 0 is never", Default: "0, strict 2h", set: limit(&socket.MaxLife)},
		{Key: "aws.websocket.ping", Usage: "a client that is silent for so long gets a ping; 0 is never", Default: "30s", set: limit(&socket.Ping)},
		{Key: "aws.websocket.max-pings", Usage: "a client that leaves so many pings in a row without an answer is lost; 0 is never", Default: "2", set: number(&socket.MaxPings)},
		{Key: "aws.websocket.connect-rate", Usage: "new connections a second, all APIs together; 0 is unlimited", Default: "0, strict 500", set: rate(&socket.ConnectRate)},
		{Key: "aws.websocket.request-rate", Usage: "messages and @connections calls a second, all APIs together; 0 is unlimited", Default: "0, strict 10000", set: rate(&socket.RequestRate)},
		{Key: "aws.websocket.request-burst", Usage: "so many of them at once, where there is a rate; 0 is the rate", Default: "0, strict 5000", set: number(&socket.RequestBurst)},
		{Key: "aws.websocket.timeout", Usage: "an integration may take so long; its own timeoutInMillis may only be shorter", Default: "29s", set: duration(&socket.Timeout)},
		{Key: "aws.websocket.max-authorizer-answer", Usage: "bytes of an authorizer's answer; more is handshake 500", Default: "8KB", set: size(&socket.MaxAuthorizer)},
		{Key: "aws.api.max-routes", Usage: "routes of one WebSocket or HTTP API; 0 is unlimited", Default: "300", set: number(&api.Routes)},
		{Key: "aws.api.max-integrations", Usage: "integrations of one API; 0 is unlimited", Default: "300", set: number(&api.Integrations)},
		{Key: "aws.api.max-stages", Usage: "stages of one API; 0 is unlimited", Default: "10", set: number(&api.Stages)},
		{Key: "aws.api.max-authorizers", Usage: "authorizers of one API; 0 is unlimited", Default: "10", set: number(&api.Authorizers)},

		{Key: "aliyun.tablestore.strict", Usage: "refuse what the cloud's documents forbid and sluice otherwise allows", Default: "false", Switch: true, set: truth(&c.Aliyun.Tablestore.Strict)},
		{Key: "aliyun.tablestore.max-tables", Usage: "tables and index tables of one instance", Default: "64", set: count(&c.Aliyun.Tablestore.MaxTables)},

		{Key: "tencent.cos.hosts", Usage: "host=bucket, of hosts that stand for one bucket", set: pairs(&c.Tencent.COS.Hosts)},
	}
}

func text(p *string) func(string) error { return func(s string) error { *p = s; return nil } }

func list(p *[]string) func(string) error {
	return func(s string) error { *p = strings.Split(s, ","); return nil }
}

// address sets host:port; with a scheme it is as good, as client commands have it.
func address(p *string) func(string) error {
	return func(s string) error {
		*p = strings.TrimPrefix(strings.TrimSuffix(s, "/"), "http://")
		return nil
	}
}

func node(p *uint16) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseUint(s, 10, 16)
		if err != nil {
			return errors.New("want a number from 1 to 65535")
		}
		*p = uint16(n)
		return nil
	}
}

func truth(p *bool) func(string) error {
	return func(s string) (err error) {
		if *p, err = strconv.ParseBool(s); err != nil {
			return errors.New("want true or false")
		}
		return nil
	}
}

// choice sets p to whether the text is yes rather than no.
func choice(p *bool, no, yes string) func(string) error {
	return func(s string) error {
		if s != no && s != yes {
			return fmt.Errorf("want %s or %s", no, yes)
		}
		*p = s == yes
		return nil
	}
}

// duration sets a time that there has to be.
func duration(p *time.Duration) func(string) error {
	return func(s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < 0 {
			return errors.New("want a time like 500ms, 30s or 10m")
		}
		*p = d
		return nil
	}
}

// limit sets a time that may be never.
func limit(p *time.Duration) func(string) error {
	return func(s string) error {
		if s == "off" {
			s = "0"
		}
		if err := duration(p)(s); err != nil {
			return errors.New("want a time like 30s or 10m, or 0")
		}
		if *p == 0 {
			*p = Off
		}
		return nil
	}
}

// number sets a count that may be without limit.
func number(p *int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if s == "off" {
			n, err = 0, nil
		}
		if err != nil || n < 0 {
			return errors.New("want a number, or 0")
		}
		if *p = int(n); n == 0 {
			*p = Off
		}
		return nil
	}
}

// count sets a number that there has to be.
func count(p *int) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 1 {
			return errors.New("want a number, 1 or more")
		}
		*p = int(n)
		return nil
	}
}

// rate sets a number a second that may be without limit.
func rate(p *float64) func(string) error {
	return func(s string) error {
		v, err := strconv.ParseFloat(s, 64)
		if s == "off" {
			v, err = 0, nil
		}
		if err != nil || !(v >= 0 && v <= maxSize) {
			return errors.New("want a number a second, or 0")
		}
		if *p = v; v == 0 {
			*p = Off
		}
		return nil
	}
}

// units of sizes, longer names before their endings. K is 1024, as the clouds count.
var units = [...]struct {
	name  string
	shift int
}{{"KIB", 10}, {"MIB", 20}, {"GIB", 30}, {"KB", 10}, {"MB", 20}, {"GB", 30}, {"K", 10}, {"M", 20}, {"G", 30}, {"B", 0}}

func size(p *int) func(string) error {
	return func(s string) error {
		s, shift := strings.ToUpper(strings.TrimSpace(s)), 0
		for _, u := range units {
			if digits, ok := strings.CutSuffix(s, u.name); ok {
				s, shift = strings.TrimSpace(digits), u.shift
				break
			}
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 || n > maxSize>>shift {
			return errors.New("want a size like 131072, 128KB or 1MB, up to 1GB")
		}
		*p = int(n) << shift
		return nil
	}
}

// pairs sets a map from "name=value,name=value".
func pairs(p *map[string]string) func(string) error {
	return func(s string) error {
		m := map[string]string{}
		for pair := range strings.SplitSeq(s, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
			if !ok || name == "" || value == "" {
				return errors.New("want name=value, several with commas")
			}
			m[name] = value
		}
		*p = m
		return nil
	}
}
