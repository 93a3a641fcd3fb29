package console

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/client"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/table"
)

func (a *api) tables(w http.ResponseWriter, r *http.Request) error {
	specs, err := a.Tables.All(r.Context())
	if err != nil {
		return err
	}
	out := []client.Table{}
	for _, s := range specs {
		t := client.Table{Scope: s.Scope, Name: s.Name}
		for _, k := range s.Key {
			t.Key = append(t.Key, k.Name+" "+k.Type.String())
		}
		out = append(out, t)
	}
	return answer(w, out)
}

func (a *api) spec(r *http.Request) (*table.Spec, error) {
	return a.Tables.Lookup(r.Context(), r.PathValue("scope"), r.PathValue("name"))
}

func (a *api) table(w http.ResponseWriter, r *http.Request) error {
	s, err := a.spec(r)
	if err != nil {
		return err
	}
	return answer(w, s)
}

// rows streams rows in key order, page by page, so that a large table takes no memory.
func (a *api) rows(w http.ResponseWriter, r *http.Request) error {
	spec, err := a.spec(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	limit := -1
	if s := q.Get("limit"); s != "" {
		if limit, err = strconv.Atoi(s); err != nil || limit < 0 {
			return sluice.Errorf(sluice.Invalid, "limit %q: want a number", s)
		}
	}
	rg := table.Range{Table: spec, Reverse: q.Get("reverse") != ""}
	var prefix []any
	if s := q.Get("prefix"); s != "" {
		d := json.NewDecoder(strings.NewReader(s))
		d.UseNumber()
		if err := d.Decode(&prefix); err != nil || len(prefix) > len(spec.Key) {
			return sluice.Errorf(sluice.Invalid, "prefix %q: want a JSON array of at most %d values", s, len(spec.Key))
		}
	}
	for i := range spec.Key {
		lo, hi := table.Value{Type: table.Min}, table.Value{Type: table.Max}
		if i < len(prefix) {
			if lo, err = fromJSON(prefix[i], spec.Key[i].Type); err != nil {
				return err
			}
			hi = lo
			if i == len(spec.Key)-1 { // To is exclusive: a whole key ends after itself
				return a.oneRow(w, r, spec, append(rg.From, lo))
			}
		}
		if rg.Reverse {
			lo, hi = hi, lo
		}
		rg.From, rg.To = append(rg.From, lo), append(rg.To, hi)
	}
	s := newStream(w)
	for limit != 0 {
		if rg.MaxRows = 1000; limit > 0 {
			rg.MaxRows = min(limit, 1000)
		}
		page, err := a.Tables.Scan(r.Context(), rg)
		if err != nil {
			return err
		}
		for i := range page.Rows {
			if err := s.send(rowOf(&page.Rows[i])); err != nil {
				return nil // the client left
			}
		}
		if limit > 0 {
			limit -= len(page.Rows)
		}
		if page.Next == nil {
			break
		}
		rg.From = page.Next
	}
	return nil
}

func (a *api) oneRow(w http.ResponseWriter, r *http.Request, spec *table.Spec, key table.Key) error {
	row, err := a.Tables.Get(r.Context(), spec, key)
	if err != nil {
		return err
	}
	s := newStream(w)
	if row != nil {
		return s.send(rowOf(row))
	}
	return nil
}

// putRows writes rows given as lines of client.Row, each one whole.
func (a *api) putRows(w http.ResponseWriter, r *http.Request) error {
	spec, err := a.spec(r)
	if err != nil {
		return err
	}
	const batch = 200
	n := 0
	var ops []table.Op
	flush := func() error {
		for i, c := range a.Tables.ApplyMany(r.Context(), ops) {
			if c.Err != nil {
				return fmt.Errorf("row %d: %w", n-len(ops)+i+1, c.Err)
			}
		}
		ops = ops[:0]
		return nil
	}
	sc := bufio.NewScanner(r.Body)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		n++
		op, err := putOp(spec, sc.Bytes())
		if err != nil {
			return sluice.Errorf(sluice.Invalid, "line %d: %w", n, err)
		}
		if ops = append(ops, op); len(ops) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := sc.Err(); err != nil {
		return sluice.Errorf(sluice.Invalid, "read rows: %w", err)
	}
	if err := flush(); err != nil {
		return err
	}
	return answer(w, map[string]int{"rows": n})
}

func putOp(spec *table.Spec, line []byte) (table.Op, error) {
	var row client.Row
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	if err := d.Decode(&row); err != nil {
		return table.Op{}, err
	}
	if len(row.Key) != len(spec.Key) {
		return table.Op{}, fmt.Errorf("key has %d values, the table's has %d", len(row.Key), len(spec.Key))
	}
	op := table.Op{Table: spec}
	for i, v := range row.Key {
		val, err := fromJSON(v, spec.Key[i].Type)
		if err != nil {
			return op, err
		}
		if v == nil && spec.Key[i].AutoIncrement {
			val = table.Value{Type: table.Min}
		}
		op.Key = append(op.Key, val)
	}
	cols := map[string]table.Value{}
	for name, v := range row.Columns {
		val, err := fromJSON(v, table.Null)
		if err != nil {
			return op, fmt.Errorf("column %q: %w", name, err)
		}
		cols[name] = val
	}
	op.Do = func(_ *table.Row, now int64) (*table.Row, error) {
		out := &table.Row{}
		for name, v := range cols {
			out.Columns = append(out.Columns, table.Column{Name: name, Cells: []table.Cell{{Value: v, Time: now}}})
		}
		return out, nil
	}
	return op, nil
}

func rowOf(r *table.Row) client.Row {
	out := client.Row{Columns: map[string]any{}}
	for _, k := range r.Key {
		out.Key = append(out.Key, toJSON(k))
	}
	for _, c := range r.Columns {
		out.Columns[c.Name] = toJSON(c.Cells[0].Value)
	}
	return out
}

// toJSON is a value as people read it.
func toJSON(v table.Value) any {
	switch v.Type {
	case table.Bool:
		return v.Int != 0
	case table.Int:
		return v.Int
	case table.Float:
		return v.Float
	case table.Decimal:
		return json.Number(v.Str)
	case table.String:
		return v.Str
	case table.Binary:
		return map[string]string{"$binary": base64.StdEncoding.EncodeToString([]byte(v.Str))}
	case table.List, table.StringSet, table.NumberSet, table.BinarySet:
		out := make([]any, 0, len(v.List))
		for _, e := range v.List {
			out = append(out, toJSON(e))
		}
		return out
	case table.Map:
		out := map[string]any{}
		for k, e := range v.Map {
			out[k] = toJSON(e)
		}
		return out
	}
	return nil
}

// fromJSON reads what toJSON writes. want decides where JSON does not say (a key's type); Null takes
// what the JSON looks like.
func fromJSON(v any, want table.Type) (table.Value, error) {
	text, _ := json.Marshal(v) // it was JSON
	bad := fmt.Errorf("%s is no %s", text, want)
	if want == table.Null {
		bad = fmt.Errorf(`%s is no value: want a text, a number, true, false or {"$binary":"base64"}`, text)
	}
	switch x := v.(type) {
	case nil:
		return table.Value{}, nil
	case bool:
		out := table.Value{Type: table.Bool}
		if x {
			out.Int = 1
		}
		return out, nil
	case json.Number:
		if want == table.Decimal {
			return table.Value{Type: table.Decimal, Str: x.String()}, nil
		}
		if i, err := x.Int64(); err == nil && want != table.Float {
			return table.Value{Type: table.Int, Int: i}, nil
		}
		f, err := x.Float64()
		if err != nil || want == table.Int || want == table.String {
			return table.Value{}, bad
		}
		return table.Value{Type: table.Float, Float: f}, nil
	case string:
		if want != table.Null && want != table.String {
			return table.Value{}, bad
		}
		return table.Value{Type: table.String, Str: x}, nil
	case map[string]any:
		if s, ok := x["$binary"].(string); ok && len(x) == 1 {
			b, err := base64.StdEncoding.DecodeString(s)
			return table.Value{Type: table.Binary, Str: string(b)}, err
		}
	}
	return table.Value{}, bad
}

func (a *api) objects(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	s := newStream(w)
	bucket := q.Get("bucket")
	if bucket == "" {
		for after := ""; ; {
			page, err := a.Objects.Buckets(r.Context(), "", after, 1000)
			if err != nil {
				return err
			}
			for _, b := range page {
				if err := s.send(client.Object{Bucket: b.Name, Modified: b.Created}); err != nil {
					return nil
				}
				after = b.Name
			}
			if len(page) < 1000 {
				return nil
			}
		}
	}
	in := object.ListInput{Prefix: q.Get("prefix"), Max: 1000}
	for {
		page, err := a.Objects.List(r.Context(), bucket, in)
		if err != nil {
			return err
		}
		for _, o := range page.Objects {
			if err := s.send(client.Object{Bucket: bucket, Key: o.Key, Size: o.Size, ETag: o.ETag, Modified: o.Modified, Type: o.Header["Content-Type"]}); err != nil {
				return nil
			}
		}
		if !page.Truncated {
			return nil
		}
		in.After = page.Next
	}
}

// name is the bucket and key of a request.
func name(r *http.Request) (bucket, key string, err error) {
	bucket, key, _ = strings.Cut(r.URL.Query().Get("name"), "/")
	if bucket == "" || key == "" {
		return "", "", sluice.Errorf(sluice.Invalid, "name %q: want BUCKET/KEY", r.URL.Query().Get("name"))
	}
	return bucket, key, nil
}

func (a *api) getObject(w http.ResponseWriter, r *http.Request) error {
	bucket, key, err := name(r)
	if err != nil {
		return err
	}
	c, err := a.Objects.Get(r.Context(), bucket, key)
	if err != nil {
		return err
	}
	defer c.Close()
	// Never as a page: an object is a stranger's, and this listener holds the console.
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(c.Size, 10))
	if _, err := io.Copy(w, c); err != nil && !errors.Is(err, http.ErrHandlerTimeout) {
		a.Log.Warn("send object", "bucket", bucket, "err", err)
	}
	return nil
}

func (a *api) putObject(w http.ResponseWriter, r *http.Request) error {
	bucket, key, err := name(r)
	if err != nil {
		return err
	}
	o, err := a.Objects.Put(r.Context(), bucket, object.PutInput{Key: key, Body: r.Body, Size: r.ContentLength,
		Header: map[string]string{"Content-Type": object.ContentType(key)}})
	if err != nil {
		return err
	}
	return answer(w, client.Object{Bucket: bucket, Key: key, Size: o.Size, ETag: o.ETag, Modified: o.Modified})
}

func (a *api) syncObjects(w http.ResponseWriter, r *http.Request) error {
	bucket, prefix, _ := strings.Cut(r.URL.Query().Get("to"), "/")
	if bucket == "" {
		return sluice.Errorf(sluice.Invalid, "want BUCKET or BUCKET/PREFIX")
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	dir, err := os.MkdirTemp("", "sluice-sync-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unpack(http.MaxBytesReader(w, r.Body, maxUpload), dir); err != nil {
		return err
	}
	put, deleted, err := a.Objects.Sync(r.Context(), &sluice.Site{Bucket: bucket, Prefix: prefix, Dir: dir}, dir)
	if err != nil {
		return err
	}
	return answer(w, map[string]int{"put": put, "deleted": deleted})
}
