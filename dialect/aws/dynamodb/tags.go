package dynamodb

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"

	"github.com/sluicehq/sluice/table"
)

// maxTags is how many tags a table may have.
const maxTags = 50

// checkResource checks the ARN that an operation on tags names: what is none is a mistake, and what is one
// of nothing here, nobody may touch.
func checkResource(op string) func(*Handler, *node) error {
	return func(h *Handler, req *node) error {
		n := req.get("ResourceArn")
		if n == nil {
			return invalid("Invalid TableArn")
		}
		if n.str != "" && !strings.Contains(n.str, ":") {
			return invalid("ARNs must start with 'arn:'")
		}
		parts := strings.SplitN(n.str, ":", 6)
		if len(parts) == 6 && !slices.Contains(parts, "") && strings.Contains(parts[5], "/") && (parts[4] == h.opt.Account || len(parts[4]) != 12) {
			return nil
		}
		arn := n.str
		if arn == "" {
			arn = "*"
		}
		return newFault(coralService+"AccessDeniedException", "User: arn:aws:iam::"+h.opt.Account+":root is not authorized to perform: dynamodb:"+op+" on resource: "+arn)
	}
}

// resourceName is the name of the table that ResourceArn names.
func resourceName(req *node) (string, error) {
	arn := req.text("ResourceArn")
	name, ok := cutTableARN(arn)
	if !ok {
		return "", invalid("Invalid TableArn: Invalid ResourceArn provided as input " + arn)
	}
	return name, nil
}

// tagResource answers TagResource.
func (h *Handler) tagResource(ctx context.Context, req *node) ([]byte, error) {
	name, err := resourceName(req)
	if err != nil {
		return nil, err
	}
	if len(req.get("Tags").items()) == 0 {
		return nil, invalid("Atleast one Tag needs to be provided as Input.") // sic
	}
	err = h.alter(ctx, name, func(_ *table.Spec, desc *description) (err error) {
		desc.Tags, err = mergeTags(desc.Tags, req.get("Tags"))
		return err
	})
	return nil, noResource(err, "ResourcArn: "+req.text("ResourceArn")+" not found") // sic
}

// mergeTags sets tags.
func mergeTags(tags []tagPair, n *node) ([]tagPair, error) {
	tags = slices.Clone(tags)
	given := map[string]bool{}
	for i := range n.items() {
		t := tagPair{n.list[i].text("Key"), n.list[i].text("Value")}
		if given[t.Key] {
			return nil, invalid("Duplicate tag keys found: " + t.Key)
		}
		if !isTag(t.Key) || !isTag(t.Value) {
			return nil, invalid("One or more parameter values were invalid: Tag keys and values may only have letters, digits, spaces and _ . : / = + - @")
		}
		if given[t.Key] = true; strings.HasPrefix(strings.ToLower(t.Key), "aws:") {
			return nil, invalid("One or more parameter values were invalid: Tag keys must not begin with aws:")
		}
		if j := slices.IndexFunc(tags, func(o tagPair) bool { return o.Key == t.Key }); j >= 0 {
			tags[j] = t
		} else {
			tags = append(tags, t)
		}
	}
	if len(tags) > maxTags {
		return nil, invalid("Too many tags: a table can have at most 50 tags")
	}
	return tags, nil
}

// isTag reports whether a tag's key or value is made of what AWS allows.
func isTag(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsNumber(c) && !unicode.IsSpace(c) && !strings.ContainsRune("_.:/=+-@", c)
	})
}

// noResource words the error of a table that is not there.
func noResource(err error, what string) error {
	var f *fault
	if errors.As(err, &f) && strings.HasSuffix(f.kind, "#ResourceNotFoundException") {
		if what != "" {
			what = ": " + what
		}
		return notFound("Requested resource not found" + what)
	}
	return err
}

// untagResource answers UntagResource.
func (h *Handler) untagResource(ctx context.Context, req *node) ([]byte, error) {
	name, err := resourceName(req)
	if err != nil {
		return nil, err
	}
	keys := req.texts("TagKeys")
	if len(keys) == 0 {
		return nil, invalid("Atleast one Tag Key needs to be provided as Input.") // sic
	}
	err = h.alter(ctx, name, func(_ *table.Spec, desc *description) error {
		desc.Tags = slices.DeleteFunc(slices.Clone(desc.Tags), func(t tagPair) bool { return slices.Contains(keys, t.Key) })
		return nil
	})
	return nil, noResource(err, "")
}

// listTagsOfResource answers ListTagsOfResource, in one page.
func (h *Handler) listTagsOfResource(ctx context.Context, req *node) ([]byte, error) {
	name, err := resourceName(req)
	if err != nil {
		return nil, err
	}
	d, err := h.find(ctx, name)
	if err != nil {
		if isMissing(err) {
			err = notFound("Requested resource not found: ResourcArn: " + req.text("ResourceArn") + " not found") // sic
		}
		return nil, err
	}
	tags := d.desc.Tags
	if tags == nil {
		tags = []tagPair{}
	}
	return marshal(map[string]any{"Tags": tags}), nil
}
