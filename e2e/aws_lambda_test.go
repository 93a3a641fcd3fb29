package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/sluicehq/sluice/e2e/live"
)

// lambdaCode is a function that says word.
func lambdaCode(t *testing.T, word string) []byte {
	return zipped(t, map[string]string{"app.py": strings.ReplaceAll(`
import json, os, urllib.request

def handler(event, context):
    if event.get('fail'):
        raise ValueError('told to')
    if 'EAR' in os.environ:
        urllib.request.urlopen(os.environ['EAR'], json.dumps(event).encode()).read()
    try:
        import layered
        layer = layered.NAME
    except ImportError:
        layer = None
    client = context.client_context
    print('a line of log')
    return {'word': 'WORD', 'who': os.environ.get('WHO'), 'layer': layer, 'arn': context.invoked_function_arn,
            'custom': client.custom if client else None, 'path': event.get('rawPath')}
`, "WORD", word)})
}

const lambdaRole = "arn:aws:iam::000000000000:role/any"

// TestLambdaClients makes, calls, alters and removes functions of one real server with AWS's own tools.
func TestLambdaClients(t *testing.T) {
	t.Parallel()
	env, public := awsServer(t)
	host, gates := streams(t, lambdaClient(env, env["AWS_SECRET_ACCESS_KEY"]))
	env["GATES"] = gates
	t.Run("Go", func(t *testing.T) { t.Parallel(); lambdaGo(t, env, public) })
	t.Run("Go, of streams", func(t *testing.T) {
		t.Parallel()
		streamsGo(t, lambdaClient(env, env["AWS_SECRET_ACCESS_KEY"]), public, host, gates)
	})
	t.Run("boto3", func(t *testing.T) {
		t.Parallel()
		runPython(t, "lambda_functions", environ(env, "SLUICE_PUBLIC="+public)...)
	})
	t.Run("JavaScript", func(t *testing.T) {
		t.Parallel()
		const dir = "testdata/node-aws"
		if _, err := os.Stat(filepath.Join(dir, "node_modules/@aws-sdk/client-lambda")); err != nil {
			t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
		}
		file := filepath.Join(t.TempDir(), "code.zip")
		if err := os.WriteFile(file, lambdaCode(t, "js"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "node", "--test", "lambda.test.js")
		cmd.Dir, cmd.Env = dir, environ(env, "CODE="+file)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
		}
	})
	t.Run("command line", func(t *testing.T) { t.Parallel(); lambdaCommands(t, env) })
}

// said is what lambdaCode's function answers.
type said struct {
	Word, Who, Layer, Arn string
	Path                  *string
	Custom                map[string]any
}

// lambdaClient is Lambda through the SDK for Go.
func lambdaClient(env map[string]string, secret string) *lambda.Client {
	return lambda.New(lambda.Options{Region: "eu-central-1", BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Retryer: aws.NopRetryer{}, HTTPClient: live.Patient{},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], secret, "")})
}

func lambdaGo(t *testing.T, env map[string]string, public string) {
	ctx := t.Context()
	cred := credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")
	c := lambdaClient(env, env["AWS_SECRET_ACCESS_KEY"])
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := aws.String("go-greeter")
	layer, err := c.PublishLayerVersion(ctx, &lambda.PublishLayerVersionInput{LayerName: aws.String("go-layer"), CompatibleRuntimes: []types.Runtime{types.RuntimePython311},
		Content: &types.LayerVersionContentInput{ZipFile: zipped(t, map[string]string{"python/layered.py": "NAME = 'from the layer'"})}})
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: aws.String(lambdaRole), Runtime: types.RuntimePython311, Handler: aws.String("app.handler"),
		Code: &types.FunctionCode{ZipFile: lambdaCode(t, "first")}, Environment: &types.Environment{Variables: map[string]string{"WHO": "ann"}}, Layers: []string{*layer.LayerVersionArn}, Tags: map[string]string{"a": "b"}})
	if err != nil || made.State != types.StatePending || *made.FunctionArn != "arn:aws:lambda:eu-central-1:000000000000:function:go-greeter" {
		t.Fatalf("%+v, %v", made, err)
	}
	must(nil, lambda.NewFunctionActiveV2Waiter(c, func(o *lambda.FunctionActiveV2WaiterOptions) { o.MinDelay = time.Millisecond }).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute))
	invoke := func(in *lambda.InvokeInput) (*lambda.InvokeOutput, said) {
		t.Helper()
		if in.FunctionName == nil {
			in.FunctionName = name
		}
		out, err := c.Invoke(ctx, in)
		if err != nil {
			t.Fatal(err)
		}
		var s said
		json.Unmarshal(out.Payload, &s)
		return out, s
	}
	out, s := invoke(&lambda.InvokeInput{Payload: []byte(`{}`), LogType: types.LogTypeTail, ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":{"x":"y"}}`)))})
	tail, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
	if s.Word != "first" || s.Who != "ann" || s.Layer != "from the layer" || s.Custom["x"] != "y" || out.StatusCode != 200 || *out.ExecutedVersion != "$LATEST" || !strings.Contains(string(tail), "a line of log\n") {
		t.Errorf("%s %s\n%s", out.Payload, *out.ExecutedVersion, tail)
	}

	must(c.UpdateFunctionCode(ctx, &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: lambdaCode(t, "second"), Publish: true}))
	must(nil, lambda.NewFunctionUpdatedV2Waiter(c, func(o *lambda.FunctionUpdatedV2WaiterOptions) { o.MinDelay = time.Millisecond }).Wait(ctx, &lambda.GetFunctionInput{FunctionName: name}, time.Minute))
	must(c.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{FunctionName: name, Environment: &types.Environment{Variables: map[string]string{"WHO": "bob"}}}))
	must(c.CreateAlias(ctx, &lambda.CreateAliasInput{FunctionName: name, Name: aws.String("live"), FunctionVersion: aws.String("1")}))
	if out, s = invoke(&lambda.InvokeInput{Qualifier: aws.String("live")}); s.Word != "second" || s.Who != "bob" || *out.ExecutedVersion != "1" || !strings.HasSuffix(s.Arn, ":go-greeter:live") {
		t.Errorf("%s %s", out.Payload, *out.ExecutedVersion)
	}
	if out, _ = invoke(&lambda.InvokeInput{Payload: []byte(`{"fail":true}`)}); aws.ToString(out.FunctionError) != "Unhandled" || !strings.Contains(string(out.Payload), `"errorMessage": "told to"`) && !strings.Contains(string(out.Payload), `"errorMessage":"told to"`) {
		t.Errorf("%s %s", aws.ToString(out.FunctionError), out.Payload)
	}
	if out, _ = invoke(&lambda.InvokeInput{InvocationType: types.InvocationTypeDryRun}); out.StatusCode != 204 {
		t.Errorf("dry run: %d", out.StatusCode)
	}

	stream, err := c.InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{FunctionName: name})
	if err != nil {
		t.Fatal(err)
	}
	var streamed []byte
	ended := false
	for e := range stream.GetStream().Events() {
		switch e := e.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			streamed = append(streamed, e.Value.Payload...)
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			ended = e.Value.ErrorCode == nil
		}
	}
	if err := stream.GetStream().Err(); err != nil || !ended || !strings.Contains(string(streamed), "second") {
		t.Errorf("%s, %v, %v", streamed, ended, err)
	}

	// A destination, which is another function; and a table's stream that calls it.
	hears := newEar(t)
	told := aws.String("go-told")
	dest, err := c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: told, Role: aws.String(lambdaRole), Runtime: types.RuntimePython311, Handler: aws.String("app.handler"),
		Code: &types.FunctionCode{ZipFile: lambdaCode(t, "told")}, Environment: &types.Environment{Variables: map[string]string{"EAR": hears.url}}})
	if err != nil {
		t.Fatal(err)
	}
	must(c.PutFunctionEventInvokeConfig(ctx, &lambda.PutFunctionEventInvokeConfigInput{FunctionName: name, MaximumRetryAttempts: aws.Int32(0),
		DestinationConfig: &types.DestinationConfig{OnFailure: &types.OnFailure{Destination: dest.FunctionArn}}}))
	if out, _ = invoke(&lambda.InvokeInput{InvocationType: types.InvocationTypeEvent, Payload: []byte(`{"fail":"later"}`)}); out.StatusCode != 202 {
		t.Errorf("event: %d", out.StatusCode)
	}
	if got := hears.next(); !strings.Contains(got, `"RetriesExhausted"`) || !strings.Contains(got, `"requestPayload": {"fail": "later"}`) || !strings.Contains(got, "told to") {
		t.Error(got)
	}
	db := ddb.New(ddb.Options{Region: "eu-central-1", BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Credentials: cred, HTTPClient: live.Patient{}})
	table, err := db.CreateTable(ctx, &ddb.CreateTableInput{TableName: aws.String("GoStream"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}},
		StreamSpecification:  &ddbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: ddbtypes.StreamViewTypeNewImage}})
	if err != nil {
		t.Fatal(err)
	}
	must(nil, ddb.NewTableExistsWaiter(db, func(o *ddb.TableExistsWaiterOptions) { o.MinDelay = 10 * time.Millisecond }).Wait(ctx, &ddb.DescribeTableInput{TableName: aws.String("GoStream")}, time.Minute))
	mapping, err := c.CreateEventSourceMapping(ctx, &lambda.CreateEventSourceMappingInput{EventSourceArn: table.TableDescription.LatestStreamArn, FunctionName: told, StartingPosition: types.EventSourcePositionTrimHorizon,
		FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"dynamodb":{"Keys":{"id":{"S":[{"prefix":"order"}]}}}}`)}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"other-1", "order-1"} {
		must(db.PutItem(ctx, &ddb.PutItemInput{TableName: aws.String("GoStream"), Item: map[string]ddbtypes.AttributeValue{"id": &ddbtypes.AttributeValueMemberS{Value: id}}}))
	}
	if got := hears.next(); !strings.Contains(got, `"order-1"`) || strings.Contains(got, "other-1") || !strings.Contains(got, *table.TableDescription.LatestStreamArn) {
		t.Error(got)
	}
	must(c.DeleteEventSourceMapping(ctx, &lambda.DeleteEventSourceMappingInput{UUID: mapping.UUID}))

	// An address.
	address, err := c.CreateFunctionUrlConfig(ctx, &lambda.CreateFunctionUrlConfigInput{FunctionName: name, AuthType: types.FunctionUrlAuthTypeNone})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, "GET", public+"/a/path", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = strings.TrimSuffix(strings.TrimPrefix(*address.FunctionUrl, "https://"), "/")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	if json.Unmarshal(body, &s); res.StatusCode != 200 || s.Path == nil || *s.Path != "/a/path" {
		t.Errorf("%d %s", res.StatusCode, body)
	}

	must(c.AddPermission(ctx, &lambda.AddPermissionInput{FunctionName: name, StatementId: aws.String("s"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com")}))
	if p, err := c.GetPolicy(ctx, &lambda.GetPolicyInput{FunctionName: name}); err != nil || !strings.Contains(*p.Policy, `"apigateway.amazonaws.com"`) {
		t.Errorf("%+v, %v", p, err)
	}
	if got, err := c.GetFunction(ctx, &lambda.GetFunctionInput{FunctionName: name}); err != nil || got.Tags["a"] != "b" {
		t.Errorf("%+v, %v", got, err)
	} else if code, err := http.Get(*got.Code.Location); err != nil || code.StatusCode != 200 {
		t.Errorf("its code: %v", err)
	} else {
		code.Body.Close()
	}
	must(c.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: aws.Int32(0)}))
	_, err = c.Invoke(ctx, &lambda.InvokeInput{FunctionName: name})
	if many := new(types.TooManyRequestsException); !errors.As(err, &many) || many.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("no concurrency: %v", err)
	}
	_, err = c.CreateFunction(ctx, &lambda.CreateFunctionInput{FunctionName: name, Role: aws.String(lambdaRole), Code: &types.FunctionCode{ZipFile: lambdaCode(t, "x")}})
	if conflict := new(types.ResourceConflictException); !errors.As(err, &conflict) {
		t.Errorf("made twice: %v", err)
	}
	wrong := lambdaClient(env, "wrong")
	for what, ask := range map[string]func() error{
		"Invoke": func() error { _, err := wrong.Invoke(ctx, &lambda.InvokeInput{FunctionName: name}); return err },
		"InvokeWithResponseStream": func() error {
			_, err := wrong.InvokeWithResponseStream(ctx, &lambda.InvokeWithResponseStreamInput{FunctionName: name})
			return err
		},
		"ListFunctions": func() error { _, err := wrong.ListFunctions(ctx, nil); return err },
	} {
		var api smithy.APIError
		if err := ask(); !errors.As(err, &api) || api.ErrorCode() != "InvalidSignatureException" || !strings.HasPrefix(api.ErrorMessage(), "The request signature we calculated does not match the signature you provided.") {
			t.Errorf("%s with a wrong signature: %v", what, err)
		}
	}

	must(c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: name}))
	must(c.DeleteFunction(ctx, &lambda.DeleteFunctionInput{FunctionName: told}))
	_, err = c.Invoke(ctx, &lambda.InvokeInput{FunctionName: name})
	if missing := new(types.ResourceNotFoundException); !errors.As(err, &missing) || !strings.Contains(missing.ErrorMessage(), "Function not found: arn:aws:lambda:") {
		t.Errorf("a function that is gone: %v", err)
	}
}

// lambdaCommands does the same with the aws tool.
func lambdaCommands(t *testing.T, env map[string]string) {
	tool := filepath.Join(filepath.Dir(python(t)), "aws")
	dir := t.TempDir()
	run := func(want string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), tool, append([]string{"lambda"}, args...)...)
		cmd.Dir, cmd.Env = dir, environ(env, "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=json")
		out, err := cmd.CombinedOutput()
		if err != nil && want != "fails" {
			t.Fatalf("aws lambda %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if want != "fails" && !strings.Contains(string(out), want) {
			t.Errorf("aws lambda %s: %s, want %s", strings.Join(args, " "), out, want)
		}
		return string(out)
	}
	for file, word := range map[string]string{"one.zip": "one", "two.zip": "two"} {
		if err := os.WriteFile(filepath.Join(dir, file), lambdaCode(t, word), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	said := func(want string) {
		t.Helper()
		run(`"StatusCode": 200`, "invoke", "--function-name", "cli", "--payload", "{}", "out.json")
		if b, err := os.ReadFile(filepath.Join(dir, "out.json")); err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s, %v", b, err)
		}
	}
	run(`"State": "Pending"`, "create-function", "--function-name", "cli", "--runtime", "python3.11", "--handler", "app.handler", "--role", lambdaRole, "--zip-file", "fileb://one.zip")
	run("", "wait", "function-active-v2", "--function-name", "cli")
	said(`"one"`)
	run("", "update-function-code", "--function-name", "cli", "--zip-file", "fileb://two.zip")
	run("", "wait", "function-updated-v2", "--function-name", "cli")
	said(`"two"`)
	run(`"Version": "1"`, "publish-version", "--function-name", "cli")
	run(`"FunctionUrl": "https://`, "create-function-url-config", "--function-name", "cli", "--auth-type", "NONE")
	run(`"cli"`, "list-functions", "--query", "Functions[].FunctionName")
	run("", "delete-function", "--function-name", "cli")
	if out := run("fails", "get-function", "--function-name", "cli"); !strings.Contains(out, "ResourceNotFoundException") {
		t.Error(out)
	}
	env = maps.Clone(env) // others read it
	env["AWS_SECRET_ACCESS_KEY"] = "wrong"
	for _, args := range [][]string{{"invoke", "--function-name", "streams", "out.json"}, {"list-functions"}} {
		if out := run("fails", args...); !strings.Contains(out, "(InvalidSignatureException)") || !strings.Contains(out, "The request signature we calculated does not match the signature you provided.") {
			t.Errorf("%s with a wrong signature: %s", args[0], out)
		}
	}
	env["AWS_ACCESS_KEY_ID"] = "AKIANOBODYKNOWSTHIS0"
	if out := run("fails", "list-functions"); !strings.Contains(out, "(UnrecognizedClientException)") {
		t.Errorf("a key that nobody knows: %s", out)
	}
}
