package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
)

// layerVersion is one version of a layer that the control plane has been given. It is a file of its own
// beside the code packages: layers/{name}/{number}.json.
type layerVersion struct {
	App           string    `json:"app,omitempty"` // whose; "" is the operator's
	Name          string    `json:"name"`
	Number        int       `json:"number"`
	Region        string    `json:"region"`
	Sum           string    `json:"sum"` // CodeSha256
	Size          int64     `json:"size"`
	Created       time.Time `json:"created"`
	Description   string    `json:"description,omitempty"`
	License       string    `json:"license,omitempty"`
	Runtimes      []string  `json:"runtimes,omitempty"`
	Architectures []string  `json:"architectures,omitempty"`
	Deleted       bool      `json:"deleted,omitempty"` // the number stays taken
}

// arn is the layer's, without a version.
func (l *layerVersion) arn() string {
	return "arn:aws:lambda:" + l.Region + ":" + Account + ":layer:" + l.Name
}

var (
	layerName = regexp.MustCompile(`^(?:arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:)?([A-Za-z0-9_-]{1,140})$`)
	layerARN  = regexp.MustCompile(`^arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:layer:([A-Za-z0-9_-]{1,140}):(\d{1,9})$`)
)

// layers are all versions of a layer, or of all when name is "", in their order, those that were deleted
// among them.
func (a *API) layers(name string) ([]*layerVersion, error) {
	if name == "" {
		name = "*"
	}
	files, err := filepath.Glob(filepath.Join(a.codeDir(), "layers", name, "*.json"))
	if err != nil {
		return nil, err
	}
	var list []*layerVersion
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var l layerVersion
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("read layer %s: %w", file, err)
		}
		list = append(list, &l)
	}
	slices.SortFunc(list, func(a, b *layerVersion) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return a.Number - b.Number
	})
	return list, nil
}

// putLayer writes a version's file, whole or not at all.
func (a *API) putLayer(l *layerVersion) error {
	dir := filepath.Join(a.codeDir(), "layers", l.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "new-*")
	if err != nil {
		return err
	}
	text, _ := json.Marshal(l) // texts and numbers always marshal
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, strconv.Itoa(l.Number)+".json"))
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// layer finds the version of a layer that an ARN names.
func (a *API) layer(arn string) (*layerVersion, error) {
	m := layerARN.FindStringSubmatch(arn)
	if m == nil {
		return nil, invalid(arn, "layers", "Member must satisfy regular expression pattern: %s", layerARN)
	}
	number, err := strconv.Atoi(m[2])
	if err != nil {
		return nil, err
	}
	l, err := a.layerOf(m[1], number)
	if errors.Is(err, fs.ErrNotExist) {
		err = invalidf("Layer version %s does not exist.", arn)
	}
	return l, err
}

// layerOf reads one version; fs.ErrNotExist when it is not there, or has been deleted.
func (a *API) layerOf(name string, number int) (*layerVersion, error) {
	text, err := os.ReadFile(filepath.Join(a.codeDir(), "layers", name, strconv.Itoa(number)+".json"))
	if err != nil {
		return nil, err
	}
	var l layerVersion
	if err := json.Unmarshal(text, &l); err != nil {
		return nil, err
	}
	if l.Deleted {
		return nil, fs.ErrNotExist
	}
	return &l, nil
}

// layerView is a version as listings show it.
type layerView struct {
	LayerVersionArn         string
	Version                 int
	Description             string
	CreatedDate             string
	CompatibleRuntimes      []string `json:",omitempty"`
	CompatibleArchitectures []string `json:",omitempty"`
	LicenseInfo             string   `json:",omitempty"`
}

func (l *layerVersion) view() layerView {
	return layerView{l.arn() + ":" + strconv.Itoa(l.Number), l.Number, l.Description, l.Created.UTC().Format(modified), l.Runtimes, l.Architectures, l.License}
}

// wholeLayer is a version with its content.
func (a *API) wholeLayer(q *query, l *layerVersion) any {
	return struct {
		layerView
		LayerArn string
		Content  map[string]any
	}{l.view(), l.arn(), map[string]any{"CodeSha256": l.Sum, "CodeSize": l.Size, "Location": a.location(q, l.Sum)}}
}

// layer is the layer of a request's path.
func (q *query) layer() (string, error) {
	m := layerName.FindStringSubmatch(q.args["layer"])
	if m == nil {
		return "", invalid(q.args["layer"], "layerName", "Member must satisfy regular expression pattern: %s", layerName)
	}
	return m[1], nil
}

// open reports whether somebody may see a layer.
func (l *layerVersion) open(who access.Principal) bool {
	return who.Admin() || string(who.App) == l.App
}

func (a *API) publishLayer(ctx context.Context, q *query) (any, error) {
	var d struct {
		Description, LicenseInfo                    string
		CompatibleRuntimes, CompatibleArchitectures []string
		Content                                     *code
	}
	name, err := q.layer()
	if err != nil {
		return nil, err
	}
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if d.Content == nil {
		return nil, invalid("null", "content", "Member must not be null")
	}
	if !q.who.Admin() {
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "only the operator's key may publish layers")
	}
	all, err := a.layers(name)
	if err != nil {
		return nil, err
	}
	l := &layerVersion{App: string(q.who.App), Name: name, Number: 1, Region: q.region, Created: a.o.Now(), Description: d.Description, License: d.LicenseInfo,
		Runtimes: d.CompatibleRuntimes, Architectures: d.CompatibleArchitectures}
	if n := len(all); n > 0 {
		l.Number = all[n-1].Number + 1
	}
	if l.Sum, l.Size, err = a.keep(ctx, q.who, d.Content); err != nil {
		return nil, err
	}
	if err := a.putLayer(l); err != nil {
		return nil, err
	}
	return a.wholeLayer(q, l), nil
}

func (a *API) listLayers(_ context.Context, q *query) (any, error) {
	all, err := a.layers("")
	if err != nil {
		return nil, err
	}
	type entry struct {
		LayerName             string
		LayerArn              string
		LatestMatchingVersion layerView
	}
	list := []entry{}
	for _, l := range all {
		if l.Deleted || !l.open(q.who) {
			continue
		}
		e := entry{l.Name, l.arn(), l.view()}
		if n := len(list); n > 0 && list[n-1].LayerName == l.Name {
			list[n-1] = e
			continue
		}
		list = append(list, e)
	}
	return listing(q, "Layers", list)
}

func (a *API) listLayerVersions(_ context.Context, q *query) (any, error) {
	name, err := q.layer()
	if err != nil {
		return nil, err
	}
	all, err := a.layers(name)
	if err != nil {
		return nil, err
	}
	list := []layerView{}
	for _, l := range slices.Backward(all) {
		if !l.Deleted && l.open(q.who) {
			list = append(list, l.view())
		}
	}
	return listing(q, "LayerVersions", list)
}

// versionOf finds the version of a request's path.
func (a *API) versionOf(q *query) (*layerVersion, error) {
	name, err := q.layer()
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(q.args["version"])
	if err != nil {
		return nil, invalid(q.args["version"], "versionNumber", "Member must be a number")
	}
	l, err := a.layerOf(name, number)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !l.open(q.who) {
		return nil, missingf("The resource you requested does not exist.")
	}
	return l, err
}

func (a *API) getLayer(_ context.Context, q *query) (any, error) {
	l, err := a.versionOf(q)
	if err != nil {
		return nil, err
	}
	return a.wholeLayer(q, l), nil
}

func (a *API) getLayerByARN(_ context.Context, q *query) (any, error) {
	l, err := a.layer(q.r.URL.Query().Get("Arn"))
	if err != nil {
		return nil, err
	}
	if !l.open(q.who) {
		return nil, missingf("The resource you requested does not exist.")
	}
	return a.wholeLayer(q, l), nil
}

// deleteLayer takes a version from those who would use it anew: functions keep theirs.
func (a *API) deleteLayer(ctx context.Context, q *query) (any, error) {
	l, err := a.versionOf(q)
	if err != nil {
		if faultOf(err).status == http.StatusNotFound {
			return nil, nil // as on AWS
		}
		return nil, err
	}
	l.Deleted = true
	if err := a.putLayer(l); err != nil {
		return nil, err
	}
	a.sweep(ctx)
	return nil, nil
}
