package lambda

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// mappingInput is what clients say of an event source mapping. A nil field is not said.
type mappingInput struct {
	EventSourceArn                 string
	FunctionName                   string
	Enabled                        *bool
	BatchSize                      *int
	MaximumBatchingWindowInSeconds *int
	ParallelizationFactor          *int
	StartingPosition               string
	MaximumRecordAgeInSeconds      *int
	BisectBatchOnFunctionError     *bool
	MaximumRetryAttempts           *int
	FunctionResponseTypes          *[]string
	FilterCriteria                 *filterCriteria
	DestinationConfig              *destinations
}

type filterCriteria struct {
	Filters []struct{ Pattern string }
}

// mappingView is a mapping as the API shows it.
type mappingView struct {
	UUID                           string
	StartingPosition               string
	BatchSize                      int
	MaximumBatchingWindowInSeconds int
	ParallelizationFactor          int
	EventSourceArn                 string
	FilterCriteria                 *filterCriteria `json:",omitempty"`
	FunctionArn                    string
	LastModified                   float64
	LastProcessingResult           string
	State                          string
	StateTransitionReason          string
	DestinationConfig              destinations
	MaximumRecordAgeInSeconds      int
	BisectBatchOnFunctionError     bool
	MaximumRetryAttempts           int
	TumblingWindowInSeconds        int
	FunctionResponseTypes          []string
}

var streamText = regexp.MustCompile(`^arn:[^:]*:dynamodb:[^:]*:[^:]*:table/([^/]+)/stream/`)

// mappingID is the id of the mapping from a table to a function: there is one at the most.
func mappingID(f *Function, table string) string {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice/"+string(f.App)+"/"+string(f.Spec.Name)+"/"+table)).String()
}

// mapping shows a mapping. state goes before what it is in.
func (a *API) mapping(ctx context.Context, f *Function, c *sluice.Changes, state string) mappingView {
	v := mappingView{UUID: mappingID(f, c.Table), StartingPosition: "TRIM_HORIZON", BatchSize: cmp.Or(c.Batch, mappingBatch), MaximumBatchingWindowInSeconds: int(c.Window / time.Second),
		ParallelizationFactor: 1, EventSourceArn: a.streamARN(ctx, f, c.Table), FunctionArn: f.ARN, LastModified: unix(f.changed(f.Extra.Mapped[c.Table])), LastProcessingResult: "No records processed",
		State: "Enabled", StateTransitionReason: "User action", DestinationConfig: destinations{OnFailure: destinationOf(c.OnFailure)}, MaximumRecordAgeInSeconds: -1,
		BisectBatchOnFunctionError: c.Bisect, MaximumRetryAttempts: c.Retries, FunctionResponseTypes: []string{}}
	if c.Latest {
		v.StartingPosition = "LATEST"
	}
	if c.Disabled {
		v.State = "Disabled"
	}
	v.State = cmp.Or(state, v.State)
	if c.MaxAge > 0 {
		v.MaximumRecordAgeInSeconds = int(c.MaxAge / time.Second)
	}
	if c.Partial {
		v.FunctionResponseTypes = []string{"ReportBatchItemFailures"}
	}
	if len(c.Filters) > 0 {
		v.FilterCriteria = &filterCriteria{}
		for _, p := range c.Filters {
			v.FilterCriteria.Filters = append(v.FilterCriteria.Filters, struct{ Pattern string }{p})
		}
	}
	return v
}

// streamARN is the present stream of a table; one that never was when it has none now.
func (a *API) streamARN(ctx context.Context, f *Function, table string) string {
	if a.o.Streams != nil {
		if arn, _, err := a.o.Streams.Stream(ctx, table); err == nil {
			return arn
		}
	}
	return "arn:aws:dynamodb:" + cmp.Or(f.Env["AWS_REGION"], DefaultRegion) + ":" + Account + ":table/" + table + "/stream/" + apispec.StreamLabel
}

// apply writes what is said into a mapping.
func (d *mappingInput) apply(c *sluice.Changes) error {
	number := func(to *int, from *int, name string, lo, hi int) error {
		if from == nil {
			return nil
		}
		*to = *from
		return within(*from, name, lo, hi)
	}
	window, age := int(c.Window/time.Second), -1
	if c.MaxAge > 0 {
		age = int(c.MaxAge / time.Second)
	}
	err := cmp.Or(number(&c.Batch, d.BatchSize, "batchSize", 1, 10000), number(&window, d.MaximumBatchingWindowInSeconds, "maximumBatchingWindowInSeconds", 0, 300),
		number(&age, d.MaximumRecordAgeInSeconds, "maximumRecordAgeInSeconds", -1, 604800), number(&c.Retries, d.MaximumRetryAttempts, "maximumRetryAttempts", -1, 10000))
	if err != nil {
		return err
	}
	c.Window, c.MaxAge = time.Duration(window)*time.Second, time.Duration(max(age, 0))*time.Second
	set(&c.Bisect, d.BisectBatchOnFunctionError)
	if d.Enabled != nil {
		c.Disabled = !*d.Enabled
	}
	if d.FunctionResponseTypes != nil {
		c.Partial = slices.Contains(*d.FunctionResponseTypes, "ReportBatchItemFailures")
	}
	if d.DestinationConfig != nil {
		if c.OnFailure, err = d.DestinationConfig.OnFailure.to("onFailure"); err != nil {
			return err
		}
	}
	if d.FilterCriteria != nil {
		c.Filters = nil
		for _, f := range d.FilterCriteria.Filters {
			if _, err := parseFilter(f.Pattern); err != nil {
				return invalidf("Invalid filter pattern definition. (%v)", err)
			}
			c.Filters = append(c.Filters, f.Pattern)
		}
	}
	return nil
}

func (a *API) createMapping(ctx context.Context, q *query) (any, error) {
	var d mappingInput
	if err := q.read(&d); err != nil {
		return nil, err
	}
	m := streamText.FindStringSubmatch(d.EventSourceArn)
	switch {
	case a.o.Streams == nil:
		return nil, faultf(http.StatusServiceUnavailable, "ServiceException", "this server reads no streams")
	case d.FunctionName == "":
		return nil, invalid("null", "functionName", "Member must not be null")
	case m == nil:
		return nil, invalidf("Unrecognized event source, must be dynamodb: sluice maps the streams of tables only")
	case d.StartingPosition != "LATEST" && d.StartingPosition != "TRIM_HORIZON":
		return nil, invalidf("1 validation error detected: Value '%s' at 'startingPosition' failed to satisfy constraint: Member must satisfy enum value set: [LATEST, TRIM_HORIZON]", d.StartingPosition)
	}
	stream := d.EventSourceArn
	if strings.HasSuffix(stream, "/stream/"+apispec.StreamLabel) { // as templates name it
		stream = m[1]
	}
	if _, err := a.o.Streams.Latest(ctx, stream); err != nil {
		if sluice.KindOf(err) == sluice.Missing {
			err = invalidf("Stream not found: %s", d.EventSourceArn)
		}
		return nil, err
	}
	c := sluice.Changes{Table: m[1], Retries: -1, Latest: d.StartingPosition == "LATEST"}
	f, err := a.change(ctx, q, d.FunctionName, func(f *sluice.Function, e *Extra, _ string) error {
		if slices.ContainsFunc(f.Changes, func(o sluice.Changes) bool { return o.Table == c.Table }) {
			return faultf(http.StatusConflict, "ResourceConflictException", "The event source arn (\" %s \") and function (\" %s \") provided mapping already exists. Please update or delete the existing mapping", d.EventSourceArn, f.Physical)
		}
		if err := d.apply(&c); err != nil {
			return err
		}
		f.Changes = append(f.Changes, c)
		e.mapped(c.Table, a.o.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.mapping(ctx, f, &c, "Creating"), nil
}

// mapped notes when a mapping was changed.
func (e *Extra) mapped(table string, now time.Time) {
	if e.Mapped == nil {
		e.Mapped = map[string]time.Time{}
	}
	e.Mapped[table] = now
}

// mappingOf finds a mapping by its id.
func (a *API) mappingOf(ctx context.Context, q *query) (*Function, *sluice.Changes, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		for i := range f.Spec.Changes {
			if mappingID(f.Function, f.Spec.Changes[i].Table) == q.args["uuid"] {
				return f.Function, &f.Spec.Changes[i], nil
			}
		}
	}
	return nil, nil, missingf("The resource you requested does not exist.")
}

func (a *API) getMapping(ctx context.Context, q *query) (any, error) {
	f, c, err := a.mappingOf(ctx, q)
	if err != nil {
		return nil, err
	}
	return a.mapping(ctx, f, c, ""), nil
}

func (a *API) listMappings(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	v := q.r.URL.Query()
	only, _, _ := ParseName(v.Get("FunctionName"))
	source := streamText.FindStringSubmatch(v.Get("EventSourceArn"))
	list := []mappingView{}
	for _, f := range all {
		if v.Get("FunctionName") != "" && only != f.Name {
			continue
		}
		for i := range f.Spec.Changes {
			if c := &f.Spec.Changes[i]; v.Get("EventSourceArn") == "" || source != nil && source[1] == c.Table {
				list = append(list, a.mapping(ctx, f.Function, c, ""))
			}
		}
	}
	return listing(q, "EventSourceMappings", list)
}

func (a *API) updateMapping(ctx context.Context, q *query) (any, error) {
	var d mappingInput
	f, old, err := a.mappingOf(ctx, q)
	if err := cmp.Or(err, q.read(&d)); err != nil {
		return nil, err
	}
	if name, _, _ := ParseName(d.FunctionName); d.FunctionName != "" && name != f.Name {
		return nil, invalidf("the function of a mapping cannot be changed: delete it and create another")
	}
	var c sluice.Changes
	f, err = a.change(ctx, q, f.ARN, func(f *sluice.Function, e *Extra, _ string) error {
		i := slices.IndexFunc(f.Changes, func(o sluice.Changes) bool { return o.Table == old.Table })
		if err := d.apply(&f.Changes[i]); err != nil {
			return err
		}
		e.mapped(old.Table, a.o.Now())
		c = f.Changes[i]
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.mapping(ctx, f, &c, "Updating"), nil
}

func (a *API) deleteMapping(ctx context.Context, q *query) (any, error) {
	f, old, err := a.mappingOf(ctx, q)
	if err != nil {
		return nil, err
	}
	answer := a.mapping(ctx, f, old, "Deleting")
	_, err = a.change(ctx, q, f.ARN, func(f *sluice.Function, e *Extra, _ string) error {
		f.Changes = slices.DeleteFunc(f.Changes, func(o sluice.Changes) bool { return o.Table == old.Table })
		delete(e.Mapped, old.Table)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}
