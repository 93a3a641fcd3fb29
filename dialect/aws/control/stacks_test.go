package control

import (
	"archive/zip"
	"bytes"
	"context"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/object"
	"github.com/sluicehq/sluice/object/disk"
)

const template = `
Parameters:
  Word: {Type: String, Default: hello}
  Secret: {Type: String, NoEcho: true, Default: x}
Resources:
  Fn:
    Type: AWS::Lambda::Function
    Properties: {Runtime: nodejs20.x, Handler: index.handler, Role: arn:aws:iam::0:role/x, Code: {S3Bucket: artifacts, S3Key: code.zip}, Environment: {Variables: {WORD: !Ref Word}}}
Outputs:
  Arn: {Value: !GetAtt Fn.Arn, Export: {Name: fn-arn}}
`

// withBucket gives a world the bucket artifacts with an object code.zip.
func (w *world) withBucket() *world {
	w.Helper()
	must := func(err error) {
		w.Helper()
		if err != nil {
			w.Fatal(err)
		}
	}
	store := memory.New()
	w.Cleanup(func() { store.Close() })
	bodies, err := disk.Open(w.TempDir())
	must(err)
	w.Cleanup(func() { bodies.Close() })
	objects, err := object.Open(w.Context(), store, bodies, object.Options{})
	must(err)
	_, err = objects.CreateBucket(w.Context(), object.Bucket{Name: "artifacts"})
	must(err)
	var code bytes.Buffer
	z := zip.NewWriter(&code)
	_, err = z.Create("index.js")
	must(err)
	must(z.Close())
	for key, body := range map[string][]byte{"code.zip": code.Bytes(), "template.yaml": []byte(template)} {
		_, err = objects.Put(w.Context(), "artifacts", object.PutInput{Key: key, Body: bytes.NewReader(body), Size: int64(len(body))})
		must(err)
	}
	w.control.o.Objects = objects
	w.control.o.Installed = func(context.Context, string) string { return "" }
	return w
}

// stack sends an action and wants a status and words in the answer.
func (w *world) stack(want int, action string, words []string, args ...string) string {
	w.Helper()
	form := url.Values{"Action": {action}, "Version": {"2010-05-15"}}
	for i := 0; i+1 < len(args); i += 2 {
		form.Set(args[i], args[i+1])
	}
	rec := w.as(w.operator, "cloudformation", "POST", "/", form.Encode())
	if rec.Code != want {
		w.Fatalf("%s: status %d, want %d\n%s", action, rec.Code, want, rec.Body)
	}
	for _, word := range words {
		if !strings.Contains(rec.Body.String(), word) {
			w.Errorf("%s: no %s in\n%s", action, word, rec.Body)
		}
	}
	return rec.Body.String()
}

func TestStacksLive(t *testing.T) {
	w := newWorld(t).withBucket()
	w.stack(200, "CreateStack", []string{"<StackId>arn:aws:cloudformation:eu-west-1:000000000000:stack/Shop/"}, "StackName", "Shop",
		"TemplateURL", "https://artifacts.s3.eu-west-1.amazonaws.com/template.yaml", "Parameters.member.1.ParameterKey", "Secret", "Parameters.member.1.ParameterValue", "hush")
	app := w.apps.apps["shop"]
	if app == nil || len(app.Functions) != 1 || app.Functions[0].Env["WORD"] != "hello" {
		t.Fatalf("%+v", app)
	}
	if _, err := os.Stat(app.Functions[0].Code); err != nil {
		t.Error(err)
	}
	text := w.stack(200, "DescribeStacks", []string{"<StackStatus>CREATE_COMPLETE<", "<OutputKey>Arn<", "<ExportName>fn-arn<", "<ParameterValue>****<"}, "StackName", "Shop")
	if strings.Contains(text, "hush") {
		t.Error("a parameter with NoEcho is told")
	}
	w.stack(200, "ListExports", []string{"<Name>fn-arn<"})
	w.stack(200, "DescribeStackResources", []string{"<LogicalResourceId>Fn<", "<PhysicalResourceId>Shop-Fn-"}, "StackName", "Shop")
	w.stack(200, "DescribeStackResource", []string{"<LogicalResourceId>Fn<"}, "StackName", "Shop", "LogicalResourceId", "Fn")
	w.stack(200, "ListStackResources", []string{"<LogicalResourceId>Fn<"}, "StackName", "Shop")
	w.stack(200, "DescribeStackEvents", []string{"CREATE_COMPLETE"}, "StackName", "Shop")
	w.stack(200, "GetTemplate", []string{"AWS::Lambda::Function"}, "StackName", "Shop")
	w.stack(200, "GetTemplateSummary", []string{"<ParameterKey>Word<", "<member>AWS::Lambda::Function<"}, "StackName", "Shop")
	w.stack(200, "ListStacks", []string{"<StackName>Shop<"})

	w.stack(400, "UpdateStack", []string{"No updates are to be performed."}, "StackName", "Shop", "UsePreviousTemplate", "true",
		"Parameters.member.1.ParameterKey", "Secret", "Parameters.member.1.UsePreviousValue", "true")
	w.stack(200, "UpdateStack", nil, "StackName", "Shop", "UsePreviousTemplate", "true", "Parameters.member.1.ParameterKey", "Word", "Parameters.member.1.ParameterValue", "bye")
	if got := w.apps.apps["shop"].Functions[0].Env["WORD"]; got != "bye" {
		t.Errorf("WORD is %q", got)
	}
	w.stack(200, "CreateStack", nil, "StackName", "other", "TemplateBody", `{"Resources":{"L":{"Type":"AWS::Logs::LogGroup"}},"Outputs":{"A":{"Value":{"Fn::ImportValue":"fn-arn"}}}}`)
	w.stack(200, "DescribeStacks", []string{":function:Shop-Fn-"}, "StackName", "other")
	for _, name := range []string{"Shop", "other", "nope"} {
		w.stack(200, "DeleteStack", nil, "StackName", name)
	}
	w.stack(400, "DescribeStacks", []string{"Stack with id Shop does not exist"}, "StackName", "Shop")
	if len(w.apps.apps) != 0 {
		t.Errorf("apps are left: %v", w.apps.apps)
	}
}

func TestChangeSetsWaitUntilTheyAreExecuted(t *testing.T) {
	w := newWorld(t).withBucket()
	set := []string{"StackName", "shop", "ChangeSetName", "one"}
	w.stack(200, "CreateChangeSet", nil, append(set, "ChangeSetType", "CREATE", "TemplateBody", template)...)
	w.stack(200, "DescribeChangeSet", []string{"<Status>CREATE_COMPLETE<", "<ExecutionStatus>AVAILABLE<", "<Action>Add<"}, set...)
	w.stack(200, "DescribeStacks", []string{"REVIEW_IN_PROGRESS"}, "StackName", "shop")
	if w.apps.apps["shop"] != nil {
		t.Error("it is deployed already")
	}
	w.stack(200, "ExecuteChangeSet", nil, set...)
	w.stack(400, "ExecuteChangeSet", []string{"InvalidChangeSetStatus"}, set...)
	w.stack(200, "DescribeStacks", []string{"CREATE_COMPLETE"}, "StackName", "shop")
	w.stack(200, "CreateChangeSet", nil, "StackName", "shop", "ChangeSetName", "same", "TemplateBody", template)
	w.stack(200, "DescribeChangeSet", []string{"<Status>FAILED<", "contain changes. Submit different information"}, "StackName", "shop", "ChangeSetName", "same")
	w.stack(200, "CreateChangeSet", nil, "StackName", "shop", "ChangeSetName", "bad", "TemplateBody", "Resources: {A: {Type: AWS::RDS::DBInstance}}")
	w.stack(200, "DescribeChangeSet", []string{"<Status>FAILED<", "which sluice does not run"}, "StackName", "shop", "ChangeSetName", "bad")
	w.stack(200, "ListChangeSets", []string{"<ChangeSetName>bad<"}, "StackName", "shop")
	w.stack(200, "DeleteChangeSet", nil, "StackName", "shop", "ChangeSetName", "bad")
	w.stack(404, "DescribeChangeSet", []string{"ChangeSetNotFound"}, "StackName", "shop", "ChangeSetName", "bad")
}

func TestStacksThatCannotBe(t *testing.T) {
	w := newWorld(t).withBucket()
	w.apps.apps["taken"] = &sluice.App{Name: "taken", Dialect: "aws"}
	w.stack(400, "CreateStack", []string{"which is no stack"}, "StackName", "taken", "TemplateBody", template)
	w.stack(400, "CreateStack", []string{"ValidationError"}, "StackName", "a_b", "TemplateBody", template)
	w.stack(400, "CreateStack", []string{"must be specified"}, "StackName", "a")
	w.stack(400, "CreateStack", []string{"Template format error"}, "StackName", "a", "TemplateBody", "a: [")
	w.stack(400, "CreateStack", []string{"code of function"}, "StackName", "a", "TemplateBody", strings.ReplaceAll(template, "code.zip", "nope.zip"))
	w.stack(400, "CreateStack", []string{"S3 error"}, "StackName", "a", "TemplateURL", "https://s3.amazonaws.com/artifacts/nope.yaml")
	w.stack(400, "ValidateTemplate", []string{"At least one Resources member"}, "TemplateBody", "a: b")
	w.stack(400, "DescribeStacks", []string{"does not exist"}, "StackName", "a")
	w.stack(400, "ImportStacksToStackSet", []string{"InvalidAction"})
	if rec := w.as(w.app, "cloudformation", "POST", "/", "Action=ListStacks"); rec.Code != 403 {
		t.Errorf("status %d: %s", rec.Code, rec.Body)
	}
}
