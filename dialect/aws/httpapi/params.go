package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// Integrations may change requests on their way to what is behind them, and answers on their way back:
//
//	HTTP APIs  append:header.x, overwrite:querystring.x, remove:header.x, overwrite:path, overwrite:statuscode
//	           = $request.header.y, $response.body.a.b, $context.requestId, $stageVariables.v, a text, "x-${…}"
//	REST APIs  integration.request.header.x
//	           = method.request.querystring.y, context.requestId, stageVariables.v, 'a text'

// change is one of those: how is append, overwrite or remove, of the part called name.
type change struct{ how, part, name, value string }

// changes reads parameters, in an order that is always the same: what is removed before what is set. value
// gives a source's value; without one a parameter changes nothing.
func changes(params map[string]string, value func(source string) (string, bool)) (list []change) {
	for _, to := range slices.Sorted(maps.Keys(params)) {
		how, place, ok := strings.Cut(to, ":")
		if rest, old := strings.CutPrefix(to, "integration.request."); old {
			how, place, ok = "overwrite", rest, true
		}
		part, name, _ := strings.Cut(place, ".")
		v, has := "", true
		if how != "remove" {
			v, has = value(params[to])
		}
		if ok && has {
			list = append(list, change{how, strings.ToLower(part), name, v})
		}
	}
	slices.SortStableFunc(list, func(a, b change) int { return strings.Compare(b.how, a.how) }) // remove, overwrite, append
	return list
}

// set changes a header, or a query.
func (x *change) set(values map[string][]string, name string) {
	switch x.how {
	case "append":
		values[name] = append(slices.Clip(values[name]), x.value)
	case "overwrite":
		values[name] = []string{x.value}
	case "remove":
		delete(values, name)
	}
}

// alter changes the request as its integration has it. It returns the values of the URI's variables, and the
// path that replaces the URI's own, "" for none.
func (c *call) alter(in *apispec.Integration) (vars map[string]string, path string) {
	vars = c.params
	if len(in.RequestParameters) == 0 {
		return vars, ""
	}
	list := changes(in.RequestParameters, func(source string) (string, bool) { return c.value(source, nil) })
	r := c.r.Clone(c.r.Context())
	q := query(r)
	for _, x := range list {
		switch x.part {
		case "header":
			if !ours(x.name) {
				x.set(r.Header, http.CanonicalHeaderKey(x.name))
			}
		case "querystring":
			x.set(q, x.name)
			r.URL.RawQuery = q.Encode()
		case "path":
			if x.name == "" {
				path = x.value
				continue
			}
			vars = maps.Clone(vars)
			if vars == nil {
				vars = map[string]string{}
			}
			vars[x.name] = x.value
		}
	}
	c.r = r
	return vars, path
}

// ours reports whether a header is the connection's, or says where a request came from.
func ours(header string) bool {
	switch strings.ToLower(header) {
	case "connection", "transfer-encoding", "content-length", "keep-alive", "upgrade", "host", "forwarded", "via", "te", "trailer":
		return true
	}
	return false
}

// held is an answer that waits for what its integration makes of it.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(p []byte) (int, error) { return h.body.Write(p) }

// hold has the answer wait when its integration may change it; the function returned sends it.
func (c *call) hold(in *apispec.Integration) (send func()) {
	if len(in.ResponseParameters) == 0 {
		return func() {}
	}
	w, h := c.w, &held{header: c.w.Header().Clone(), status: http.StatusOK}
	c.w = h
	return func() {
		c.w = w
		list := changes(in.ResponseParameters[strconv.Itoa(h.status)], func(source string) (string, bool) { return c.value(source, h) })
		for _, x := range list {
			switch n, err := strconv.Atoi(x.value); {
			case x.part == "header" && !ours(x.name):
				x.set(h.header, http.CanonicalHeaderKey(x.name))
			case x.part == "statuscode" && err == nil && n >= 200 && n <= 599:
				h.status = n
			}
		}
		clear(w.Header())
		maps.Copy(w.Header(), h.header)
		write(w, c.r, h.status, h.body.Bytes())
	}
}

// value is what a source means; ok is false when nothing is there. res is nil before there is an answer.
func (c *call) value(source string, res *held) (v string, ok bool) {
	switch {
	case strings.HasPrefix(source, "'") && strings.HasSuffix(source, "'") && len(source) > 1:
		return source[1 : len(source)-1], true
	case strings.HasPrefix(source, "method."):
		return c.variable(source[len("method."):], res)
	case c.spec.REST:
		return c.variable(source, res)
	case strings.HasPrefix(source, "$") && !strings.HasPrefix(source, "${"):
		return c.variable(source[1:], res)
	}
	var b strings.Builder
	for {
		before, rest, more := strings.Cut(source, "${")
		name, after, closed := strings.Cut(rest, "}")
		if !more || !closed {
			b.WriteString(source)
			return b.String(), true
		}
		part, has := c.variable(name, res)
		if !has {
			return "", false
		}
		b.WriteString(before + part)
		source = after
	}
}

// variable is the value of request.header.x, response.body.a, context.stage, stageVariables.v and the like.
func (c *call) variable(name string, res *held) (string, bool) {
	root, rest, _ := strings.Cut(name, ".")
	part, key, _ := strings.Cut(rest, ".")
	switch root {
	case "request":
		switch part {
		case "header", "multivalueheader":
			vals := headers(c.r)[http.CanonicalHeaderKey(key)]
			return strings.Join(vals, ","), len(vals) > 0
		case "querystring", "multivaluequerystring":
			vals := query(c.r)[key]
			return strings.Join(vals, ","), len(vals) > 0
		case "path":
			if key == "" {
				return c.path, true
			}
			v, ok := c.params[key]
			return v, ok
		case "body":
			return bodyPart(c.body, key)
		}
	case "response":
		switch {
		case res == nil:
		case part == "header":
			vals := res.header.Values(key)
			return strings.Join(vals, ","), len(vals) > 0
		case part == "body":
			return bodyPart(res.body.Bytes(), key)
		}
	case "stageVariables":
		v, ok := c.stage.Variables[rest]
		return v, ok
	case "context":
		return c.context(rest)
	}
	return "", false
}

// bodyPart is a value of a JSON document by the names on the way to it; "" is all of it.
func bodyPart(body []byte, path string) (string, bool) {
	if path == "" {
		return string(body), len(body) > 0
	}
	var v any
	if json.Unmarshal(body, &v) != nil {
		return "", false
	}
	for name := range strings.SplitSeq(path, ".") {
		name, index, listed := strings.Cut(strings.TrimSuffix(name, "]"), "[")
		m, _ := v.(map[string]any)
		if v = m[name]; listed {
			list, _ := v.([]any)
			n, err := strconv.Atoi(index)
			if err != nil || n < 0 || n >= len(list) {
				return "", false
			}
			v = list[n]
		}
	}
	return text(v), v != nil
}

// context is a variable of the request's context.
func (c *call) context(name string) (string, bool) {
	now := c.o.Now().UTC()
	domain := c.domain()
	switch name {
	case "accountId":
		return account, true
	case "apiId":
		return c.spec.ID, true
	case "domainName":
		return domain, true
	case "domainPrefix":
		prefix, _, _ := strings.Cut(domain, ".")
		return prefix, true
	case "extendedRequestId":
		return c.extended, true
	case "httpMethod":
		return c.r.Method, true
	case "identity.sourceIp":
		return clientIP(c.r), true
	case "identity.userAgent":
		return c.r.UserAgent(), true
	case "path":
		return c.full, true
	case "protocol":
		return c.r.Proto, true
	case "requestId":
		return c.id, true
	case "requestTime":
		return now.Format(clf), true
	case "requestTimeEpoch":
		return itoa(now.UnixMilli()), true
	case "routeKey":
		return c.route.Key, true
	case "stage":
		return c.stage.Name, true
	}
	if path, ok := strings.CutPrefix(name, "authorizer."); ok {
		doc, err := json.Marshal(c.auth)
		if err != nil {
			return "", false
		}
		for _, under := range []string{"", "lambda.", "jwt."} { // events have them apart by the kind of authorizer
			if v, ok := bodyPart(doc, under+path); ok {
				return v, true
			}
		}
	}
	return "", false
}

// target is the address of the server behind an integration.
func (c *call) target(in *apispec.Integration, vars map[string]string, path string) (*url.URL, error) {
	to := expand(in.URI, c.stage.Variables)
	for name, v := range vars {
		to = strings.NewReplacer("{"+name+"}", escapePath(v), "{"+name+"+}", escapePath(v)).Replace(to)
	}
	u, err := url.Parse(to)
	if err != nil {
		return nil, fmt.Errorf("integration URI: %w", err)
	}
	if path != "" {
		u.Path, u.RawPath = "/"+strings.TrimPrefix(path, "/"), ""
	}
	if u.RawQuery == "" {
		u.RawQuery = c.r.URL.RawQuery
	} else if c.r.URL.RawQuery != "" {
		u.RawQuery += "&" + c.r.URL.RawQuery
	}
	return u, nil
}
