package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/apps/chat/internal/chat"
)

var keys = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "token")

func TestPushIsSignedAndTriedAgain(t *testing.T) {
	var calls atomic.Int64
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		if want := "/live/@connections/L0SM9cOFvHcCIhw%3D"; r.URL.EscapedPath() != want || string(body) != "hello" {
			t.Errorf("%s %q", r.URL.EscapedPath(), body)
		}
		if a := r.Header.Get("Authorization"); !strings.HasPrefix(a, "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") || !strings.Contains(a, "/eu-west-1/execute-api/aws4_request") || r.Header.Get("X-Amz-Security-Token") != "token" {
			t.Errorf("signed %q", a)
		}
		if n == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		if n == 3 {
			w.WriteHeader(http.StatusGone)
		}
	}))
	defer gateway.Close()
	g := chat.NewGateway(gateway.URL+"/live", "eu-west-1", keys)
	if err := g.Push(t.Context(), "L0SM9cOFvHcCIhw=", []byte("hello")); err != nil || calls.Load() != 2 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	if err := g.Push(t.Context(), "L0SM9cOFvHcCIhw=", []byte("hello")); !errors.Is(err, chat.ErrGone) {
		t.Errorf("one who is gone: %v", err)
	}
}

// TestDynamoDBCalls looks at what goes over the wire; that it means what it should is for e2e.
func TestDynamoDBCalls(t *testing.T) {
	var asked map[string]any
	answer := `{}`
	status := 200
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = nil
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(status)
		io.WriteString(w, answer)
	}))
	defer server.Close()
	d := chat.NewDynamoDB(dynamodb.New(dynamodb.Options{Region: "eu-west-1", Credentials: keys, BaseEndpoint: aws.String(server.URL)}), "t")
	ctx := context.Background()

	answer = `{"Attributes":{"pk":{"S":"p"},"sk":{"S":"s"},"n":{"N":"2"},"at":{"S":"x"},"odd":{"BOOL":true}}}`
	row, err := d.Write(ctx, chat.Change{Key: chat.Key{PK: "p", SK: "s"}, Set: chat.Row{"at": "x"}, Add: map[string]int64{"n": 1}, Remove: []string{"gone"},
		If: []chat.Cond{{Column: "at"}, {Column: "n", Less: true, Value: int64(5)}, {Column: "v", Value: "w"}}})
	if err != nil || len(row) != 2 || row["n"] != int64(2) || row["at"] != "x" {
		t.Errorf("%v %v", row, err)
	}
	if got, want := asked["UpdateExpression"], "SET #0 = :0 ADD #1 :1 REMOVE #2"; got != want {
		t.Errorf("update %q, want %q", got, want)
	}
	if got, want := asked["ConditionExpression"], "attribute_not_exists(#0) AND #1 < :2 AND #3 = :3"; got != want {
		t.Errorf("condition %q, want %q", got, want)
	}

	status, answer = 400, `{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"no","Item":{"pk":{"S":"p"},"sk":{"S":"s"},"n":{"N":"9"}}}`
	_, err = d.Write(ctx, chat.Change{Key: chat.Key{PK: "p", SK: "s"}, Delete: true, If: []chat.Cond{{Column: "n"}}})
	if failed, ok := errors.AsType[*chat.ConditionError](err); !ok || failed.Row["n"] != int64(9) {
		t.Errorf("%v", err)
	}

	answer = `{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","message":"no","CancellationReasons":[{"Code":"None"},{"Code":"ConditionalCheckFailed","Item":{"seq":{"N":"7"}}}]}`
	_, err = d.Write(ctx, chat.Change{Key: chat.Key{PK: "p", SK: "s"}, Set: chat.Row{"a": "b"}}, chat.Change{Key: chat.Key{PK: "p", SK: "t"}, Delete: true})
	if failed, ok := errors.AsType[*chat.ConditionError](err); !ok || failed.Index != 1 || failed.Row["seq"] != int64(7) {
		t.Errorf("%v", err)
	}
}
