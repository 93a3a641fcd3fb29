package lambda

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/object"
)

const functions = "/2015-03-31/functions"

// create makes a function through the API.
func (w *world) create(name string, more map[string]any) map[string]any {
	w.Helper()
	body := map[string]any{"FunctionName": name, "Role": "arn:aws:iam::000000000000:role/r", "Runtime": "provided.al2023", "Handler": "bootstrap", "Code": map[string]any{"ZipFile": pack("bootstrap")}}
	for k, v := range more {
		body[k] = v
	}
	return w.ok(201, "POST", functions, body)
}

// packs are the code packages that are kept.
func (w *world) packs() int {
	w.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, "lambda", "*"))
	if err != nil {
		w.Fatal(err)
	}
	return len(slices.DeleteFunc(files, func(f string) bool { return filepath.Base(f) == "layers" }))
}

var stampText = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$`)

func TestFunctionsAreMadeAlteredAndRemoved(t *testing.T) {
	w := newWorld(t)
	made := w.create("Greeter_1", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"WHO": "ann"}}, "Tags": map[string]string{"a": "b"}})
	if !stampText.MatchString(made["LastModified"].(string)) || len(made["RevisionId"].(string)) != 36 {
		t.Errorf("%v %v", made["LastModified"], made["RevisionId"])
	}
	delete(made, "LastModified")
	delete(made, "RevisionId")
	sum := sha256.Sum256(pack("bootstrap"))
	want := map[string]any{
		"FunctionName": "Greeter_1", "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:Greeter_1", "Runtime": "provided.al2023", "Role": "arn:aws:iam::000000000000:role/r",
		"Handler": "bootstrap", "CodeSize": float64(len(pack("bootstrap"))), "Description": "", "Timeout": 3.0, "MemorySize": 128.0, "CodeSha256": base64.StdEncoding.EncodeToString(sum[:]), "Version": "$LATEST",
		"Environment": map[string]any{"Variables": map[string]any{"WHO": "ann"}}, "TracingConfig": map[string]any{"Mode": "PassThrough"}, "State": "Pending", "StateReason": "The function is being created.",
		"StateReasonCode": "Creating", "PackageType": "Zip", "Architectures": []any{"x86_64"}, "EphemeralStorage": map[string]any{"Size": 512.0},
		"SnapStart":     map[string]any{"ApplyOn": "None", "OptimizationStatus": "Off"},
		"LoggingConfig": map[string]any{"LogFormat": "Text", "LogGroup": "/aws/lambda/Greeter_1"}, "RuntimeVersionConfig": map[string]any{"RuntimeVersionArn": "arn:aws:lambda:us-east-1::runtime:provided.al2023"},
	}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	w.refused(409, "ResourceConflictException", "POST", functions, map[string]any{"FunctionName": "Greeter_1", "Role": "r", "Runtime": "provided", "Code": map[string]any{"ZipFile": pack("x")}})
	if _, body := w.call("POST", functions+"/Greeter_1/invocations", `{"do":"env","text":"WHO"}`); body != `"ann"` {
		t.Error(body)
	}

	got := w.ok(200, "GET", functions+"/Greeter_1", nil)
	c := got["Configuration"].(map[string]any)
	if c["State"] != "Active" || c["LastUpdateStatus"] != "Successful" || !cmp.Equal(got["Tags"], map[string]any{"a": "b"}) {
		t.Errorf("%v", got)
	}
	location := got["Code"].(map[string]any)["Location"].(string)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, httptest.NewRequest("GET", location, nil))
	if rec.Code != 200 || rec.Body.String() != string(pack("bootstrap")) {
		t.Errorf("its code: %d", rec.Code)
	}
	rec = httptest.NewRecorder()
	w.api.ServeHTTP(rec, httptest.NewRequest("GET", strings.Replace(location, "expires=", "expires=9", 1), nil))
	if rec.Code != 403 {
		t.Errorf("an address that has been altered: %d", rec.Code)
	}

	revision := c["RevisionId"]
	c = w.ok(200, "PUT", functions+"/Greeter_1/configuration", map[string]any{"Timeout": 7, "MemorySize": 256, "Description": "says hello", "Environment": map[string]any{"Variables": map[string]string{"WHO": "bob"}},
		"TracingConfig": map[string]any{"Mode": "Active"}, "EphemeralStorage": map[string]any{"Size": 1024}, "RevisionId": revision})
	if c["Timeout"] != 7.0 || c["MemorySize"] != 256.0 || c["LastUpdateStatus"] != "InProgress" || !cmp.Equal(c["TracingConfig"], map[string]any{"Mode": "Active"}) || c["RevisionId"] == revision {
		t.Errorf("%v", c)
	}
	w.refused(412, "PreconditionFailedException", "PUT", functions+"/Greeter_1/configuration", map[string]any{"Timeout": 8, "RevisionId": revision})
	if _, body := w.call("POST", functions+"/Greeter_1/invocations", `{"do":"env","text":"WHO"}`); body != `"bob"` {
		t.Error(body)
	}
	dry := w.ok(200, "PUT", functions+"/Greeter_1/code", map[string]any{"ZipFile": pack("other"), "DryRun": true})
	if is := w.ok(200, "GET", functions+"/Greeter_1/configuration", nil); is["CodeSha256"] == dry["CodeSha256"] || w.packs() != 1 {
		t.Errorf("a dry run changes the code; %d packages", w.packs())
	}
	if c = w.ok(200, "PUT", functions+"/Greeter_1/code", map[string]any{"ZipFile": pack("other")}); c["CodeSha256"] != dry["CodeSha256"] || c["Timeout"] != 7.0 {
		t.Errorf("%v", c)
	}
	w.ok(200, "PUT", functions+"/Greeter_1/code", map[string]any{"ZipFile": pack("third")})
	if n := w.packs(); n != 2 {
		t.Errorf("%d packages are kept, want those of two revisions", n)
	}
	if res, body := w.call("DELETE", functions+"/Greeter_1", ""); res.StatusCode != 204 || body != "" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	w.refused(404, "ResourceNotFoundException", "GET", functions+"/Greeter_1", nil)
	w.refused(404, "ResourceNotFoundException", "DELETE", functions+"/Greeter_1", nil)
	if n := w.packs(); n != 0 {
		t.Errorf("%d packages outlive their function", n)
	}
}

func TestFunctionsThatAreRefused(t *testing.T) {
	w := newWorld(t)
	for name, tc := range map[string]struct {
		change map[string]any
		kind   string
		says   string
	}{
		"no role":      {map[string]any{"Role": nil}, "ValidationException", "role"},
		"no code":      {map[string]any{"Code": nil}, "ValidationException", "code"},
		"empty code":   {map[string]any{"Code": map[string]any{}}, "InvalidParameterValueException", "source for function code"},
		"no zip":       {map[string]any{"Code": map[string]any{"ZipFile": []byte("hi")}}, "InvalidParameterValueException", "Could not unzip"},
		"image":        {map[string]any{"PackageType": "Image"}, "InvalidParameterValueException", "containers"},
		"bucket":       {map[string]any{"Code": map[string]any{"S3Bucket": "none", "S3Key": "k"}}, "InvalidParameterValueException", "NoSuchBucket"},
		"name":         {map[string]any{"FunctionName": "a b"}, "ValidationException", "functionName"},
		"runtime":      {map[string]any{"Runtime": "java21"}, "InvalidParameterValueException", "java21"},
		"no handler":   {map[string]any{"Runtime": "nodejs20.x", "Handler": nil}, "InvalidParameterValueException", "Handler"},
		"timeout":      {map[string]any{"Timeout": 901}, "ValidationException", "less than or equal to 900"},
		"memory":       {map[string]any{"MemorySize": 64}, "ValidationException", "greater than or equal to 128"},
		"architecture": {map[string]any{"Architectures": []string{"mips"}}, "ValidationException", "architectures"},
		"reserved":     {map[string]any{"Environment": map[string]any{"Variables": map[string]string{"AWS_REGION": "x", "_HANDLER": "y"}}}, "InvalidParameterValueException", "AWS_REGION, _HANDLER"},
		"environment":  {map[string]any{"Environment": map[string]any{"Variables": map[string]string{"X": strings.Repeat("x", 4096)}}}, "InvalidParameterValueException", "4KB limit"},
		"layer":        {map[string]any{"Layers": []string{"arn:aws:lambda:us-east-1:000000000000:layer:none:1"}}, "InvalidParameterValueException", "does not exist"},
		"type":         {map[string]any{"Timeout": "soon"}, "SerializationException", "Timeout"},
	} {
		body := map[string]any{"FunctionName": "f", "Role": "r", "Runtime": "provided.al2023", "Handler": "h", "Code": map[string]any{"ZipFile": pack("bootstrap")}}
		for k, v := range tc.change {
			body[k] = v
		}
		if out := w.refused(400, tc.kind, "POST", functions, body); !strings.Contains(out, tc.says) {
			t.Errorf("%s: %s", name, out)
		}
	}
	if len(w.apps.kept) != 0 {
		t.Errorf("apps: %v", w.apps.kept)
	}
	w.apps.fail = sluice.Errorf(sluice.Conflict, "busy")
	w.refused(409, "ResourceConflictException", "POST", functions, map[string]any{"FunctionName": "f", "Role": "r", "Runtime": "provided.al2023", "Code": map[string]any{"ZipFile": pack("bootstrap")}})
	if n := w.packs(); n != 0 {
		t.Errorf("%d packages of functions that were never made", n)
	}
	w.refused(404, "UnknownOperationException", "PATCH", functions+"/f", nil)
	if out, body := w.call("POST", functions, "{"); out.StatusCode != 400 {
		t.Error(body)
	}
}

func TestCodeFromObjects(t *testing.T) {
	w := newWorld(t)
	if _, err := w.objects.CreateBucket(t.Context(), object.Bucket{Name: "code"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.objects.Put(t.Context(), "code", object.PutInput{Key: "f.zip", Body: bytes.NewReader(pack("bootstrap")), Size: int64(len(pack("bootstrap")))}); err != nil {
		t.Fatal(err)
	}
	w.create("f", map[string]any{"Code": map[string]any{"S3Bucket": "code", "S3Key": "f.zip"}})
	if out := w.refused(400, "InvalidParameterValueException", "PUT", functions+"/f/code", map[string]any{"S3Bucket": "code", "S3Key": "none"}); !strings.Contains(out, "NoSuchKey") {
		t.Error(out)
	}
}

func TestFunctionsOfTemplatesCanBeReadOnly(t *testing.T) {
	w := withFunction(t)
	c := w.ok(200, "GET", functions+"/stack-f-1", nil)["Configuration"].(map[string]any)
	if c["FunctionName"] != "stack-f-1" || len(c["CodeSha256"].(string)) != 44 || !stampText.MatchString(c["LastModified"].(string)) {
		t.Errorf("%v", c)
	}
	for _, q := range [][2]string{{"PUT", "/configuration"}, {"PUT", "/code"}, {"DELETE", ""}, {"POST", "/versions"}, {"PUT", "/event-invoke-config"}} {
		if out := w.refused(403, "AccessDeniedException", q[0], functions+"/stack-f-1"+q[1], map[string]any{"ZipFile": pack("x")}); !strings.Contains(out, "app chat") {
			t.Error(out)
		}
	}
	mine, other := w.keys.Temporary("ASIA", access.Principal{App: "chat"}, time.Hour), w.keys.Temporary("ASIA", access.Principal{App: "shop"}, time.Hour)
	if res, _ := w.signed(mine, "GET", functions+"/F", ""); res.StatusCode != 200 {
		t.Errorf("its own app: %d", res.StatusCode)
	}
	if res, _ := w.signed(other, "GET", functions+"/stack-f-1", ""); res.StatusCode != 403 {
		t.Errorf("another app: %d", res.StatusCode)
	}
	if _, body := w.signed(other, "GET", functions, ""); body != `{"Functions":[]}` {
		t.Error(body)
	}
	if res, _ := w.signed(mine, "POST", functions, `{"FunctionName":"x"}`); res.StatusCode != 403 {
		t.Errorf("an app makes functions: %d", res.StatusCode)
	}
}

func listed(list any, key string) (out []string) {
	for _, e := range list.([]any) {
		out = append(out, e.(map[string]any)[key].(string))
	}
	return out
}

func TestListings(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"b", "a", "c"} {
		w.create(name, map[string]any{"Publish": name == "a"})
	}
	first := w.ok(200, "GET", functions+"?MaxItems=2", nil)
	if got := listed(first["Functions"], "FunctionName"); !cmp.Equal(got, []string{"a", "b"}) || first["NextMarker"] != "2" {
		t.Errorf("%v %v", got, first["NextMarker"])
	}
	second := w.ok(200, "GET", functions+"?MaxItems=2&Marker=2", nil)
	if got := listed(second["Functions"], "FunctionName"); !cmp.Equal(got, []string{"c"}) || second["NextMarker"] != nil {
		t.Errorf("%v", second)
	}
	if got := listed(w.ok(200, "GET", functions+"?FunctionVersion=ALL", nil)["Functions"], "Version"); !cmp.Equal(got, []string{"$LATEST", "1", "$LATEST", "$LATEST"}) {
		t.Errorf("%v", got)
	}
	w.refused(400, "ValidationException", "GET", functions+"?MaxItems=none", nil)
	if usage := w.ok(200, "GET", "/2016-08-19/account-settings", nil)["AccountUsage"].(map[string]any); usage["FunctionCount"] != 3.0 {
		t.Errorf("%v", usage)
	}
}

func TestVersionsAndAliases(t *testing.T) {
	w := newWorld(t)
	w.create("f", nil)
	at := functions + "/f"
	v1 := w.ok(201, "POST", at+"/versions", map[string]any{"Description": "first"})
	if v1["Version"] != "1" || v1["Description"] != "first" || v1["FunctionArn"] != "arn:aws:lambda:us-east-1:000000000000:function:f:1" {
		t.Errorf("%v", v1)
	}
	if again := w.ok(201, "POST", at+"/versions", nil); again["Version"] != "1" {
		t.Errorf("nothing has changed: %v", again["Version"])
	}
	w.refused(400, "InvalidParameterValueException", "POST", at+"/versions", map[string]any{"CodeSha256": "other"})
	if c := w.ok(200, "PUT", at+"/code", map[string]any{"ZipFile": pack("new"), "Publish": true}); c["Version"] != "2" {
		t.Errorf("%v", c["Version"])
	}
	if got := listed(w.ok(200, "GET", at+"/versions", nil)["Versions"], "Version"); !cmp.Equal(got, []string{"$LATEST", "1", "2"}) {
		t.Errorf("%v", got)
	}
	if c := w.ok(200, "GET", at+"/configuration?Qualifier=1", nil); c["CodeSha256"] != v1["CodeSha256"] {
		t.Errorf("version 1 tells other code: %v", c)
	}
	live := w.ok(201, "POST", at+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1", "Description": "d"})
	if live["AliasArn"] != "arn:aws:lambda:us-east-1:000000000000:function:f:live" || live["FunctionVersion"] != "1" {
		t.Errorf("%v", live)
	}
	w.refused(409, "ResourceConflictException", "POST", at+"/aliases", map[string]any{"Name": "live", "FunctionVersion": "1"})
	w.refused(404, "ResourceNotFoundException", "POST", at+"/aliases", map[string]any{"Name": "x", "FunctionVersion": "9"})
	w.refused(400, "ValidationException", "POST", at+"/aliases", map[string]any{"Name": "12", "FunctionVersion": "1"})
	if got := w.ok(200, "PUT", at+"/aliases/live", map[string]any{"FunctionVersion": "2"}); got["FunctionVersion"] != "2" || got["Description"] != "d" {
		t.Errorf("%v", got)
	}
	if res, _ := w.call("POST", at+":live/invocations", "{}"); res.Header.Get("X-Amz-Executed-Version") != "2" {
		t.Errorf("%v", res.Header)
	}
	if got := listed(w.ok(200, "GET", at+"/aliases", nil)["Aliases"], "Name"); !cmp.Equal(got, []string{"live"}) {
		t.Errorf("%v", got)
	}
	w.refused(409, "ResourceConflictException", "DELETE", at+"?Qualifier=2", nil)
	w.ok(204, "DELETE", at+"/aliases/live", nil)
	w.refused(404, "ResourceNotFoundException", "GET", at+"/aliases/live", nil)
	w.ok(204, "DELETE", at+"?Qualifier=2", nil)
	w.refused(404, "ResourceNotFoundException", "POST", at+"/invocations?Qualifier=2", map[string]any{})
	if v := w.ok(201, "POST", at+"/versions", nil); v["Version"] != "3" {
		t.Errorf("a number comes twice: %v", v["Version"])
	}
}

func TestPermissions(t *testing.T) {
	w := newWorld(t)
	w.create("f", nil)
	at := functions + "/f/policy"
	w.refused(404, "ResourceNotFoundException", "GET", at, nil)
	add := map[string]any{"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "SourceArn": "arn:aws:s3:::b", "SourceAccount": "000000000000"}
	text := w.ok(201, "POST", at, add)["Statement"].(string)
	if want := `{"Sid":"s3","Effect":"Allow","Principal":{"Service":"s3.amazonaws.com"},"Action":"lambda:InvokeFunction","Resource":"arn:aws:lambda:us-east-1:000000000000:function:f","Condition":{"ArnLike":{"AWS:SourceArn":"arn:aws:s3:::b"},"StringEquals":{"AWS:SourceAccount":"000000000000"}}}`; text != want {
		t.Error(text)
	}
	w.refused(409, "ResourceConflictException", "POST", at, add)
	w.ok(201, "POST", at, map[string]any{"StatementId": "all", "Action": "*", "Principal": "*"})
	w.ok(201, "POST", at, map[string]any{"StatementId": "acc", "Action": "lambda:GetFunction", "Principal": "123456789012"})
	w.refused(400, "ValidationException", "POST", at, map[string]any{"StatementId": "a b", "Action": "*", "Principal": "*"})
	w.refused(400, "ValidationException", "POST", at, map[string]any{"StatementId": "x", "Action": "s3:Get", "Principal": "*"})
	var p struct {
		Version   string
		Statement []struct {
			Sid       string
			Principal any
		}
	}
	json.Unmarshal([]byte(w.ok(200, "GET", at, nil)["Policy"].(string)), &p)
	if p.Version != "2012-10-17" || len(p.Statement) != 3 || p.Statement[1].Principal != "*" || !cmp.Equal(p.Statement[2].Principal, any(map[string]any{"AWS": "arn:aws:iam::123456789012:root"})) {
		t.Errorf("%+v", p)
	}
	w.ok(204, "DELETE", at+"/s3", nil)
	w.refused(404, "ResourceNotFoundException", "DELETE", at+"/s3", nil)
}

func TestConcurrencyTagsAndInvokeConfigs(t *testing.T) {
	w := newWorld(t)
	w.create("f", nil)
	w.ok(200, "PUT", "/2017-10-31/functions/f/concurrency", map[string]any{"ReservedConcurrentExecutions": 0})
	w.refused(429, "TooManyRequestsException", "POST", functions+"/f/invocations", map[string]any{})
	if got := w.ok(200, "GET", "/2019-09-30/functions/f/concurrency", nil); got["ReservedConcurrentExecutions"] != 0.0 {
		t.Errorf("%v", got)
	}
	w.ok(204, "DELETE", "/2017-10-31/functions/f/concurrency", nil)
	w.ok(200, "POST", functions+"/f/invocations", map[string]any{})
	if got := w.ok(200, "GET", "/2019-09-30/functions/f/concurrency", nil); len(got) != 0 {
		t.Errorf("%v", got)
	}

	const tags = "/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af"
	w.ok(204, "POST", tags, map[string]any{"Tags": map[string]string{"a": "1", "b": "2", "c": "3"}})
	w.ok(204, "DELETE", tags+"?tagKeys=a&tagKeys=b", nil)
	if got := w.ok(200, "GET", tags, nil)["Tags"]; !cmp.Equal(got, any(map[string]any{"c": "3"})) {
		t.Errorf("%v", got)
	}
	w.refused(400, "InvalidParameterValueException", "GET", "/2017-03-31/tags/f", nil)

	const config = "/2019-09-25/functions/f/event-invoke-config"
	w.refused(404, "ResourceNotFoundException", "GET", config, nil)
	w.refused(404, "ResourceNotFoundException", "POST", config, map[string]any{"MaximumRetryAttempts": 1})
	arn := "arn:aws:lambda:us-east-1:000000000000:function:g"
	got := w.ok(200, "PUT", config, map[string]any{"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60, "DestinationConfig": map[string]any{"OnFailure": map[string]any{"Destination": arn}}})
	if got["MaximumRetryAttempts"] != 0.0 || got["MaximumEventAgeInSeconds"] != 60.0 || got["FunctionArn"] != "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST" ||
		!cmp.Equal(got["DestinationConfig"], any(map[string]any{"OnSuccess": map[string]any{}, "OnFailure": map[string]any{"Destination": arn}})) {
		t.Errorf("%v", got)
	}
	if got = w.ok(200, "POST", config, map[string]any{"MaximumRetryAttempts": 1}); got["MaximumRetryAttempts"] != 1.0 || got["MaximumEventAgeInSeconds"] != 60.0 {
		t.Errorf("%v", got)
	}
	if list := w.ok(200, "GET", config+"/list", nil)["FunctionEventInvokeConfigs"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	w.refused(400, "ValidationException", "PUT", config, map[string]any{"MaximumRetryAttempts": 3})
	w.refused(400, "InvalidParameterValueException", "PUT", config, map[string]any{"DestinationConfig": map[string]any{"OnSuccess": map[string]any{"Destination": "arn:aws:sqs:us-east-1:0:q"}}})
	w.ok(204, "DELETE", config, nil)
	w.refused(404, "ResourceNotFoundException", "GET", config, nil)
}

func TestFunctionURLConfigs(t *testing.T) {
	w := newWorld(t)
	w.create("f", nil)
	const at = "/2021-10-31/functions/f/url"
	w.refused(404, "ResourceNotFoundException", "GET", at, nil)
	if url, err := w.lambda.Address("", "f"); sluice.KindOf(err) != sluice.Missing {
		t.Errorf("%s %v", url, err)
	}
	w.refused(400, "ValidationException", "POST", at, map[string]any{"AuthType": "SOME"})
	made := w.ok(201, "POST", at, map[string]any{"AuthType": "NONE", "Cors": map[string]any{"AllowOrigins": []string{"*"}, "MaxAge": 60}})
	if !regexp.MustCompile(`^https://[a-z0-9]{32}\.lambda-url\.us-east-1\.on\.aws/$`).MatchString(made["FunctionUrl"].(string)) || made["AuthType"] != "NONE" || made["InvokeMode"] != "BUFFERED" ||
		!cmp.Equal(made["Cors"], any(map[string]any{"AllowOrigins": []any{"*"}, "MaxAge": 60.0})) {
		t.Errorf("%v", made)
	}
	for app, known := range map[sluice.AppName]bool{"": true, "f": true, "other": false} {
		if url, err := w.lambda.Address(app, made["FunctionArn"].(string)); (err == nil) != known || known && url != made["FunctionUrl"] {
			t.Errorf("for %q: %s %v", app, url, err)
		}
	}
	app := w.apps.kept["f"][0]
	if s := URLOf("f", &app.Functions[0]); s.IAM || s.CORS == nil || !strings.Contains(made["FunctionUrl"].(string), s.ID) {
		t.Errorf("%+v", s)
	}
	w.refused(409, "ResourceConflictException", "POST", at, map[string]any{"AuthType": "NONE"})
	if got := w.ok(200, "PUT", at, map[string]any{"AuthType": "AWS_IAM", "InvokeMode": "RESPONSE_STREAM"}); got["AuthType"] != "AWS_IAM" || got["InvokeMode"] != "RESPONSE_STREAM" || got["FunctionUrl"] != made["FunctionUrl"] {
		t.Errorf("%v", got)
	}
	if list := w.ok(200, "GET", "/2021-10-31/functions/f/urls", nil)["FunctionUrlConfigs"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	w.ok(204, "DELETE", at, nil)
	w.refused(404, "ResourceNotFoundException", "DELETE", at, nil)
}

func TestLayers(t *testing.T) {
	w := newWorld(t)
	const at = "/2018-10-31/layers/tools/versions"
	one := w.ok(201, "POST", at, map[string]any{"Content": map[string]any{"ZipFile": pack("nodejs/a")}, "CompatibleRuntimes": []string{"nodejs20.x"}, "Description": "d", "LicenseInfo": "MIT"})
	arn := "arn:aws:lambda:us-east-1:000000000000:layer:tools"
	if one["LayerArn"] != arn || one["LayerVersionArn"] != arn+":1" || one["Version"] != 1.0 || one["LicenseInfo"] != "MIT" {
		t.Errorf("%v", one)
	}
	w.ok(201, "POST", at, map[string]any{"Content": map[string]any{"ZipFile": pack("nodejs/b")}})
	c := w.create("f", map[string]any{"Layers": []string{arn + ":1", arn + ":2"}})
	if got := listed(c["Layers"], "Arn"); !cmp.Equal(got, []string{arn + ":1", arn + ":2"}) {
		t.Errorf("%v", got)
	}
	opt := w.apps.kept["f"][0].Functions[0].Opt
	if b, err := os.ReadFile(opt[1].Code); err != nil || string(b) != string(pack("nodejs/b")) {
		t.Errorf("%v, %v", opt, err)
	}
	if got := w.ok(200, "GET", at+"/2", nil); got["Version"] != 2.0 || got["Content"].(map[string]any)["CodeSize"] != float64(len(pack("nodejs/b"))) {
		t.Errorf("%v", got)
	}
	if got := w.ok(200, "GET", "/2018-10-31/layers?find=LayerVersion&Arn="+arn+":1", nil); got["Version"] != 1.0 {
		t.Errorf("%v", got)
	}
	if list := w.ok(200, "GET", at, nil)["LayerVersions"].([]any); len(list) != 2 || list[0].(map[string]any)["Version"] != 2.0 {
		t.Errorf("%v", list)
	}
	if list := w.ok(200, "GET", "/2018-10-31/layers", nil)["Layers"].([]any); len(list) != 1 || list[0].(map[string]any)["LatestMatchingVersion"].(map[string]any)["Version"] != 2.0 {
		t.Errorf("%v", list)
	}
	w.ok(204, "DELETE", at+"/2", nil)
	w.ok(204, "DELETE", at+"/2", nil)
	w.refused(404, "ResourceNotFoundException", "GET", at+"/2", nil)
	if _, err := os.Stat(opt[1].Code); err != nil {
		t.Errorf("a function has lost its layer: %v", err)
	}
	if n := w.ok(201, "POST", at, map[string]any{"Content": map[string]any{"ZipFile": pack("c")}}); n["Version"] != 3.0 {
		t.Errorf("a number comes twice: %v", n["Version"])
	}
	w.refused(400, "ValidationException", "POST", "/2018-10-31/layers/a%20b/versions", map[string]any{"Content": map[string]any{"ZipFile": pack("c")}})
}

func TestLayersAreInTheEnvironment(t *testing.T) {
	w := newWorld(t)
	f := &sluice.Function{Name: "f", Runtime: "nodejs20.x", Code: filepath.Join(t.TempDir(), "code"), Opt: []sluice.Layer{{}}, Env: map[string]string{"NODE_PATH": "/own"}}
	opt := deploy.Opt(f.Code)
	for _, dir := range []string{"nodejs/node_modules", "nodejs/node20/node_modules", "bin", "lib", "python"} {
		os.MkdirAll(filepath.Join(opt, dir), 0o755)
	}
	t.Setenv("PATH", "/usr/bin")
	app := &sluice.App{Name: "a", Region: "eu-west-1"}
	env := Environment(w.keys, app, f)
	for name, want := range map[string]string{"SLUICE_LAYERS": opt, "NODE_PATH": "/own:" + opt + "/nodejs/node20/node_modules:" + opt + "/nodejs/node_modules", "PATH": "/usr/bin:" + opt + "/bin",
		"LD_LIBRARY_PATH": f.Code + ":" + f.Code + "/lib:" + opt + "/lib", "AWS_REGION": "eu-west-1", "AWS_EXECUTION_ENV": "AWS_Lambda_nodejs20.x", "LAMBDA_TASK_ROOT": f.Code} {
		if env[name] != want {
			t.Errorf("%s=%s, want %s", name, env[name], want)
		}
	}
	f.Runtime = "python3.11"
	if env = Environment(w.keys, app, f); env["PYTHONPATH"] != opt+"/python" || env["NODE_PATH"] != "" {
		t.Errorf("%s %s", env["PYTHONPATH"], env["NODE_PATH"])
	}
	f.Runtime, f.Opt = "provided.al2023", nil
	if env = Environment(w.keys, app, f); env["SLUICE_LAYERS"] != "" || env["AWS_EXECUTION_ENV"] != "" || !strings.HasPrefix(env["AWS_LAMBDA_LOG_STREAM_NAME"], time.Now().UTC().Format("2006/01/02/[$LATEST]")) {
		t.Errorf("%v", env)
	}
}

func TestEventSourceMappings(t *testing.T) {
	const arn = "arn:aws:dynamodb:us-east-1:000000000000:table/T/stream/2026-01-01T00:00:00.000"
	w := newWorld(t, func(o *Options) { o.Streams = &stream{arn: arn} })
	w.create("f", nil)
	const at = "/2015-03-31/event-source-mappings"
	made := w.ok(202, "POST", at, map[string]any{"EventSourceArn": arn, "FunctionName": "f", "StartingPosition": "LATEST", "BatchSize": 5, "MaximumRetryAttempts": 2, "BisectBatchOnFunctionError": true,
		"FunctionResponseTypes": []string{"ReportBatchItemFailures"}, "FilterCriteria": map[string]any{"Filters": []any{map[string]string{"Pattern": `{"eventName":["INSERT"]}`}}}, "MaximumBatchingWindowInSeconds": 3, "MaximumRecordAgeInSeconds": 60})
	id := made["UUID"].(string)
	delete(made, "UUID")
	delete(made, "LastModified")
	want := map[string]any{"StartingPosition": "LATEST", "BatchSize": 5.0, "MaximumBatchingWindowInSeconds": 3.0, "ParallelizationFactor": 1.0, "EventSourceArn": arn,
		"FilterCriteria": map[string]any{"Filters": []any{map[string]any{"Pattern": `{"eventName":["INSERT"]}`}}}, "FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:f",
		"LastProcessingResult": "No records processed", "State": "Creating", "StateTransitionReason": "User action", "DestinationConfig": map[string]any{"OnFailure": map[string]any{}},
		"MaximumRecordAgeInSeconds": 60.0, "BisectBatchOnFunctionError": true, "MaximumRetryAttempts": 2.0, "TumblingWindowInSeconds": 0.0, "FunctionResponseTypes": []any{"ReportBatchItemFailures"}}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c := w.apps.kept["f"][0].Functions[0].Changes
	if diff := cmp.Diff([]sluice.Changes{{Table: "T", Batch: 5, Window: 3 * time.Second, Latest: true, Retries: 2, MaxAge: time.Minute, Bisect: true, Partial: true, Filters: []string{`{"eventName":["INSERT"]}`}}}, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.refused(409, "ResourceConflictException", "POST", at, map[string]any{"EventSourceArn": arn, "FunctionName": "f", "StartingPosition": "LATEST"})
	w.refused(400, "InvalidParameterValueException", "POST", at, map[string]any{"EventSourceArn": strings.Replace(arn, "T/", "nothing/", 1), "FunctionName": "f", "StartingPosition": "LATEST"})
	w.refused(400, "InvalidParameterValueException", "POST", at, map[string]any{"EventSourceArn": "arn:aws:sqs:us-east-1:0:q", "FunctionName": "f"})
	w.refused(400, "InvalidParameterValueException", "POST", at, map[string]any{"EventSourceArn": arn, "FunctionName": "f", "StartingPosition": "MIDDLE"})
	w.refused(404, "ResourceNotFoundException", "POST", at, map[string]any{"EventSourceArn": arn, "FunctionName": "g", "StartingPosition": "LATEST"})
	w.refused(400, "InvalidParameterValueException", "PUT", at+"/"+id, map[string]any{"FilterCriteria": map[string]any{"Filters": []any{map[string]string{"Pattern": `{"a":1}`}}}})
	if got := w.ok(202, "PUT", at+"/"+id, map[string]any{"Enabled": false, "BatchSize": 7}); got["State"] != "Updating" || got["BatchSize"] != 7.0 || got["MaximumRetryAttempts"] != 2.0 {
		t.Errorf("%v", got)
	}
	if got := w.ok(200, "GET", at+"/"+id, nil); got["State"] != "Disabled" {
		t.Errorf("%v", got)
	}
	if list := w.ok(200, "GET", at+"?FunctionName=f", nil)["EventSourceMappings"].([]any); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if list := w.ok(200, "GET", at+"?FunctionName=g", nil)["EventSourceMappings"].([]any); len(list) != 0 {
		t.Errorf("%v", list)
	}
	if got := w.ok(202, "DELETE", at+"/"+id, nil); got["State"] != "Deleting" {
		t.Errorf("%v", got)
	}
	w.refused(404, "ResourceNotFoundException", "GET", at+"/"+id, nil)
}

func TestFunctionsOfAStackAreChangedUntilItsNextDeploy(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Stacks = "/stacks" })
	fn := func(name string) sluice.Function {
		return sluice.Function{Name: sluice.FunctionName(name), Physical: "shop-" + name + "-X1", Runtime: "provided.al2023", Handler: "h", Code: "/code/" + name, MemoryMB: 128, Timeout: 3 * time.Second, Env: map[string]string{"A": "1"}}
	}
	for name, dir := range map[sluice.AppName]string{"shop": "/stacks", "folder": "/home/me/app"} {
		if err := w.apps.Deploy(w.Context(), &sluice.App{Name: name, Title: "Shop", Dialect: dialect, Dir: dir, Functions: []sluice.Function{fn("Sell" + string(name)), fn("Buy" + string(name))}}); err != nil {
			t.Fatal(err)
		}
	}
	at := "/2015-03-31/functions/shop-Buyshop-X1"
	if got := w.ok(200, "PUT", at+"/code", map[string]any{"ZipFile": pack("bootstrap")}); got["FunctionName"] != "shop-Buyshop-X1" || got["CodeSize"] == 0.0 {
		t.Error(got)
	}
	w.ok(200, "PUT", at+"/configuration", map[string]any{"Environment": map[string]any{"Variables": map[string]string{"A": "2"}}})
	now := w.apps.kept["shop"][0]
	if len(now.Functions) != 2 || now.Functions[0].Code != "/code/Sellshop" || now.Functions[0].Env["A"] != "1" || filepath.Dir(now.Functions[1].Code) != filepath.Join(w.dir, "lambda") || now.Functions[1].Env["A"] != "2" {
		t.Errorf("%+v", now.Functions)
	}
	if _, err := os.Stat(now.Functions[1].Code); err != nil {
		t.Error(err)
	}
	if text := w.refused(403, "AccessDeniedException", "DELETE", at, nil); !strings.Contains(text, "stack Shop") {
		t.Error(text)
	}
	w.refused(403, "AccessDeniedException", "PUT", "/2015-03-31/functions/shop-Buyfolder-X1/code", map[string]any{"ZipFile": pack("bootstrap")})
}
