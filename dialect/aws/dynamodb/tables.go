package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// checkTableName checks the table's name of an operation on tables, as AWS does before all else.
func checkTableName(_ *Handler, req *node) error {
	n := req.get("TableName")
	if n == nil {
		return invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if _, ok := cutTableARN(n.str); !ok && (len(n.str) < 3 || len(n.str) > 255) {
		return invalid("TableName must be at least 3 characters long and at most 255 characters long")
	}
	return nil
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only our own plain structures come here
	}
	return b
}

// createTable answers CreateTable.
func (h *Handler) createTable(ctx context.Context, req *node) ([]byte, error) {
	spec, err := h.newSpec(req)
	if err != nil {
		return nil, err
	}
	if req.has("TimeToLiveSpecification") {
		return nil, invalid("TimeToLiveSpecification is not a parameter of CreateTable")
	}
	made, err := h.opt.Tables.Create(ctx, spec)
	if err != nil {
		var exists *table.ExistsError
		if errors.As(err, &exists) {
			return nil, inUse("Table already exists: " + spec.Name)
		}
		return nil, err
	}
	h.beginCreating(spec.Name)
	d, err := describe(made)
	if err != nil {
		return nil, err
	}
	view := h.view(d, count{})
	view.TableStatus = "CREATING"
	for i := range view.GlobalSecondaryIndexes {
		view.GlobalSecondaryIndexes[i].IndexStatus = "CREATING"
	}
	return marshal(map[string]any{"TableDescription": view}), nil
}

// newSpec is the table that the parameters of CreateTable describe.
func (h *Handler) newSpec(req *node) (table.Spec, error) {
	var none table.Spec
	name := req.text("TableName")
	if n, ok := cutTableARN(name); ok {
		name = n
	}
	desc := description{
		TableID:    newUUID(),
		Attributes: readAttributes(req),
		KeySchema:  readKeys(req),
		OnDemand:   readOnDemand(req),
		Class:      req.text("TableClass"),
	}
	limit := readThroughput(req)
	switch mode := req.text("BillingMode"); {
	case mode == payPerRequest && limit != nil:
		return none, badValue("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case mode == payPerRequest:
		desc.Billing.Mode = payPerRequest
	case limit == nil:
		return none, badValue("ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED")
	default:
		if err := checkThroughput(limit); err != nil {
			return none, err
		}
		desc.Throughput = *limit
	}
	if len(desc.KeySchema) > len(desc.Attributes) {
		return none, invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	if err := checkKeys(desc.KeySchema, desc.Attributes); err != nil {
		return none, err
	}
	indexes, err := newIndexes(req, &desc)
	if err != nil {
		return none, err
	}
	if err := checkAttributes(desc.Attributes, desc.KeySchema, indexes); err != nil {
		return none, err
	}
	if desc.Stream, err = h.readStream(req, nil); err != nil {
		return none, err
	}
	if s := req.get("SSESpecification"); s != nil {
		desc.Encrypted, desc.EncryptionKey = s.bool("Enabled", false), s.text("KMSMasterKeyId")
	}
	if req.has("DeletionProtectionEnabled") {
		desc.Protected = new(req.bool("DeletionProtectionEnabled", false))
	}
	if desc.Tags, err = mergeTags(nil, req.get("Tags")); err != nil {
		return none, err
	}
	spec := table.Spec{
		Scope:  h.scope,
		Name:   name,
		Key:    columns(desc.KeySchema, desc.Attributes),
		Hash:   true,
		Stream: roomStream(desc.Stream),
		Extra:  marshal(desc),
	}
	for _, x := range indexes {
		spec.Indexes = append(spec.Indexes, roomIndex(x, desc.Attributes))
	}
	return spec, nil
}

// newIndexes reads and checks the indexes of a new table.
func newIndexes(req *node, desc *description) ([]indexSpec, error) {
	var all []indexSpec
	for _, kind := range []struct {
		name  string
		local bool
	}{{"LocalSecondaryIndexes", true}, {"GlobalSecondaryIndexes", false}} {
		if !req.has(kind.name) {
			continue
		}
		list := req.get(kind.name).items()
		if len(list) == 0 {
			return nil, badValue("List of " + kind.name + " is empty")
		}
		for i := range list {
			x := readIndex(&list[i], kind.local)
			if err := checkIndex(x, desc.KeySchema, desc.Attributes); err != nil {
				return nil, err
			}
			if slices.ContainsFunc(all, func(o indexSpec) bool { return o.name == x.name }) {
				return nil, badValue("Duplicate index name: " + x.name)
			}
			if err := checkIndexThroughput(x, desc); err != nil {
				return nil, err
			}
			all = append(all, x)
		}
		switch {
		case kind.local && len(list) > maxLocal:
			return nil, badValue("Number of LocalSecondaryIndexes exceeds per-table limit of 5")
		case !kind.local && len(list) > maxGlobal:
			return nil, badValue("GlobalSecondaryIndex count exceeds the per-table limit of 20")
		}
	}
	return all, nil
}

func checkIndexThroughput(x indexSpec, desc *description) error {
	switch {
	case x.local:
		return nil
	case desc.onDemandMode() && x.throughput != nil:
		return badValue("ProvisionedThroughput should not be specified for index: " + x.name + " when BillingMode is PAY_PER_REQUEST")
	case !desc.onDemandMode() && x.throughput == nil:
		return badValue("ProvisionedThroughput must be specified for index: " + x.name)
	}
	return checkThroughput(x.throughput)
}

// readStream is the stream that a request asks for; old is the one the table has had.
func (h *Handler) readStream(req *node, old *streamState) (*streamState, error) {
	s := req.get("StreamSpecification")
	if s == nil {
		return old, nil
	}
	view := s.text("StreamViewType")
	if !s.bool("StreamEnabled", false) {
		switch {
		case view != "" && old == nil:
			return nil, badValue("Table is being created with a stream disabled, UpdateViewType should not be specified")
		case view != "":
			return nil, badValue("If stream is being disabled, then UpdateViewType must not be specified")
		case old == nil:
			return nil, nil
		}
		return &streamState{ViewType: old.ViewType, Label: old.Label}, nil
	}
	if view == "" {
		return nil, badValue("StreamViewType must be specified when StreamEnabled is true")
	}
	return &streamState{true, view, h.opt.Now().UTC().Format("2006-01-02T15:04:05.000")}, nil
}

// roomStream is a stream as the room of tables has it.
func roomStream(s *streamState) *table.Stream {
	if s == nil || !s.Enabled {
		return nil
	}
	return &table.Stream{Hours: 24}
}

// describeTable answers DescribeTable. A table that somebody asks about is no longer being created.
func (h *Handler) describeTable(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, err
	}
	h.endCreating(ctx, d.spec.Name)
	n, err := h.count(ctx, d)
	if err != nil {
		return nil, err
	}
	return marshal(map[string]any{"Table": h.view(d, n)}), nil
}

// deleteTable answers DeleteTable.
func (h *Handler) deleteTable(ctx context.Context, req *node) ([]byte, error) {
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, err
	}
	name := d.spec.Name
	if h.isCreating(name) {
		return nil, inUse("Attempt to change a resource which is still in use: Table is being created: " + name)
	}
	if d.desc.Protected != nil && *d.desc.Protected {
		return nil, invalid("Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first.")
	}
	if err := h.opt.Tables.Drop(ctx, h.scope, name); err != nil {
		if isMissing(err) {
			return nil, noTableNamed(name)
		}
		return nil, err
	}
	view := h.view(d, count{})
	return marshal(map[string]any{"TableDescription": tableView{
		TableName:             name,
		TableStatus:           "DELETING",
		ProvisionedThroughput: view.ProvisionedThroughput,
		TableArn:              view.TableArn,
		TableId:               view.TableId,
	}}), nil
}

// listTables answers ListTables.
func (h *Handler) listTables(ctx context.Context, req *node) ([]byte, error) {
	specs, err := h.opt.Tables.List(ctx, h.scope)
	if err != nil {
		return nil, err
	}
	from, limit := req.text("ExclusiveStartTableName"), int(req.number("Limit", 100))
	found := []string{}
	for _, s := range specs {
		if s.Name > from {
			found = append(found, s.Name)
		}
	}
	out := map[string]any{"TableNames": found}
	if len(found) > limit {
		out["TableNames"], out["LastEvaluatedTableName"] = found[:limit], found[limit-1]
	}
	return marshal(out), nil
}

// describeEndpoints answers DescribeEndpoints with the host that the client has called: the cloud's own
// would lead it there.
func (h *Handler) describeEndpoints(ctx context.Context, _ *node) ([]byte, error) {
	host, ok := ctx.Value(hostKey{}).(string)
	if !ok {
		host = "dynamodb." + h.opt.Region + ".amazonaws.com"
	}
	return marshal(map[string]any{"Endpoints": []any{map[string]any{"Address": host, "CachePeriodInMinutes": 1440}}}), nil
}

// describeLimits answers DescribeLimits. Nothing is enforced.
func (h *Handler) describeLimits(context.Context, *node) ([]byte, error) {
	return marshal(map[string]int{"AccountMaxReadCapacityUnits": 80000, "AccountMaxWriteCapacityUnits": 80000,
		"TableMaxReadCapacityUnits": 40000, "TableMaxWriteCapacityUnits": 40000}), nil
}

// describeContinuousBackups answers DescribeContinuousBackups: there are none.
func (h *Handler) describeContinuousBackups(ctx context.Context, req *node) ([]byte, error) {
	if _, err := h.named(ctx, req); err != nil {
		var f *fault
		if errors.As(err, &f) {
			return nil, newFault(service+"TableNotFoundException", "Table not found: "+req.text("TableName"))
		}
		return nil, err
	}
	return marshal(map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus":        "DISABLED",
		"PointInTimeRecoveryDescription": map[string]any{"PointInTimeRecoveryStatus": "DISABLED"},
	}}), nil
}

// count is how many items a table or index has, and their size.
type count struct {
	items, bytes int64
	indexes      map[string]count
	at           time.Time
}

// A table with more items than manyItems is counted again only after countTime, as AWS does with every
// table.
const (
	manyItems = 5000
	countTime = 6 * time.Hour
)

// count counts the items of a table and its indexes.
func (h *Handler) count(ctx context.Context, d *described) (count, error) {
	h.cache.mu.Lock()
	n, ok := h.cache.counts[d.spec.ID]
	h.cache.mu.Unlock()
	if ok && h.opt.Now().Sub(n.at) < countTime {
		return n, nil
	}
	n = count{indexes: map[string]count{}, at: h.opt.Now()}
	rg := table.Range{Table: d.spec}
	for {
		page, err := h.opt.Tables.Scan(ctx, rg)
		if err != nil {
			return n, err
		}
		for i := range page.Rows {
			item := d.item(&page.Rows[i])
			n.items++
			n.bytes += int64(attr.ItemSize(item))
			for j := range d.indexes {
				x := &d.indexes[j]
				if part, ok := x.project(d, item); ok {
					c := n.indexes[x.Name]
					c.items++
					c.bytes += int64(attr.ItemSize(part))
					n.indexes[x.Name] = c
				}
			}
		}
		if page.Next == nil {
			break
		}
		rg.From = page.Next
	}
	if n.items > manyItems {
		h.cache.mu.Lock()
		defer h.cache.mu.Unlock()
		maps.DeleteFunc(h.cache.counts, func(_ uint32, c count) bool { return n.at.Sub(c.at) >= countTime })
		h.cache.counts[d.spec.ID] = n
	}
	return n, nil
}

// tableView is a TableDescription.
type tableView struct {
	AttributeDefinitions       []attributeDefinition `json:",omitempty"`
	TableName                  string
	KeySchema                  []keyElement `json:",omitempty"`
	TableStatus                string
	CreationDateTime           float64 `json:",omitempty"`
	ProvisionedThroughput      *throughputState
	TableSizeBytes             int64
	ItemCount                  int64
	TableArn                   string
	TableId                    string
	BillingModeSummary         *billingView   `json:",omitempty"`
	TableThroughputModeSummary *modeView      `json:",omitempty"`
	LocalSecondaryIndexes      []indexView    `json:",omitempty"`
	GlobalSecondaryIndexes     []indexView    `json:",omitempty"`
	OnDemandThroughput         *onDemandLimit `json:",omitempty"`
	StreamSpecification        *streamView    `json:",omitempty"`
	LatestStreamLabel          string         `json:",omitempty"`
	LatestStreamArn            string         `json:",omitempty"`
	SSEDescription             *sseView       `json:",omitempty"`
	TableClassSummary          *classView     `json:",omitempty"`
	DeletionProtectionEnabled  *bool          `json:",omitempty"`
}

type billingView struct {
	BillingMode                       string
	LastUpdateToPayPerRequestDateTime float64 `json:",omitempty"`
}

type modeView struct {
	TableThroughputMode               string
	LastUpdateToPayPerRequestDateTime float64 `json:",omitempty"`
}

type streamView struct {
	StreamEnabled  bool
	StreamViewType string
}

type sseView struct{ Status, SSEType, KMSMasterKeyArn string }

type classView struct {
	TableClass         string
	LastUpdateDateTime float64 `json:",omitempty"`
}

type indexView struct {
	IndexName             string
	KeySchema             []keyElement
	Projection            projectionSpec
	IndexStatus           string           `json:",omitempty"` // of global indexes
	Backfilling           *bool            `json:",omitempty"`
	ProvisionedThroughput *throughputState `json:",omitempty"`
	OnDemandThroughput    *onDemandLimit   `json:",omitempty"`
	IndexSizeBytes        int64
	ItemCount             int64
	IndexArn              string
}

// view is how a table looks to clients.
func (h *Handler) view(d *described, n count) tableView {
	desc, arn := &d.desc, h.tableARN(d.spec.Name)
	v := tableView{
		AttributeDefinitions:      desc.Attributes,
		TableName:                 d.spec.Name,
		KeySchema:                 desc.KeySchema,
		TableStatus:               "ACTIVE",
		CreationDateTime:          seconds(time.UnixMilli(d.spec.Created)),
		ProvisionedThroughput:     &desc.Throughput,
		TableSizeBytes:            n.bytes,
		ItemCount:                 n.items,
		TableArn:                  arn,
		TableId:                   desc.TableID,
		OnDemandThroughput:        desc.OnDemand,
		DeletionProtectionEnabled: desc.Protected,
	}
	if b := desc.Billing; b.Mode != "" {
		v.BillingModeSummary = &billingView{b.Mode, b.Since}
		v.TableThroughputModeSummary = &modeView{b.Mode, b.Since}
	}
	if s := desc.Stream; s != nil {
		if s.Enabled {
			v.StreamSpecification = &streamView{true, s.ViewType}
		}
		v.LatestStreamLabel, v.LatestStreamArn = s.Label, arn+"/stream/"+s.Label
	}
	if desc.Encrypted {
		v.SSEDescription = &sseView{"ENABLED", "KMS", h.keyARN(desc.EncryptionKey)}
	}
	if desc.Class != "" {
		v.TableClassSummary = &classView{desc.Class, desc.ClassChanged}
	}
	for i := range d.indexes {
		x := &d.indexes[i]
		c := n.indexes[x.Name]
		one := indexView{IndexName: x.Name, KeySchema: x.KeySchema, Projection: x.Projection,
			IndexSizeBytes: c.bytes, ItemCount: c.items, IndexArn: arn + "/index/" + x.Name}
		if x.Local {
			v.LocalSecondaryIndexes = append(v.LocalSecondaryIndexes, one)
			continue
		}
		one.IndexStatus, one.ProvisionedThroughput, one.OnDemandThroughput = "ACTIVE", &x.Throughput, x.OnDemand
		if x.Building {
			one.IndexStatus, one.Backfilling = "CREATING", new(true)
		}
		v.GlobalSecondaryIndexes = append(v.GlobalSecondaryIndexes, one)
	}
	return v
}

// keyARN is the ARN of a key of KMS that a client has named by an id, an alias, an ARN, or not at all.
func (h *Handler) keyARN(key string) string {
	switch {
	case strings.HasPrefix(key, "arn:"):
		return key
	case key == "":
		key = "alias/aws/dynamodb"
	case !strings.HasPrefix(key, "alias/"):
		key = "key/" + key
	}
	return "arn:aws:kms:" + h.opt.Region + ":" + h.opt.Account + ":" + key
}
