package control

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/cfn"
	"github.com/sluicehq/sluice/dialect/aws/sam"
)

const (
	templateFile = "template"
	maxCode      = 250 << 20 // bytes of an object with code
)

// template is the text of the template that a request brings or names.
func (c *Control) template(ctx context.Context, q *stackQuery, s *stack) (string, error) {
	if text := q.form.Get("TemplateBody"); text != "" {
		return text, nil
	}
	if address := q.form.Get("TemplateURL"); address != "" {
		bucket, key, err := objectOf(address)
		if err != nil {
			return "", err
		}
		if c.o.Objects == nil {
			return "", wrongf("there are no buckets on this server")
		}
		o, err := c.o.Objects.Get(ctx, bucket, key)
		if err != nil {
			return "", wrongf("S3 error: %v", err)
		}
		defer o.Close()
		text, err := io.ReadAll(io.LimitReader(o, 2<<20))
		return string(text), err
	}
	if q.form.Get("UsePreviousTemplate") == "true" && s != nil && s.Template != "" {
		return s.Template, nil
	}
	return "", wrongf("Either Template URL or Template Body must be specified.")
}

// objectOf takes the address of an object apart: the bucket is the host's first part, or the path's.
func objectOf(address string) (bucket, key string, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", "", wrongf("TemplateURL must be a supported URL.")
	}
	path := strings.TrimPrefix(u.Path, "/")
	if name, rest, ok := strings.Cut(u.Hostname(), ".s3"); ok && (strings.HasPrefix(rest, ".") || strings.HasPrefix(rest, "-")) {
		return name, path, nil
	}
	bucket, key, _ = strings.Cut(path, "/")
	if bucket == "" || key == "" {
		return "", "", wrongf("TemplateURL must reference a valid S3 object to which you have access.")
	}
	return bucket, key, nil
}

// params are the values that a request gives to parameters.
func (q *stackQuery) params(s *stack) map[string]string {
	out := map[string]string{}
	for _, p := range q.members("Parameters", "ParameterKey", "ParameterValue", "UsePreviousValue") {
		v, given := p["ParameterValue"]
		if p["UsePreviousValue"] == "true" && s != nil {
			v, given = s.Params[p["ParameterKey"]]
		}
		if given {
			out[p["ParameterKey"]] = v
		}
	}
	return out
}

func (q *stackQuery) tags() map[string]string {
	out := map[string]string{}
	for _, t := range q.members("Tags", "Key", "Value") {
		out[t["Key"]] = t["Value"]
	}
	return out
}

// build makes the app of a stack, and lists what it has.
func (c *Control) build(ctx context.Context, q *stackQuery, s *stack, text string, params map[string]string) (*sluice.App, []resource, error) {
	root, err := cfn.Parse(templateFile, []byte(text))
	if err != nil {
		return nil, nil, wrongf("Template format error: %s", told(err))
	}
	if c.o.Dir == "" {
		return nil, nil, wrongf("stacks cannot be managed on this server")
	}
	if err := c.folder(); err != nil {
		return nil, nil, err
	}
	export := func(name string) (string, bool) {
		for _, o := range q.known.Stacks {
			for _, out := range o.Outputs {
				if out.Export == name && o != s {
					return out.Value, true
				}
			}
		}
		return "", false
	}
	t := cfn.New(root, cfn.Options{Dir: c.o.Dir, Stack: s.Name, Region: q.region, Params: params, Import: export})
	in := deploy.Input{Dir: c.o.Dir, File: templateFile, Name: s.App, Params: params, Export: export}
	app, err := sam.Build(ctx, in, t, sam.Options{Installed: c.o.Installed, Object: c.object})
	if err == nil {
		err = c.o.Quotas.Check(app)
	}
	if err != nil {
		return nil, nil, wrongf("Template error: %s", told(err))
	}
	app.Title = s.Name
	var list []resource
	for _, r := range t.Resources() {
		one := resource{Logical: r.ID, Physical: s.Name + "-" + r.ID, Type: r.Type, Time: c.now()}
		if typ := r.Body.Get("Type").Str(); strings.HasPrefix(typ, "AWS::ApiGateway::") {
			one.Type = typ // which is read as another
		}
		if t.Names != nil && !r.Skipped {
			if v, ok := t.Names.Ref(r); ok && v.Str() != "" {
				one.Physical = v.Str()
			}
		}
		list = append(list, one)
	}
	return app, list, nil
}

// told is an error of a template in one line.
func told(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func (c *Control) folder() error {
	if c.o.Dir == "" {
		return nil
	}
	return os.MkdirAll(c.o.Dir, 0o700)
}

// object makes a file of an object with code, named by what is in it. It stays as long as a revision may be
// deployed from it again.
func (c *Control) object(ctx context.Context, bucket, key string) (path string, err error) {
	if c.o.Objects == nil {
		return "", errors.New("there are no buckets on this server")
	}
	o, err := c.o.Objects.Get(ctx, bucket, key)
	if err != nil {
		return "", err
	}
	defer o.Close()
	tmp, err := os.CreateTemp(c.o.Dir, "new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(tmp, h), io.LimitReader(o, maxCode+1))
	if err == nil && size > maxCode {
		err = fmt.Errorf("s3://%s/%s has more than %d bytes", bucket, key, maxCode)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	path = filepath.Join(c.o.Dir, hex.EncodeToString(h.Sum(nil))+".zip")
	return path, os.Rename(tmp.Name(), path)
}

// apply deploys a template as a stack. verb is CREATE or UPDATE. A template that cannot be read is an
// error; one that cannot be deployed is the stack's status.
func (c *Control) apply(ctx context.Context, q *stackQuery, s *stack, verb, text string, params, tags map[string]string) error {
	app, list, err := c.build(ctx, q, s, text, params)
	if err != nil {
		return err
	}
	c.become(s, verb+"_IN_PROGRESS", "User Initiated")
	s.Updated = c.now()
	if err := c.o.Apps.Deploy(ctx, app); err != nil {
		if verb == "CREATE" {
			c.become(s, "ROLLBACK_COMPLETE", told(err))
		} else {
			c.become(s, "UPDATE_ROLLBACK_COMPLETE", told(err))
		}
		return c.save(context.WithoutCancel(ctx), q)
	}
	for _, r := range list {
		c.tell(s, r.Logical, r.Physical, r.Type, verb+"_COMPLETE", "")
	}
	s.Template, s.Params, s.Tags, s.Outputs, s.Resources = text, params, tags, app.Outputs, list
	c.become(s, verb+"_COMPLETE", "")
	return c.save(context.WithoutCancel(ctx), q) // what is deployed is to be known
}

func (c *Control) createStack(ctx context.Context, q *stackQuery) (element, error) {
	text, err := c.template(ctx, q, nil)
	if err != nil {
		return nil, err
	}
	s, err := c.newStack(ctx, q, q.form.Get("StackName"), "CREATE_IN_PROGRESS")
	if err != nil {
		return nil, err
	}
	return element{"StackId", s.ID}, c.apply(ctx, q, s, "CREATE", text, q.params(nil), q.tags())
}

func (c *Control) updateStack(ctx context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	text, err := c.template(ctx, q, s)
	if err != nil {
		return nil, err
	}
	params := q.params(s)
	if text == s.Template && maps.Equal(params, s.Params) {
		return nil, wrongf("No updates are to be performed.")
	}
	return element{"StackId", s.ID}, c.apply(ctx, q, s, "UPDATE", text, params, q.tags())
}

// deleteStack removes a stack's app. One that is not there is gone already.
func (c *Control) deleteStack(ctx context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, nil
	}
	if s.Template != "" {
		if err := c.o.Apps.Remove(ctx, s.App); err != nil && sluice.KindOf(err) != sluice.Missing {
			return nil, err
		}
	}
	q.known.Stacks = slices.DeleteFunc(q.known.Stacks, func(o *stack) bool { return o == s })
	return nil, c.save(context.WithoutCancel(ctx), q)
}

// createChangeSet reads a template and says what a deploy of it would do. What is wrong with it is the
// change set's status.
func (c *Control) createChangeSet(ctx context.Context, q *stackQuery) (element, error) {
	kind := "UPDATE"
	if q.form.Get("ChangeSetType") == "CREATE" {
		kind = "CREATE"
	}
	s, err := q.stack("StackName")
	if err != nil {
		if kind != "CREATE" {
			return nil, err
		}
		if s, err = c.newStack(ctx, q, q.form.Get("StackName"), "REVIEW_IN_PROGRESS"); err != nil {
			return nil, err
		}
		c.become(s, "REVIEW_IN_PROGRESS", "User Initiated")
	} else if kind == "CREATE" && s.Status != "REVIEW_IN_PROGRESS" {
		return nil, wrongf("Stack [%s] already exists and cannot be created again with the changeSet [%s].", s.Name, q.form.Get("ChangeSetName"))
	}
	name := q.form.Get("ChangeSetName")
	if !stackName.MatchString(name) {
		return nil, wrongf("1 validation error detected: Value '%s' at 'changeSetName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*", name)
	}
	if s.change(name) != nil {
		return nil, &fault{status: 400, kind: "AlreadyExistsException", msg: "ChangeSet " + name + " already exists"}
	}
	text, err := c.template(ctx, q, s)
	if err != nil {
		return nil, err
	}
	cs := &changeSet{Name: name, ID: "arn:aws:cloudformation:" + q.region + ":" + account + ":changeSet/" + name + "/" + uuid.NewString(), Kind: kind, Template: text, Params: q.params(s),
		Tags: q.tags(), Status: "CREATE_COMPLETE", Executed: "AVAILABLE", Created: c.now()}
	_, list, err := c.build(ctx, q, s, text, cs.Params)
	switch {
	case err != nil:
		cs.Status, cs.Executed, cs.Reason = "FAILED", "UNAVAILABLE", err.Error()
	case kind == "UPDATE" && text == s.Template && maps.Equal(cs.Params, s.Params):
		cs.Status, cs.Executed, cs.Reason = "FAILED", "UNAVAILABLE", "The submitted information didn't contain changes. Submit different information to create a change set."
	default:
		cs.Actions = changes(s.Resources, list)
	}
	s.Changes = append(s.Changes, cs)
	return element{"Id", cs.ID, "StackId", s.ID}, c.save(ctx, q)
}

// changes are the differences of two lists of resources. Whether one that stays is altered, a deploy finds
// out.
func changes(was, is []resource) []change {
	var out []change
	for _, r := range is {
		action := "Add"
		if slices.ContainsFunc(was, func(o resource) bool { return o.Logical == r.Logical }) {
			action = "Modify"
		}
		out = append(out, change{action, r.Logical, r.Physical, r.Type})
	}
	for _, r := range was {
		if !slices.ContainsFunc(is, func(o resource) bool { return o.Logical == r.Logical }) {
			out = append(out, change{"Remove", r.Logical, r.Physical, r.Type})
		}
	}
	return out
}

// change is a change set by its name or id; nil when there is none.
func (s *stack) change(name string) *changeSet {
	for _, cs := range s.Changes {
		if cs.Name == name || cs.ID == name {
			return cs
		}
	}
	return nil
}

// changeSet finds the one that a request names; by its id, the stack need not be named.
func (q *stackQuery) changeSet() (*stack, *changeSet, error) {
	name := q.form.Get("ChangeSetName")
	for _, s := range q.known.Stacks {
		if of := q.form.Get("StackName"); of != "" && of != s.Name && of != s.ID {
			continue
		}
		if cs := s.change(name); cs != nil {
			return s, cs, nil
		}
	}
	return nil, nil, &fault{status: 404, kind: "ChangeSetNotFound", msg: "ChangeSet [" + name + "] does not exist"}
}

func (c *Control) executeChangeSet(ctx context.Context, q *stackQuery) (element, error) {
	s, cs, err := q.changeSet()
	if err != nil {
		return nil, err
	}
	if cs.Executed != "AVAILABLE" {
		return nil, &fault{status: 400, kind: "InvalidChangeSetStatus", msg: "ChangeSet [" + cs.ID + "] cannot be executed in its current status of [" + cs.Status + "]"}
	}
	cs.Executed = "EXECUTE_COMPLETE"
	s.Changes = []*changeSet{cs} // the others are of what is no more
	return nil, c.apply(ctx, q, s, cs.Kind, cs.Template, cs.Params, cs.Tags)
}

func (c *Control) deleteChangeSet(ctx context.Context, q *stackQuery) (element, error) {
	s, cs, err := q.changeSet()
	if err != nil {
		return nil, nil
	}
	s.Changes = slices.DeleteFunc(s.Changes, func(o *changeSet) bool { return o == cs })
	return nil, c.save(ctx, q)
}
