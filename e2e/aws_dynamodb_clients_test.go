package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	ddbstreams "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	streamtypes "github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"github.com/aws/smithy-go"

	"github.com/sluicehq/sluice/e2e/live"
)

// TestDynamoDBClients has AWS's own tools use the tables of one real server, with signatures checked.
func TestDynamoDBClients(t *testing.T) {
	t.Parallel()
	env, _ := awsServer(t)
	t.Run("Go", func(t *testing.T) { t.Parallel(); dynamoGo(t, env) })
	t.Run("boto3", func(t *testing.T) { t.Parallel(); runPython(t, "dynamodb_tables", environ(env)...) })
	t.Run("JavaScript", func(t *testing.T) {
		t.Parallel()
		const dir = "testdata/node-aws"
		if _, err := os.Stat(filepath.Join(dir, "node_modules/@aws-sdk/lib-dynamodb")); err != nil {
			t.Fatal("the Node SDK is not installed: run \"make test\", or npm ci in e2e/" + dir)
		}
		cmd := exec.CommandContext(t.Context(), "node", "--test", "dynamodb.test.js")
		cmd.Dir, cmd.Env = dir, environ(env)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, bytes.TrimSpace(out))
		}
	})
	t.Run("command line", func(t *testing.T) { t.Parallel(); dynamoCommands(t, env) })
}

// dynamoGo is what aws_dynamodb_test.go leaves: streams, PartiQL, compressed answers and refusals.
func dynamoGo(t *testing.T, env map[string]string) {
	ctx := t.Context()
	client := func(id, secret string) *ddb.Client {
		return ddb.New(ddb.Options{Region: "us-east-1", BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Retryer: aws.NopRetryer{}, HTTPClient: live.Patient{},
			Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""), EnableAcceptEncodingGzip: true})
	}
	c := client(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
	name := aws.String("GoNotes")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(c.CreateTable(ctx, &ddb.CreateTableInput{TableName: name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: types.KeyTypeHash}},
		StreamSpecification:  &types.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: types.StreamViewTypeNewAndOldImages}}))
	must(nil, ddb.NewTableExistsWaiter(c).Wait(ctx, &ddb.DescribeTableInput{TableName: name}, time.Minute))
	long := strings.Repeat("a long text ", 2000)
	must(c.PutItem(ctx, &ddb.PutItemInput{TableName: name, Item: map[string]types.AttributeValue{"id": dynamoText("1"), "text": dynamoText(long)}}))
	got, err := c.ExecuteStatement(ctx, &ddb.ExecuteStatementInput{Statement: aws.String(`SELECT * FROM GoNotes WHERE id = ?`), Parameters: []types.AttributeValue{dynamoText("1")}})
	if err != nil || len(got.Items) != 1 || got.Items[0]["text"].(*types.AttributeValueMemberS).Value != long {
		t.Errorf("PartiQL: %+v, %v", got, err)
	}
	must(c.DeleteItem(ctx, &ddb.DeleteItemInput{TableName: name, Key: map[string]types.AttributeValue{"id": dynamoText("1")}}))

	s := ddbstreams.New(ddbstreams.Options{Region: "us-east-1", BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]), Retryer: aws.NopRetryer{}, HTTPClient: live.Patient{},
		Credentials: credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], "")})
	listed, err := s.ListStreams(ctx, &ddbstreams.ListStreamsInput{TableName: name})
	if err != nil || len(listed.Streams) != 1 {
		t.Fatalf("%+v, %v", listed, err)
	}
	arn := listed.Streams[0].StreamArn
	described, err := s.DescribeStream(ctx, &ddbstreams.DescribeStreamInput{StreamArn: arn})
	if err != nil || len(described.StreamDescription.Shards) != 1 {
		t.Fatalf("%+v, %v", described, err)
	}
	at, err := s.GetShardIterator(ctx, &ddbstreams.GetShardIteratorInput{StreamArn: arn, ShardId: described.StreamDescription.Shards[0].ShardId,
		ShardIteratorType: streamtypes.ShardIteratorTypeTrimHorizon})
	if err != nil {
		t.Fatal(err)
	}
	read, err := s.GetRecords(ctx, &ddbstreams.GetRecordsInput{ShardIterator: at.ShardIterator})
	if err != nil || len(read.Records) != 2 || read.Records[1].EventName != streamtypes.OperationTypeRemove || read.NextShardIterator == nil {
		t.Errorf("records: %+v, %v", read, err)
	}

	for want, bad := range map[string]*ddb.Client{
		"InvalidSignatureException":   client(env["AWS_ACCESS_KEY_ID"], "wrong"),
		"UnrecognizedClientException": client("AKIAUNKNOWN", "x"),
	} {
		_, err := bad.ListTables(ctx, &ddb.ListTablesInput{})
		if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func dynamoCommands(t *testing.T, env map[string]string) {
	tool := filepath.Join(filepath.Dir(python(t)), "aws")
	run := func(want string, args ...string) string {
		t.Helper()
		return awsCommand(t, tool, environ(env, "AWS_PAGER=", "AWS_DEFAULT_OUTPUT=json", "AWS_MAX_ATTEMPTS=1"), want, args...)
	}
	db := func(want string, args ...string) string {
		t.Helper()
		return run(want, append([]string{"dynamodb"}, args...)...)
	}
	tab := []string{"--table-name", "CliScores"}
	with := func(command string, args ...string) []string {
		return append(append([]string{command}, tab...), args...)
	}
	db(`"TableStatus": "CREATING"`, with("create-table", "--billing-mode", "PAY_PER_REQUEST",
		"--attribute-definitions", "AttributeName=game,AttributeType=S", "AttributeName=player,AttributeType=S", "AttributeName=score,AttributeType=N",
		"--key-schema", "AttributeName=game,KeyType=HASH", "AttributeName=player,KeyType=RANGE",
		"--global-secondary-indexes", `[{"IndexName":"best","KeySchema":[{"AttributeName":"game","KeyType":"HASH"},{"AttributeName":"score","KeyType":"RANGE"}],"Projection":{"ProjectionType":"ALL"}}]`,
		"--stream-specification", "StreamEnabled=true,StreamViewType=KEYS_ONLY")...)
	db("", append([]string{"wait", "table-exists"}, tab...)...)
	item := `{"game":{"S":"chess"},"player":{"S":"ann"},"score":{"N":"7"}}`
	db("", with("put-item", "--item", item, "--condition-expression", "attribute_not_exists(game)")...)
	db("!ConditionalCheckFailedException", with("put-item", "--item", item, "--condition-expression", "attribute_not_exists(game)")...)
	db(`"N": "9"`, with("update-item", "--key", `{"game":{"S":"chess"},"player":{"S":"ann"}}`, "--update-expression", "ADD score :two",
		"--expression-attribute-values", `{":two":{"N":"2"}}`, "--return-values", "UPDATED_NEW")...)
	db(`"UnprocessedItems": {}`, "batch-write-item", "--request-items", `{"CliScores":[{"PutRequest":{"Item":{"game":{"S":"chess"},"player":{"S":"bob"},"score":{"N":"3"}}}},{"PutRequest":{"Item":{"game":{"S":"go"},"player":{"S":"cid"},"score":{"N":"5"}}}}]}`)
	db("ann\tbob", with("query", "--index-name", "best", "--key-condition-expression", "game = :g", "--expression-attribute-values", `{":g":{"S":"chess"}}`,
		"--no-scan-index-forward", "--query", "Items[].player.S", "--output", "text")...)
	db(`"Count": 3`, with("scan", "--page-size", "1", "--query", "{Count: Count}")...)
	db("!TransactionCanceledException", "transact-write-items", "--transact-items", `[{"Delete":{"TableName":"CliScores","Key":{"game":{"S":"none"},"player":{"S":"x"}},"ConditionExpression":"attribute_exists(game)"}}]`)
	db("", "transact-write-items", "--transact-items", `[{"Delete":{"TableName":"CliScores","Key":{"game":{"S":"go"},"player":{"S":"cid"}}}}]`)
	db(`"AttributeName": "ends"`, with("update-time-to-live", "--time-to-live-specification", "Enabled=true,AttributeName=ends")...)
	db("ENABLED", with("update-continuous-backups", "--point-in-time-recovery-specification", "PointInTimeRecoveryEnabled=true")...)
	db(`"score"`, "execute-statement", "--statement", `SELECT score FROM CliScores WHERE game = 'chess' AND player = 'bob'`)

	var listed struct{ Streams []struct{ StreamArn string } }
	if err := json.Unmarshal([]byte(run("", "dynamodbstreams", "list-streams", "--table-name", "CliScores")), &listed); err != nil || len(listed.Streams) != 1 {
		t.Fatalf("%+v, %v", listed, err)
	}
	arn := listed.Streams[0].StreamArn
	shard := strings.TrimSpace(run("shardId-", "dynamodbstreams", "describe-stream", "--stream-arn", arn, "--query", "StreamDescription.Shards[0].ShardId", "--output", "text"))
	place := strings.TrimSpace(run(arn, "dynamodbstreams", "get-shard-iterator", "--stream-arn", arn, "--shard-id", shard, "--shard-iterator-type", "TRIM_HORIZON", "--output", "text"))
	run("REMOVE", "dynamodbstreams", "get-records", "--shard-iterator", place, "--query", "Records[].eventName")

	for want, keys := range map[string][]string{
		"InvalidSignatureException":   {"AWS_SECRET_ACCESS_KEY=wrong"},
		"UnrecognizedClientException": {"AWS_ACCESS_KEY_ID=AKIAUNKNOWN", "AWS_SECRET_ACCESS_KEY=x"},
	} {
		awsCommand(t, tool, environ(env, append(keys, "AWS_MAX_ATTEMPTS=1")...), "!"+want, "dynamodb", "list-tables")
	}
	db(`"TableStatus": "DELETING"`, with("delete-table")...)
	db("", append([]string{"wait", "table-not-exists"}, tab...)...)
	db("!ResourceNotFoundException", with("describe-table")...)
}

// awsCommand runs the command line tool. What it prints has to have want in it; with "!" before that, it has to
// fail.
func awsCommand(t *testing.T, tool string, env []string, want string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	want, fails := strings.CutPrefix(want, "!")
	if (err != nil) != fails || !strings.Contains(string(out), want) {
		t.Fatalf("aws %s: %v\n%s\nwant %s", strings.Join(args, " "), err, out, want)
	}
	return string(out)
}
