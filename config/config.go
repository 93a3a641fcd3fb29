// Package config is the settings of one sluice process: one struct, filled from defaults, then a YAML
// file, then SLUICE_* variables, then flags. The three spell the same keys: listen, --listen,
// SLUICE_LISTEN; admin-password, --admin-password, SLUICE_ADMIN_PASSWORD.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Config is every setting. Rooms never see it: package server fills their options from it.
type Config struct {
	Data          string        // data folder. Default: .sluice beside the template (dev), ./sluice-data (serve)
	Listen        []string      // public addresses. Default 127.0.0.1:8080; port 0 takes a free one
	Admin         string        // admin address. Default 127.0.0.1:4566; port 0 takes a free one
	AdminPassword string        // asked for on the admin listener (user admin); must be set when it is not loopback
	LogLevel      string        // debug, info, warn, error. Default info
	IdleTTL       time.Duration // how long an idle instance lives. Default 5m (dev: 15m)
	Node          uint16        // this node's number. Default 1
	WSURLFix      string        // auto, off: correct the port for sockets in pages of a cloud where it is 8080. Default auto
	Drain         time.Duration // window over which connections are told to go at a stop; the last has as long again to go, at least 1s. Default 3s (dev: 1s)
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
	}
}

// keys maps each key to how its text is set.
func (c *Config) keys() map[string]func(string) error {
	text := func(p *string) func(string) error { return func(s string) error { *p = s; return nil } }
	dur := func(p *time.Duration) func(string) error {
		return func(s string) (err error) { *p, err = time.ParseDuration(s); return }
	}
	return map[string]func(string) error{
		"data":   text(&c.Data),
		"listen": func(s string) error { c.Listen = strings.Split(s, ","); return nil },
		"admin": func(s string) error { // an address with a scheme is as good, as client commands have it
			c.Admin = strings.TrimPrefix(strings.TrimSuffix(s, "/"), "http://")
			return nil
		},
		"admin-password": text(&c.AdminPassword),
		"log-level":      text(&c.LogLevel),
		"idle-ttl":       dur(&c.IdleTTL),
		"drain":          dur(&c.Drain),
		"ws-url-fix":     text(&c.WSURLFix),
		"node": func(s string) error {
			n, err := strconv.ParseUint(s, 10, 16)
			c.Node = uint16(n)
			return err
		},
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
	keys := c.keys()
	for _, k := range sortedKeys(keys) {
		name := "SLUICE_" + strings.ToUpper(strings.ReplaceAll(k, "-", "_"))
		if v, ok := env(name); ok && v != "" {
			if err := keys[k](v); err != nil {
				errs = append(errs, fmt.Errorf("%s=%q: %w", name, v, err))
			}
		}
	}
	return c, errors.Join(errs...)
}

// Set sets one key from text, as a flag does.
func (c *Config) Set(key, value string) error {
	f, ok := c.keys()[key]
	if !ok {
		return unknown(key, c.keys())
	}
	return f(value)
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
	keys := c.keys()
	var errs []error
	for i := 0; i+1 < len(root.Content); i += 2 {
		k, v := root.Content[i], root.Content[i+1]
		set, ok := keys[k.Value]
		if !ok {
			errs = append(errs, fmt.Errorf("%s:%d: %w", file, k.Line, unknown(k.Value, keys)))
			continue
		}
		value := v.Value
		if v.Kind == yaml.SequenceNode {
			var parts []string
			for _, n := range v.Content {
				parts = append(parts, n.Value)
			}
			value = strings.Join(parts, ",")
		}
		if err := set(value); err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %w", file, v.Line, k.Value, err))
		}
	}
	return errors.Join(errs...)
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

func unknown(key string, keys map[string]func(string) error) error {
	best, at := "", 4
	for _, k := range sortedKeys(keys) {
		if d := distance(key, k); d < at {
			best, at = k, d
		}
	}
	if best == "" {
		return fmt.Errorf("unknown setting %q", key)
	}
	return fmt.Errorf("unknown setting %q: did you mean %q?", key, best)
}

func sortedKeys(m map[string]func(string) error) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
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
