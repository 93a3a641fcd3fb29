// Answers a message through the socket that it came by, as functions in Go do.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

func handler(ctx context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
	lc, ok := lambdacontext.FromContext(ctx)
	if !ok || lc.AwsRequestID == "" || !strings.Contains(lc.InvokedFunctionArn, lambdacontext.FunctionName) {
		return events.APIGatewayProxyResponse{}, fmt.Errorf("no context: %+v", lc)
	}
	c, region := e.RequestContext, os.Getenv("AWS_REGION")
	to := "https://" + c.APIID + ".execute-api." + region + ".amazonaws.com/" + c.Stage + "/@connections/" + url.PathEscape(c.ConnectionID)
	req, err := http.NewRequestWithContext(ctx, "POST", to, strings.NewReader("from go"))
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	sum := sha256.Sum256([]byte("from go"))
	keys := aws.Credentials{AccessKeyID: os.Getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: os.Getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: os.Getenv("AWS_SESSION_TOKEN")}
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return events.APIGatewayProxyResponse{}, err
	}
	res.Body.Close()
	if res.StatusCode != 200 {
		return events.APIGatewayProxyResponse{}, fmt.Errorf("%s answers %s", to, res.Status)
	}
	return events.APIGatewayProxyResponse{StatusCode: 200}, nil
}

func main() { lambda.Start(handler) }
