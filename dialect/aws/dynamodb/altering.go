package dynamodb

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/table"
)

// alter changes a table and its description in one step.
func (h *Handler) alter(ctx context.Context, name string, fn func(*table.Spec, *description) error) error {
	_, err := h.opt.Tables.Alter(ctx, h.scope, name, func(s *table.Spec) error {
		var desc description
		if err := json.Unmarshal(s.Extra, &desc); err != nil {
			return fmt.Errorf("read description of table %s: %w", name, err)
		}
		if err := fn(s, &desc); err != nil {
			return err
		}
		s.Extra = marshal(desc)
		return nil
	})
	if isMissing(err) {
		return noTableNamed(name)
	}
	return err
}

// change is what one UpdateTable asks for.
type change struct {
	attributes []attributeDefinition
	billing    string
	throughput *throughputState
	updates    []indexUpdate
	streamEnd  uint64 // where a stream that is off ends
	req        *node
}

// indexUpdate is a GlobalSecondaryIndexUpdate; one of the three is set.
type indexUpdate struct {
	create     *indexSpec
	remove     string
	update     string
	throughput *throughputState // of update
	onDemand   *onDemandLimit
	warm       *warmState
}

func (u *indexUpdate) name() string {
	if u.create != nil {
		return u.create.name
	}
	return u.remove + u.update
}

// readChange reads and checks the parameters of UpdateTable, as far as the table does not matter.
func readChange(req *node) (*change, error) {
	c := &change{attributes: readAttributes(req), billing: req.text("BillingMode"), throughput: readThroughput(req), req: req}
	if c.billing == payPerRequest && c.throughput != nil {
		return nil, badValue("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	}
	if err := checkThroughput(c.throughput); err != nil {
		return nil, err
	}
	list := req.get("GlobalSecondaryIndexUpdates").items()
	something := len(list) > 0 || c.throughput != nil
	for _, name := range []string{"BillingMode", "StreamSpecification", "SSESpecification", "TableClass", "DeletionProtectionEnabled",
		"OnDemandThroughput", "WarmThroughput", "ReplicaUpdates"} {
		something = something || req.has(name)
	}
	if !something {
		return nil, invalid("At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or SSESpecification or ReplicaUpdates is required")
	}
	for i := range list {
		var u indexUpdate
		switch n := &list[i]; {
		case len(n.list) > 1:
			return nil, badValue("Only one of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete may be specified")
		case n.has("Create"):
			u.create = new(readIndex(n.get("Create"), false))
		case n.has("Delete"):
			u.remove = n.get("Delete").text("IndexName")
		case n.has("Update"):
			n := n.get("Update")
			u.update, u.throughput, u.onDemand, u.warm = n.text("IndexName"), readThroughput(n), readOnDemand(n), readWarm(n)
		default:
			return nil, badValue("One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null")
		}
		if slices.ContainsFunc(c.updates, func(o indexUpdate) bool { return o.name() == u.name() }) {
			return nil, badValue("Only one global secondary index update per index is allowed simultaneously. Index: " + u.name())
		}
		c.updates = append(c.updates, u)
	}
	online := 0
	for _, u := range c.updates {
		if u.update == "" {
			online++
		}
	}
	if online > 1 {
		return nil, limitExceeded("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")
	}
	if req.has("ReplicaUpdates") {
		return nil, invalid("Global tables are not supported")
	}
	return c, nil
}

// updateTable answers UpdateTable. The answer shows the table as it was, being updated.
func (h *Handler) updateTable(ctx context.Context, req *node) ([]byte, error) {
	c, err := readChange(req)
	if err != nil {
		return nil, err
	}
	d, err := h.named(ctx, req)
	if err != nil {
		return nil, err
	}
	name := d.spec.Name
	if h.isCreating(name) {
		return nil, inUse("Attempt to change a resource which is still in use: Table is being created: " + name)
	}
	if s := d.desc.Stream; s != nil && !s.Enabled {
		if _, c.streamEnd, err = h.opt.Tables.StreamBounds(ctx, d.spec); err != nil {
			return nil, err
		}
	}
	if err := h.apply(ctx, name, c); err != nil {
		return nil, err
	}
	now, err := h.find(ctx, name)
	if err != nil {
		return nil, err
	}
	n, err := h.count(ctx, d)
	if err != nil {
		return nil, err
	}
	view := h.view(now, n)
	view.TableStatus = "UPDATING"
	if c.throughput != nil && c.billing == "" {
		was := d.desc.Throughput
		was.LastIncreaseDateTime, was.LastDecreaseDateTime = now.desc.Throughput.LastIncreaseDateTime, now.desc.Throughput.LastDecreaseDateTime
		// What the answer shows was asked for just before it was done.
		if was.LastIncreaseDateTime != d.desc.Throughput.LastIncreaseDateTime {
			was.LastIncreaseDateTime -= 0.001
		}
		if was.LastDecreaseDateTime != d.desc.Throughput.LastDecreaseDateTime {
			was.LastDecreaseDateTime -= 0.001
		}
		view.ProvisionedThroughput = &was
	}
	before := h.view(d, n)
	for _, u := range c.updates {
		for i := range view.GlobalSecondaryIndexes {
			x := &view.GlobalSecondaryIndexes[i]
			switch {
			case u.create != nil && x.IndexName == u.create.name:
				x.IndexStatus, x.Backfilling = "CREATING", new(false)
			case u.update == x.IndexName:
				x.IndexStatus = "UPDATING"
			}
		}
		for _, x := range before.GlobalSecondaryIndexes {
			if x.IndexName == u.remove {
				x.IndexStatus = "DELETING"
				view.GlobalSecondaryIndexes = append(view.GlobalSecondaryIndexes, x)
			}
		}
	}
	return marshal(map[string]any{"TableDescription": view}), nil
}

// apply makes a change.
func (h *Handler) apply(ctx context.Context, name string, c *change) error {
	return h.alter(ctx, name, func(s *table.Spec, desc *description) error {
		d, err := describe(s)
		if err != nil {
			return err
		}
		if err := h.changeBilling(s, d, desc, c); err != nil {
			return err
		}
		for _, u := range c.updates {
			if err := changeIndex(s, desc, u, c.attributes); err != nil {
				return err
			}
		}
		if len(c.updates) > 0 {
			keepUsed(s, desc)
		}
		return h.changeRest(s, desc, c)
	})
}

// changeBilling changes how a table is billed, and its throughput.
func (h *Handler) changeBilling(s *table.Spec, d *described, desc *description, c *change) error {
	now := seconds(h.opt.Now())
	mode := provisioned
	if desc.onDemandMode() {
		mode = payPerRequest
	}
	switch {
	case c.billing == payPerRequest && mode == provisioned:
		desc.Billing = billingState{payPerRequest, now}
		desc.Throughput = throughputState{LastDecreaseDateTime: now}
		for i := range d.indexes {
			if x := &d.indexes[i]; !x.Local {
				x.Throughput = throughputState{LastDecreaseDateTime: now}
				s.Indexes[i].Extra = marshal(x.indexDescription)
			}
		}
		return nil
	case c.billing == provisioned && c.throughput == nil && mode == payPerRequest:
		return badValue("ProvisionedThroughput must be specified when BillingMode is PROVISIONED")
	case c.billing == provisioned && mode == payPerRequest:
		given := map[string]*throughputState{}
		for _, u := range c.updates {
			if u.update != "" {
				given[u.update] = u.throughput
			}
		}
		var missing []string
		for i := range d.indexes {
			if x := &d.indexes[i]; !x.Local && given[x.Name] == nil {
				missing = append(missing, x.Name)
			}
		}
		if missing != nil {
			return badValue("ProvisionedThroughput must be specified for index: " + strings.Join(missing, ","))
		}
		desc.Billing.Mode = provisioned
		desc.Throughput = *c.throughput
		return nil
	case c.throughput != nil && mode == payPerRequest:
		return badValue("Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST")
	case c.throughput == nil:
		return nil
	}
	old := desc.Throughput
	if old.ReadCapacityUnits == c.throughput.ReadCapacityUnits && old.WriteCapacityUnits == c.throughput.WriteCapacityUnits && len(c.updates) == 0 {
		units := func(what string, have, want int64) string {
			return "Current " + what + " provisioned for the table: " + strconv.FormatInt(have, 10) + ". Requested " + what + ": " + strconv.FormatInt(want, 10) + ". "
		}
		return invalid("The provisioned throughput for the table will not change. The requested value equals the current value. " +
			units("ReadCapacityUnits", old.ReadCapacityUnits, c.throughput.ReadCapacityUnits) +
			units("WriteCapacityUnits", old.WriteCapacityUnits, c.throughput.WriteCapacityUnits) +
			"Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.")
	}
	desc.Throughput = changed(old, *c.throughput, now)
	return nil
}

// changed is a throughput with the record of its change.
func changed(old, now throughputState, at float64) throughputState {
	t := old
	if now.ReadCapacityUnits > old.ReadCapacityUnits || now.WriteCapacityUnits > old.WriteCapacityUnits {
		t.LastIncreaseDateTime = at
	}
	if now.ReadCapacityUnits < old.ReadCapacityUnits || now.WriteCapacityUnits < old.WriteCapacityUnits {
		if day := time.Unix(int64(at), 0).UTC().YearDay(); time.Unix(int64(old.LastDecreaseDateTime), 0).UTC().YearDay() != day {
			t.NumberOfDecreasesToday = 0
		}
		t.LastDecreaseDateTime = at
		t.NumberOfDecreasesToday++
	}
	t.ReadCapacityUnits, t.WriteCapacityUnits = now.ReadCapacityUnits, now.WriteCapacityUnits
	return t
}

// changeIndex makes, changes or removes one global index.
func changeIndex(s *table.Spec, desc *description, u indexUpdate, defs []attributeDefinition) error {
	at := slices.IndexFunc(s.Indexes, func(x table.Index) bool { return x.Name == u.name() })
	switch {
	case u.create != nil:
		if at >= 0 {
			return badValue("Attempting to create an index which already exists")
		}
		if err := checkIndex(*u.create, desc.KeySchema, defs); err != nil {
			return err
		}
		if err := desc.define(*u.create, defs); err != nil {
			return err
		}
		if err := checkIndexThroughput(*u.create, desc); err != nil {
			return err
		}
		global := 0
		for i := range s.Indexes {
			var x indexDescription
			if json.Unmarshal(s.Indexes[i].Extra, &x) == nil && !x.Local {
				global++
			}
		}
		if global >= maxGlobal {
			return limitExceeded("Subscriber limit exceeded: GlobalSecondaryIndex count exceeds the per-table limit of 20")
		}
		s.Indexes = append(s.Indexes, roomIndex(*u.create, desc.Attributes))
		return nil
	case at < 0 && u.update != "":
		if len(s.Indexes) == 0 {
			return invalid("This operation cannot be performed with given input values. Please contact DynamoDB service team for more info: Action Blocked: IndexUpdate")
		}
		return notFound("Requested resource not found")
	case at < 0:
		return notFound("Requested resource not found")
	}
	var x indexDescription
	if err := json.Unmarshal(s.Indexes[at].Extra, &x); err != nil {
		return fmt.Errorf("read description of index %s: %w", s.Indexes[at].Name, err)
	}
	if x.Local {
		return notFound("Requested resource not found")
	}
	if u.remove != "" {
		s.Indexes = slices.Delete(s.Indexes, at, at+1)
		return nil
	}
	if u.throughput != nil {
		x.Throughput.ReadCapacityUnits, x.Throughput.WriteCapacityUnits = u.throughput.ReadCapacityUnits, u.throughput.WriteCapacityUnits
	}
	if u.onDemand != nil {
		x.OnDemand = u.onDemand
	}
	if u.warm != nil {
		if err := checkWarm(u.warm, "index "+u.update, desc.onDemandMode()); err != nil {
			return err
		}
		x.Warm = u.warm
	}
	s.Indexes[at].Extra = marshal(x)
	return nil
}

// define adds the definitions that a new index brings.
func (d *description) define(x indexSpec, defs []attributeDefinition) error {
	for _, def := range defs {
		i := slices.IndexFunc(d.Attributes, func(o attributeDefinition) bool { return o.AttributeName == def.AttributeName })
		if i < 0 {
			d.Attributes = append(d.Attributes, def)
			continue
		}
		if d.Attributes[i].AttributeType == def.AttributeType {
			continue
		}
		schema := func(defs []attributeDefinition) string {
			text := ""
			for _, k := range x.keys {
				for _, def := range defs {
					if def.AttributeName == k.AttributeName {
						text += "SchemaElement: key{" + k.AttributeName + ":" + def.AttributeType + ":" + k.KeyType + "}"
					}
				}
			}
			return "Schema:[" + text + "]"
		}
		return badValue("Attributes cannot be redefined. Please check that your attribute has the same type as previously defined. " +
			"Existing schema: " + schema(d.Attributes) + " New schema: " + schema(defs))
	}
	return nil
}

// keepUsed forgets definitions of attributes that are in no key any more.
func keepUsed(s *table.Spec, desc *description) {
	used := map[string]bool{}
	for _, k := range s.Key {
		used[k.Name] = true
	}
	for _, x := range s.Indexes {
		for _, k := range x.Key {
			used[k.Name] = true
		}
	}
	desc.Attributes = slices.DeleteFunc(desc.Attributes, func(d attributeDefinition) bool { return !used[d.AttributeName] })
}

// changeRest changes a table's stream, encryption, class and protection.
func (h *Handler) changeRest(s *table.Spec, desc *description, c *change) error {
	req := c.req
	if n := req.get("StreamSpecification"); n != nil {
		on, want := desc.Stream != nil && desc.Stream.Enabled, n.bool("StreamEnabled", false)
		switch {
		case on && want:
			return newFault(coralValidate+"ValidationException", "Table already has an enabled stream: TableName: "+s.Name)
		case !on && !want:
			return invalid("Table has no stream to disable: TableName: " + s.Name)
		}
		next, err := h.readStream(req, desc.Stream)
		if err != nil {
			return err
		}
		if want && desc.Stream != nil {
			now := h.opt.Now()
			past := *desc.Stream
			past.End = c.streamEnd
			desc.Past = slices.DeleteFunc(append(desc.Past, past), func(s streamState) bool { return s.over(now) })
		}
		desc.Stream, s.Stream = next, roomStream(next)
	}
	if n := req.get("SSESpecification"); n != nil {
		desc.Encrypted, desc.EncryptionKey = n.bool("Enabled", false), n.text("KMSMasterKeyId")
	}
	if class := req.text("TableClass"); class != "" {
		desc.Class, desc.ClassChanged = class, seconds(h.opt.Now())
	}
	if req.has("DeletionProtectionEnabled") {
		desc.Protected = new(req.bool("DeletionProtectionEnabled", false))
	}
	if limit := readOnDemand(req); limit != nil {
		desc.OnDemand = limit
	}
	if warm := readWarm(req); warm != nil {
		if err := checkWarm(warm, "table", desc.onDemandMode()); err != nil {
			return err
		}
		desc.Warm = warm
	}
	return nil
}
