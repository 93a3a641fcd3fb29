package sdevs

import (
	"encoding/xml"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice"
)

// The documents in which OSS keeps a bucket's rules (aliyun.md 4.3).
type (
	corsDoc struct {
		XMLName xml.Name   `xml:"CORSConfiguration"`
		Rules   []corsRule `xml:"CORSRule"`
	}
	corsRule struct {
		AllowedOrigin []string
		AllowedMethod []string
		AllowedHeader []string
		ExposeHeader  []string
		MaxAgeSeconds string `xml:",omitempty"`
	}
	refererDoc struct {
		XMLName           xml.Name `xml:"RefererConfiguration"`
		AllowEmptyReferer string
		RefererList       struct{ Referer []string }
	}
)

// rules reads cors and referer of an oss module (aliyun.md 5.4) into the bucket's documents.
func (r *reading) rules(p view, b *sluice.Bucket) {
	keep := func(name string, doc any) {
		text, _ := xml.Marshal(doc) // texts always marshal
		if b.Docs == nil {
			b.Docs = map[string][]byte{}
		}
		b.Docs[name] = text
	}
	if c := p.at("cors"); !c.v.IsNull() {
		var doc corsDoc
		for _, item := range several(c.v.Plain()) {
			rule, _ := item.(map[string]any)
			one := corsRule{texts(rule, "allowedOrigin"), texts(rule, "allowedMethod"), texts(rule, "allowedHeader"), texts(rule, "exposeHeader"),
				strings.Join(texts(rule, "maxAgeSeconds"), "")}
			if len(one.AllowedOrigin) == 0 || len(one.AllowedMethod) == 0 {
				r.warn(c.place(), "a rule of cors needs allowedOrigin and allowedMethod; it is left out")
				continue
			}
			doc.Rules = append(doc.Rules, one)
		}
		if len(doc.Rules) > 0 {
			keep("oss.cors", doc)
		}
	}
	if c := p.at("referer"); !c.v.IsNull() {
		fields, _ := c.v.Plain().(map[string]any)
		doc := refererDoc{AllowEmptyReferer: "true"}
		if said := texts(fields, "allowEmpty"); len(said) > 0 {
			doc.AllowEmptyReferer = said[0]
		}
		doc.RefererList.Referer = texts(fields, "referers")
		keep("oss.referer", doc)
	}
}

// several is a list, or the one value that stands in a list's place.
func several(v any) []any {
	if list, ok := v.([]any); ok {
		return list
	}
	if v == nil {
		return nil
	}
	return []any{v}
}

// texts are a field's values, whose name may be written in any case.
func texts(fields map[string]any, name string) []string {
	var out []string
	for key, v := range fields {
		if strings.EqualFold(key, name) {
			for _, x := range several(v) {
				out = append(out, fmt.Sprint(x))
			}
		}
	}
	return out
}
