package apigateway

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluicehq/sluice/dialect/aliyun/apigroup"
)

// compilePatterns compiles the regular expressions of an API's parameters, by parameter.
func compilePatterns(a *apigroup.API) (map[string]*regexp.Regexp, error) {
	var out map[string]*regexp.Regexp
	for _, p := range a.RequestParams {
		if p.Pattern == "" {
			continue
		}
		re, err := regexp.Compile(`^(?:` + p.Pattern + `)$`)
		if err != nil {
			return nil, fmt.Errorf("the pattern of parameter %q: %w", p.Name, err)
		}
		if out == nil {
			out = map[string]*regexp.Regexp{}
		}
		out[p.Name] = re
	}
	return out, nil
}

// parts are the places of a request where parameters stand.
type parts struct {
	path  map[string]string
	query url.Values
	head  http.Header
	form  url.Values
}

// get finds a parameter.
func (p *parts) get(in, name string) (string, bool) {
	switch in {
	case apigroup.InPath:
		v, ok := p.path[name]
		return v, ok
	case apigroup.InHead:
		return p.head.Get(name), len(p.head.Values(name)) > 0
	case apigroup.InBody:
		return p.form.Get(name), p.form.Has(name)
	}
	return p.query.Get(name), p.query.Has(name)
}

// set puts a parameter.
func (p *parts) set(in, name, value string) {
	switch in {
	case apigroup.InPath:
		p.path[name] = value
	case apigroup.InHead:
		p.head.Set(name, oneLine(value, maxHeaders))
	case apigroup.InBody:
		p.form.Set(name, value)
	default:
		p.query.Set(name, value)
	}
}

// drop takes a parameter out.
func (p *parts) drop(in, name string) {
	switch in {
	case apigroup.InHead:
		p.head.Del(name)
	case apigroup.InBody:
		p.form.Del(name)
	case apigroup.InQuery:
		p.query.Del(name)
	}
}

// parameters checks the declared parameters and puts them where the backend wants them (section 2.3).
// Requests to an API that declares none pass as they are, in every mode. It returns the values for the
// parameters of the service path.
func (g *Group) parameters(c *call, m match, out *outgoing) (map[string]string, error) {
	a := m.api
	if len(a.RequestParams) == 0 && len(a.ServiceParams) == 0 {
		return m.params(), nil
	}
	in := parts{path: m.params(), query: c.r.URL.Query(), head: out.header, form: url.Values{}}
	form := isForm(c.r.Header)
	if !form && len(c.body) > 0 && a.BodyFormat == "FORM" && a.Mode != apigroup.Passthrough {
		return nil, faultf(I400CT, "Invalid Content-Type") // its fields would be lost
	}
	if form {
		in.form, _ = url.ParseQuery(string(c.body)) // malformed fields are as good as missing
	}
	given, err := checkParameters(m.route, &in)
	if err != nil {
		return nil, err
	}
	to := in
	rebuild := a.Mode != apigroup.Passthrough ||
		slices.ContainsFunc(a.ServiceParams, func(p apigroup.ServiceParam) bool { return p.In == apigroup.InBody })
	if a.Mode == apigroup.Mapping {
		to = parts{path: map[string]string{}, query: url.Values{}, head: http.Header{}, form: url.Values{}}
		for _, name := range []string{"Content-Type", "User-Agent", headerDevice, headerType} {
			if vals := in.head.Values(name); len(vals) > 0 {
				to.head[name] = vals
			}
		}
	}
	if a.Mode == apigroup.MappingPassthrough {
		for _, p := range a.RequestParams {
			to.drop(p.In, p.Name)
		}
	}
	g.place(c, a, given, &to)
	if rebuild && a.BodyFormat != "STREAM" && (form || a.BodyFormat == "FORM") {
		out.body = []byte(to.form.Encode())
		to.head.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	}
	out.query, out.header = to.query.Encode(), to.head
	for _, v := range to.path {
		if v == "." || v == ".." { // must not climb out of the service path
			return nil, faultf(I400PA, "Invalid Request Path `%s`", v)
		}
	}
	return to.path, nil
}

// place puts the service's parameters; where a template names none, the request's keep their places.
func (g *Group) place(c *call, a *apigroup.API, given map[string]string, to *parts) {
	if len(a.ServiceParams) == 0 {
		for _, p := range a.RequestParams {
			if v, ok := given[p.Name]; ok {
				to.set(p.In, p.Name, v)
			}
		}
		return
	}
	for _, p := range a.ServiceParams {
		switch p.Source {
		case apigroup.FromConstant:
			to.set(p.In, p.Name, p.Value)
		case apigroup.FromSystem:
			to.set(p.In, p.Name, g.system(c, a, p.Request))
		default:
			if v, ok := given[p.Request]; ok {
				to.set(p.In, p.Name, v)
			}
		}
	}
}

// system is the value of a system parameter.
func (g *Group) system(c *call, a *apigroup.API, name string) string {
	switch name {
	case "CaClientIp":
		return c.remote
	case "CaDomain":
		return c.r.Host
	case "CaRequestHandleTime":
		return g.o.Now().UTC().Format(time.RFC3339)
	case "CaAppId", "CaAppKey":
		return c.r.Header.Get("X-Ca-Key")
	case "CaRequestId":
		return c.id
	case "CaApiName":
		return a.Name
	case "CaHttpSchema":
		return c.proto
	case "CaClientUa":
		return c.r.UserAgent()
	case "CaStageName":
		return g.o.Group.Stage
	}
	return ""
}

// checkParameters returns the values of the declared parameters that the request has, or their defaults.
func checkParameters(rt *route, in *parts) (map[string]string, error) {
	given := map[string]string{}
	for i := range rt.api.RequestParams {
		p := &rt.api.RequestParams[i]
		v, ok := in.get(p.In, p.Name)
		if !ok || v == "" {
			if p.Default != "" {
				v, ok = p.Default, true
			} else if p.Required {
				return nil, faultf(I400MP, "Parameter `%s` is required", p.Name)
			}
		}
		if !ok {
			continue
		}
		if why := refuses(p, rt.patterns[p.Name], v); why != "" {
			return nil, faultf(I400MP, "Parameter `%s` is invalid: %s", p.Name, why)
		}
		given[p.Name] = v
	}
	return given, nil
}

// refuses says why a value is not what the parameter's declaration allows; "" when it is.
func refuses(p *apigroup.RequestParam, re *regexp.Regexp, v string) string {
	n := utf8.RuneCountInString(v)
	switch {
	case len(p.Enum) > 0 && !slices.Contains(p.Enum, v):
		return "not one of its values"
	case p.MinLength != nil && n < *p.MinLength:
		return "too short"
	case p.MaxLength != nil && n > *p.MaxLength:
		return "too long"
	case re != nil && !re.MatchString(v):
		return "it does not match its pattern"
	}
	bits := 64
	switch p.Type {
	case "Int":
		bits = 32
		fallthrough
	case "Long":
		if _, err := strconv.ParseInt(v, 10, bits); err != nil {
			return "not an integer"
		}
	case "Float", "Double":
	case "Boolean":
		if v != "true" && v != "false" {
			return "not a boolean"
		}
		return ""
	default:
		return ""
	}
	f, err := strconv.ParseFloat(v, 64)
	switch {
	case err != nil:
		return "not a number"
	case p.Min != nil && f < *p.Min:
		return "too small"
	case p.Max != nil && f > *p.Max:
		return "too large"
	}
	return ""
}
