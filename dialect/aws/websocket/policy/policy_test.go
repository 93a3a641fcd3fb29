package policy

import (
	"strings"
	"testing"
)

const arn = "arn:aws:execute-api:us-east-1:000000000000:abcd123456/prod/$connect"

func ask(t *testing.T, doc string) Decision {
	t.Helper()
	p, err := Parse([]byte(doc))
	if err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return p.Decide(Request{Action: "execute-api:Invoke", Resource: arn, Context: map[string]string{"aws:sourceip": "192.0.2.7", "aws:useragent": "curl/8", "s3:max-keys": "10", "aws:currenttime": "2026-01-31T12:00:00Z"}})
}

func statements(list ...string) string {
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(list, ",") + `]}`
}

func one(effect, rest string) string {
	return `{"Effect":"` + effect + `","Action":"execute-api:Invoke","Resource":"*"` + rest + `}`
}

func TestDecisions(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		want      Decision
	}{
		{"allow of the very ARN", statements(`{"Action":"execute-api:Invoke","Effect":"Allow","Resource":"` + arn + `"}`), Allow},
		{"one statement without a list", `{"Statement":` + one("Allow", "") + `}`, Allow},
		{"lists", statements(`{"Action":["s3:Get","execute-api:*"],"Effect":"Allow","Resource":["arn:x","arn:aws:execute-api:*:*:abcd123456/*"]}`), Allow},
		{"actions without case", statements(`{"Action":"EXECUTE-API:invoke","Effect":"Allow","Resource":"*"}`), Allow},
		{"resources with case", statements(`{"Action":"*","Effect":"Allow","Resource":"ARN:*"}`), Silent},
		{"another stage", statements(`{"Action":"*","Effect":"Allow","Resource":"arn:aws:execute-api:*:*:abcd123456/dev/*"}`), Silent},
		{"a question mark", statements(`{"Action":"execute-api:Invok?","Effect":"Allow","Resource":"*/pro?/*"}`), Allow},
		{"deny beats allow", statements(one("Allow", ""), one("Deny", "")), Deny},
		{"deny beats a later allow", statements(one("Deny", ""), one("Allow", "")), Deny},
		{"deny of something else", statements(one("Allow", ""), `{"Action":"execute-api:ManageConnections","Effect":"Deny","Resource":"*"}`), Allow},
		{"all actions but one", statements(`{"NotAction":"execute-api:Invoke","Effect":"Allow","Resource":"*"}`), Silent},
		{"all resources but some", statements(`{"Action":"*","Effect":"Allow","NotResource":"arn:aws:s3:*"}`), Allow},
		{"address in a range", statements(one("Allow", `,"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8","192.0.2.0/24"]}}`)), Allow},
		{"address not in a range", statements(one("Allow", `,"Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)), Silent},
		{"one address", statements(one("Deny", `,"Condition":{"IpAddress":{"AWS:SourceIP":"192.0.2.7"}}`)), Deny},
		{"not from a range", statements(one("Deny", `,"Condition":{"NotIpAddress":{"aws:SourceIp":["192.0.2.0/24","10.0.0.0/8"]}}`), one("Allow", "")), Allow},
		{"not from anywhere else", statements(one("Deny", `,"Condition":{"NotIpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)), Deny},
		{"equal text", statements(one("Allow", `,"Condition":{"StringEquals":{"aws:UserAgent":["x","curl/8"]}}`)), Allow},
		{"text like", statements(one("Allow", `,"Condition":{"StringLike":{"aws:UserAgent":"curl/*"}}`)), Allow},
		{"not equal", statements(one("Allow", `,"Condition":{"StringNotEquals":{"aws:UserAgent":"curl/8"}}`)), Silent},
		{"a key that is not known", statements(one("Allow", `,"Condition":{"StringEquals":{"aws:Nope":"x"}}`)), Silent},
		{"a key that is not known, if it exists", statements(one("Allow", `,"Condition":{"StringEqualsIfExists":{"aws:Nope":"x"}}`)), Allow},
		{"a key that is not known is not equal", statements(one("Allow", `,"Condition":{"StringNotEquals":{"aws:Nope":"x"}}`)), Allow},
		{"no value", statements(one("Allow", `,"Condition":{"Null":{"aws:Nope":"true"}}`)), Allow},
		{"no value where there is one", statements(one("Allow", `,"Condition":{"Null":{"aws:UserAgent":"true"}}`)), Silent},
		{"some value", statements(one("Allow", `,"Condition":{"Null":{"aws:UserAgent":"false"}}`)), Allow},
		{"some value where there is none", statements(one("Allow", `,"Condition":{"Null":{"aws:Nope":false}}`)), Silent},
		{"any of the values", statements(one("Allow", `,"Condition":{"ForAnyValue:StringLike":{"aws:UserAgent":["x","curl*"]}}`)), Allow},
		{"any of no values", statements(one("Allow", `,"Condition":{"ForAnyValue:StringLike":{"aws:Nope":"*"}}`)), Silent},
		{"all of no values", statements(one("Allow", `,"Condition":{"ForAllValues:StringLike":{"aws:Nope":"x"}}`)), Allow},
		{"a number", statements(one("Allow", `,"Condition":{"NumericLessThanEquals":{"s3:max-keys":10}}`)), Allow},
		{"a larger number", statements(one("Allow", `,"Condition":{"NumericGreaterThan":{"s3:max-keys":["10","11"]}}`)), Silent},
		{"another number", statements(one("Allow", `,"Condition":{"NumericNotEquals":{"s3:max-keys":"10.0"}}`)), Silent},
		{"no number", statements(one("Allow", `,"Condition":{"NumericEquals":{"aws:UserAgent":"10"}}`)), Silent},
		{"before a date", statements(one("Deny", `,"Condition":{"DateLessThan":{"aws:CurrentTime":"2026-02-01"}}`)), Deny},
		{"after a second", statements(one("Deny", `,"Condition":{"DateGreaterThan":{"aws:CurrentTime":"1"}}`)), Deny},
		{"after a date", statements(one("Allow", `,"Condition":{"DateGreaterThanEquals":{"aws:CurrentTime":"2026-02-01T00:00:00Z"}}`)), Silent},
		{"all conditions have to hold", statements(one("Allow", `,"Condition":{"StringEquals":{"aws:UserAgent":"curl/8"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`)), Silent},
	} {
		if got := ask(t, tc.doc); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	for _, doc := range []string{
		``, `null`, `"x"`, `{}`, `{"Statement":[]}`, `{"Statement":"x"}`, statements(`{"Effect":"Maybe","Action":"*","Resource":"*"}`),
		statements(`{"Effect":"Allow","Resource":"*"}`), statements(`{"Effect":"Allow","Action":"*"}`), statements(`{"Effect":"Allow","Action":[],"Resource":"*"}`),
		statements(`{"Effect":"Allow","Action":7,"Resource":"*"}`),
		statements(one("Allow", `,"Condition":{"DateGreaterThan":{"aws:CurrentTime":"x"}}`)),
		statements(one("Allow", `,"Condition":{"IpAddress":{"aws:SourceIp":"everywhere"}}`)),
		statements(one("Allow", `,"Condition":{"NumericEquals":{"s3:max-keys":"many"}}`)),
		statements(one("Allow", `,"Condition":{"BinaryEquals":{"key":"x"}}`)),
	} {
		if p, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%s is taken: %+v", doc, p)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abcd", false},
		{"a?c", "abc", true}, {"a?c", "ac", false}, {"**a**", "xax", true}, {"*a*b", "aXbXb", true}, {"*a*b", "ba", false},
	} {
		if got := Match(tc.pattern, tc.s); got != tc.want {
			t.Errorf("%q on %q: %t", tc.pattern, tc.s, got)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	f.Add(statements(one("Allow", `,"Condition":{"IpAddress":{"aws:SourceIp":["10.0.0.0/8"]}}`)), "*a?b*", "aab")
	f.Add(`{"Statement":{"Effect":"Deny","NotAction":["*"],"NotResource":"?"}}`, "", "")
	f.Fuzz(func(t *testing.T, doc, pattern, s string) {
		if p, err := Parse([]byte(doc)); err == nil {
			p.Decide(Request{Action: s, Resource: s, Context: map[string]string{"aws:sourceip": s}})
		}
		if !Match("*", s) || !strings.ContainsAny(s, "*?") && !Match(s, s) || Match(pattern, s) && !Match(pattern+"*", s) {
			t.Fatalf("%q on %q", pattern, s)
		}
	})
}
