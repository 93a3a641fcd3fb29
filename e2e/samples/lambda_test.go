package samples

import (
	"archive/zip"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/sluicehq/sluice/e2e/live"
)

// What clients have made of a function through the API is there after a kill.
func TestFunctionsOfTheAPISurviveAKill(t *testing.T) {
	data := t.TempDir()
	s := live.Launch(t, data, "serve")
	client := func() *lambda.Client {
		return lambda.New(lambda.Options{Region: "us-east-1", BaseEndpoint: aws.String(s.Admin), Credentials: key(t, s), Retryer: aws.NopRetryer{}, HTTPClient: live.Patient{}})
	}
	code := func(word string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.Create("index.js")
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, `exports.handler = async () => "`+word+`"`)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	name := aws.String("survivor")
	c := client()
	if _, err := c.CreateFunction(t.Context(), &lambda.CreateFunctionInput{FunctionName: name, Role: aws.String("arn:aws:iam::000000000000:role/any"), Runtime: types.RuntimeNodejs20x,
		Handler: aws.String("index.handler"), Code: &types.FunctionCode{ZipFile: code("first")}, Tags: map[string]string{"a": "b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateFunctionCode(t.Context(), &lambda.UpdateFunctionCodeInput{FunctionName: name, ZipFile: code("second")}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: name, ReservedConcurrentExecutions: aws.Int32(3)}); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	s = live.Launch(t, data, "serve")
	c = client()
	out, err := c.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: name})
	if err != nil || string(out.Payload) != `"second"` {
		t.Fatalf("%+v, %v", out, err)
	}
	got, err := c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: name})
	if err != nil || got.Tags["a"] != "b" || *got.Concurrency.ReservedConcurrentExecutions != 3 || got.Configuration.State != types.StateActive {
		t.Errorf("%+v, %v", got, err)
	}
	if list, err := s.Sluice("rollback", "survivor"); err != nil { // the operator takes the concurrency back
		t.Errorf("%s, %v", list, err)
	}
	got, err = c.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: name})
	if err != nil || got.Concurrency != nil || !strings.HasPrefix(*got.Configuration.FunctionArn, "arn:aws:lambda:us-east-1:") {
		t.Errorf("after a rollback: %+v, %v", got, err)
	}
}
