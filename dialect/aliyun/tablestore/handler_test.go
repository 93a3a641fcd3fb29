package tablestore

import (
	"bytes"
	"compress/zlib"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
)

// Computed with another implementation of the published algorithm.
func TestSignaturesAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	h := http.Header{}
	for name, value := range map[string]string{
		"x-ots-accesskeyid": "ak", "x-ots-apiversion": "2015-12-31", "x-ots-contentmd5": "1B2M2Y8AsgTpgAmY7PhCfg==",
		"x-ots-date": "2024-01-02T03:04:05.678Z", "x-ots-instancename": " inst ", "x-ots-ststoken": "tok",
		"x-ots-signature": "never signed", "host": "never signed",
	} {
		h.Set(name, value)
	}
	if got, want := signatureV2("GetRow", h, "sk"), "AnlB+yaeTGvMhLcpxyG7AklpXbc="; got != want {
		t.Errorf("V2: got %s, want %s", got, want)
	}
	if got, want := v4Key("sk", "20240102", "cn-hangzhou"), "ZTQ77z9vqEGlB283FbL2EbMyNBdBoFGY2acYbBbuevA="; got != want {
		t.Errorf("V4 key: got %s, want %s", got, want)
	}
	h.Set("x-ots-signdate", "20240102")
	h.Set("x-ots-signregion", "cn-hangzhou")
	h.Set("x-ots-signaturev4", "never signed")
	if got, want := signatureV4("GetRow", h, v4Key("sk", "20240102", "cn-hangzhou")), "LJ5bByNKT41ADiFhd2t+bedN7gUkgUDT8xaXNZcr8iE="; got != want {
		t.Errorf("V4: got %s, want %s", got, want)
	}
	answer := http.Header{}
	answer.Set("x-ots-contentmd5", "1B2M2Y8AsgTpgAmY7PhCfg==")
	answer.Set("x-ots-contenttype", "protocol buffer")
	answer.Set("x-ots-date", "2024-01-02T03:04:05.678Z")
	answer.Set("x-ots-requestid", "0005a1b2-c3d4-e5f6-0000-000000000001")
	if got, want := signAnswer("GetRow", answer, "sk"), "gwaRaMYzwHlk0PGiP7bNEQQo1HM="; got != want {
		t.Errorf("answer: got %s, want %s", got, want)
	}
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	date := start.Format("2006-01-02T15:04:05.000Z")
	set := func(name, value string) func(*client, *http.Request) {
		return func(c *client, r *http.Request) {
			r.Header.Set(name, value)
			c.sign(r)
		}
	}
	missing := func(name string) *fault { return invalid("Missing header: %s.", name) }
	cases := []struct {
		name   string
		op     string
		change func(*client, *http.Request)
		want   *fault
	}{
		{"as it should be", "ListTable", nil, nil},
		{"another method", "ListTable", func(_ *client, r *http.Request) { r.Method = "PUT" }, faultMethod},
		{"an unknown operation", "Frobnicate", nil, invalid("Unsupported operation: Frobnicate.")},
		{"an operation of a later release", "SQLQuery", nil, invalid("Unsupported operation: SQLQuery.")},
		{"no date", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headDate) }, missing("x-ots-date")},
		{"no version", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headVersion) }, missing("x-ots-apiversion")},
		{"no key id", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headKey) }, missing("x-ots-accesskeyid")},
		{"no MD5", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headMD5) }, missing("x-ots-contentmd5")},
		{"no instance", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headInstance) }, missing("x-ots-instancename")},
		{"no signature", "ListTable", func(_ *client, r *http.Request) { r.Header.Del(headSign) }, missing("x-ots-signature")},
		{"a header more, unsigned", "ListTable", func(_ *client, r *http.Request) { r.Header.Set("x-ots-request-tag", "a") }, refused("Signature mismatch.")},
		{"a header more, signed", "ListTable", set("x-ots-request-tag", " a "), nil},
		{"an unknown key", "ListTable", set(headKey, "LTAI"), refused("The AccessKeyID does not exist.")},
		{"a forged token", "ListTable", set(headToken, "abc"), refused("The security token is invalid.")},
		{"a date of the Go SDK", "ListTable", set(headDate, "2024-01-02T03:04:05.11212Z"), nil},
		{"no date at all", "ListTable", set(headDate, "yesterday"), invalid("Invalid date format: yesterday.")},
		{"a date with a zone", "ListTable", set(headDate, date[:19]+"+08:00"), invalid("Invalid date format: %s.", date[:19]+"+08:00")},
		{"a date of 14 minutes ago", "ListTable", set(headDate, "2024-01-02T02:50:05.000Z"), nil},
		{"a date of 16 minutes ago", "ListTable", set(headDate, "2024-01-02T02:48:05.000Z"), refused("Mismatch between system time and x-ots-date: 2024-01-02T02:48:05.000Z.")},
		{"a date in 16 minutes", "ListTable", set(headDate, "2024-01-02T03:20:06.000Z"), refused("Mismatch between system time and x-ots-date: 2024-01-02T03:20:06.000Z.")},
		{"the MD5 of another body", "ListTable", set(headMD5, contentMD5([]byte("x"))), refused("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")},
		{"an instance with a dot", "ListTable", set(headInstance, "a.b"), invalid("Invalid instance name: a.b.")},
		{"an instance with a digit first", "ListTable", set(headInstance, "1ab"), invalid("Invalid instance name: 1ab.")},
		{"an instance with a hyphen last", "ListTable", set(headInstance, "ab-"), invalid("Invalid instance name: ab-.")},
		{"a body that is no message", "GetRow", nil, invalid("Cannot deserialize the request data.")},
		{"V4", "ListTable", func(c *client, r *http.Request) {
			r.Header.Del(headSign)
			r.Header.Set(headSignDay, "20240102")
			r.Header.Set(headRegion, "cn-hangzhou")
			c.sign(r)
		}, nil},
		{"V4 of another region", "ListTable", func(c *client, r *http.Request) {
			r.Header.Del(headSign)
			r.Header.Set(headSignDay, "20240102")
			r.Header.Set(headRegion, "cn-hangzhou")
			c.sign(r)
			r.Header.Set(headRegion, "cn-beijing")
		}, refused("Signature mismatch.")},
		{"an endpoint with a path", "ListTable", func(_ *client, r *http.Request) { r.URL.Path = "/ots/ListTable" }, nil},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newServer(t, nil).operator("inst")
			r := c.request(tc.op, nil)
			if tc.change != nil {
				tc.change(c, r)
			}
			if strings.HasPrefix(r.URL.Path, "/ots") {
				// send checks signatures by path; only the outcome matters here.
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					t.Errorf("got status %d", resp.StatusCode)
				}
				return
			}
			if diff := cmp.Diff(tc.want, c.result(tc.op, r, nil)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSkewCheckCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	c := newServer(t, func(o *Options) { o.MaxSkew = -1 }).operator("inst")
	r := c.request("ListTable", nil)
	r.Header.Set(headDate, "1999-01-02T02:48:05.000Z")
	c.sign(r)
	if f := c.result("ListTable", r, nil); f != nil {
		t.Error(f)
	}
}

func TestLargeBodyIsRefusedWithASignedAnswer(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	r := c.request("PutRow", make([]byte, maxBody+1))
	if diff := cmp.Diff(faultBody, c.result("PutRow", r, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDeflatedBodies(t *testing.T) {
	t.Parallel()
	c := newServer(t, nil).operator("inst")
	plain := marshal(&tableRequest{"nothere"})
	var deflated bytes.Buffer
	z := zlib.NewWriter(&deflated)
	z.Write(plain)
	z.Close()
	for _, tc := range []struct {
		name, size string
		body       []byte
		want       *fault
	}{
		{"read", strconv.Itoa(len(plain)), deflated.Bytes(), faultMissing},
		{"another size", strconv.Itoa(len(plain) + 1), deflated.Bytes(), invalid("Cannot deserialize the request data.")},
		{"no size", "", deflated.Bytes(), invalid("Missing header: x-ots-request-compress-size.")},
		{"a bomb", "5242881", deflated.Bytes(), faultBody},
		{"not deflated", strconv.Itoa(len(plain)), plain, invalid("Cannot deserialize the request data.")},
	} {
		r := c.request("DescribeTable", tc.body)
		r.Header.Set(headDeflate, "deflate")
		r.Header.Set(headInflated, tc.size)
		c.sign(r)
		if diff := cmp.Diff(tc.want, c.result("DescribeTable", r, nil)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestInstancesBelongToApps(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil)
	app := func(name sluice.AppName, instance string) *client {
		cred := s.keys.Temporary("STS.", access.Principal{App: name, Function: "f"}, time.Hour)
		return &client{s, cred, instance}
	}
	list := func(c *client) *fault { return c.try("ListTable", &none{}, nil) }
	// access.Keys has its own clock: its tokens are valid by the system's time, which is well past start.
	late := refused("The user has no privilege to access the instance.")
	for _, step := range []struct {
		name string
		who  *client
		want *fault
	}{
		{"the operator comes first and claims nothing", s.operator("shared"), nil},
		{"the first app claims", app("one", "shared"), nil},
		{"and comes again", app("one", "shared"), nil},
		{"another app is too late", app("two", "shared"), late},
		{"an app has the instance of its name", app("two", "two"), nil},
		{"the operator still comes", s.operator("shared"), nil},
	} {
		if diff := cmp.Diff(step.want, list(step.who)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	// An instance is a name space.
	s.operator("shared").createTable("t", nil, keySchema{Name: "id", Type: keyString})
	var resp listTableResponse
	app("two", "two").do("ListTable", &none{}, &resp)
	if len(resp.Names) != 0 {
		t.Errorf("another instance shows %q", resp.Names)
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/PutRow", nil)
	if Claims(r) {
		t.Error("a request without x-ots headers is claimed")
	}
	r.Header.Set("x-ots-instancename", "a")
	if !Claims(r) {
		t.Error("a request with x-ots headers is not claimed")
	}
}
