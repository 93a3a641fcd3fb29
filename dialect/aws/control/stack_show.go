package control

import (
	"context"
	"maps"
	"slices"

	"github.com/sluicehq/sluice/dialect/aws/cfn"
)

func pairs(m map[string]string, key, value string) []element {
	out := []element{}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, element{key, k, value, m[k]})
	}
	return out
}

// masked are the values of parameters for everybody to see: those with NoEcho are hidden.
func masked(template string, params map[string]string) []element {
	shown := maps.Clone(params)
	if root, err := cfn.Parse(templateFile, []byte(template)); err == nil {
		for key := range shown {
			if root.Get("Parameters").Get(key).Get("NoEcho").Str() == "true" {
				shown[key] = "****"
			}
		}
	}
	return pairs(shown, "ParameterKey", "ParameterValue")
}

// shown is a stack as DescribeStacks tells it.
func (s *stack) shown() element {
	outputs := []element{}
	for _, o := range s.Outputs {
		outputs = append(outputs, element{"OutputKey", o.Name, "OutputValue", o.Value, "ExportName", o.Export})
	}
	return element{"StackId", s.ID, "StackName", s.Name, "StackStatus", s.Status, "StackStatusReason", s.Reason, "CreationTime", s.Created, "LastUpdatedTime", s.Updated,
		"DisableRollback", "false", "Parameters", masked(s.Template, s.Params), "Tags", pairs(s.Tags, "Key", "Value"), "Outputs", outputs,
		"Capabilities", []string{}, "NotificationARNs", []string{}, "EnableTerminationProtection", "false", "DriftInformation", element{"StackDriftStatus", "NOT_CHECKED"}}
}

func (c *Control) describeStacks(_ context.Context, q *stackQuery) (element, error) {
	list := []element{}
	if q.form.Get("StackName") != "" {
		s, err := q.stack("StackName")
		if err != nil {
			return nil, err
		}
		return element{"Stacks", append(list, s.shown())}, nil
	}
	for _, s := range q.known.Stacks {
		list = append(list, s.shown())
	}
	return element{"Stacks", list}, nil
}

func (c *Control) listStacks(_ context.Context, q *stackQuery) (element, error) {
	list := []element{}
	for _, s := range q.known.Stacks {
		list = append(list, element{"StackId", s.ID, "StackName", s.Name, "StackStatus", s.Status, "CreationTime", s.Created, "LastUpdatedTime", s.Updated})
	}
	return element{"StackSummaries", list}, nil
}

func (c *Control) listExports(_ context.Context, q *stackQuery) (element, error) {
	list := []element{}
	for _, s := range q.known.Stacks {
		for _, o := range s.Outputs {
			if o.Export != "" {
				list = append(list, element{"ExportingStackId", s.ID, "Name", o.Export, "Value", o.Value})
			}
		}
	}
	return element{"Exports", list}, nil
}

func (c *Control) describeEvents(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	list := []element{}
	for _, e := range s.Events {
		list = append(list, element{"StackId", s.ID, "StackName", s.Name, "EventId", e.ID, "LogicalResourceId", e.Logical, "PhysicalResourceId", e.Physical, "ResourceType", e.Type,
			"ResourceStatus", e.Status, "ResourceStatusReason", e.Reason, "Timestamp", e.Time})
	}
	return element{"StackEvents", list}, nil
}

// told is a resource as each of three actions tells it; when is what its time is called.
func (r *resource) told(s *stack, when string) element {
	return element{"StackId", s.ID, "StackName", s.Name, "LogicalResourceId", r.Logical, "PhysicalResourceId", r.Physical, "ResourceType", r.Type,
		"ResourceStatus", "CREATE_COMPLETE", when, r.Time, "DriftInformation", element{"StackResourceDriftStatus", "NOT_CHECKED"}}
}

func (c *Control) describeResources(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	list := []element{}
	for i := range s.Resources {
		if id := q.form.Get("LogicalResourceId"); id == "" || id == s.Resources[i].Logical {
			list = append(list, s.Resources[i].told(s, "Timestamp"))
		}
	}
	return element{"StackResources", list}, nil
}

func (c *Control) describeResource(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	id := q.form.Get("LogicalResourceId")
	for i := range s.Resources {
		if s.Resources[i].Logical == id {
			return element{"StackResourceDetail", s.Resources[i].told(s, "LastUpdatedTimestamp")}, nil
		}
	}
	return nil, wrongf("Resource %s does not exist for stack %s", id, s.Name)
}

func (c *Control) listResources(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	list := []element{}
	for i := range s.Resources {
		list = append(list, s.Resources[i].told(s, "LastUpdatedTimestamp")[4:])
	}
	return element{"StackResourceSummaries", list}, nil
}

func (c *Control) getTemplate(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	text := s.Template
	if name := q.form.Get("ChangeSetName"); name != "" {
		cs := s.change(name)
		if cs == nil {
			return nil, &fault{status: 404, kind: "ChangeSetNotFound", msg: "ChangeSet [" + name + "] does not exist"}
		}
		text = cs.Template
	}
	return element{"TemplateBody", text, "StagesAvailable", []string{"Original", "Processed"}}, nil
}

// templateSummary is what can be said of a template without deploying it.
func (c *Control) templateSummary(ctx context.Context, q *stackQuery) (element, error) {
	var s *stack
	if q.form.Get("StackName") != "" {
		var err error
		if s, err = q.stack("StackName"); err != nil {
			return nil, err
		}
		q.form.Set("UsePreviousTemplate", "true")
	}
	text, err := c.template(ctx, q, s)
	if err != nil {
		return nil, err
	}
	root, err := cfn.Parse(templateFile, []byte(text))
	if err != nil {
		return nil, wrongf("Template format error: %s", told(err))
	}
	if !root.Get("Resources").IsMap() {
		return nil, wrongf("Template format error: At least one Resources member must be defined.")
	}
	params := []element{}
	for _, key := range root.Get("Parameters").Keys() {
		p := root.Get("Parameters").Get(key)
		noEcho := p.Get("NoEcho").Str()
		if noEcho == "" {
			noEcho = "false"
		}
		params = append(params, element{"ParameterKey", key, "ParameterType", p.Get("Type").Str(), "DefaultValue", p.Get("Default").Str(), "NoEcho", noEcho, "Description", p.Get("Description").Str()})
	}
	types, transforms := []string{}, []string{}
	for _, f := range root.Get("Resources").Fields {
		if typ := f.Value.Get("Type").Str(); typ != "" && !slices.Contains(types, typ) {
			types = append(types, typ)
		}
	}
	if t := root.Get("Transform"); t.IsList() {
		for _, e := range t.List {
			transforms = append(transforms, e.Str())
		}
	} else if t.Str() != "" {
		transforms = append(transforms, t.Str())
	}
	return element{"Description", root.Get("Description").Str(), "Parameters", params, "ResourceTypes", types, "Capabilities", []string{}, "DeclaredTransforms", transforms,
		"Version", root.Get("AWSTemplateFormatVersion").Str()}, nil
}

func (c *Control) describeChangeSet(_ context.Context, q *stackQuery) (element, error) {
	s, cs, err := q.changeSet()
	if err != nil {
		return nil, err
	}
	list := []element{}
	for _, ch := range cs.Actions {
		r := element{"Action", ch.Action, "LogicalResourceId", ch.Logical, "ResourceType", ch.Type, "Scope", []string{}, "Details", []element{}}
		if ch.Action != "Add" {
			r = append(r, "PhysicalResourceId", ch.Physical, "Replacement", "False")
		}
		list = append(list, element{"Type", "Resource", "ResourceChange", r})
	}
	return element{"ChangeSetName", cs.Name, "ChangeSetId", cs.ID, "StackId", s.ID, "StackName", s.Name, "CreationTime", cs.Created, "Status", cs.Status, "StatusReason", cs.Reason,
		"ExecutionStatus", cs.Executed, "Parameters", masked(cs.Template, cs.Params), "Tags", pairs(cs.Tags, "Key", "Value"), "Changes", list,
		"Capabilities", []string{}, "NotificationARNs", []string{}}, nil
}

func (c *Control) listChangeSets(_ context.Context, q *stackQuery) (element, error) {
	s, err := q.stack("StackName")
	if err != nil {
		return nil, err
	}
	list := []element{}
	for _, cs := range s.Changes {
		list = append(list, element{"StackId", s.ID, "StackName", s.Name, "ChangeSetId", cs.ID, "ChangeSetName", cs.Name, "ExecutionStatus", cs.Executed, "Status", cs.Status,
			"StatusReason", cs.Reason, "CreationTime", cs.Created})
	}
	return element{"Summaries", list}, nil
}
