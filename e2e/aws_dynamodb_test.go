package e2e

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	ddb "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/e2e/live"
	"github.com/sluicehq/sluice/kv/memory"
	"github.com/sluicehq/sluice/table"
)

// dynamoClient is AWS's SDK on the protocol over tables in memory, with signatures checked.
func dynamoClient(t *testing.T) *ddb.Client {
	t.Helper()
	store := memory.New()
	t.Cleanup(func() { store.Close() })
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	tables, err := table.Open(t.Context(), store, table.Options{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := access.Open(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	cred, err := keys.AppKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(dynamodb.New(dynamodb.Options{Tables: tables, Keys: sigv4.New(keys, "dynamodb"), Log: log}))
	t.Cleanup(srv.Close)
	return ddb.New(ddb.Options{
		Region:       "eu-central-1",
		BaseEndpoint: aws.String(srv.URL),
		Credentials:  credentials.NewStaticCredentialsProvider(cred.ID, cred.Secret, cred.Token),
		Retryer:      aws.NopRetryer{},
		HTTPClient:   live.Patient{},
	})
}

func dynamoText(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func dynamoNumber(n int) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(n)}
}

var dynamoPlain = cmpopts.IgnoreUnexported(types.AttributeValueMemberS{}, types.AttributeValueMemberN{}, types.AttributeValueMemberM{},
	types.AttributeValueMemberL{}, types.AttributeValueMemberBOOL{}, types.AttributeValueMemberSS{}, types.AttributeValueMemberB{})

// chatTable makes a table of messages by room and time, with an index of them by author, and waits for it.
func chatTable(t *testing.T, c *ddb.Client) {
	t.Helper()
	_, err := c.CreateTable(t.Context(), &ddb.CreateTableInput{
		TableName:   aws.String("Messages"),
		BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("room"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("at"), AttributeType: types.ScalarAttributeTypeN},
			{AttributeName: aws.String("author"), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("room"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("at"), KeyType: types.KeyTypeRange},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("byAuthor"),
			KeySchema: []types.KeySchemaElement{
				{AttributeName: aws.String("author"), KeyType: types.KeyTypeHash},
				{AttributeName: aws.String("at"), KeyType: types.KeyTypeRange},
			},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeAll},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	err = ddb.NewTableExistsWaiter(c, func(o *ddb.TableExistsWaiterOptions) {
		known := o.Retryable
		o.Retryable = func(ctx context.Context, in *ddb.DescribeTableInput, out *ddb.DescribeTableOutput, err error) (bool, error) {
			asked++
			return known(ctx, in, out, err)
		}
	}).Wait(t.Context(), &ddb.DescribeTableInput{TableName: aws.String("Messages")}, 2*time.Minute)
	if err != nil || asked != 1 { // the waiter asks again after 20 s
		t.Fatalf("the table is there when it has been asked for %d times, %v", asked, err)
	}
}

func TestDynamoDBItemsGoThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := dynamoClient(t)
	chatTable(t, c)
	item := map[string]types.AttributeValue{
		"room": dynamoText("lobby"), "at": dynamoNumber(1), "author": dynamoText("ann"), "text": dynamoText("hé \"there\"\n"),
		"meta": &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{
			"seen": &types.AttributeValueMemberBOOL{Value: true},
			"list": &types.AttributeValueMemberL{Value: []types.AttributeValue{dynamoNumber(-3), &types.AttributeValueMemberB{Value: []byte{0, 255}}}},
			"tags": &types.AttributeValueMemberSS{Value: []string{"a", "b"}},
		}},
	}
	key := map[string]types.AttributeValue{"room": item["room"], "at": item["at"]}
	if _, err := c.PutItem(t.Context(), &ddb.PutItemInput{TableName: aws.String("Messages"), Item: item}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetItem(t.Context(), &ddb.GetItemInput{TableName: aws.String("Messages"), Key: key, ConsistentRead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(item, got.Item, dynamoPlain); diff != "" {
		t.Errorf("item (-want +got):\n%s", diff)
	}
	_, err = c.PutItem(t.Context(), &ddb.PutItemInput{TableName: aws.String("Messages"), Item: item,
		ConditionExpression: aws.String("attribute_not_exists(room)"), ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld})
	var failed *types.ConditionalCheckFailedException
	if !errors.As(err, &failed) || cmp.Diff(item, failed.Item, dynamoPlain) != "" {
		t.Errorf("a put over it: %v", err)
	}
	updated, err := c.UpdateItem(t.Context(), &ddb.UpdateItemInput{TableName: aws.String("Messages"), Key: key,
		UpdateExpression:          aws.String("SET meta.#list = list_append(meta.#list, :more) ADD edits :one"),
		ExpressionAttributeNames:  map[string]string{"#list": "list"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":more": &types.AttributeValueMemberL{Value: []types.AttributeValue{dynamoText("x")}}, ":one": dynamoNumber(1)},
		ReturnValues:              types.ReturnValueUpdatedNew})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(dynamoNumber(1), updated.Attributes["edits"], dynamoPlain); diff != "" {
		t.Errorf("edits (-want +got):\n%s", diff)
	}
	gone, err := c.DeleteItem(t.Context(), &ddb.DeleteItemInput{TableName: aws.String("Messages"), Key: key, ReturnValues: types.ReturnValueAllOld})
	if err != nil || len(gone.Attributes) != len(item)+1 {
		t.Errorf("deleted %v, %v", gone, err)
	}
	_, err = c.GetItem(t.Context(), &ddb.GetItemInput{TableName: aws.String("Nothing"), Key: key})
	if missing := new(types.ResourceNotFoundException); !errors.As(err, &missing) {
		t.Errorf("a table that is not there: %v", err)
	}
}

func TestDynamoDBPagesGoThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := dynamoClient(t)
	chatTable(t, c)
	var writes []types.WriteRequest
	for i := range 25 {
		writes = append(writes, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{
			"room": dynamoText("room" + fmt.Sprint(i%2)), "at": dynamoNumber(i), "author": dynamoText("ann")}}})
	}
	out, err := c.BatchWriteItem(t.Context(), &ddb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{"Messages": writes}})
	if err != nil || len(out.UnprocessedItems) != 0 {
		t.Fatal(out, err)
	}
	var seen []string
	pages := ddb.NewQueryPaginator(c, &ddb.QueryInput{TableName: aws.String("Messages"), IndexName: aws.String("byAuthor"),
		KeyConditionExpression:    aws.String("author = :a AND #at >= :from"),
		ExpressionAttributeNames:  map[string]string{"#at": "at"},
		ExpressionAttributeValues: map[string]types.AttributeValue{":a": dynamoText("ann"), ":from": dynamoNumber(20)},
		ScanIndexForward:          aws.Bool(false), Limit: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			seen = append(seen, item["at"].(*types.AttributeValueMemberN).Value)
		}
	}
	if got := strings.Join(seen, " "); got != "24 23 22 21 20" {
		t.Errorf("the query found %s", got)
	}
	scanned := 0
	for segment := range int32(3) {
		pages := ddb.NewScanPaginator(c, &ddb.ScanInput{TableName: aws.String("Messages"), Segment: aws.Int32(segment), TotalSegments: aws.Int32(3), Limit: aws.Int32(4)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			scanned += int(page.Count)
		}
	}
	if scanned != 25 {
		t.Errorf("the scan found %d items", scanned)
	}
}

func TestDynamoDBTransactionsGoThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := dynamoClient(t)
	chatTable(t, c)
	put := func(at int, cond *string) types.TransactWriteItem {
		return types.TransactWriteItem{Put: &types.Put{TableName: aws.String("Messages"), ConditionExpression: cond,
			Item: map[string]types.AttributeValue{"room": dynamoText("r"), "at": dynamoNumber(at)}}}
	}
	request := &ddb.TransactWriteItemsInput{ClientRequestToken: aws.String("once"), TransactItems: []types.TransactWriteItem{
		put(1, nil), put(2, aws.String("attribute_not_exists(room)"))}}
	for range 2 { // the second time it is done already
		if _, err := c.TransactWriteItems(t.Context(), request); err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.TransactWriteItems(t.Context(), &ddb.TransactWriteItemsInput{TransactItems: []types.TransactWriteItem{
		put(3, nil), put(2, aws.String("attribute_not_exists(room)"))}})
	var cancelled *types.TransactionCanceledException
	if !errors.As(err, &cancelled) || len(cancelled.CancellationReasons) != 2 || *cancelled.CancellationReasons[0].Code != "None" ||
		*cancelled.CancellationReasons[1].Code != "ConditionalCheckFailed" {
		t.Errorf("the transaction that cannot be: %v", err)
	}
	got, err := c.TransactGetItems(t.Context(), &ddb.TransactGetItemsInput{TransactItems: []types.TransactGetItem{
		{Get: &types.Get{TableName: aws.String("Messages"), Key: map[string]types.AttributeValue{"room": dynamoText("r"), "at": dynamoNumber(1)}}},
		{Get: &types.Get{TableName: aws.String("Messages"), Key: map[string]types.AttributeValue{"room": dynamoText("r"), "at": dynamoNumber(3)}}},
	}})
	if err != nil || len(got.Responses) != 2 || got.Responses[0].Item == nil || got.Responses[1].Item != nil {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

func TestDynamoDBTablesGoThroughTheSDK(t *testing.T) {
	t.Parallel()
	c := dynamoClient(t)
	chatTable(t, c)
	name := aws.String("Messages")
	_, err := c.UpdateTimeToLive(t.Context(), &ddb.UpdateTimeToLiveInput{TableName: name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String("ttl"), Enabled: aws.Bool(true)}})
	if err != nil {
		t.Fatal(err)
	}
	ttl, err := c.DescribeTimeToLive(t.Context(), &ddb.DescribeTimeToLiveInput{TableName: name})
	if err != nil || ttl.TimeToLiveDescription.TimeToLiveStatus != types.TimeToLiveStatusEnabled {
		t.Errorf("time to live: %+v, %v", ttl, err)
	}
	described, err := c.DescribeTable(t.Context(), &ddb.DescribeTableInput{TableName: name})
	if err != nil {
		t.Fatal(err)
	}
	tab := described.Table
	if tab.TableStatus != types.TableStatusActive || tab.BillingModeSummary.BillingMode != types.BillingModePayPerRequest ||
		tab.GlobalSecondaryIndexes[0].IndexStatus != types.IndexStatusActive || time.Since(*tab.CreationDateTime) > time.Hour {
		t.Errorf("the table is %+v", tab)
	}
	if _, err := c.TagResource(t.Context(), &ddb.TagResourceInput{ResourceArn: tab.TableArn, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}); err != nil {
		t.Fatal(err)
	}
	tags, err := c.ListTagsOfResource(t.Context(), &ddb.ListTagsOfResourceInput{ResourceArn: tab.TableArn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "v" {
		t.Errorf("tags: %+v, %v", tags, err)
	}
	if _, err := c.DeleteTable(t.Context(), &ddb.DeleteTableInput{TableName: name}); err != nil {
		t.Fatal(err)
	}
	if err := ddb.NewTableNotExistsWaiter(c).Wait(t.Context(), &ddb.DescribeTableInput{TableName: name}, time.Minute); err != nil {
		t.Error(err)
	}
}
