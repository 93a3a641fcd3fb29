package fc

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// layerVersion is a published version of a layer: two files, {version}.zip and {version}.json, in a folder
// named as the layer. It never changes.
type layerVersion struct {
	Name        string    `json:"layerName"`
	Version     int       `json:"version"`
	Description string    `json:"description"`
	Runtimes    []string  `json:"compatibleRuntime"`
	Checksum    string    `json:"codeChecksum"`
	Size        int64     `json:"codeSize"`
	Created     time.Time `json:"createTime"`
	ARN         string    `json:"layerVersionArn"`
}

func (a *API) layerDir() string { return filepath.Join(a.o.Dir, "fc-layers") }

func (a *API) layerFile(name string, version int, ending string) string {
	return filepath.Join(a.layerDir(), name, strconv.Itoa(version)+ending)
}

// parseLayer reads a layer version's name among all of the cloud: acs:fc:{region}:{account}:layers/{name}/
// versions/{version}.
func parseLayer(arn string) (name string, version int, ok bool) {
	p := strings.SplitN(arn, ":", 5)
	if len(p) != 5 || p[1] != "fc" {
		return "", 0, false
	}
	w := strings.Split(p[4], "/")
	if len(w) != 4 || w[0] != "layers" || w[2] != "versions" || !serviceName.MatchString(w[1]) {
		return "", 0, false
	}
	version, err := strconv.Atoi(w[3])
	return w[1], version, err == nil
}

// layers are the contents of a function's layers. The cloud's own are not here, and left out.
func (a *API) layers(f *sluice.Function) (list []sluice.Layer) {
	for _, arn := range slices.Backward(f.Layers) { // of files with one name, the first layer's counts
		name, version, ok := parseLayer(arn)
		file := a.layerFile(name, version, ".zip")
		if _, err := os.Stat(file); !ok || err != nil {
			a.o.Log.Warn("a layer is not here: the function does without", "function", f.Name, "layer", arn)
			continue
		}
		list = append(list, sluice.Layer{Name: name, Code: file})
	}
	return list
}

// publishLayer makes a new version of a layer.
func (a *API) publishLayer(ctx context.Context, q *query) (any, error) {
	name := q.args["layer"]
	d, err := q.document()
	if err != nil {
		return nil, err
	}
	v := layerVersion{Name: name, Version: 1, Created: a.o.Now()}
	switch err := d.read(&struct {
		Description *string   `json:"description"`
		Runtimes    *[]string `json:"compatibleRuntime"`
	}{&v.Description, &v.Runtimes}); {
	case err != nil:
		return nil, err
	case !q.who.Admin():
		return nil, faultf("AccessDenied", "layers belong to all apps: an app's key may not publish them")
	case !serviceName.MatchString(name):
		return nil, faultf("InvalidArgument", "layer name %q is not valid", name)
	}
	raw := d["code"]
	if raw == nil {
		raw = d["Code"]
	}
	p, err := a.take(ctx, q.who, raw)
	if err != nil {
		return nil, err
	}
	old, err := a.versions(name)
	if err != nil {
		return nil, err
	}
	if n := len(old); n > 0 {
		v.Version = old[n-1].Version + 1
	}
	v.Checksum, v.Size = p.Checksum, p.Size
	v.ARN = "acs:fc:" + region + ":" + Account + ":layers/" + name + "/versions/" + strconv.Itoa(v.Version)
	text, err := json.Marshal(v)
	if err == nil {
		err = os.MkdirAll(filepath.Join(a.layerDir(), name), 0o700)
	}
	if err == nil {
		err = os.Link(a.codeFile(p), a.layerFile(name, v.Version, ".zip"))
	}
	if err == nil {
		err = os.WriteFile(a.layerFile(name, v.Version, ".json"), text, 0o600)
	}
	a.sweep(ctx) // of the code package
	return v, err
}

// versions are those of a layer, oldest first.
func (a *API) versions(name string) (list []layerVersion, err error) {
	if !serviceName.MatchString(name) {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(a.layerDir(), name, "*.json"))
	for _, f := range files {
		var v layerVersion
		text, rerr := os.ReadFile(f)
		if rerr == nil {
			rerr = json.Unmarshal(text, &v)
		}
		if rerr != nil {
			return nil, rerr
		}
		list = append(list, v)
	}
	slices.SortFunc(list, func(a, b layerVersion) int { return a.Version - b.Version })
	return list, err
}

// layerNamed finds the version that a request's path names.
func (a *API) layerNamed(q *query) (*layerVersion, error) {
	list, err := a.versions(q.args["layer"])
	for i := range list {
		if strconv.Itoa(list[i].Version) == q.args["version"] {
			return &list[i], nil
		}
	}
	if err == nil {
		err = faultf("LayerVersionNotFound", "version '%s' of layer '%s' does not exist", q.args["version"], q.args["layer"])
	}
	return nil, err
}

func (a *API) getLayer(_ context.Context, q *query) (any, error) { return a.layerNamed(q) }

func (a *API) deleteLayer(_ context.Context, q *query) (any, error) {
	v, err := a.layerNamed(q)
	switch {
	case err != nil:
		return nil, err
	case !q.who.Admin():
		return nil, faultf("AccessDenied", "layers belong to all apps: an app's key may not delete them")
	}
	return nil, errors.Join(os.Remove(a.layerFile(v.Name, v.Version, ".json")), os.Remove(a.layerFile(v.Name, v.Version, ".zip")))
}

func (a *API) listLayerVersions(_ context.Context, q *query) (any, error) {
	list, err := a.versions(q.args["layer"])
	if err != nil {
		return nil, err
	}
	var all []named
	for _, v := range slices.Backward(list) {
		all = append(all, named{strconv.Itoa(1_000_000_000 - v.Version), v}) // newest first
	}
	return q.page("layers", all)
}

func (a *API) listLayers(_ context.Context, q *query) (any, error) {
	dirs, err := os.ReadDir(a.layerDir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []named
	for _, d := range dirs {
		list, err := a.versions(d.Name())
		if err != nil {
			return nil, err
		}
		if n := len(list); n > 0 {
			all = append(all, named{d.Name(), list[n-1]})
		}
	}
	return q.page("layers", all)
}
