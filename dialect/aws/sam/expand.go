package sam

import (
	"slices"
	"strings"

	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// sections are those of Globals, with the type that each is for.
var sections = map[string]string{
	"Function": "AWS::Serverless::Function", "Api": "AWS::Serverless::Api", "HttpApi": "AWS::Serverless::HttpApi",
	"WebSocketApi": "AWS::Serverless::WebSocketApi", "SimpleTable": "AWS::Serverless::SimpleTable",
	"LayerVersion": "AWS::Serverless::LayerVersion", "StateMachine": "AWS::Serverless::StateMachine",
	"CapacityProvider": "AWS::Serverless::CapacityProvider",
}

// expand turns the resources of SAM into those of CloudFormation, with all that SAM makes besides. APIs
// come first: what events of functions say depends on them.
func (b *builder) expand() {
	globals := b.t.Root.Get("Globals")
	for _, f := range fields(globals) {
		if sections[f.Key] == "" {
			known := []string{"Function", "Api", "HttpApi", "WebSocketApi", "SimpleTable", "LayerVersion", "StateMachine"}
			b.fail(f.At, cfn.Suggest(f.Key, known), "Globals has no section %q", f.Key)
		}
	}
	b.implicitAPIs()
	b.expandV1()
	for _, pass := range []string{"Api", "HttpApi", "WebSocketApi", "SimpleTable", "LayerVersion", "Connector", "Function"} {
		for _, r := range b.t.Resources() {
			if r.Type != "AWS::Serverless::"+pass || r.Skipped {
				continue
			}
			r.Props = merge(without(b.t.Pick(globals.Get(pass)), r.Body.Get("IgnoreGlobals")), r.Props)
			switch pass {
			case "Api":
				b.expandREST(r)
			case "HttpApi":
				b.expandHTTP(r)
			case "WebSocketApi":
				b.expandWebSocket(r)
			case "SimpleTable":
				b.expandTable(r)
			case "LayerVersion":
				r.Type = "AWS::Lambda::LayerVersion"
				if uri := r.Props.Get("ContentUri"); uri != nil {
					r.Props = r.Props.With("Content", uri)
				}
			case "Connector":
				r.Type = "AWS::IAM::Policy" // all that it makes are permissions
			case "Function":
				b.expandFunction(r)
			}
		}
	}
}

func fields(v *cfn.Value) []cfn.Field {
	if v == nil {
		return nil
	}
	return v.Fields
}

// without is Globals without what a resource says it ignores: "*", or a list of properties.
func without(globals, ignore *cfn.Value) *cfn.Value {
	if globals == nil || ignore.Str() == "*" {
		return nil
	}
	if ignore.IsList() {
		for _, e := range ignore.List {
			globals = globals.With(e.Str(), nil)
		}
	}
	return globals
}

// merge lays a resource's properties over those of Globals: maps join, lists follow each other, all else
// is replaced (aws.md 7.2).
func merge(under, over *cfn.Value) *cfn.Value {
	switch {
	case under == nil:
		return over
	case over == nil:
		return under
	case cfn.IsFunction(under) || cfn.IsFunction(over):
		return over
	case under.IsList() && over.IsList():
		return template.List(over.At, append(append([]*cfn.Value{}, under.List...), over.List...)...)
	case under.IsMap() && over.IsMap():
		out := &cfn.Value{At: over.At, Fields: append([]cfn.Field{}, under.Fields...)}
		for _, f := range over.Fields {
			out = out.With(f.Key, merge(under.Get(f.Key), f.Value))
		}
		return out
	}
	return over
}

// make adds a resource that SAM makes of another. Properties that are nil are left out.
func (b *builder) make(from *cfn.Resource, id, typ string, props ...any) *cfn.Resource {
	r := &cfn.Resource{ID: id, Type: typ, At: from.At, Props: template.Map(from.At, props...), Made: true}
	b.t.Add(r)
	return b.t.Resource(id)
}

// text is a property's text, as far as it can be known now; "" when it depends on resources.
func (b *builder) text(v *cfn.Value) string {
	v = b.t.Pick(v)
	if v == nil {
		return ""
	}
	if cfn.IsFunction(v) {
		v = b.t.Eval(v)
	}
	return v.Str()
}

// target is the resource that {Ref: X}, {GetAtt: X.…} or ${X} names; "" when a value is none of those.
func target(v *cfn.Value) string {
	if s := v.Get("Ref").Str(); s != "" {
		return s
	}
	if g := v.Get("Fn::GetAtt"); g != nil {
		if g.IsList() && len(g.List) > 0 {
			return g.List[0].Str()
		}
		id, _, _ := strings.Cut(g.Str(), ".")
		return id
	}
	if s := v.Get("Fn::Sub").Str(); strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}") {
		id, _, _ := strings.Cut(s[2:len(s)-1], ".")
		return id
	}
	return ""
}

// expandTable makes a table of a SimpleTable.
func (b *builder) expandTable(r *cfn.Resource) {
	r.Type = "AWS::DynamoDB::Table"
	key := b.t.Pick(r.Props.Get("PrimaryKey"))
	name, typ := key.Get("Name"), "S"
	if name == nil {
		name = template.Text(r.At, "id")
	}
	switch s := b.text(key.Get("Type")); s {
	case "", "String":
	case "Number":
		typ = "N"
	case "Binary":
		typ = "B"
	default:
		b.fail(key.Get("Type").At, "known are: String, Number, Binary", "PrimaryKey.Type of resource %q is %q", r.ID, s)
	}
	p := r.Props.With("PrimaryKey", nil)
	p = p.With("AttributeDefinitions", template.List(r.At, template.Map(r.At, "AttributeName", name, "AttributeType", typ)))
	p = p.With("KeySchema", template.List(r.At, template.Map(r.At, "AttributeName", name, "KeyType", "HASH")))
	if p.Get("ProvisionedThroughput") == nil {
		p = p.With("BillingMode", template.Text(r.At, "PAY_PER_REQUEST"))
	}
	r.Props = p
}

// expandFunction makes a function of Lambda of one of SAM, and what its properties ask for besides.
func (b *builder) expandFunction(r *cfn.Resource) {
	r.Type = "AWS::Lambda::Function"
	p := r.Props
	pick := func(key string) *cfn.Value { return b.t.Pick(p.Get(key)) }
	if inline := pick("InlineCode"); inline != nil {
		p = p.With("Code", template.Map(inline.At, "ZipFile", inline))
	} else if uri := pick("ImageUri"); uri != nil {
		p = p.With("Code", template.Map(uri.At, "ImageUri", uri))
	} else if uri := pick("CodeUri"); uri != nil {
		p = p.With("Code", uri)
	} else if p.Get("Code") == nil {
		p = p.With("Code", template.Text(r.At, "."))
	}
	r.Props = p
	if p.Get("Role") == nil {
		b.make(r, r.ID+"Role", "AWS::IAM::Role")
	}
	called := cfn.GetAtt(r.At, r.ID, "Arn") // what events call
	name := cfn.Ref(r.At, r.ID)
	if alias := pick("AutoPublishAlias"); alias != nil {
		b.make(r, r.ID+"Version", "AWS::Lambda::Version", "FunctionName", name)
		if s := b.text(alias); s != "" {
			id := r.ID + "Alias" + s
			b.make(r, id, "AWS::Lambda::Alias", "FunctionName", name, "FunctionVersion", "1", "Name", s)
			b.t.AddAlias(r.ID+".Alias", id)
			called = cfn.Ref(r.At, id)
		}
		b.t.AddAlias(r.ID+".Version", r.ID+"Version")
	}
	if u := pick("FunctionUrlConfig"); u != nil {
		b.make(r, r.ID+"Url", "AWS::Lambda::Url", "TargetFunctionArn", name, "AuthType", u.Get("AuthType"), "Cors", u.Get("Cors"), "InvokeMode", u.Get("InvokeMode"))
	}
	if c := pick("EventInvokeConfig"); c != nil {
		b.make(r, r.ID+"EventInvokeConfig", "AWS::Lambda::EventInvokeConfig", "FunctionName", name, "Qualifier", "$LATEST",
			"MaximumRetryAttempts", c.Get("MaximumRetryAttempts"), "MaximumEventAgeInSeconds", c.Get("MaximumEventAgeInSeconds"),
			"DestinationConfig", c.Get("DestinationConfig"))
	}
	for _, e := range fields(pick("Events")) {
		if ev := b.t.Pick(e.Value); ev != nil {
			b.event(r, e.Key, ev, called)
		}
	}
}

// event makes what an event of a function asks for.
func (b *builder) event(r *cfn.Resource, name string, ev, called *cfn.Value) {
	p := b.t.Pick(ev.Get("Properties"))
	id := r.ID + name
	if slices.Contains(b.in.Skip, id) {
		return
	}
	switch typ := b.text(ev.Get("Type")); typ {
	case "HttpApi", "Api":
		b.routeEvent(r, name, typ, ev, p)
	case "Schedule":
		state := p.Get("State")
		if on := p.Get("Enabled"); on != nil && state == nil && !b.on(on) {
			state = template.Text(on.At, "DISABLED")
		}
		b.make(r, id, "AWS::Events::Rule", "Name", p.Get("Name"), "ScheduleExpression", p.Get("Schedule"), "State", state,
			"Targets", template.List(r.At, template.Map(r.At, "Arn", called, "Id", id+"LambdaTarget", "Input", p.Get("Input"))))
	case "ScheduleV2":
		b.make(r, id, "AWS::Scheduler::Schedule", "Name", p.Get("Name"), "ScheduleExpression", p.Get("ScheduleExpression"), "State", p.Get("State"),
			"ScheduleExpressionTimezone", p.Get("ScheduleExpressionTimezone"), "Target", template.Map(r.At, "Arn", called, "Input", p.Get("Input")))
	case "CloudWatchEvent", "EventBridgeRule":
		b.make(r, id, "AWS::Events::Rule", "Name", p.Get("RuleName"), "EventPattern", p.Get("Pattern"), "State", p.Get("State"),
			"Targets", template.List(r.At, template.Map(r.At, "Arn", called, "Id", id+"LambdaTarget", "Input", p.Get("Input"))))
	case "DynamoDB", "SQS", "Kinesis":
		source := p.Get("Stream")
		if typ == "SQS" {
			source = p.Get("Queue")
		}
		props := []any{"EventSourceArn", source, "FunctionName", called}
		for _, key := range []string{"StartingPosition", "BatchSize", "MaximumBatchingWindowInSeconds", "MaximumRetryAttempts", "MaximumRecordAgeInSeconds",
			"BisectBatchOnFunctionError", "FunctionResponseTypes", "FilterCriteria", "DestinationConfig", "Enabled", "ParallelizationFactor"} {
			props = append(props, key, p.Get(key))
		}
		b.make(r, id, "AWS::Lambda::EventSourceMapping", props...)
	case "S3":
		b.objectEvent(r, name, ev, p, called)
	case "":
		b.fail(ev.At, "", "event %q of function %q has no Type", name, r.ID)
	default:
		b.refuseAs(id, ev.At, "event %q of function %q has type %s, which sluice does not run", name, r.ID, typ)
	}
}

func (b *builder) on(v *cfn.Value) bool { return !strings.EqualFold(b.text(v), "false") }

// objectEvent writes an S3 event into its bucket's notifications, where SAM writes it.
func (b *builder) objectEvent(r *cfn.Resource, name string, ev, p, called *cfn.Value) {
	bucket := b.t.Resource(target(b.t.Pick(p.Get("Bucket"))))
	if bucket == nil || bucket.Type != "AWS::S3::Bucket" {
		b.fail(ev.At, "refer to it with !Ref", "event %q of function %q names no bucket of this template", name, r.ID)
		return
	}
	events := b.t.Pick(p.Get("Events"))
	if events != nil && !events.IsList() {
		events = template.List(events.At, events)
	}
	if events == nil {
		b.fail(ev.At, "", "event %q of function %q has no Events", name, r.ID)
		return
	}
	n := bucket.Props.Get("NotificationConfiguration")
	if n == nil {
		n = template.Map(bucket.At)
	}
	list := n.Get("LambdaConfigurations")
	if list == nil {
		list = template.List(bucket.At)
	}
	for _, e := range events.List {
		list = template.List(list.At, append(append([]*cfn.Value{}, list.List...), template.Map(ev.At, "Event", e, "Function", called, "Filter", p.Get("Filter")))...)
	}
	bucket.Props = bucket.Props.With("NotificationConfiguration", n.With("LambdaConfigurations", list))
}
