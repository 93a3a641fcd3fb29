package cfn

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// parameters gives every parameter of the template its value.
func (t *Template) parameters() {
	defs := t.Root.Get("Parameters")
	var missing []string
	var at sluice.Place
	for _, f := range defs.Entries() {
		v, ok := t.parameter(f)
		if !ok {
			if len(missing) == 0 {
				at = f.At
			}
			missing = append(missing, f.Key)
			v = &Value{At: f.At, Broken: true}
		}
		t.params[f.Key] = v
	}
	if len(missing) > 0 {
		t.Fail(at, "give them with --param "+missing[0]+"=VALUE, or in samconfig.toml",
			"parameters without a value: %s", strings.Join(missing, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(t.o.Params)) {
		if defs.Get(name) == nil {
			t.Fail(sluice.Place{File: t.Root.At.File}, suggest(name, defs.Keys()), "the template has no parameter %q", name)
		}
	}
	for name := range t.o.Defaults {
		if defs.Get(name) == nil {
			t.Warn(sluice.Place{File: t.Root.At.File}, "parameter_overrides name %q, which is no parameter of the template", name)
		}
	}
}

// parameter is the value of one parameter; false when it has none.
func (t *Template) parameter(f Field) (*Value, bool) {
	def := f.Value
	if !def.IsMap() {
		t.Fail(f.At, "", "parameter %q is %s, not a map", f.Key, Kind(def))
		return &Value{At: f.At, Broken: true}, true
	}
	text, given := t.o.Params[f.Key]
	if !given {
		text, given = t.o.Defaults[f.Key]
	}
	if !given {
		d := def.Get("Default")
		if d == nil {
			return nil, false
		}
		if text = d.Str(); d.IsList() {
			text = strings.Join(texts(d), ",")
		} else if d.IsMap() {
			t.Fail(d.At, "", "Default of parameter %q is %s, not text", f.Key, Kind(d))
		}
	}
	typ := def.Get("Type").Str()
	if inner, ok := strings.CutPrefix(typ, "AWS::SSM::Parameter::Value<"); ok {
		name := text
		if text, ok = t.o.Env(envName(name)); !ok {
			t.Fail(f.At, "set "+envName(name)+" in the environment of the deploy", "parameter %q wants the SSM parameter %q, which is not set here", f.Key, name)
			return &Value{At: f.At, Broken: true}, true
		}
		typ = strings.TrimSuffix(inner, ">")
	} else if typ == "" {
		t.Fail(f.At, "", "parameter %q has no Type", f.Key)
	}
	t.checkParameter(f, typ, text)
	list, number := strings.HasPrefix(typ, "List<") || typ == "CommaDelimitedList", strings.Contains(typ, "Number")
	one := func(s string) *Value {
		v := template.Text(f.At, s)
		if n, err := strconv.ParseInt(s, 10, 64); number && err == nil {
			v.Data = n
		} else if n, err := strconv.ParseFloat(s, 64); number && err == nil && n-n == 0 {
			v.Data = n
		}
		return v
	}
	if !list {
		return one(text), true
	}
	out := template.List(f.At)
	for _, s := range strings.Split(text, ",") {
		if s = strings.TrimSpace(s); text != "" {
			out.List = append(out.List, one(s))
		}
	}
	return out, true
}

// checkParameter holds a value against what its definition allows.
func (t *Template) checkParameter(f Field, typ, text string) {
	def := f.Value
	shown := strconv.Quote(text)
	if def.Get("NoEcho").Str() == "true" || len(text) > 200 {
		shown = "given"
	}
	items := []string{text}
	if strings.HasPrefix(typ, "List<") || typ == "CommaDelimitedList" {
		items = strings.Split(text, ",")
	}
	refuse := func(key, format string, args ...any) {
		hint := def.Get("ConstraintDescription").Str()
		at := def.Get(key)
		if at == nil {
			at = def
		}
		t.Fail(sluice.Place{File: at.At.File, Line: at.At.Line}, hint, "value %s of parameter %q %s", shown, f.Key, fmt.Sprintf(format, args...))
	}
	limit := func(key string) (float64, bool) {
		s := def.Get(key).Str()
		if s == "" {
			return 0, false
		}
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fail(def.Get(key).At, "", "%s of parameter %q is not a number", key, f.Key)
			return 0, false
		}
		return n, true
	}
	allowed := def.Get("AllowedValues")
	for _, s := range items {
		s = strings.TrimSpace(s)
		if allowed.IsList() && len(items) > 0 && !slices.Contains(texts(allowed), s) {
			refuse("AllowedValues", "is not one of %s", strings.Join(texts(allowed), ", "))
		}
		if strings.Contains(typ, "Number") {
			n, err := strconv.ParseFloat(s, 64)
			if err != nil {
				refuse("Type", "is not a number")
				return
			}
			if m, ok := limit("MinValue"); ok && n < m {
				refuse("MinValue", "is less than %v", m)
			}
			if m, ok := limit("MaxValue"); ok && n > m {
				refuse("MaxValue", "is more than %v", m)
			}
			continue
		}
		if p := def.Get("AllowedPattern").Str(); p != "" {
			re, err := regexp.Compile("^(?:" + p + ")$")
			if err != nil {
				t.Warn(def.Get("AllowedPattern").At, "AllowedPattern of parameter %q cannot be checked: %v", f.Key, err)
			} else if !re.MatchString(s) {
				refuse("AllowedPattern", "does not match %s", p)
			}
		}
	}
	if typ == "String" {
		if m, ok := limit("MinLength"); ok && float64(len([]rune(text))) < m {
			refuse("MinLength", "has fewer than %v characters", m)
		}
		if m, ok := limit("MaxLength"); ok && float64(len([]rune(text))) > m {
			refuse("MaxLength", "has more than %v characters", m)
		}
	}
}

// texts are the items of a list as text.
func texts(v *Value) []string {
	out := []string{}
	for _, e := range v.Items() {
		out = append(out, e.Str())
	}
	return out
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// envName is the environment variable that stands for a name of the Parameter Store or of the Secrets
// Manager: /shop/db-host is SHOP_DB_HOST.
func envName(name string) string {
	return strings.ToUpper(strings.Trim(notInName.ReplaceAllString(name, "_"), "_"))
}

// uuidOf is a UUID that is always the same for the same text.
func uuidOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:32]
}
