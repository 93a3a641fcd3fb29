package sam

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"go.yaml.in/yaml/v3"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// config is what samconfig says of a deploy.
type config struct {
	stack, region, template string
	params                  map[string]string
}

// readConfig reads samconfig.toml (or .yaml, .yml) of a folder, what it says of an environment; "" is its
// default. It is nil when there is no such file.
func readConfig(dir, environment string) (*config, error) {
	if environment == "" {
		environment = "default"
	}
	for _, name := range []string{"samconfig.toml", "samconfig.yaml", "samconfig.yml"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(text) > 1<<20 {
			continue
		}
		var tree map[string]any
		if strings.HasSuffix(name, ".toml") {
			err = toml.Unmarshal(text, &tree)
		} else {
			err = yaml.Unmarshal(text, &tree)
		}
		if err != nil {
			e := &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: name}, Msg: "cannot be read: " + err.Error(), Err: err}
			if te, ok := err.(toml.ParseError); ok {
				e.At.Line, e.Msg = te.Position.Line, "cannot be read: "+te.Message
			}
			return nil, e
		}
		if tree[environment] == nil && environment != "default" {
			return nil, &sluice.Error{Code: sluice.Invalid, At: sluice.Place{File: name}, Hint: cfn.Suggest(environment, slices.Sorted(maps.Keys(tree))),
				Msg: fmt.Sprintf("has no environment %q", environment)}
		}
		c := &config{params: map[string]string{}}
		for _, command := range []string{"global", "build", "deploy"} { // the last wins
			c.take(sub(sub(sub(tree, environment), command), "parameters"))
		}
		return c, nil
	}
	return nil, nil
}

func sub(tree map[string]any, key string) map[string]any {
	m, _ := tree[key].(map[string]any)
	return m
}

func (c *config) take(p map[string]any) {
	for key, into := range map[string]*string{"stack_name": &c.stack, "region": &c.region, "template_file": &c.template, "template": &c.template} {
		if s, ok := p[key].(string); ok && s != "" && !filepath.IsAbs(s) {
			*into = s
		}
	}
	if strings.HasPrefix(filepath.ToSlash(filepath.Clean(c.template)), ".aws-sam/") || !filepath.IsLocal(c.template) {
		c.template = "" // what a build of SAM made, or not in the folder
	}
	switch o := p["parameter_overrides"].(type) {
	case string:
		for _, word := range words(o) {
			c.override(word)
		}
	case []any:
		for _, e := range o {
			if s, ok := e.(string); ok {
				c.override(s)
			}
		}
	case map[string]any:
		for k, v := range o {
			c.params[k] = fmt.Sprint(v)
		}
	}
}

func (c *config) override(word string) {
	if rest, ok := strings.CutPrefix(word, "ParameterKey="); ok { // as the AWS CLI writes them
		name, val, _ := strings.Cut(rest, ",ParameterValue=")
		word = name + "=" + val
	}
	if name, val, ok := strings.Cut(word, "="); ok {
		c.params[strings.TrimSpace(name)] = strings.Trim(strings.TrimSpace(val), `"'`)
	}
}

// words cuts `A=b C="d e"` at spaces that are not quoted.
func words(s string) []string {
	var out []string
	var cur strings.Builder
	var quote rune
	for _, c := range s {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				cur.WriteRune(c)
			}
		case c == '"' || c == '\'':
			quote = c
		case c == ' ' || c == '\t' || c == '\n':
			if cur.Len() > 0 {
				out = append(out, cur.String())
				cur.Reset()
			}
		default:
			cur.WriteRune(c)
		}
	}
	if cur.Len() > 0 {
		out = append(out, cur.String())
	}
	return out
}
