package sam

import (
	"encoding/json"
	"math"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

var tableProps = []string{"AttributeDefinitions", "BillingMode", "ContributorInsightsSpecification", "DeletionProtectionEnabled", "GlobalSecondaryIndexes", "ImportSourceSpecification",
	"KeySchema", "KinesisStreamSpecification", "LocalSecondaryIndexes", "OnDemandThroughput", "PointInTimeRecoverySpecification", "ProvisionedThroughput", "ResourcePolicy",
	"SSESpecification", "StreamSpecification", "TableClass", "TableName", "Tags", "TimeToLiveSpecification", "WarmThroughput"}

// table makes a table: the body of its CreateTable call, with TimeToLiveSpecification.
func (b *builder) table(r *cfn.Resource) {
	b.typos(r, tableProps)
	p := b.props(r)
	name := b.physical(r)
	spec := map[string]any{"TableName": name.Str(), "AttributeDefinitions": records(p.at("AttributeDefinitions"), "AttributeName", "AttributeType"),
		"KeySchema": records(p.at("KeySchema").need(), "AttributeName", "KeyType")}
	text := func(key string) {
		if s := p.at(key).str(); s != "" {
			spec[key] = s
		}
	}
	text("BillingMode")
	text("TableClass")
	if w := p.at("ProvisionedThroughput"); !w.missing() {
		spec["ProvisionedThroughput"] = throughput(w)
	} else if spec["BillingMode"] == nil {
		spec["BillingMode"] = "PAY_PER_REQUEST" // AWS wants one of the two; here they are the same
	}
	for _, key := range []string{"GlobalSecondaryIndexes", "LocalSecondaryIndexes"} {
		if list := b.indexes(p.at(key)); len(list) > 0 {
			spec[key] = list
		}
	}
	if w := p.at("StreamSpecification"); !w.missing() {
		spec["StreamSpecification"] = map[string]any{"StreamEnabled": true, "StreamViewType": w.at("StreamViewType").need().str()}
	}
	if w := p.at("SSESpecification"); !w.missing() {
		spec["SSESpecification"] = map[string]any{"Enabled": w.at("SSEEnabled").truth(false)}
	}
	if w := p.at("DeletionProtectionEnabled"); !w.missing() {
		spec["DeletionProtectionEnabled"] = w.truth(false)
	}
	if w := p.at("TimeToLiveSpecification"); !w.missing() {
		spec["TimeToLiveSpecification"] = map[string]any{"AttributeName": w.at("AttributeName").str(), "Enabled": w.at("Enabled").truth(false)}
	}
	if tags := p.at("Tags"); tags.v.IsList() {
		spec["Tags"] = records(tags, "Key", "Value")
	} else if m := tags.texts(); len(m) > 0 {
		var list []map[string]string
		for _, e := range tags.pairs() {
			list = append(list, map[string]string{"Key": e.key, "Value": e.str()})
		}
		spec["Tags"] = list
	}
	b.definedAttributes(p)
	body, err := json.Marshal(spec)
	if err != nil {
		b.fail(r.At, "", "table %q: %v", r.ID, err)
		return
	}
	for _, o := range b.app.Tables {
		if o.Name == name.Str() && !name.Broken {
			b.fail(r.At, "", "table %q has the name %q, as the one at %s has", r.ID, o.Name, o.At)
		}
	}
	b.app.Tables = append(b.app.Tables, sluice.Table{Name: name.Str(), Spec: body, At: r.At})
}

// records are the items of a list of maps of texts.
func records(w view, keys ...string) []map[string]string {
	out := []map[string]string{}
	for _, e := range w.items() {
		m := map[string]string{}
		for _, k := range keys {
			m[k] = e.at(k).need().str()
		}
		out = append(out, m)
	}
	return out
}

func throughput(w view) map[string]any {
	return map[string]any{"ReadCapacityUnits": w.at("ReadCapacityUnits").num(1, 1, math.MaxInt32), "WriteCapacityUnits": w.at("WriteCapacityUnits").num(1, 1, math.MaxInt32)}
}

func (b *builder) indexes(w view) []map[string]any {
	var list []map[string]any
	for _, e := range w.items() {
		projection := map[string]any{"ProjectionType": e.at("Projection", "ProjectionType").or("ALL")}
		if names := e.at("Projection", "NonKeyAttributes").strs(); len(names) > 0 {
			projection["NonKeyAttributes"] = names
		}
		index := map[string]any{"IndexName": e.at("IndexName").need().str(), "KeySchema": records(e.at("KeySchema").need(), "AttributeName", "KeyType"), "Projection": projection}
		if t := e.at("ProvisionedThroughput"); !t.missing() {
			index["ProvisionedThroughput"] = throughput(t)
		}
		list = append(list, index)
	}
	return list
}

// definedAttributes checks that every key has a type.
func (b *builder) definedAttributes(p view) {
	defined := map[string]bool{}
	for _, e := range p.at("AttributeDefinitions").items() {
		defined[e.at("AttributeName").str()] = true
	}
	check := func(schema view) {
		for _, e := range schema.items() {
			w := e.at("AttributeName")
			if name := w.str(); name != "" && !defined[name] {
				b.fail(w.place(), "add it there with its type: S, N or B", "key attribute %q of table %q is not in AttributeDefinitions", name, p.r.ID)
			}
		}
	}
	check(p.at("KeySchema"))
	for _, key := range []string{"GlobalSecondaryIndexes", "LocalSecondaryIndexes"} {
		for _, e := range p.at(key).items() {
			check(e.at("KeySchema"))
		}
	}
}
