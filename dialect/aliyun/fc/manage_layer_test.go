package fc

import (
	"encoding/base64"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLayersArePublishedForFunctions(t *testing.T) {
	d := newCounter(t)
	pack := func(text string) obj {
		return obj{"code": obj{"zipFile": base64.StdEncoding.EncodeToString(archive(t, text))}, "description": text, "compatibleRuntime": []string{"nodejs20"}}
	}
	for version, text := range []string{"one", "two"} {
		v := d.must("admin", "POST", "/2023-03-30/layers/tools/versions", pack(text))
		if v["version"] != float64(version+1) || v["description"] != text || v["codeChecksum"] == "" {
			t.Errorf("published %v", v)
		}
	}
	d.must("admin", "POST", "/2016-08-15/layers/more/versions", pack("first")) // the same package as the function's code
	d.refused("403 AccessDenied", "mine", "POST", "/2023-03-30/layers/tools/versions", pack("three"))
	d.refused("400 InvalidArgument", "admin", "POST", "/2023-03-30/layers/a.b/versions", pack("three"))
	d.refused("400 InvalidArgument", "admin", "POST", "/2023-03-30/layers/tools/versions", obj{})
	if l := d.must("mine", "GET", "/2023-03-30/layers/tools/versions", nil)["layers"].([]any); len(l) != 2 || l[0].(obj)["version"] != 2.0 {
		t.Errorf("versions are %v", l)
	}
	if l := d.must("mine", "GET", "/2023-03-30/layers", nil)["layers"].([]any); len(l) != 2 || l[1].(obj)["version"] != 2.0 {
		t.Errorf("layers are %v", l)
	}
	const arn = "acs:fc:cn-hangzhou:1:layers/"
	d.must("admin", "POST", "/2023-03-30/functions", hello(t, obj{"layers": []string{arn + "tools/versions/2", arn + "official/versions/7", arn + "more/versions/1"}}))
	var got []string
	for _, l := range d.f.all[0].Spec.Opt {
		got = append(got, l.Name)
		if _, err := os.Stat(l.Code); err != nil {
			t.Error(err)
		}
	}
	if diff := cmp.Diff([]string{"more", "tools"}, got); diff != "" { // later ones lie over earlier ones
		t.Error(diff)
	}
	d.refused("403 AccessDenied", "mine", "DELETE", "/2023-03-30/layers/tools/versions/1", nil)
	d.must("admin", "DELETE", "/2023-03-30/layers/tools/versions/1", nil)
	d.refused("404 LayerVersionNotFound", "admin", "GET", "/2023-03-30/layers/tools/versions/1", nil)
	if v := d.must("mine", "GET", "/2016-08-15/layers/tools/versions/2", nil); v["layerVersionArn"] != "acs:fc:cn-hangzhou:"+Account+":layers/tools/versions/2" {
		t.Errorf("layer is %v", v)
	}
}

func TestParseLayer(t *testing.T) {
	for arn, want := range map[string]bool{
		"acs:fc:cn-hangzhou:1:layers/tools/versions/3":  true,
		"acs:fc:cn-hangzhou:1:layers/../versions/3":     false,
		"acs:fc:cn-hangzhou:1:layers/tools/versions/x":  false,
		"acs:fc:cn-hangzhou:1:layers/tools":             false,
		"acs:oss:cn-hangzhou:1:layers/tools/versions/3": false,
		"tools": false,
	} {
		if _, _, ok := parseLayer(arn); ok != want {
			t.Errorf("%s: %v", arn, ok)
		}
	}
}
