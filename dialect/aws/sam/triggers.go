package sam

import (
	"encoding/json"
	"regexp"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/lambda"
)

// called is the function that a property names; nil, with an error noted, when it is none of the app's.
func (b *builder) called(r *cfn.Resource, w view) *sluice.Function {
	w = w.need()
	if w.broken() || w.str() == "" {
		return nil
	}
	f := b.function(w.str())
	if f == nil {
		for _, o := range b.t.Resources() {
			if o.Type == "AWS::Lambda::Function" && o.Skipped && b.physical(o).Str() == functionOf(w.str()) {
				return nil
			}
		}
		b.fail(w.place(), "refer to it with !Ref or !GetAtt", "resource %q is for %q, which is no function of this template", r.ID, w.str())
	}
	return f
}

// functionURL makes a function reachable over HTTP.
func (b *builder) functionURL(r *cfn.Resource) {
	p := b.props(r)
	f := b.called(r, p.at("TargetFunctionArn"))
	if f == nil {
		return
	}
	auth := p.at("AuthType").need()
	h := &sluice.HTTPTrigger{Name: r.ID, Hosts: []string{b.urlID(r) + ".lambda-url." + b.t.Region() + ".on.aws"}}
	switch auth.str() {
	case "NONE":
		h.Auth = "anonymous"
	case "AWS_IAM":
		h.Auth = "function"
	default:
		if auth.str() != "" {
			b.fail(auth.place(), "known are: NONE, AWS_IAM", "AuthType of %q is %q", r.ID, auth.str())
		}
	}
	f.HTTP = h
	e := b.extra(f)
	e.CORS = b.cors(p.at("Cors"))
	if m := p.at("InvokeMode").str(); m != "" && m != "BUFFERED" {
		setting(e, "InvokeMode", m)
	}
}

// version adds a published version to its function.
func (b *builder) version(r *cfn.Resource) {
	p := b.props(r)
	if f := b.called(r, p.at("FunctionName")); f != nil {
		e := b.extra(f)
		e.Versions = append(e.Versions, lambda.Version{Number: len(e.Versions) + 1, Description: p.at("Description").str()})
	}
}

// alias adds another name for a version to its function.
func (b *builder) alias(r *cfn.Resource) {
	p := b.props(r)
	f := b.called(r, p.at("FunctionName"))
	name := p.at("Name").need().str()
	if f == nil || name == "" {
		return
	}
	e := b.extra(f)
	e.Aliases = append(e.Aliases, lambda.Alias{Name: name, Version: p.at("FunctionVersion").or("1"), Description: p.at("Description").str()})
}

// invokeConfig says how a function is called when nobody waits.
func (b *builder) invokeConfig(r *cfn.Resource) {
	p := b.props(r)
	f := b.called(r, p.at("FunctionName"))
	if f == nil {
		return
	}
	f.Async = &sluice.AsyncCalls{Retries: p.at("MaximumRetryAttempts").num(2, 0, 2), MaxAge: time.Duration(p.at("MaximumEventAgeInSeconds").num(0, 60, 21600)) * time.Second,
		OnSuccess: b.destination(r, p.at("DestinationConfig", "OnSuccess")), OnFailure: b.destination(r, p.at("DestinationConfig", "OnFailure"))}
}

// destination is what is told of a result: a function's ARN.
func (b *builder) destination(r *cfn.Resource, w view) string {
	if w.missing() || w.broken() {
		return ""
	}
	to := w.at("Destination")
	arn := to.str()
	if strings.Contains(arn, ":lambda:") || to.broken() {
		return arn
	}
	if arn == "" {
		arn = w.at("Type").str()
	}
	b.refuse(r, w.place(), "a destination of %q is %s, and sluice calls functions only", r.ID, arn)
	return ""
}

var streamARN = regexp.MustCompile(`^arn:[^:]*:dynamodb:[^:]*:[^:]*:table/([^/]+)/stream/`)

// mapping has a function called with the changes of a table.
func (b *builder) mapping(r *cfn.Resource) {
	p := b.props(r)
	source := p.at("EventSourceArn").need()
	m := streamARN.FindStringSubmatch(source.str())
	if m == nil {
		if !source.broken() && source.str() != "" {
			service := source.str()
			if parts := strings.Split(service, ":"); len(parts) > 2 {
				service = parts[2]
			}
			r.Skipped = b.refuse(r, source.place(), "event source %q is of the service %s, which sluice does not run", r.ID, service)
		}
		return
	}
	f := b.called(r, p.at("FunctionName"))
	if f == nil {
		return
	}
	streams := false
	for _, t := range b.app.Tables {
		if t.Name == m[1] {
			streams = strings.Contains(string(t.Spec), `"StreamViewType"`)
			if !streams {
				b.fail(source.place(), "give the table a StreamSpecification", "event source %q: table %q has no stream", r.ID, m[1])
			}
		}
	}
	c := sluice.Changes{Table: m[1], Batch: p.at("BatchSize").num(0, 1, 10000), Window: time.Duration(p.at("MaximumBatchingWindowInSeconds").num(0, 0, 300)) * time.Second,
		Retries: p.at("MaximumRetryAttempts").num(-1, -1, 10000), Bisect: p.at("BisectBatchOnFunctionError").truth(false),
		OnFailure: b.destination(r, p.at("DestinationConfig", "OnFailure")), Disabled: !p.at("Enabled").truth(true)}
	if n := p.at("MaximumRecordAgeInSeconds").num(-1, -1, 604800); n > 0 {
		c.MaxAge = time.Duration(n) * time.Second
	}
	switch at := p.at("StartingPosition"); at.str() {
	case "LATEST":
		c.Latest = true
	case "TRIM_HORIZON":
	case "":
		at.need()
	default:
		b.fail(at.place(), "known are: LATEST, TRIM_HORIZON", "StartingPosition of event source %q is %q", r.ID, at.str())
	}
	for _, s := range p.at("FunctionResponseTypes").strs() {
		c.Partial = c.Partial || s == "ReportBatchItemFailures"
	}
	for _, e := range p.at("FilterCriteria", "Filters").items() {
		w := e.at("Pattern")
		if s := w.str(); s != "" {
			if !json.Valid([]byte(s)) {
				b.fail(w.place(), "", "a filter of event source %q is not JSON", r.ID)
			}
			c.Filters = append(c.Filters, s)
		}
	}
	f.Changes = append(f.Changes, c)
}

var (
	rate = regexp.MustCompile(`^rate\(\s*[1-9]\d*\s+(minute|minutes|hour|hours|day|days)\s*\)$`)
	cron = regexp.MustCompile(`^cron\(\s*\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s*\)$`)
)

// timer has a function called on a schedule.
func (b *builder) timer(r *cfn.Resource, when, state, fn, input view) {
	s := when.str()
	if !rate.MatchString(s) && !cron.MatchString(s) {
		if s != "" {
			b.fail(when.place(), "it is rate(5 minutes), or cron(0 12 * * ? *) with six fields", "schedule %q of %q is not valid", s, r.ID)
		}
		return
	}
	f := b.called(r, fn)
	if f == nil {
		return
	}
	t := sluice.Timer{Name: b.physical(r).Str(), Schedule: s, Disabled: strings.EqualFold(state.str(), "DISABLED")}
	if input.v.IsMap() || input.v.IsList() {
		t.Payload = input.v.JSON()
	} else if t.Payload = input.str(); t.Payload != "" && !json.Valid([]byte(t.Payload)) {
		b.fail(input.place(), "", "Input of %q is not JSON", r.ID)
	}
	f.Timers = append(f.Timers, t)
}

// rule has functions called on the schedule of a rule of EventBridge.
func (b *builder) rule(r *cfn.Resource) {
	p := b.props(r)
	when := p.at("ScheduleExpression")
	if when.missing() {
		r.Skipped = b.refuse(r, p.at("EventPattern").place(), "rule %q waits for events of the cloud; sluice runs schedules only", r.ID)
		return
	}
	for _, to := range p.at("Targets").items() {
		arn := to.at("Arn")
		if s := arn.str(); s != "" && !strings.Contains(s, ":lambda:") {
			b.refuse(r, arn.place(), "rule %q calls %s, and sluice calls functions only", r.ID, s)
			continue
		}
		b.timer(r, when, p.at("State"), arn, to.at("Input"))
	}
}

// schedule has a function called on the schedule of EventBridge Scheduler.
func (b *builder) schedule(r *cfn.Resource) {
	p := b.props(r)
	when := p.at("ScheduleExpression").need()
	if strings.HasPrefix(when.str(), "at(") {
		r.Skipped = b.refuse(r, when.place(), "schedule %q is for one time only, which sluice does not run", r.ID)
		return
	}
	if zone := p.at("ScheduleExpressionTimezone"); zone.str() != "" && zone.str() != "UTC" {
		b.t.Warn(zone.place(), "schedule %q is kept in UTC, not in %s", r.ID, zone.str())
	}
	b.timer(r, when, p.at("State"), p.at("Target", "Arn"), p.at("Target", "Input"))
}
