package cfn

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
)

// plainNames knows resources by their ids.
type plainNames struct{}

func (plainNames) Ref(r *Resource) (*Value, bool) { return template.Text(r.At, "ref-"+r.ID), true }
func (plainNames) GetAtt(r *Resource, attr string) (*Value, bool) {
	return template.Text(r.At, r.ID+"/"+attr), attr != "Nope"
}

// read parses and takes a template; options change what it is taken with.
func read(t testing.TB, text string, o Options) *Template {
	t.Helper()
	root, err := Parse("t.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	o.Stack = "stack"
	tpl := New(root, o)
	tpl.Names = plainNames{}
	return tpl
}

const around = `
Parameters:
  Word: {Type: String, Default: word}
  Words: {Type: CommaDelimitedList, Default: "a,b"}
  Count: {Type: Number, Default: 3}
Mappings: {M: {k: {v: found, l: [x, y]}}}
Conditions:
  Yes: !Equals [a, a]
  No: !Not [!Condition Yes]
Resources:
  Fn: {Type: T, Properties: {Name: !Ref Word, Loop: !Sub "${Loop.X}"}}
  Gone: {Type: T, Condition: No}
Value: `

func TestFunctionsHaveTheirValues(t *testing.T) {
	for expr, want := range map[string]string{
		`!Ref Word`:                               `"word"`,
		`!Ref Words`:                              `["a","b"]`,
		`!Ref Count`:                              `3`,
		`!Ref Fn`:                                 `"ref-Fn"`,
		`!Ref AWS::Region`:                        `"us-east-1"`,
		`[1, !Ref AWS::NoValue, 2]`:               `[1,2]`,
		`{a: !Ref AWS::NoValue, b: 1}`:            `{"b":1}`,
		`!GetAtt Fn.Arn`:                          `"Fn/Arn"`,
		`!GetAtt Fn.Outputs.Deep`:                 `"Fn/Outputs.Deep"`,
		`{"Fn::GetAtt": [Fn, !Ref Word]}`:         `"Fn/word"`,
		`!Sub "${Fn}-${Fn.Arn}-${!Fn}-$x"`:        `"ref-Fn-Fn/Arn-${Fn}-$x"`,
		`!Sub ["${a}${Word}", {a: !Ref Count}]`:   `"3word"`,
		`!Sub "${Count}"`:                         `"3"`,
		`!Join ["-", [a, !Ref Count, true]]`:      `"a-3-true"`,
		`!Join ["", !Ref Words]`:                  `"ab"`,
		`!Select ["1", !Ref Words]`:               `"b"`,
		`!Split [".", a.b]`:                       `["a","b"]`,
		`!If [Yes, {a: !Ref Word}, no]`:           `{"a":"word"}`,
		`!FindInMap [M, k, v]`:                    `"found"`,
		`!FindInMap [M, !Select [0, [k]], l]`:     `["x","y"]`,
		`!FindInMap [M, z, v, {DefaultValue: d}]`: `"d"`,
		`!Base64 {"Fn::Sub": "${Word}"}`:          `"d29yZA=="`,
		`!Cidr ["10.0.0.0/24", 2, 4]`:             `["10.0.0.0/28","10.0.0.16/28"]`,
		`!Cidr ["fd00::/120", 2, 4]`:              `["fd00::/124","fd00::10/124"]`,
		`{"Fn::Length": !Ref Words}`:              `2`,
		`!ToJsonString {b: !Ref Count, a: [x]}`:   `"{\"a\":[\"x\"],\"b\":3}"`,
		`{Condition: {StringEquals: x}}`:          `{"Condition":{"StringEquals":"x"}}`,
		`{Fn::If: [No, x, !Ref AWS::NoValue]}`:    `null`,
		`2012-10-17`:                              `"2012-10-17"`,
	} {
		tpl := read(t, around+expr, Options{})
		got := tpl.Eval(tpl.Root.Get("Value")).JSON()
		if err := tpl.Err(); err != nil || got != want {
			t.Errorf("%s is %s, want %s (%v)", expr, got, want, err)
		}
	}
}

func TestWrongFunctionsAreToldWithTheirPlace(t *testing.T) {
	for expr, want := range map[string]string{
		`!Ref Wrod`:                     `t.yaml:13: Ref: the template has no resource or parameter "Wrod"`,
		`!Ref Gone`:                     `t.yaml:13: Ref: resource "Gone" is not there: its condition No does not hold`,
		`!GetAtt Fn.Nope`:               `t.yaml:13: Fn::GetAtt: resource "Fn" of type T has no attribute "Nope"`,
		`!GetAtt Fn`:                    `t.yaml:13: Fn::GetAtt wants a resource and an attribute`,
		`!Sub "${Words}"`:               `t.yaml:13: Fn::Sub: ${Words} is a list, not text`,
		`!Sub "${"`:                     `t.yaml:13: Fn::Sub: ${ without }`,
		`!Sub "${a b}"`:                 `t.yaml:13: Fn::Sub: ${a b} is not the name of a variable`,
		`!Sub [x]`:                      `t.yaml:13: Fn::Sub wants a text, or a text and a map`,
		`!Join [a]`:                     `t.yaml:13: Fn::Join wants a separator and a list`,
		`!Join ["", [{a: b}]]`:          `t.yaml:13: Fn::Join wants a list of texts, and there is a map`,
		`!Select [2, !Ref Words]`:       `t.yaml:13: Fn::Select: the list has no item 2; it has 2`,
		`!Split ["", a]`:                `t.yaml:13: Fn::Split wants a separator and a text`,
		`!If [Maybe, a, b]`:             `t.yaml:13: the template has no condition "Maybe"`,
		`!If [Yes]`:                     `t.yaml:13: Fn::If wants a condition and two values`,
		`!FindInMap [M, k, z]`:          `t.yaml:13: Fn::FindInMap: there is no M.k.z`,
		`!Cidr [10.0.0.0/30, 9, 1]`:     `t.yaml:13: Fn::Cidr: 10.0.0.0/30 does not hold 9 networks of 1 bits`,
		`!ImportValue x`:                `t.yaml:13: Fn::ImportValue: no app exports "x"`,
		`{"Fn::Nothing": x}`:            `t.yaml:13: function Fn::Nothing is not known`,
		`!Length x`:                     `t.yaml:13: Fn::Length wants a list`,
		`"{{resolve:ssm:/a/b}}"`:        `t.yaml:13: {{resolve:ssm:/a/b}} is not set here`,
		`!Join ["", !Ref AWS::NoValue]`: `t.yaml:13: Fn::Join wants a separator and a list`,
	} {
		tpl := read(t, around+expr, Options{})
		tpl.Eval(tpl.Root.Get("Value"))
		if err := tpl.Err(); err == nil || err.Error() != want {
			t.Errorf("%s: error\n\t%v, want\n\t%s", expr, err, want)
		}
	}
}

func TestPropertiesThatNeedThemselves(t *testing.T) {
	tpl := read(t, "Resources: {A: {Type: T, Properties: {Name: !Ref B}}, B: {Type: T, Properties: {Name: !Ref A}}}", Options{})
	tpl.Names = propertyNames{tpl}
	tpl.Prop(tpl.Resource("A"), "Name")
	if err := tpl.Err(); err == nil || !strings.Contains(err.Error(), `Name of resource "A" needs itself`) {
		t.Errorf("error %v", err)
	}
}

// propertyNames knows resources by their Name.
type propertyNames struct{ t *Template }

func (n propertyNames) Ref(r *Resource) (*Value, bool)        { return n.t.Prop(r, "Name"), true }
func (propertyNames) GetAtt(*Resource, string) (*Value, bool) { return nil, false }

func TestTheSameTemplateInJSON(t *testing.T) {
	y, err := Parse("t.yaml", []byte("a: [1, -2.5, true, null, text]\nb:\n  c: {}\n"))
	if err != nil {
		t.Fatal(err)
	}
	j, err := Parse("t.json", []byte("\n{\n\t\"a\": [1, -2.5, true, null, \"text\"],\n\t\"b\": {\n\t\t\"c\": {}\n\t}\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(y.JSON(), j.JSON()); d != "" {
		t.Errorf("(-yaml +json):\n%s", d)
	}
	if at := j.Get("b").Get("c").At; at != (sluice.Place{File: "t.json", Line: 5}) {
		t.Errorf("c is at %v", at)
	}
	if v, err := Parse("t.yaml", []byte("{a: b}")); err != nil || v.Get("a").Str() != "b" {
		t.Errorf("braces of YAML: %v", err)
	}
	if _, err := Parse("t.json", []byte("{\n\"a\": 1,\n\"a\": 2}")); err == nil || err.Error() != `t.json:3: key "a" stands twice, first in line 2` {
		t.Errorf("a key that stands twice: %v", err)
	}
}

func TestTemplatesThatExplodeAreRefused(t *testing.T) {
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		bomb += "a" + n + ": &a" + n + " [*a" + p + strings.Repeat(", *a"+p, 9) + "]\n"
	}
	for name, text := range map[string]string{
		"aliases":      bomb,
		"deep lists":   "a: " + strings.Repeat("[", 3000) + strings.Repeat("]", 3000),
		"deep JSON":    strings.Repeat(`{"a":`, 3000) + "1" + strings.Repeat("}", 3000),
		"own alias":    "a: &a\n  b: *a\n",
		"huge":         strings.Repeat("# x\n", 300_000),
		"unknown tag":  "a: !Nothing x",
		"not a map":    "a: {<<: [1]}",
		"control sign": "a: \x00",
	} {
		if v, err := Parse("t.yaml", []byte(text)); err == nil {
			t.Errorf("%s: %s", name, v.JSON()[:100])
		} else if len(err.Error()) > 2000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
	loops := "Resources:\n"
	for i := range 7 {
		loops += strings.Repeat(" ", 2+4*i) + "Fn::ForEach::L" + string(rune('a'+i)) + ":\n" + strings.Repeat(" ", 4+4*i) + "- V" + string(rune('a'+i)) +
			"\n" + strings.Repeat(" ", 4+4*i) + "- [a, b, c, d, e, f, g, h, i, j, k, l]\n" + strings.Repeat(" ", 4+4*i) + "- X: {Type: T}\n"
	}
	loops += strings.Repeat(" ", 30) + "Y: {Type: T}\n"
	tpl := read(t, "Transform: AWS::LanguageExtensions\n"+loops, Options{})
	_ = tpl.Err() // it ends
	doubling := "Resources: {A: {Type: T}}\nMappings:\n  M:\n    k:\n      a0: xxxxxxxxxx\n"
	for i := 1; i < 9; i++ {
		n, p := string(rune('0'+i)), string(rune('0'+i-1))
		doubling += "      a" + n + ": !Join ['', [" + strings.Repeat("!FindInMap [M, k, a"+p+"], ", 10) + "x]]\n"
	}
	tpl = read(t, doubling+"Value: !FindInMap [M, k, a8]\n", Options{})
	tpl.Eval(tpl.Root.Get("Value"))
	if err := tpl.Err(); err == nil {
		t.Error("a hundred megabytes of text were made")
	}
}

func TestSecretsComeFromTheEnvironment(t *testing.T) {
	env := map[string]string{"DB_PASSWORD": "p", "KEYS": `{"api":"k"}`, "PLAIN": "s", "OTHER_USER": "u"}
	tpl := read(t, "Resources: {A: {Type: T}}\nValue: ['{{resolve:ssm:/db/password:3}}', '{{resolve:secretsmanager:keys:SecretString:api}}', '{{resolve:secretsmanager:plain}}', '{{resolve:secretsmanager:other:SecretString:user}}']",
		Options{Env: func(k string) (string, bool) { v, ok := env[k]; return v, ok }})
	if got := tpl.Eval(tpl.Root.Get("Value")).JSON(); got != `["p","k","s","u"]` || tpl.Err() != nil {
		t.Errorf("%s, %v", got, tpl.Err())
	}
}

func TestIncludeReadsFilesBesideTheTemplate(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "part.yaml"), []byte("a: !Ref Word\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	text := around + "{Fn::Transform: {Name: AWS::Include, Parameters: {Location: part.yaml}}}"
	tpl := read(t, text, Options{Dir: dir})
	if got := tpl.Eval(tpl.Root.Get("Value")).JSON(); got != `{"a":"word"}` {
		t.Errorf("%s, %v", got, tpl.Err())
	}
	tpl = read(t, strings.Replace(text, "part", "trap", 1), Options{Dir: dir})
	if tpl.Eval(tpl.Root.Get("Value")); tpl.Err() == nil {
		t.Error("a file that is not there was included")
	}
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(around + "!Sub '${Fn}'"))
	f.Add([]byte(`{"Resources":{"A":{"Type":"T","Properties":{"B":{"Fn::If":["C",{"Ref":"A"},1]}}}},"Conditions":{"C":{"Condition":"C"}}}`))
	f.Add([]byte("Resources:\n  Fn::ForEach::A: [X, [a], {'R${X}': {Type: T}}]\nOutputs: {O: {Value: !Cidr [10.0.0.0/8, 3]}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, file := range []string{"t.yaml", "t.json"} {
			root, err := Parse(file, text)
			if (root == nil) == (err == nil) {
				t.Fatalf("value %v, error %v", root, err)
			}
			if err != nil {
				var e *sluice.Error
				if !errors.As(err, &e) || e.At.File == "" {
					t.Fatalf("error %v has no place", err)
				}
				continue
			}
			tpl := New(root, Options{Stack: "s"})
			tpl.Names = plainNames{}
			tpl.CheckDependencies()
			for _, r := range tpl.Resources() {
				for _, k := range r.Props.Keys() {
					tpl.Prop(r, k).JSON()
				}
			}
			tpl.Outputs()
			_ = tpl.Err()
		}
	})
}

func FuzzSub(f *testing.F) {
	for _, s := range []string{"${a}", "${!a}", "$${a.b}", "${", "}", "${a b}", "${AWS::Region}x", "${!${!}"} {
		f.Add(s)
	}
	literal := regexp.MustCompile(`\$\{!([^}]*)\}`)
	f.Fuzz(func(t *testing.T, s string) {
		var b strings.Builder
		for _, p := range splitSub(s) {
			if p.err != "" {
				return
			}
			if p.variable {
				b.WriteString("${" + p.text + "}")
			} else {
				b.WriteString(p.text)
			}
		}
		if plain := literal.ReplaceAllString(s, "$${$1}"); !strings.ContainsAny(s, " \t\n\v\f\r\u0085\u00a0") && b.String() != plain {
			t.Errorf("%q comes together as %q", s, b.String())
		}
	})
}
