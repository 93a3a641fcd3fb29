package sls

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy/template"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

// events makes what a function is called by.
func (s *service) events(f *fn) {
	list := f.body.Get("events")
	if !list.IsNull() && !list.IsList() {
		s.v.fail(list.At, "begin each event with a dash", "events of function %q are %s, not a list", f.key, cfn.Kind(list))
		return
	}
	schedules := 0
	for _, item := range items(list) {
		if item.Broken || item.IsNull() {
			continue
		}
		kind, v := item.Str(), template.Map(item.At)
		if item.IsMap() {
			if len(item.Fields) != 1 {
				s.v.fail(item.At, "look at the indentation: what an event says stands below it, further in", "an event of function %q has %d keys: %s", f.key, len(item.Fields), strings.Join(item.Keys(), ", "))
				continue
			}
			kind, v = item.Fields[0].Key, item.Fields[0].Value
		}
		if v != nil && v.Broken {
			continue
		}
		switch kind {
		case "websocket":
			s.websocketEvent(f, v, item.At)
		case "http":
			s.restEvent(f, v, item.At)
		case "httpApi":
			s.httpEvent(f, v, item.At)
		case "schedule":
			schedules = s.schedule(f, v, item.At, schedules)
		case "stream":
			s.stream(f, v, item.At)
		case "s3":
			s.objectEvent(f, v, item.At)
		case "eventBridge":
			if when := v.Get("schedule"); when != nil {
				schedules = s.schedule(f, template.Map(v.At, "rate", when, "input", v.Get("input"), "enabled", v.Get("enabled")), item.At, schedules)
				continue
			}
			s.unsupported(item.At, f, "waits for events of the cloud; sluice runs schedules only")
		default:
			known := []string{"websocket", "http", "httpApi", "schedule", "stream", "s3", "sns", "sqs", "eventBridge"}
			if n := cfn.Nearest(kind, known); n != "" && n != kind && cfn.Close(n, kind) {
				s.v.fail(item.At, "did you mean "+n+"?", "function %q has an event %q, which nobody knows", f.key, kind)
				continue
			}
			s.unsupported(item.At, f, "has an event %q, which sluice does not run", kind)
		}
	}
}

// schedule makes a timer of each rate; n are those that the function has already.
func (s *service) schedule(f *fn, v *cfn.Value, at sluice.Place, n int) int {
	rates := v
	if v.IsMap() && !cfn.IsFunction(v) {
		if rates = v.Get("rate"); rates == nil {
			s.v.fail(at, "rate: rate(5 minutes)", "a schedule of function %q has no rate", f.key)
			return n
		}
	}
	if !rates.IsList() {
		rates = template.List(rates.At, rates)
	}
	var state *cfn.Value
	if on := v.Get("enabled"); on != nil && on.Str() == "false" {
		state = template.Text(on.At, "DISABLED")
	}
	for _, key := range []string{"inputPath", "inputTransformer"} {
		if x := v.Get(key); x != nil {
			s.v.warn(x.At, "%s of a schedule of function %q is not applied", key, f.key)
		}
	}
	for _, rate := range rates.List {
		n++
		id := f.id + "EventsRuleSchedule" + strconv.Itoa(n)
		if v.Get("method").Str() == "scheduler" {
			s.add(at, id, "AWS::Scheduler::Schedule", "Name", v.Get("name"), "ScheduleExpression", rate, "State", state, "ScheduleExpressionTimezone", v.Get("timezone"),
				"Target", template.Map(at, "Arn", f.arn(), "Input", v.Get("input")))
			continue
		}
		s.add(at, id, "AWS::Events::Rule", "Name", v.Get("name"), "ScheduleExpression", rate, "State", state,
			"Targets", template.List(at, template.Map(at, "Arn", f.arn(), "Id", "schedule", "Input", v.Get("input"))))
	}
	return n
}

// stream has a function called with the changes of a table.
func (s *service) stream(f *fn, v *cfn.Value, at sluice.Place) {
	arn := v
	if v.IsMap() && !cfn.IsFunction(v) {
		if arn = v.Get("arn"); arn == nil {
			s.v.fail(at, "arn: !GetAtt MyTable.StreamArn", "a stream of function %q has no arn", f.key)
			return
		}
		if typ := v.Get("type").Str(); typ != "" && typ != "dynamodb" {
			s.unsupported(at, f, "reads a stream of %s, which sluice does not run", typ)
			return
		}
	} else {
		v = template.Map(at)
	}
	var filters, failure, types *cfn.Value
	if list := v.Get("filterPatterns"); list != nil {
		fs := template.List(list.At)
		for _, p := range items(list) {
			fs.List = append(fs.List, template.Map(p.At, "Pattern", p.JSON()))
		}
		filters = template.Map(list.At, "Filters", fs)
	}
	if to := v.Get("destinations").Get("onFailure"); to != nil {
		failure = template.Map(to.At, "OnFailure", s.destination(to))
	}
	if t := v.Get("functionResponseType"); t != nil {
		types = template.List(t.At, t)
	}
	batch := v.Get("batchSize")
	if batch == nil {
		batch = number(at, 10)
	}
	s.add(at, s.free(f.id+"EventSourceMappingDynamodb"+logical(tableOf(arn))), "AWS::Lambda::EventSourceMapping", "EventSourceArn", arn, "FunctionName", f.arn(), "BatchSize", batch,
		"StartingPosition", or(v.Get("startingPosition"), at, "TRIM_HORIZON"), "MaximumBatchingWindowInSeconds", v.Get("batchWindow"), "MaximumRetryAttempts", v.Get("maximumRetryAttempts"),
		"MaximumRecordAgeInSeconds", v.Get("maximumRecordAgeInSeconds"), "BisectBatchOnFunctionError", v.Get("bisectBatchOnFunctionError"), "FunctionResponseTypes", types,
		"FilterCriteria", filters, "DestinationConfig", failure, "ParallelizationFactor", v.Get("parallelizationFactor"), "Enabled", v.Get("enabled"))
}

// tableOf is the table, or the resource, that the ARN of a stream names.
func tableOf(arn *cfn.Value) string {
	if g := arn.Get("Fn::GetAtt"); g != nil {
		if g.IsList() && len(g.List) > 0 {
			return g.List[0].Str()
		}
		id, _, _ := strings.Cut(g.Str(), ".")
		return id
	}
	if _, rest, ok := strings.Cut(arn.Str(), ":table/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return ""
}

// free is id, or id with a number when a resource has it already.
func (s *service) free(id string) string {
	for n := 1; ; n++ {
		try := id
		if n > 1 {
			try = fmt.Sprint(id, n)
		}
		if _, made := s.made[try]; !made {
			return try
		}
	}
}

// objectEvent has a function called when objects of a bucket come and go. The bucket is made unless it
// is said to exist, or stands in the template's own resources.
func (s *service) objectEvent(f *fn, v *cfn.Value, at sluice.Place) {
	bucket := v
	if v.IsMap() && !cfn.IsFunction(v) {
		if bucket = v.Get("bucket"); bucket == nil {
			s.v.fail(at, "", "an s3 event of function %q has no bucket", f.key)
			return
		}
	} else {
		v = template.Map(at)
	}
	event := or(v.Get("event"), at, "s3:ObjectCreated:*")
	var rules []*cfn.Value
	prefix, suffix := "", ""
	for _, r := range items(v.Get("rules")) {
		for _, e := range r.Fields {
			rules = append(rules, template.Map(e.At, "Name", e.Key, "Value", e.Value))
			switch e.Key {
			case "prefix":
				prefix = e.Value.Str()
			case "suffix":
				suffix = e.Value.Str()
			}
		}
	}
	var filter *cfn.Value
	if rules != nil {
		filter = template.Map(at, "S3Key", template.Map(at, "Rules", template.List(at, rules...)))
	}
	config := template.Map(at, "Event", event, "Function", f.arn(), "Filter", filter)
	props := template.Map(bucket.At, "BucketName", bucket)
	name := bucket.Str()
	if own := s.get("s3", name); own.IsMap() && name != "" {
		for _, p := range own.Fields {
			props = props.With(title(p.Key), p.Value)
		}
	}
	id := s.bucket(bucket)
	existing := v.Get("existing").Str() == "true"
	switch {
	case id == "" && cfn.IsFunction(bucket):
		s.v.fail(bucket.At, "name it, or refer to one with !Ref", "an s3 event of function %q is for no bucket of this template", f.key)
	case id == "" && existing:
		s.objects[f.key] = append(s.objects[f.key], sluice.ObjectEvents{Bucket: name, Events: []string{event.Str()}, Prefix: prefix, Suffix: suffix})
	case id == "":
		id = "S3Bucket" + title(logical(name))
		s.add(at, id, "AWS::S3::Bucket")
		r := &s.resources[len(s.resources)-1]
		r.Value = r.Value.With("Properties", props.With("NotificationConfiguration", notify(nil, config)))
	default:
		s.notified = append(s.notified, cfn.Field{Key: id, At: at, Value: config})
	}
}

// bucket is the logical id of the bucket that a name or a reference means; "" when it is none of the
// template's.
func (s *service) bucket(v *cfn.Value) string {
	ref := v.Get("Ref").Str()
	for _, f := range s.resources {
		if f.Value.Get("Type").Str() == "AWS::S3::Bucket" && (f.Key == ref || same(f.Value.Get("Properties").Get("BucketName"), v)) {
			return f.Key
		}
	}
	own := s.v.self("resources")
	parts := []*cfn.Value{own}
	if own.IsList() {
		parts = own.List
	}
	for _, p := range parts {
		for _, f := range s.fields(s.v.shallow(p).Get("Resources"), "Resources") {
			r := s.v.resolve(f.Value)
			if r.Get("Type").Str() == "AWS::S3::Bucket" && (f.Key == ref || same(r.Get("Properties").Get("BucketName"), v)) {
				return f.Key
			}
		}
	}
	return ""
}

func same(a, b *cfn.Value) bool { return a != nil && b != nil && a.JSON() == b.JSON() }

// existing writes notifications into buckets of the template.
func (s *service) existing(resources *cfn.Value) {
	for _, n := range s.notified {
		for i, f := range resources.Fields {
			if f.Key == n.Key {
				props := f.Value.Get("Properties")
				if !props.IsMap() {
					props = template.Map(f.At)
				}
				resources.Fields[i].Value = f.Value.With("Properties", props.With("NotificationConfiguration", notify(props.Get("NotificationConfiguration"), n.Value)))
			}
		}
	}
}

// notify adds a function to the notifications of a bucket.
func notify(to, config *cfn.Value) *cfn.Value {
	if !to.IsMap() {
		to = template.Map(config.At)
	}
	return to.With("LambdaConfigurations", template.List(config.At, append(slices.Clone(items(to.Get("LambdaConfigurations"))), config)...))
}
