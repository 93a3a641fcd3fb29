package apigateway

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/gateway"
)

var fixedConn = gateway.ControlConn{ID: sluice.ConnID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, ConnectedAt: time.UnixMilli(1534692949977)}

const fixedCredential = "1534692949977" + "00072623859790382856" + "00592395" // time, eight bytes, three bytes

func TestCommandWords(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*"))
	bound := fixedConn
	bound.Alias = "dev"
	for _, tc := range []struct {
		name, in string
		conn     gateway.ControlConn
		say      string // "" is nothing
		alias    string // that is bound
		consumed bool
	}{
		{"bind", "RG#dev", fixedConn, "RO#" + fixedCredential + "#25000", "dev", true},
		{"bind again", "RG#dev", bound, "RO#" + fixedCredential + "#25000", "", true},
		{"bind as another", "RG#dev2", bound, "RO#" + fixedCredential + "#25000", "dev2", true},
		{"bind with hashes", "RG#a#b@1", fixedConn, "RO#" + fixedCredential + "#25000", "a#b@1", true},
		{"bind as nobody", "RG#", fixedConn, "RF#InvalidDeviceId", "", true},
		{"bind with a control character", "RG#a\x01", fixedConn, "RF#InvalidDeviceId", "", true},
		{"bind too long", "RG#" + strings.Repeat("x", 257), fixedConn, "RF#InvalidDeviceId", "", true},
		{"bind at the limit", "RG#" + strings.Repeat("x", 256), fixedConn, "RO#" + fixedCredential + "#25000", strings.Repeat("x", 256), true},
		{"heartbeat", "H1", bound, "HO#" + fixedCredential, "", true},
		{"heartbeat before bind", "H1", fixedConn, "HF#NotRegistered", "", true},
		{"acknowledgement", "NO", bound, "", "", true},
		{"request", `{"method":"GET"}`, bound, "", "", false},
		{"request after blanks", " \n{", bound, "", "", false},
		{"rubbish", "hello", bound, string(sendBadMessage[0].Data), "", true},
		{"nothing", "", bound, string(sendBadMessage[0].Data), "", true},
		{"array", "[]", bound, string(sendBadMessage[0].Data), "", true},
		{"a word of ours", "CR", bound, string(sendBadMessage[0].Data), "", true},
		{"heartbeat in lower case", "h1", bound, string(sendBadMessage[0].Data), "", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := g.Control(tc.conn, []byte(tc.in), false)
			said := ""
			for _, f := range c.Send {
				said += string(f.Data)
			}
			alias := ""
			if c.Alias != nil {
				alias = c.Alias.Name
				if c.Alias.Scope != "barrage/gateway" {
					t.Errorf("alias in scope %q", c.Alias.Scope)
				}
			}
			if said != tc.say || alias != tc.alias || c.Consumed != tc.consumed || c.Close != nil {
				t.Errorf("said %q, alias %q, consumed %v", said, alias, c.Consumed)
			}
		})
	}
}

func TestCredentialsDifferAndAreDigits(t *testing.T) {
	digits := regexp.MustCompile(`^\d+$`)
	seen := map[string]bool{}
	for i := range 11 {
		id := sluice.ConnID{}
		id[i] = 1
		s := string(appendCredential(nil, id, time.UnixMilli(1)))
		if !digits.MatchString(s) || seen[s] {
			t.Errorf("credential %q", s)
		}
		seen[s] = true
	}
	var most sluice.ConnID
	for i := range most {
		most[i] = 0xff
	}
	if s := string(appendCredential(nil, most, time.UnixMilli(1))); s != "1"+"18446744073709551615"+"16777215" {
		t.Error(s)
	}
}

func TestControlHardlyAllocates(t *testing.T) {
	g := newGroup(t, &rooms{}, api("/*"))
	bound := fixedConn
	bound.Alias = "dev"
	for in, most := range map[string]float64{"NO": 0, "H1": 1, "RG#dev": 1, "{": 0, "nonsense": 0} {
		data := []byte(in)
		if n := testing.AllocsPerRun(100, func() { g.Control(bound, data, false) }); n > most {
			t.Errorf("%s: %v allocations, want at most %v", in, n, most)
		}
	}
}

func TestPolicyIsTheClouds(t *testing.T) {
	p := newGroup(t, &rooms{}, api("/*")).endpoint.Policy
	if !p.AutoAccept || p.Idle != 55*time.Second || p.Uplink != 16 || p.MaxMessage != 128<<10 || !p.TextOnly ||
		string(p.RateNotice) != "OS" || string(p.DrainNotice) != "CR" || string(p.LifeNotice) != "CR" || p.MaxLife != 0 || p.AliasGrace != 2*time.Second {
		t.Errorf("%+v", p)
	}
}

func FuzzControl(f *testing.F) {
	for _, s := range []string{"RG#x", "H1", "NO", "{", "RG#", "\xff\xfe", "RG#\xff"} {
		f.Add([]byte(s))
	}
	g := newGroup(f, &rooms{}, api("/*"))
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		c := g.Control(fixedConn, data, false)
		if !bytes.Equal(before, data) {
			t.Error("the message was changed")
		}
		if !c.Consumed && (len(c.Send) > 0 || c.Alias != nil) {
			t.Error("what is left for Handle must not be answered")
		}
		for _, fr := range c.Send {
			if bytes.HasPrefix(fr.Data, []byte("RF#")) && bytes.Count(fr.Data, []byte("#")) != 1 {
				t.Errorf("RF with more than one hash: %q", fr.Data)
			}
		}
	})
}
