package dynamodb

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/expr"
	"github.com/sluicehq/sluice/table"
)

// maxPage is how many bytes of items one Query or Scan evaluates.
const maxPage = 1 << 20

// read is one Query or Scan on a table or an index.
type read struct {
	req  *node
	p    *params
	d    *described
	x    *indexed          // nil for the table itself
	cols []table.KeyColumn // the key of what is read: those of the table, or the index's own
	hash int               // how many of cols are the partition key
	all  []table.KeyColumn // cols and, for an index, the table's key
	one  bool              // at most one item is read, and then nothing can follow
	walk bool              // of all partitions, or of a segment of them: a Scan
}

// openRead finds what a request reads.
func (h *Handler) openRead(ctx context.Context, req *node, p *params) (*read, error) {
	d, err := h.open(ctx, req.text("TableName"))
	if err != nil {
		return nil, err
	}
	r := &read{req: req, p: p, d: d, cols: d.spec.Key, hash: 1, all: d.spec.Key}
	if name := req.text("IndexName"); name != "" {
		if r.x = d.index(name); r.x == nil {
			return nil, invalid("The table does not have the specified index: " + name)
		}
		if r.cols, r.hash, r.all = r.x.Key, r.x.hashes, r.x.columns; !r.x.Local && req.bool("ConsistentRead", false) {
			return nil, invalid("Consistent reads are not supported on global secondary indexes")
		}
		if r.x.Building {
			return nil, invalid("Cannot read from backfilling global secondary index: " + name)
		}
	}
	return r, nil
}

// startItem is ExclusiveStartKey.
func (r *read) startItem() (attr.Item, bool) {
	n := r.req.get("ExclusiveStartKey")
	if n == nil {
		return nil, false
	}
	return n.item, true
}

// checkStartHash checks a starting key as far as a query does before its conditions.
func (r *read) checkStartHash(start attr.Item) error {
	for _, c := range r.cols[:r.hash] {
		v, ok := start[c.Name]
		switch {
		case len(start) != len(r.all) || !ok:
			return invalid(badStart)
		case v.Type != c.Type:
			return invalid(notSchema)
		}
	}
	return nil
}

// startKey is a starting key as the room of tables has it.
func (r *read) startKey(start attr.Item) (table.Key, error) {
	if len(start) != len(r.all) {
		return nil, invalid(badStart)
	}
	for _, c := range r.cols {
		if v, ok := start[c.Name]; !ok {
			return nil, invalid(badStart)
		} else if v.Type != c.Type {
			return nil, invalid(notSchema)
		}
	}
	key := make(table.Key, len(r.all))
	for i, c := range r.all {
		v := start[c.Name]
		if v.Type != c.Type {
			return nil, invalid(badStart + ": " + notSchema)
		}
		key[i] = v
	}
	return key, nil
}

// checkStartRange refuses a starting key that is not among what a query looks for.
func (r *read) checkStartRange(start attr.Item, want keyRange) error {
	same := true
	for i, v := range want.equal {
		same = same && attr.Equal(start[r.cols[i].Name], v)
	}
	sort := want.sort
	switch {
	case r.x == nil && len(r.cols) == 1:
		c := r.cols[0].Name
		return invalid("The provided exclusive start key is invalid: ExclusiveStartKey: {" + c + "=AttributeValue: " + expr.Show(start[c]) + "}")
	case sort != nil && !passes(start[sort.Name], sort):
		return invalid("The provided starting key does not match the range key predicate")
	case sort != nil && (!same || r.x == nil && sort.Op == "EQ"):
		return invalid("The query can return at most one row and cannot be restarted")
	case !same:
		return invalid("The provided starting key is outside query boundaries based on provided conditions")
	}
	return nil
}

// passes says whether a key passes a test.
func passes(v table.Value, t *expr.KeyTest) bool {
	test := expr.Test{Name: t.Name, Op: t.Op}
	for _, w := range t.Values {
		test.List = append(test.List, attr.Input{Value: w})
	}
	return expr.NewCondition([]expr.Test{test}, "").Eval(attr.Item{t.Name: v})
}

// checkFilter refuses to filter by what a query's key conditions are for.
func (r *read) checkFilter() error {
	for _, path := range r.p.filter.Paths() {
		if !slices.ContainsFunc(r.cols, func(c table.KeyColumn) bool { return c.Name == path[0].Name }) {
			continue
		}
		kind := "Filter Expression"
		if r.req.has("QueryFilter") {
			kind = "QueryFilter"
		}
		return invalid(kind + " can only contain non-primary key attributes: Primary key attribute: " + path[0].Name)
	}
	return nil
}

// checkSelected checks Select as far as the table does not matter. envelope is what a query puts before
// what a scan says bare.
func checkSelected(req *node, envelope string) error {
	what := ""
	switch {
	case req.has("ProjectionExpression"):
		what = "ProjectionExpression"
	case req.has("AttributesToGet"):
		what = "AttributesToGet"
	}
	switch s := req.text("Select"); {
	case s == "ALL_PROJECTED_ATTRIBUTES" && !req.has("IndexName"):
		return invalid(envelope + "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	case s == "SPECIFIC_ATTRIBUTES" && what == "":
		return invalid(envelope + "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case s == "COUNT" && what != "":
		return invalid(envelope + "Cannot specify the " + what + " when choosing to get only the Count")
	case s != "" && s != "SPECIFIC_ATTRIBUTES" && what != "":
		return invalid(envelope + "Cannot specify the " + what + " when choosing to get " + s)
	}
	return nil
}

// checkSelect refuses to select what a global index does not have.
func (r *read) checkSelect() error {
	if r.x == nil || r.x.Local || r.x.All {
		return nil
	}
	if r.req.text("Select") == "ALL_ATTRIBUTES" {
		return badValue("Select type ALL_ATTRIBUTES is not supported for global secondary index " + r.x.Name + " because its projection type is not ALL")
	}
	var lacking []string
	for _, p := range r.p.projection {
		if name := p[0].Name; !r.has(name) && !slices.Contains(lacking, name) {
			lacking = append(lacking, name)
		}
	}
	if lacking != nil {
		return badValue("Global secondary index " + r.x.Name + " does not project [" + strings.Join(lacking, ", ") + "]")
	}
	return nil
}

// has reports whether what is read has an attribute of that name.
func (r *read) has(name string) bool {
	return r.x == nil || r.x.All || slices.Contains(r.x.Project, name) ||
		slices.ContainsFunc(r.all, func(c table.KeyColumn) bool { return c.Name == name })
}

// fetches reports whether the items have to be fetched from the table, since a local index lacks parts
// of them.
func (r *read) fetches() bool {
	if r.x == nil || !r.x.Local || r.x.All {
		return false
	}
	if r.req.text("Select") == "ALL_ATTRIBUTES" {
		return true
	}
	return slices.ContainsFunc(r.p.projection, func(p expr.Path) bool { return !r.has(p[0].Name) })
}

// page reads one page of a range of r's table or index, and answers the request.
func (r *read) page(ctx context.Context, h *Handler, rg table.Range) ([]byte, error) {
	rg.Table = r.d.spec
	if r.x != nil {
		rg.Index = r.x.Name
	}
	limit := int(r.req.number("Limit", 0))
	fetch, consistent := r.fetches(), r.req.bool("ConsistentRead", false)
	counting := r.req.text("Select") == "COUNT"
	var items []byte
	scanned, found, filled := 0, 0, 0
	sizes := r.partitions(rg)
	how, sort := consumption(r.req), ""
	if r.d.sort != nil {
		sort = r.d.sort.Name
	}
	fetched := 0.0
	var last table.Key
walk:
	for {
		rg.MaxRows, rg.MaxBytes = 1000, maxPage
		if limit > 0 {
			rg.MaxRows = min(rg.MaxRows, limit-scanned)
		}
		page, err := h.opt.Tables.Scan(ctx, rg)
		if err != nil {
			return nil, err
		}
		for i := range page.Rows {
			row := &page.Rows[i]
			item := r.item(row)
			scanned++
			filled += attr.PageSize(item, sort)
			if how != "" {
				sizes.add(row.Key[0], attr.ItemSize(item))
			}
			if fetch {
				whole, err := h.opt.Tables.Get(ctx, r.d.spec, r.d.keyOf(item))
				if err != nil {
					return nil, err
				}
				item = r.d.item(whole)
				fetched += readUnits(attr.ItemSize(item), consistent)
			}
			if r.p.filter.Eval(item) {
				found++
				if !counting {
					if found > 1 {
						items = append(items, ',')
					}
					items = attr.AppendItem(items, r.project(item))
				}
			}
			if scanned == limit || filled >= maxPage {
				last = row.Key
				break walk
			}
		}
		if page.Next == nil {
			break
		}
		rg.From = page.Next
	}
	w := newWriter()
	w.number("Count", found)
	w.number("ScannedCount", scanned)
	if !counting {
		w.name("Items")
		w.b = append(append(append(w.b, '['), items...), ']')
	}
	if last != nil && !r.one {
		w.name("LastEvaluatedKey")
		key := make(attr.Item, len(last))
		for i, c := range r.all {
			key[c.Name] = last[i]
		}
		w.b = attr.AppendItem(w.b, key)
	}
	if how != "" {
		use := newUsage(r.d)
		if last != nil {
			sizes.end(last[0])
		}
		if units := sizes.units(consistent); r.x == nil {
			use.table = units
		} else {
			use.table = fetched
			use.add(r.x.Name, units)
		}
		w.name("ConsumedCapacity")
		w.b = use.append(w.b, how, "")
	}
	return w.end(), nil
}

// item is a row of the table or index as an item.
func (r *read) item(row *table.Row) attr.Item {
	if r.x == nil {
		return r.d.item(row)
	}
	item := make(attr.Item, len(row.Key)+len(row.Columns))
	for i, c := range r.all {
		item[c.Name] = row.Key[i]
	}
	for _, c := range row.Columns {
		item[c.Name] = c.Cells[0].Value
	}
	return item
}

func (r *read) project(item attr.Item) attr.Item {
	if r.p.projection == nil {
		return item
	}
	return expr.Project(item, r.p.projection)
}

// scan answers Scan.
func (h *Handler) scan(ctx context.Context, req *node) ([]byte, error) {
	p, err := readScan(req)
	if err != nil {
		return nil, err
	}
	r, err := h.openRead(ctx, req, p)
	if err != nil {
		return nil, err
	}
	r.walk = true
	rg := table.Range{Part: int(req.number("Segment", 0)), Parts: int(req.number("TotalSegments", 0))}
	start, hasStart := r.startItem()
	if hasStart && r.x != nil {
		if err := r.checkScanStart(start); err != nil {
			return nil, err
		}
	}
	if err := r.checkSelect(); err != nil {
		return nil, err
	}
	if hasStart {
		key, err := r.startKey(start)
		if err != nil {
			if r.x == nil {
				err = invalid(badStart + ": " + notSchema)
			}
			return nil, err
		}
		if rg.Parts > 0 {
			if part, err := table.PartOf(key[0], rg.Parts); err != nil || part != rg.Part {
				return nil, invalid(badStart + ": Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. TotalSegments: " +
					strconv.Itoa(rg.Parts) + " Segment: " + strconv.Itoa(rg.Part))
			}
		}
		rg.From = after(key, false)
	}
	if err := r.d.checkScalars(p.filter.Paths(), p.projection); err != nil {
		return nil, err
	}
	return r.page(ctx, h, rg)
}

// checkScanStart checks the index's own part of a scan's starting key.
func (r *read) checkScanStart(start attr.Item) error {
	if len(start) != len(r.all) {
		return invalid(badStart)
	}
	for _, c := range r.cols {
		if v, ok := start[c.Name]; !ok {
			return invalid(badStart)
		} else if v.Type != c.Type {
			return invalid(notSchema)
		}
	}
	return nil
}

// readScan reads what a scan says, and checks it as far as the table does not matter.
func readScan(req *node) (*params, error) {
	if err := checkStyles(req, []string{"FilterExpression"}); err != nil {
		return nil, err
	}
	p := &params{}
	var err error
	if req.has("AttributesToGet") {
		if p.projection, err = expr.AttributesToGet(req.texts("AttributesToGet")); err != nil {
			return nil, err
		}
	}
	if n := req.get("ScanFilter"); n != nil {
		if err := p.readFilter(req, n); err != nil {
			return nil, err
		}
	}
	if err := checkStart(req); err != nil {
		return nil, err
	}
	switch segment, total := req.number("Segment", 0), req.number("TotalSegments", 0); {
	case req.has("Segment") && !req.has("TotalSegments"):
		return nil, invalid("The TotalSegments parameter is required but was not present in the request when Segment parameter is present")
	case req.has("TotalSegments") && !req.has("Segment"):
		return nil, invalid("The Segment parameter is required but was not present in the request when parameter TotalSegments is present")
	case req.has("Segment") && segment >= total:
		return nil, invalid("The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: " +
			strconv.FormatInt(segment, 10) + " is not less than TotalSegments: " + strconv.FormatInt(total, 10))
	}
	if err := checkSelected(req, ""); err != nil {
		return nil, err
	}
	args, err := readArgs(req)
	if err != nil {
		return nil, err
	}
	return p, p.readFilterAndProjection(req, args)
}
