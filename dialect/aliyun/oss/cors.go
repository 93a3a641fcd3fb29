package oss

import (
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
	AllowedOrigin []string
	AllowedMethod []string
	AllowedHeader []string
	ExposeHeader  []string
	MaxAgeSeconds *int `xml:",omitempty"`
}

func (c *call) putCORS() error {
	var in corsXML
	if err := c.body(&in, maxSetting); err != nil {
		return err
	}
	if len(in.Rules) == 0 || len(in.Rules) > 20 {
		return refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
	}
	for _, r := range in.Rules {
		if len(r.AllowedOrigin) == 0 || len(r.AllowedMethod) == 0 {
			return refuse(400, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema.")
		}
		for _, m := range r.AllowedMethod {
			if !slices.Contains([]string{"GET", "PUT", "DELETE", "POST", "HEAD"}, m) {
				return invalid("AllowedMethod", m, "Found unsupported HTTP method in CORS config.")
			}
		}
		for _, p := range slices.Concat(r.AllowedOrigin, r.AllowedHeader) {
			if strings.Count(p, "*") > 1 {
				return invalid("CORSRule", p, "Found more than one wildcard in CORS config.")
			}
		}
	}
	if err := c.setDoc(docCORS, in); err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// cors reads a bucket's rules; ok is false when it has none.
func cors(b *object.Bucket) (rules corsXML, ok bool, err error) {
	doc := b.Docs[docCORS]
	if doc == nil {
		return rules, false, nil
	}
	return rules, true, xml.Unmarshal(doc, &rules)
}

func (c *call) getCORS() error {
	rules, ok, err := cors(c.b)
	if err != nil {
		return err
	}
	if !ok {
		return refuse(404, "NoSuchCORSConfiguration", "The CORS Configuration does not exist.").with("BucketName", c.bucket)
	}
	return c.answer(rules)
}

func (c *call) deleteCORS() error {
	if err := c.setDoc(docCORS, nil); err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
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
func (c *call) allowOrigin() {
	origin := c.r.Header.Get("Origin")
	if origin == "" || c.b == nil {
		return
	}
	rules, ok, err := cors(c.b)
	if !ok || err != nil {
		return
	}
	if r := rules.match(origin, c.r.Method, nil); r != nil {
		c.grant(r, origin, c.r.Method)
		if len(r.ExposeHeader) > 0 {
			c.set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeader, ", "))
		}
	}
	if rules.ResponseVary != nil && *rules.ResponseVary {
		c.set("Vary", "Origin")
	}
}

func (c *call) grant(r *corsRule, origin, method string) {
	if slices.Contains(r.AllowedOrigin, "*") {
		origin = "*"
	} else {
		c.set("Vary", "Origin")
	}
	c.set("Access-Control-Allow-Origin", origin)
	c.set("Access-Control-Allow-Methods", method)
}

// preflight answers a browser's question before a request.
func (c *call) preflight() error {
	origin, method := c.r.Header.Get("Origin"), c.r.Header.Get("Access-Control-Request-Method")
	if origin == "" || method == "" {
		return refuse(400, "InvalidArgument", "Insufficient information. Origin and Access-Control-Request-Method are needed.")
	}
	b, err := c.h.Objects.Bucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	rules, _, err := cors(b)
	if err != nil {
		return err
	}
	var headers []string
	asked := c.r.Header.Get("Access-Control-Request-Headers")
	for h := range strings.SplitSeq(strings.ToLower(asked), ",") {
		if h = strings.TrimSpace(h); h != "" {
			headers = append(headers, h)
		}
	}
	r := rules.match(origin, method, headers)
	if r == nil {
		return refuse(403, "AccessForbidden",
			"CORSResponse: This CORS request is not allowed. This is usually because the evaluation of Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.")
	}
	c.grant(r, origin, strings.Join(r.AllowedMethod, ", "))
	if asked != "" {
		c.set("Access-Control-Allow-Headers", asked)
	}
	if len(r.ExposeHeader) > 0 {
		c.set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeader, ", "))
	}
	if r.MaxAgeSeconds != nil {
		c.set("Access-Control-Max-Age", strconv.Itoa(*r.MaxAgeSeconds))
	}
	return c.empty(http.StatusOK)
}
