package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// name is a version's number as it is written.
func (v Version) name() string { return strconv.Itoa(v.Number) }

// publish makes a version, unless the newest one is of the same code.
func (e *Extra) publish(description string, now time.Time) Version {
	number := 1
	if n := len(e.Versions); n > 0 {
		if last := e.Versions[n-1]; last.Sum == e.Sum && last.Modified.Equal(e.Modified) {
			return last
		}
		number = e.Versions[n-1].Number + 1
	}
	number = max(number, e.Published+1)
	v := Version{Number: number, Description: description, Modified: now, Sum: e.Sum}
	e.Versions, e.Published, e.Modified = append(e.Versions, v), number, now
	return v
}

// unpublish takes a version away, whose number is not given again.
func (e *Extra) unpublish(number string) error {
	if i := slices.IndexFunc(e.Aliases, func(a Alias) bool { return a.Version == number }); i >= 0 {
		return faultf(http.StatusConflict, "ResourceConflictException", "Version %s is used by alias %s", number, e.Aliases[i].Name)
	}
	e.Versions = slices.DeleteFunc(e.Versions, func(v Version) bool { return v.name() == number })
	return nil
}

// version is the version that a qualifier means.
func (f *Function) version(qualifier string) string {
	if i := slices.IndexFunc(f.Extra.Aliases, func(a Alias) bool { return a.Name == qualifier }); i >= 0 {
		return f.Extra.Aliases[i].Version
	}
	return cmp.Or(qualifier, Latest)
}

// versions describes a function and its versions.
func (a *API) versions(f *Function) []*configuration {
	latest := a.configure(f, Latest)
	list := []*configuration{latest}
	for _, v := range f.Extra.Versions {
		list = append(list, a.configure(f, v.name()))
	}
	return list
}

func (a *API) publishVersion(ctx context.Context, q *query) (any, error) {
	var d struct{ CodeSha256, Description, RevisionId string }
	if err := q.read(&d); err != nil {
		return nil, err
	}
	var v Version
	f, err := a.change(ctx, q, q.args["function"], func(_ *sluice.Function, e *Extra, _ string) error {
		if d.CodeSha256 != "" && d.CodeSha256 != e.Sum {
			return invalidf("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). Please try again with the CodeSHA256 in $LATEST.", d.CodeSha256, e.Sum)
		}
		if err := e.unchanged(d.RevisionId); err != nil {
			return err
		}
		v = e.publish(d.Description, a.o.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a.configure(f, v.name()), nil
}

func (a *API) listVersions(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	return listing(q, "Versions", a.versions(f.Function))
}

// aliasView is an alias as the API shows it.
type aliasView struct {
	AliasArn        string
	Name            string
	FunctionVersion string
	Description     string
	RevisionId      string
}

func show(f *Function, al Alias) aliasView {
	return aliasView{f.ARN + ":" + al.Name, al.Name, al.Version, al.Description, cmp.Or(f.Extra.Revision, f.Revision)}
}

// aliasText is a name that is no number.
var aliasText = regexp.MustCompile(`^[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*$`)

// check refuses an alias for a version that is not there.
func (al *Alias) check(f *sluice.Function, e *Extra) error {
	switch {
	case len(al.Name) > 128 || !aliasText.MatchString(al.Name):
		return invalid(al.Name, "name", "Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)")
	case al.Version == "":
		return invalid("null", "functionVersion", "Member must not be null")
	case al.Version != Latest && !slices.ContainsFunc(e.Versions, func(v Version) bool { return v.name() == al.Version }):
		return missingf("Function not found: %s", ARN("", f.Physical)+":"+al.Version)
	}
	return nil
}

// saved finds an alias; -1 and an error when there is none.
func (e *Extra) alias(name string) (int, error) {
	i := slices.IndexFunc(e.Aliases, func(al Alias) bool { return al.Name == name })
	if i < 0 {
		return i, missingf("Cannot find alias: %s", name)
	}
	return i, nil
}

type aliasInput struct {
	Name, RevisionId string
	FunctionVersion  *string
	Description      *string
	RoutingConfig    *struct{ AdditionalVersionWeights map[string]float64 }
}

func (d *aliasInput) check() error {
	if d.RoutingConfig != nil && len(d.RoutingConfig.AdditionalVersionWeights) > 0 {
		return invalidf("AdditionalVersionWeights are not supported: all versions of a function run its newest code here")
	}
	return nil
}

func (a *API) createAlias(ctx context.Context, q *query) (any, error) {
	var d aliasInput
	if err := cmp.Or(q.read(&d), d.check()); err != nil {
		return nil, err
	}
	al := Alias{Name: d.Name}
	set(&al.Version, d.FunctionVersion)
	set(&al.Description, d.Description)
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		if _, err := e.alias(al.Name); err == nil {
			return faultf(http.StatusConflict, "ResourceConflictException", "Alias already exists: %s", ARN(q.region, f.Physical)+":"+al.Name)
		}
		e.Aliases = append(e.Aliases, al)
		return al.check(f, e)
	})
	if err != nil {
		return nil, err
	}
	return show(f, al), nil
}

func (a *API) updateAlias(ctx context.Context, q *query) (any, error) {
	var d aliasInput
	if err := cmp.Or(q.read(&d), d.check()); err != nil {
		return nil, err
	}
	var al Alias
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		i, err := e.alias(q.args["alias"])
		if err := cmp.Or(err, e.unchanged(d.RevisionId)); err != nil {
			return err
		}
		set(&e.Aliases[i].Version, d.FunctionVersion)
		set(&e.Aliases[i].Description, d.Description)
		al = e.Aliases[i]
		return al.check(f, e)
	})
	if err != nil {
		return nil, err
	}
	return show(f, al), nil
}

func (a *API) getAlias(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	i, err := f.Extra.alias(q.args["alias"])
	if err != nil {
		return nil, err
	}
	return show(f.Function, f.Extra.Aliases[i]), nil
}

func (a *API) listAliases(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	list := []aliasView{}
	only := q.r.URL.Query().Get("FunctionVersion")
	for _, al := range f.Extra.Aliases {
		if only == "" || only == al.Version {
			list = append(list, show(f.Function, al))
		}
	}
	slices.SortFunc(list, func(a, b aliasView) int { return strings.Compare(a.Name, b.Name) })
	return listing(q, "Aliases", list)
}

func (a *API) deleteAlias(ctx context.Context, q *query) (any, error) {
	_, err := a.change(ctx, q, q.args["function"], func(_ *sluice.Function, e *Extra, _ string) error {
		e.Aliases = slices.DeleteFunc(e.Aliases, func(al Alias) bool { return al.Name == q.args["alias"] })
		return nil
	})
	return nil, err
}

// statement is one permission of a function's resource policy. Policies are kept and shown; what may call
// a function is not decided by them.
type statement struct {
	Sid       string
	Effect    string
	Principal any
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

var sidText = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

func (a *API) addPermission(ctx context.Context, q *query) (any, error) {
	var d struct {
		StatementId, Action, Principal, SourceArn, SourceAccount, EventSourceToken, PrincipalOrgID, FunctionUrlAuthType, RevisionId string
	}
	if err := q.read(&d); err != nil {
		return nil, err
	}
	switch {
	case !sidText.MatchString(d.StatementId):
		return nil, invalid(d.StatementId, "statementId", "Member must satisfy regular expression pattern: ([a-zA-Z0-9-_]+)")
	case d.Principal == "":
		return nil, invalid("null", "principal", "Member must not be null")
	case d.Action != "*" && !strings.HasPrefix(d.Action, "lambda:"):
		return nil, invalid(d.Action, "action", "Member must satisfy regular expression pattern: (lambda:[*]|lambda:[a-zA-Z]+|[*])")
	}
	s := statement{Sid: d.StatementId, Effect: "Allow", Action: d.Action, Principal: map[string]string{"AWS": d.Principal}}
	switch {
	case d.Principal == "*":
		s.Principal = "*"
	case strings.HasSuffix(d.Principal, ".amazonaws.com"):
		s.Principal = map[string]string{"Service": d.Principal}
	case len(d.Principal) == 12 && !strings.ContainsFunc(d.Principal, func(r rune) bool { return r < '0' || r > '9' }):
		s.Principal = map[string]string{"AWS": "arn:aws:iam::" + d.Principal + ":root"}
	}
	for _, c := range []struct{ op, key, v string }{
		{"ArnLike", "AWS:SourceArn", d.SourceArn}, {"StringEquals", "AWS:SourceAccount", d.SourceAccount}, {"StringEquals", "lambda:EventSourceToken", d.EventSourceToken},
		{"StringEquals", "aws:PrincipalOrgID", d.PrincipalOrgID}, {"StringEquals", "lambda:FunctionUrlAuthType", d.FunctionUrlAuthType},
	} {
		if c.v == "" {
			continue
		}
		if s.Condition == nil {
			s.Condition = map[string]map[string]string{}
		}
		if s.Condition[c.op] == nil {
			s.Condition[c.op] = map[string]string{}
		}
		s.Condition[c.op][c.key] = c.v
	}
	var text []byte
	_, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, qualifier string) error {
		if err := e.unchanged(d.RevisionId); err != nil {
			return err
		}
		if e.statement(d.StatementId) >= 0 {
			return faultf(http.StatusConflict, "ResourceConflictException", "The statement id (%s) provided already exists. Please provide a new statement id, or remove the existing statement.", d.StatementId)
		}
		s.Resource = ARN(q.region, f.Physical)
		if qualifier != "" {
			s.Resource += ":" + qualifier
		}
		text, _ = json.Marshal(s) // texts always marshal
		e.Policy = append(e.Policy, text)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return map[string]string{"Statement": string(text)}, nil
}

// statement finds a permission by its id; -1 when there is none.
func (e *Extra) statement(id string) int {
	return slices.IndexFunc(e.Policy, func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == id
	})
}

func (a *API) getPolicy(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	if len(f.Extra.Policy) == 0 {
		return nil, missingf("The resource you requested does not exist.")
	}
	text, err := json.Marshal(struct {
		Version   string
		Id        string
		Statement []json.RawMessage
	}{"2012-10-17", "default", f.Extra.Policy})
	if err != nil {
		return nil, err
	}
	return map[string]string{"Policy": string(text), "RevisionId": cmp.Or(f.Extra.Revision, f.Revision)}, nil
}

func (a *API) removePermission(ctx context.Context, q *query) (any, error) {
	_, err := a.change(ctx, q, q.args["function"], func(_ *sluice.Function, e *Extra, _ string) error {
		i := e.statement(q.args["statement"])
		if i < 0 {
			return missingf("Statement %s is not found in resource policy.", q.args["statement"])
		}
		if err := e.unchanged(q.r.URL.Query().Get("RevisionId")); err != nil {
			return err
		}
		e.Policy = slices.Delete(e.Policy, i, i+1)
		return nil
	})
	return nil, err
}

func (a *API) putConcurrency(ctx context.Context, q *query) (any, error) {
	var d struct{ ReservedConcurrentExecutions *int }
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if d.ReservedConcurrentExecutions == nil || *d.ReservedConcurrentExecutions < 0 {
		return nil, invalid("null", "reservedConcurrentExecutions", "Member must be 0 or more")
	}
	_, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		f.MaxInstances, e.Reserved = *d.ReservedConcurrentExecutions, d.ReservedConcurrentExecutions
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (a *API) getConcurrency(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil || f.Extra.Reserved == nil {
		return map[string]int{}, err
	}
	return map[string]int{"ReservedConcurrentExecutions": *f.Extra.Reserved}, nil
}

func (a *API) deleteConcurrency(ctx context.Context, q *query) (any, error) {
	_, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		f.MaxInstances, e.Reserved = 0, nil
		return nil
	})
	return nil, err
}
