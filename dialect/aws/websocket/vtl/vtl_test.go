package vtl

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// greeter is an object with a property and a method.
type greeter struct{}

func (greeter) Property(name string) (any, bool) { return "hi", name == "word" }
func (greeter) Call(method string, args []any) (any, bool) {
	return strings.ToUpper(show(arg(args, 0))), method == "shout"
}

func variables(t testing.TB) map[string]any {
	t.Helper()
	doc, err := document.Parse([]byte(`{"name":"Ann","n":3,"f":1.5,"big":1700000000000,"list":["a","b",{"c":true}],"map":{"x":1,"y":"two"},"null":null,"empty":""}`))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{"d": doc, "g": greeter{}, "s": "text", "quote": `it's "x"`}
}

func TestTemplates(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"text", `{"a": 1}`, `{"a": 1}`},
		{"references", `$s ${s}x $!s $!{s}! $d.name ${d.name}s`, `text textx text text! Ann Anns`},
		{"no value is nothing", `[$nope][$!nope][$d.nope.deeper][$d.null]`, `[][][][]`},
		{"dollars that are no references", `5$ $ $1 $. ${ ${1} $!`, `5$ $ $1 $. ${ ${1} $!`},
		{"escapes", `\$s \#if`, `$s #if`},
		{"hashes that are no directives", `#1 #nothing # #{x} &#39;`, `#1 #nothing # #{x} &#39;`},
		{"comments", "a ## gone\nb#* gone\n *#c", "a bc"},
		{"set and arithmetic", `#set($x = $d.n * 2 + 10 / 3 - 7 % 4)$x`, `6`},
		{"time to live", `#set($ttl = $d.big + 86400)$ttl`, `1700000086400`},
		{"decimals", `#set($x = $d.f * 2)$x #set($y = $d.n / 2)$y`, `3.0 1`},
		{"minus", `#set($x = -$d.n - -1)$x`, `-2`},
		{"by nothing", `#set($x = 1 / 0)[$x]`, `[]`},
		{"joined text", `#set($x = "n=" + $d.n)$x #set($y = "$s-${d.n}")$y`, `n=3 text-3`},
		{"single quotes stay", `#set($x = '$s')$x`, `$s`},
		{"quotes in texts", `#set($x = "a""b")$x #set($y = "")[$y]`, `a"b []`},
		{"if", `#if($d.n > 2)big#else small#end`, `big`},
		{"elseif", `#if($d.n > 5)a#elseif($d.n == 3)b#else c#end`, `b`},
		{"else in braces", `#if(false)a#{else}b#{end}c`, `bc`},
		{"nothing is false", `#if($nope)a#else b#end#if($d.empty)c#end#if(!$nope)d#end`, ` bcd`},
		{"logic", `#if($d.n >= 3 && ($s == "text" || $nope) && !($s != 'text'))yes#end`, `yes`},
		{"logic in words", `#if($d.n ge 3 and not ($s eq 'x' or $d.n lt 1))yes#end`, `yes`},
		{"foreach", `#foreach($x in $d.list)$foreach.index:$x#if($foreach.hasNext),#end#end`, `0:a,1:b,2:{c=true}`},
		{"foreach over a map", `#foreach($v in $d.map)<$v>#end#foreach($k in $d.map.keySet())$k=$d.map.get($k);#end`, `<1><two>x=1;y=two;`},
		{"entries", `#foreach($e in $d.map.entrySet())$e.key:$e.value,#end`, `x:1,y:two,`},
		{"ranges", `#foreach($i in [1..3])$i#end#foreach($i in [3..1])$velocityCount#end`, `123123`},
		{"break", `#foreach($i in [1..9])#if($i == 3)#break#end$i#end`, `12`},
		{"stop", `a#stop b`, `a`},
		{"loop variable ends", `#set($x = 'out')#foreach($x in [1])$x#end$x`, `1out`},
		{"lists and maps", `#set($l = ["a", 2, [true]])#set($m = {"k": $l, 'n': 1})$l $m $l.size() $m.k[2][0]`, `["a",2,[true]] {k=["a",2,[true]], n=1} 3 true`},
		{"changing them", `#set($l = [])#set($x = $l.add(1))$l #set($m = {})#set($m.a = 1)#set($m["b"] = 2)$!m.put("c", 3)$m.c $m.size()`, `[1] 3 3`},
		{"index", `$d.list[0] $d.list[-1].c $d.map["y"] $d.list.get(1)`, `a true two b`},
		{"methods of texts", `$s.length() $s.substring(1,3) $s.toUpperCase() $s.contains("ex") $s.replaceAll("t(.)", "<$1>") $s.split("e").size() $s.indexOf("x") $s.equals("text") $s.isEmpty()`, `4 ex TEXT true <e>xt 2 2 true false`},
		{"quotes that a script needs", `$quote.replaceAll("\"", "\\\"")`, `it's \"x\"`},
		{"methods of objects", `$g.word $g.shout("a$s") $g.nope $g.nope()`, `hi ATEXT  `},
		{"no such method", `[$s.nope()][$d.n.foo(1)]`, `[][]`},
		{"directives leave no lines", "{\n#set($x = 1)\n  #if($x == 1)\n  \"a\": $x\n  #else\n  \"b\": 2\n  #end\n}\n", "{\n  \"a\": 1\n}\n"},
		{"method over lines", "$s.replaceAll(\n  'x',\n  'y'\n)", "teyt"},
		{"else runs into text", `#if(false)a#elseb#end`, `b`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tpl, err := Parse(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			got, err := tpl.Render(variables(t))
			if err != nil || got != tc.want {
				t.Errorf("got %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

func TestTemplatesThatCannotBeRead(t *testing.T) {
	for _, tc := range []struct{ in, line string }{
		{"#if($x)", "line 1"}, {"a\n#end", "line 2"}, {"#else", "line 1"}, {"#foreach($x in $y)", "line 1"},
		{"#set($x)", "line 1"}, {"#set(x = 1)", "line 1"}, {"\n\n#if($x", "line 3"}, {"#set($x = )", "line 1"},
		{"#set($x = 'a)", "line 1"}, {`#set($x = "a)`, "line 1"}, {"#macro(x)#end", "not supported"}, {"#parse('x')", "not supported"},
		{"$x.f(", "line 1"}, {"$x[1", "line 1"}, {"#* x", "line 1"}, {"#foreach($x of $y)#end", "line 1"},
		{"#set($x = 99999999999999999999)", "too big"}, {strings.Repeat("#if(1)", 200), "levels"},
		{"#set($x = " + strings.Repeat("(", 200) + ")", "levels"}, {"#if(1)#else #else#end", "line 1"}, {"#set($x.f() = 1)", "variable"},
	} {
		if _, err := Parse(tc.in); err == nil || !strings.Contains(err.Error(), tc.line) {
			t.Errorf("%.40q: %v", tc.in, err)
		}
	}
}

func TestRenderingIsBounded(t *testing.T) {
	for _, tc := range []struct{ name, in string }{
		{"doubling text", `#set($a = "xxxxxxxxxxxxxxxx")#foreach($i in [1..100])#set($a = "$a$a")#end`},
		{"joined text", `#set($a = "xxxxxxxxxxxxxxxx")#foreach($i in [1..100])#set($a = $a + $a)#end`},
		{"loops in loops", `#foreach($i in [1..1000])#foreach($j in [1..1000])#foreach($k in [1..1000])x#end#end#end`},
		{"a long range", `#set($x = [1..9999999999])`},
		{"a long loop", `#foreach($i in [1..1001])#end`},
		{"many texts", `#set($l = [])#set($a = "xxxxxxxxxxxxxxxx")#foreach($i in [1..15])#set($a = "$a$a")#end#foreach($i in [1..1000])#set($x = $l.add("$a$i"))#end`},
	} {
		tpl, err := Parse(tc.in)
		if err != nil {
			t.Fatal(tc.name, err)
		}
		began := time.Now()
		if _, err := tpl.Render(nil); err == nil || time.Since(began) > 5*time.Second {
			t.Errorf("%s: %v after %v", tc.name, err, time.Since(began))
		}
	}
	for _, in := range []string{
		`#set($m = {})#set($m.self = $m)$m $m.toString()`,
		`#set($l = [])#set($x = $l.add($l))$l`,
		`#set($a = ["x"])#foreach($i in [1..90])#set($a = [$a, $a])#end$a`,
	} {
		tpl, err := Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := tpl.Render(nil); err != nil || !strings.Contains(out, "…") {
			t.Errorf("%s: %.60q %v", in, out, err)
		}
	}
}

func TestRenderingLeavesTheTemplateAndTheVariables(t *testing.T) {
	tpl, err := Parse(`#set($s = "other")$s`)
	if err != nil {
		t.Fatal(err)
	}
	vars := variables(t)
	for range 2 {
		if got, err := tpl.Render(vars); got != "other" || err != nil || vars["s"] != "text" {
			t.Errorf("%q %v %v", got, err, vars["s"])
		}
	}
}

func TestNumbersAreWrittenAsTheyCame(t *testing.T) {
	tpl, _ := Parse(`$a $b $c`)
	got, err := tpl.Render(map[string]any{"a": json.Number("1.50"), "b": int64(7), "c": 2.0})
	if err != nil || got != "1.50 7 2.0" {
		t.Error(got, err)
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		`#set($x = $d.n * 2)#if($x > 1 && !$y)$x#elseif('a' == "b$s")#else#end`,
		`#foreach($i in [1..3])$foreach.index#break#end $d.list[0].c ${s.replaceAll("\\'", "$1")}`,
		`{"a": "$d.map.get('x')", #* c *# "b": [$!g.shout("x""y")]} ## end`,
		"  #if(true)\n#end\n#stop", `#set($m = {"a": [1, {}]})#set($m.b = $m)$m`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl, err := Parse(s)
		if err != nil {
			return
		}
		vars := variables(t)
		if out, err := tpl.Render(vars); err == nil && !strings.ContainsAny(s, "$#") && out != s {
			t.Fatalf("plain text %q becomes %q", s, out)
		}
	})
}
