package dynamodb

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"github.com/sluicehq/sluice/table"
)

// checkTableName checks the table's name of an operation on tables, as AWS does before all else.
func checkTableName(_ *Handler, req *node) error {
	n := req.get("TableName")
	if n == nil {
		return invalid("The parameter 'TableName' is required but was not present in the request")
	}
	if req.has("AttributeDefinitions") {
		return nil // it is told with all else that is wrong
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
	if view.BillingModeSummary != nil {
		view.BillingModeSummary, view.TableThroughputModeSummary = &billingView{BillingMode: payPerRequest}, &modeView{TableThroughputMode: payPerRequest}
	}
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
		Warm:       readWarm(req),
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
	if err := checkWarm(desc.Warm, "table", desc.onDemandMode()); err != nil {
		return none, err
	}
	if len(desc.KeySchema) > len(desc.Attributes) {
		return none, invalid("Invalid KeySchema: Some index key attribute have no definition")
	}
	if err := checkKeys(desc.KeySchema, desc.Attributes, false); err != nil {
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
	if err := checkWarm(x.warm, "index "+x.name, desc.onDemandMode()); err != nil {
		return err
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
		return &streamState{ViewType: old.ViewType, Label: old.Label, Off: h.opt.Now().UnixMilli()}, nil
	}
	if view == "" {
		return nil, badValue("StreamViewType must be specified when StreamEnabled is true")
	}
	return &streamState{Enabled: true, ViewType: view, Label: h.opt.Now().UTC().Format(labelTime)}, nil
}

// roomStream is a stream as the room of tables has it.
func roomStream(s *streamState) *table.Stream {
	if s == nil {
		return nil
	}
	return &table.Stream{Hours: streamHours, Paused: !s.Enabled}
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
		BillingModeSummary:    view.BillingModeSummary,
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
