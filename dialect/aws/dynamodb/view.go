package dynamodb

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/table"
)

// count is how many items a table or index has, and their size.
type count struct {
	items, bytes int64
	indexes      map[string]count
	at           time.Time
}

// A table with more items than manyItems is counted again only after countTime, as AWS does with every
// table. Of one with more than mostItems, the first are counted, and the rest is guessed from how far the
// hash of their keys has come.
const (
	manyItems = 5000
	mostItems = 100_000
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
			n.add(d, d.item(&page.Rows[i]))
		}
		if page.Next == nil {
			break
		}
		if rg.From = page.Next; n.items >= mostItems {
			const parts = 1 << 16
			part, err := table.PartOf(page.Next[0], parts)
			if err != nil {
				return n, err
			}
			n.grow(parts / float64(part+1))
			break
		}
	}
	if n.items > manyItems {
		h.cache.mu.Lock()
		defer h.cache.mu.Unlock()
		maps.DeleteFunc(h.cache.counts, func(_ uint32, c count) bool { return n.at.Sub(c.at) >= countTime })
		h.cache.counts[d.spec.ID] = n
	}
	return n, nil
}

// add counts one item of a table.
func (n *count) add(d *described, item attr.Item) {
	n.items++
	n.bytes += int64(attr.ItemSize(item))
	for i := range d.indexes {
		x := &d.indexes[i]
		if part, ok := x.project(d, item); ok {
			c := n.indexes[x.Name]
			c.items++
			c.bytes += int64(attr.ItemSize(part))
			n.indexes[x.Name] = c
		}
	}
}

// grow multiplies everything.
func (n *count) grow(by float64) {
	n.items, n.bytes = int64(float64(n.items)*by), int64(float64(n.bytes)*by)
	for name, c := range n.indexes {
		c.grow(by)
		n.indexes[name] = c
	}
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
	WarmThroughput             *warmView      `json:",omitempty"`
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

type warmView struct {
	warmState
	Status string
}

// view is a WarmThroughput that is there at once; nil for none.
func (w *warmState) view() *warmView {
	if w == nil {
		return nil
	}
	return &warmView{*w, "ACTIVE"}
}

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
	WarmThroughput        *warmView        `json:",omitempty"`
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
		WarmThroughput:            desc.Warm.view(),
		DeletionProtectionEnabled: desc.Protected,
	}
	if b := desc.Billing; b.Mode != "" {
		if b.Mode == payPerRequest && b.Since == 0 { // from the beginning
			b.Since = v.CreationDateTime
		}
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
		one.WarmThroughput = x.Warm.view()
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
