package fc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
)

// Apps is what the management API needs of the deploy room.
type Apps interface {
	// List is every app as it is deployed now.
	List(ctx context.Context) ([]*sluice.App, error)
	// History is the kept revisions of an app, the current one among them.
	History(ctx context.Context, app sluice.AppName) ([]*sluice.App, error)
	// Deploy puts an app into service in place of what has its name. A failed one changes nothing.
	Deploy(ctx context.Context, app *sluice.App) error
	// Remove takes an app away.
	Remove(ctx context.Context, app sluice.AppName) error
}

// Objects is what the management API needs of the object room: code may come from there.
type Objects interface {
	CreateBucket(ctx context.Context, b object.Bucket) (*object.Bucket, error)
	Bucket(ctx context.Context, name string) (*object.Bucket, error)
	Get(ctx context.Context, bucket, key string) (*object.Content, error)
	Delete(ctx context.Context, bucket, key string) error
}

// Code packages that come within a request are a third longer there.
const maxManage = 128 << 20

// query is one management request whose signer is known.
type query struct {
	r    *http.Request
	w    http.ResponseWriter
	who  access.Principal
	v3   bool // API version 2023-03-30
	args map[string]string
	body []byte
}

// route is one operation. Its path begins after the version; {names} are one segment each.
type route struct {
	method, path string
	serve        func(a *API, ctx context.Context, q *query) (any, error)
}

// Operations that both versions have stand under /services/{service} in 2016-08-15.
var (
	shared = []route{
		{"POST", "functions", (*API).createFunction},
		{"GET", "functions", (*API).listFunctions},
		{"GET", "functions/{function}", (*API).getFunction},
		{"PUT", "functions/{function}", (*API).updateFunction},
		{"DELETE", "functions/{function}", (*API).deleteFunction},
		{"GET", "functions/{function}/code", (*API).getCode},
		{"POST", "functions/{function}/triggers", (*API).createTrigger},
		{"GET", "functions/{function}/triggers", (*API).listTriggers},
		{"GET", "functions/{function}/triggers/{trigger}", (*API).getTrigger},
		{"PUT", "functions/{function}/triggers/{trigger}", (*API).updateTrigger},
		{"DELETE", "functions/{function}/triggers/{trigger}", (*API).deleteTrigger},
		{"PUT", "functions/{function}/async-invoke-config", (*API).putAsyncConfig},
		{"GET", "functions/{function}/async-invoke-config", (*API).getAsyncConfig},
		{"DELETE", "functions/{function}/async-invoke-config", (*API).deleteAsyncConfig},
	}
	versions = []route{
		{"GET", "versions", (*API).listVersions},
		{"POST", "versions", (*API).noVersion},
		{"GET", "versions/{version}", (*API).noVersion},
		{"DELETE", "versions/{version}", (*API).noVersion},
		{"GET", "aliases", (*API).listAliases},
		{"POST", "aliases", (*API).noVersion},
		{"GET", "aliases/{alias}", (*API).noAlias},
		{"PUT", "aliases/{alias}", (*API).noAlias},
		{"DELETE", "aliases/{alias}", (*API).noAlias},
	}
	domains = []route{
		{"POST", "custom-domains", (*API).createDomain},
		{"GET", "custom-domains", (*API).listDomains},
		{"GET", "custom-domains/{domain}", (*API).getDomain},
		{"PUT", "custom-domains/{domain}", (*API).updateDomain},
		{"DELETE", "custom-domains/{domain}", (*API).deleteDomain},
	}
	layers = []route{
		{"GET", "layers", (*API).listLayers},
		{"POST", "layers/{layer}/versions", (*API).publishLayer},
		{"GET", "layers/{layer}/versions", (*API).listLayerVersions},
		{"GET", "layers/{layer}/versions/{version}", (*API).getLayer},
		{"DELETE", "layers/{layer}/versions/{version}", (*API).deleteLayer},
	}
	services = []route{
		{"POST", "services", (*API).createService},
		{"GET", "services", (*API).listServices},
		{"GET", "services/{service}", (*API).getService},
		{"PUT", "services/{service}", (*API).updateService},
		{"DELETE", "services/{service}", (*API).deleteService},
		{"GET", "tempBucketToken", (*API).bucketToken},
		{"GET", "code/{hash}", (*API).download},
	}
	operations2016 = slices.Concat(services, domains, layers, below("services/{service}/", shared), below("services/{service}/", versions))
	operations2023 = slices.Concat(shared, domains, layers, below("functions/{function}/", versions), []route{
		{"GET", "async-invoke-configs", (*API).listAsyncConfigs},
	})
)

func below(prefix string, list []route) []route {
	out := slices.Clone(list)
	for i := range out {
		out[i].path = prefix + out[i].path
	}
	return out
}

// match reads a path's arguments; nil when it is another's.
func (o *route) match(path []string) map[string]string {
	want := strings.Split(o.path, "/")
	if len(want) != len(path) {
		return nil
	}
	args := map[string]string{}
	for i, w := range want {
		if name, ok := strings.CutPrefix(w, "{"); ok && path[i] != "" {
			args[strings.TrimSuffix(name, "}")] = path[i]
		} else if w != path[i] {
			return nil
		}
	}
	return args
}

// manage serves an operation on services, functions and what belongs to them.
func (a *API) manage(w http.ResponseWriter, r *http.Request) error {
	version, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	q := &query{r: r, w: w, v3: "/"+version == v2023}
	list := operations2016
	if q.v3 {
		list = operations2023
	}
	var op *route
	known := false
	path := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	for i := range list {
		if args := list[i].match(path); args != nil {
			known = true
			if list[i].method == r.Method {
				op, q.args = &list[i], args
				break
			}
		}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxManage))
	if err != nil {
		return faultf("InvalidArgument", "the request could not be read: %v", err)
	}
	q.body = body
	if q.who, err = authenticate(r.Context(), a.o.Keys, r, body, a.o.Now()); err != nil {
		return err
	}
	switch {
	case !known:
		return faultf("PathNotSupported", "path %q is not supported", r.URL.Path)
	case op == nil:
		return faultf("MethodNotSupported", "method %s is not supported", r.Method)
	case a.o.Apps == nil:
		return faultf("ServiceUnavailable", "functions cannot be managed on this server")
	}
	if s, qualifier, ok := strings.Cut(q.args["service"], "."); ok {
		if q.args["service"] = s; qualifier != latest {
			return faultf("AliasNotFound", "alias '%s' does not exist in service '%s'", qualifier, s)
		}
	}
	if s := r.URL.Query().Get("qualifier"); s != "" && s != latest {
		return faultf("AliasNotFound", "alias or version '%s' does not exist", s)
	}
	if r.Method != http.MethodGet {
		select { // what is deployed is read, altered and deployed again
		case a.changing <- struct{}{}:
			defer func() { <-a.changing }()
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
	answer, err := op.serve(a, r.Context(), q)
	if err != nil {
		return err
	}
	return q.answer(answer)
}

// answer writes an operation's result; nil is no body.
func (q *query) answer(v any) error {
	if v == nil {
		q.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if f, ok := v.(*os.File); ok {
		defer f.Close()
		http.ServeContent(q.w, q.r, f.Name(), time.Time{}, f)
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	h := q.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)))
	q.w.WriteHeader(http.StatusOK)
	q.w.Write(b)
	return nil
}

// document is an object of the API as its clients wrote it: fields that mean nothing here are kept for
// them.
type document map[string]json.RawMessage

// document reads the request's body.
func (q *query) document() (document, error) {
	d := document{}
	if len(q.body) == 0 {
		return d, nil
	}
	if err := json.Unmarshal(q.body, &d); err != nil || d == nil {
		return nil, faultf("InvalidArgument", "the request body is not a JSON object")
	}
	for k, v := range d {
		if string(v) == "null" {
			delete(d, k)
		}
	}
	return d, nil
}

// read decodes the document's known fields.
func (d document) read(into any) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	var wrong *json.UnmarshalTypeError
	switch err := json.Unmarshal(b, into); {
	case errors.As(err, &wrong):
		return faultf("InvalidArgument", "%s cannot be a %s", wrong.Field, wrong.Value)
	case err != nil:
		return faultf("InvalidArgument", "%v", err)
	}
	return nil
}

// set puts a value into a document; values are plain data.
func (d document) set(key string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("fc: cannot marshal a field: " + err.Error())
	}
	d[key] = b
}

// text is a field that is a string, else "".
func (d document) text(key string) string {
	var s string
	json.Unmarshal(d[key], &s)
	return s
}

// missing sets a field that the document does not have.
func (d document) missing(key string, v any) {
	if _, ok := d[key]; !ok {
		d.set(key, v)
	}
}

// named is one entry of a listing.
type named struct {
	name string
	body any
}

// page answers a listing with limit, prefix, startKey and nextToken.
func (q *query) page(key string, all []named) (any, error) {
	v := q.r.URL.Query()
	limit := 20
	if s := v.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			return nil, faultf("InvalidArgument", "limit %q is not a positive number", s)
		}
		limit = min(n, 100)
	}
	slices.SortFunc(all, func(a, b named) int { return cmp.Compare(a.name, b.name) })
	from := max(v.Get("startKey"), v.Get("nextToken"))
	out, next := []any{}, ""
	for _, n := range all {
		if n.name < from || !strings.HasPrefix(n.name, v.Get("prefix")) {
			continue
		}
		if len(out) == limit {
			next = n.name
			break
		}
		out = append(out, n.body)
	}
	answer := map[string]any{key: out}
	if next != "" {
		answer["nextToken"] = next
	}
	return answer, nil
}
