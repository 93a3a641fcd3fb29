package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluicehq/sluice/config"
)

// everyVerb reports whether a setting is of use to all verbs, not to servers only.
func everyVerb(s config.Setting) bool {
	return slices.Contains([]string{"data", "admin", "admin-password"}, s.Key)
}

// serverFlags adds the settings of a running server to a verb.
func serverFlags(f *pflag.FlagSet) {
	settingFlags(f, func(s config.Setting) bool { return !everyVerb(s) })
}

// settingFlags adds flags for settings. Those of the clouds are too many for the help of a verb: they are
// told by "sluice help settings".
func settingFlags(f *pflag.FlagSet, take func(config.Setting) bool) {
	var c config.Config
	for _, s := range c.Settings() {
		if !take(s) {
			continue
		}
		usage := s.Usage + byDefault(s)
		if s.Key == "listen" {
			f.StringArray(s.Key, nil, usage+", repeatable")
			continue
		}
		f.String(s.Key, "", usage)
		if s.Switch {
			f.Lookup(s.Key).NoOptDefVal = "true"
		}
		f.Lookup(s.Key).Hidden = s.Cloud() != ""
	}
}

// byDefault tells a setting's default, where there is one.
func byDefault(s config.Setting) string {
	if s.Default == "" {
		return ""
	}
	return " (default " + s.Default + ")"
}

// moreSettings ends the help of verbs that run a server.
const moreSettings = "\n\nQuotas and ways of the clouds are settings, too: sluice help settings"

// settingsTopic is the help of all settings.
func settingsTopic() *cobra.Command {
	var b bytes.Buffer
	b.WriteString(`Settings come from a file (--config FILE), then from variables, then from flags; the last one counts.
They have the same names everywhere:

  aws:                       SLUICE_AWS_STRICT=true              --aws.strict
    strict: true             SLUICE_AWS_WEBSOCKET_IDLE=1m        --aws.websocket.idle=1m
    websocket: {idle: 1m}

Sizes are bytes, or have a unit: 128KB, 1MB. Times have one: 500ms, 30s, 10m, 2h.
`)
	var c config.Config
	cloud := "-"
	for _, s := range c.Settings() {
		if s.Cloud() != cloud {
			cloud = s.Cloud()
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "  %-35s %s%s\n", s.Key, s.Usage, byDefault(s))
	}
	return &cobra.Command{Use: "settings", Short: "All settings of a server, the clouds' quotas among them", Long: strings.TrimSuffix(b.String(), "\n")}
}
