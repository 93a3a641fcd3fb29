package rest

import (
	"cmp"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/object"
)

type corsXML struct {
	XMLName      xml.Name   `xml:"CORSConfiguration"`
	Rules        []corsRule `xml:"CORSRule"`
	ResponseVary *bool      `xml:",omitempty"`
}

type corsRule struct {
	ID            string `xml:",omitempty"`
	AllowedOrigin []string
	AllowedMethod []string
	AllowedHeader []string
	ExposeHeader  []string
	MaxAgeSeconds *int `xml:",omitempty"`
}

// PutCORS keeps the rules by which pages of other origins may use the bucket.
func (c *Call) PutCORS() error {
	var in corsXML
	if err := c.Body(&in); err != nil {
		return err
	}
	if len(in.Rules) == 0 || len(in.Rules) > 20 {
		return Malformed()
	}
	for _, r := range in.Rules {
		if len(r.AllowedOrigin) == 0 || len(r.AllowedMethod) == 0 {
			return Malformed()
		}
		for _, m := range r.AllowedMethod {
			if !slices.Contains([]string{"GET", "PUT", "DELETE", "POST", "HEAD"}, m) {
				return Invalid("AllowedMethod", m, "Found unsupported HTTP method in CORS config.")
			}
		}
		for _, p := range slices.Concat(r.AllowedOrigin, r.AllowedHeader) {
			if strings.Count(p, "*") > 1 {
				return Invalid("CORSRule", p, "Found more than one wildcard in CORS config.")
			}
		}
	}
	return c.Done(c.setDoc("cors", in), http.StatusOK)
}

// cors reads a bucket's rules; ok is false when it has none.
func (c *Call) cors(b *object.Bucket) (rules corsXML, ok bool, err error) {
	doc := b.Docs[c.Name+".cors"]
	if doc == nil {
		return rules, false, nil
	}
	return rules, true, xml.Unmarshal(doc, &rules)
}

// GetCORS tells the rules.
func (c *Call) GetCORS() error {
	rules, ok, err := c.cors(c.B)
	if err != nil {
		return err
	}
	if !ok {
		return Refuse(404, "NoSuchCORSConfiguration", "The CORS Configuration does not exist.").With("BucketName", c.Bucket)
	}
	return c.Answer(rules)
}

// DeleteCORS drops the rules.
func (c *Call) DeleteCORS() error {
	return c.Done(c.setDoc("cors", nil), http.StatusNoContent)
}

// like matches a pattern with at most one "*".
func like(pattern, s string) bool {
	head, tail, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == s
	}
	return len(s) >= len(head)+len(tail) && strings.HasPrefix(s, head) && strings.HasSuffix(s, tail)
}

// match finds the first rule that lets a page of origin use method with the headers that it names.
func (x corsXML) match(origin, method string, headers []string) *corsRule {
	for i := range x.Rules {
		r := &x.Rules[i]
		allows := func(h string) bool {
			return slices.ContainsFunc(r.AllowedHeader, func(p string) bool { return like(strings.ToLower(p), h) })
		}
		if slices.ContainsFunc(r.AllowedOrigin, func(p string) bool { return like(p, origin) }) &&
			slices.Contains(r.AllowedMethod, method) && !slices.ContainsFunc(headers, func(h string) bool { return !allows(h) }) {
			return r
		}
	}
	return nil
}

// allowOrigin tells a browser whether the page that asks may read the answer.
func (c *Call) allowOrigin() {
	origin := c.R.Header.Get("Origin")
	if origin == "" || c.B == nil {
		return
	}
	rules, ok, err := c.cors(c.B)
	if !ok || err != nil {
		return
	}
	method := cmp.Or(c.R.Header.Get("Access-Control-Request-Method"), c.R.Method)
	if r := rules.match(origin, method, nil); r != nil {
		c.grant(r, origin, method)
		if len(r.ExposeHeader) > 0 {
			c.Set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeader, ", "))
		}
	}
	if rules.ResponseVary != nil && *rules.ResponseVary {
		c.Set("Vary", "Origin")
	}
}

func (c *Call) grant(r *corsRule, origin, method string) {
	if slices.Contains(r.AllowedOrigin, "*") {
		origin = "*"
	} else {
		c.Set("Vary", "Origin")
	}
	c.Set("Access-Control-Allow-Origin", origin)
	c.Set("Access-Control-Allow-Methods", method)
}

// preflight answers a browser's question before a request.
func (c *Call) preflight() error {
	origin, method := c.R.Header.Get("Origin"), c.R.Header.Get("Access-Control-Request-Method")
	if origin == "" || method == "" {
		return Refuse(400, "InvalidArgument", "Insufficient information. Origin and Access-Control-Request-Method are needed.")
	}
	b, err := c.Objects.Bucket(c.Ctx, c.Bucket)
	if err != nil {
		return err
	}
	rules, _, err := c.cors(b)
	if err != nil {
		return err
	}
	var headers []string
	asked := c.R.Header.Get("Access-Control-Request-Headers")
	for h := range strings.SplitSeq(strings.ToLower(asked), ",") {
		if h = strings.TrimSpace(h); h != "" {
			headers = append(headers, h)
		}
	}
	r := rules.match(origin, method, headers)
	if r == nil {
		return Refuse(403, "AccessForbidden",
			"CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
	}
	c.grant(r, origin, strings.Join(r.AllowedMethod, ", "))
	if asked != "" {
		c.Set("Access-Control-Allow-Headers", asked)
	}
	if len(r.ExposeHeader) > 0 {
		c.Set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeader, ", "))
	}
	if r.MaxAgeSeconds != nil {
		c.Set("Access-Control-Max-Age", strconv.Itoa(*r.MaxAgeSeconds))
	}
	return c.Empty(http.StatusOK)
}
