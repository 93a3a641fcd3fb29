package rest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/object"
)

// maxFields is how many bytes the fields before a form's file may have together.
const maxFields = 64 << 10

// Form is an object as a page's form uploads it: fields by their names in lower case, and the file, which
// comes last.
type Form struct {
	Fields map[string]string
	Policy *Policy // what the signature lets the form do; nil when it has none
	file   *multipart.Part
}

// Policy is what who signed a form lets it be.
type Policy struct {
	Expires    time.Time
	conditions []condition
	min, max   int64 // of the file's bytes
}

type condition struct{ how, field, value string } // how is eq or starts-with

func badPolicy(why string) error {
	return Refuse(400, "InvalidPolicyDocument", "Invalid Policy: "+why)
}

// PostForm writes an object that a page's form uploads.
func (c *Call) PostForm() error {
	form, err := c.form()
	if err != nil {
		return err
	}
	if err := c.Signer(c, form); err != nil {
		return err
	}
	key, ok := form.Fields["key"]
	if !ok {
		return Refuse(400, "InvalidArgument", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	c.Key = strings.ReplaceAll(key, "${filename}", path.Base(strings.ReplaceAll(form.file.FileName(), `\`, "/")))
	form.Fields["key"] = c.Key
	if err := c.checkKey(c.Key); err != nil {
		return err
	}
	if err := c.allow(Writer); err != nil {
		return err
	}
	if form.Policy != nil {
		if err := form.Policy.check(c.Bucket, form.Fields); err != nil {
			return err
		}
	}
	c.R.Header = form.header(c.Prefix)
	c.R.Body, c.R.ContentLength = io.NopCloser(form.file), -1
	if c.Framed != nil {
		if err := c.Framed(c, form); err != nil {
			return err
		}
	}
	in, err := c.input()
	if err != nil {
		return err
	}
	if form.Policy != nil {
		in.Body = &counter{r: in.Body, min: form.Policy.min, max: form.Policy.max}
	}
	if err := c.seal(&in); err != nil {
		return err
	}
	o, err := c.Objects.Put(c.Ctx, c.Bucket, in)
	if err != nil {
		return err
	}
	c.tell(&o)
	return c.posted(form.Fields, &o)
}

// counter refuses fewer than min bytes, and more than max.
type counter struct {
	r           io.Reader
	n, min, max int64
}

func (m *counter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.n += int64(n); m.n > m.max {
		return 0, Refuse(400, "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size").
			With("MaxSizeAllowed", strconv.FormatInt(m.max, 10))
	}
	if err == io.EOF && m.n < m.min {
		err = Refuse(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size.").
			With("ProposedSize", strconv.FormatInt(m.n, 10)).With("MinSizeAllowed", strconv.FormatInt(m.min, 10))
	}
	return n, err
}

// form reads the fields up to the file.
func (c *Call) form() (*Form, error) {
	parts, err := c.R.MultipartReader()
	if err != nil {
		return nil, Refuse(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold.").
			With("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	f, left := &Form{Fields: map[string]string{}}, int64(maxFields)
	for {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return nil, Invalid("file", "", "POST requires exactly one file upload per request.")
		}
		if err != nil {
			return nil, Refuse(400, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")
		}
		name := strings.ToLower(p.FormName())
		if name == "file" {
			f.file = p
			return f, nil
		}
		value, err := io.ReadAll(io.LimitReader(p, left+1))
		if err != nil {
			return nil, Refuse(400, "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")
		}
		if left -= int64(len(value) + len(name)); left < 0 {
			return nil, Refuse(400, "MaxPostPreDataLengthExceeded", "Your POST request fields preceding the upload file were too large.")
		}
		f.Fields[name] = string(value)
	}
}

// ReadPolicy reads the form's policy, in base64, as of now. The signature is the caller's to check.
func (f *Form) ReadPolicy(now time.Time) error {
	raw, err := base64.StdEncoding.DecodeString(f.Fields["policy"])
	if err != nil {
		return badPolicy("it is not base64.")
	}
	var fields map[string]json.RawMessage // names are case-sensitive, which those of a struct are not
	if json.Unmarshal(raw, &fields) != nil {
		return badPolicy("Invalid JSON.")
	}
	var (
		expiration string
		list       []json.RawMessage
	)
	if json.Unmarshal(fields["expiration"], &expiration) != nil || expiration == "" {
		return badPolicy("policy must contain an expiration")
	}
	if json.Unmarshal(fields["conditions"], &list) != nil || list == nil {
		return badPolicy("policy must contain a list of conditions")
	}
	p := &Policy{max: 1 << 62}
	if p.Expires, err = time.Parse(time.RFC3339, expiration); err != nil {
		return badPolicy("Invalid 'expiration' value: '" + expiration + "'")
	}
	if !p.Expires.After(now) {
		return Denied("Invalid according to Policy: Policy expired.")
	}
	for _, text := range list {
		if err := p.add(text); err != nil {
			return err
		}
	}
	f.Policy = p
	return nil
}

// add reads one condition: {"field": "value"}, ["eq" or "starts-with", "$field", "value"],
// ["content-length-range", min, max].
func (p *Policy) add(text json.RawMessage) error {
	var exact map[string]string
	if json.Unmarshal(text, &exact) == nil {
		if len(exact) != 1 {
			return badPolicy("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
		}
		for field, value := range exact {
			p.conditions = append(p.conditions, condition{"eq", strings.ToLower(field), value})
		}
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(text, &list) != nil || len(list) != 3 {
		return badPolicy("Invalid Condition: a condition is an object of one property or a list of three elements.")
	}
	var how, field, value string
	if json.Unmarshal(list[0], &how) != nil {
		return badPolicy("Invalid Condition: the first element names the operation.")
	}
	how = strings.ToLower(how)
	switch how {
	case "content-length-range":
		var lo, hi json.Number
		if json.Unmarshal(list[1], &lo) != nil || json.Unmarshal(list[2], &hi) != nil {
			return badPolicy("Invalid content-length-range.")
		}
		from, err1 := lo.Int64()
		to, err2 := hi.Int64()
		if err1 != nil || err2 != nil || from < 0 || to < from {
			return badPolicy("Invalid content-length-range.")
		}
		p.min, p.max = max(p.min, from), min(p.max, to)
		return nil
	case "eq", "starts-with":
		if json.Unmarshal(list[1], &field) != nil || json.Unmarshal(list[2], &value) != nil || !strings.HasPrefix(field, "$") {
			return badPolicy("Invalid Condition: a field begins with $, and its value is text.")
		}
		p.conditions = append(p.conditions, condition{how, strings.ToLower(field[1:]), value})
		return nil
	}
	return badPolicy("Invalid Condition: unknown operation '" + how + "'.")
}

// free are the fields of which a policy need not speak.
var free = map[string]bool{"policy": true, "signature": true, "file": true}

// check holds the fields against the policy: each of its conditions must be met, and each field named by one.
func (p *Policy) check(bucket string, fields map[string]string) error {
	named := map[string]bool{}
	for _, cond := range p.conditions {
		named[cond.field] = true
		value := fields[cond.field]
		if cond.field == "bucket" {
			value = bucket
		}
		if cond.how == "eq" && value != cond.value || cond.how == "starts-with" && !strings.HasPrefix(value, cond.value) {
			return Denied("Invalid according to Policy: Policy Condition failed: [\"" + cond.how + "\", \"$" + cond.field + "\", \"" + cond.value + "\"]")
		}
	}
	for name := range fields {
		ignored := free[name] || strings.HasPrefix(name, "x-ignore-") || strings.HasSuffix(name, "accesskeyid") || strings.HasSuffix(name, "-signature")
		if !named[name] && !ignored {
			return Denied("Invalid according to Policy: Extra input fields: " + name)
		}
	}
	return nil
}

// header is the fields as the headers of a PUT.
func (f *Form) header(prefix string) http.Header {
	h := http.Header{}
	for name, v := range f.Fields {
		switch {
		case name == "acl":
			h.Set(prefix+name, v)
		case strings.HasPrefix(name, prefix), strings.HasPrefix(name, "content-"), name == "cache-control", name == "expires":
			h.Set(name, v)
		}
	}
	return h
}

// posted answers as the form asks for.
func (c *Call) posted(fields map[string]string, o *object.Object) error {
	where := "http://" + c.R.Host + "/" + c.Bucket + "/" + Escape(c.Key, true)
	if to := cmp.Or(fields["success_action_redirect"], fields["redirect"]); to != "" {
		if u, err := url.Parse(to); err == nil && u.IsAbs() {
			q := "bucket=" + url.QueryEscape(c.Bucket) + "&key=" + url.QueryEscape(c.Key) + "&etag=" + url.QueryEscape(c.ETag(o.ETag))
			if u.RawQuery != "" {
				q = u.RawQuery + "&" + q
			}
			u.RawQuery = q
			c.Set("Location", u.String())
			return c.Empty(http.StatusSeeOther)
		}
	}
	c.Set("Location", where)
	switch fields["success_action_status"] {
	case "200":
		return c.Empty(http.StatusOK)
	case "201":
		body, err := marshal(struct {
			XMLName  xml.Name `xml:"PostResponse"`
			Location string
			Bucket   string
			Key      string
			ETag     string
		}{Location: where, Bucket: c.Bucket, Key: c.Key, ETag: c.ETag(o.ETag)}, "")
		if err != nil {
			return err
		}
		return c.Send(http.StatusCreated, "application/xml", body)
	}
	return c.Empty(http.StatusNoContent)
}
