// Socket is the function behind all routes of the chat's WebSocket API.
package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/sluicehq/sluice/apps/chat/internal/chat"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	cfg, err := config.LoadDefaultConfig(context.Background())
	if err != nil {
		log.Error("configuration", "err", err)
		os.Exit(1)
	}
	o := chat.Options{
		Store: chat.NewDynamoDB(dynamodb.NewFromConfig(cfg), os.Getenv("TABLE")),
		Push:  chat.NewGateway(os.Getenv("CONNECTIONS"), cfg.Region, cfg.Credentials),
		Log:   log,
	}
	o.Rate, _ = strconv.ParseInt(os.Getenv("RATE"), 10, 64) // 0 is the chat's own default
	c := chat.New(o)
	lambda.Start(func(ctx context.Context, e events.APIGatewayWebsocketProxyRequest) (events.APIGatewayProxyResponse, error) {
		return handle(ctx, c, log, &e), nil
	})
}

// handle answers the gateway. Pages get their answers by pushes; the status matters to $connect only.
func handle(ctx context.Context, c *chat.Chat, log *slog.Logger, e *events.APIGatewayWebsocketProxyRequest) events.APIGatewayProxyResponse {
	var err error
	conn, route := e.RequestContext.ConnectionID, e.RequestContext.RouteKey
	switch route {
	case "$connect":
		err = c.Connect(ctx, conn, e.QueryStringParameters)
	case "$disconnect":
		err = c.Disconnect(ctx, conn)
	default:
		err = c.Message(ctx, conn, route, []byte(e.Body))
	}
	if refused, ok := errors.AsType[*chat.Error](err); ok {
		return events.APIGatewayProxyResponse{StatusCode: 400, Body: refused.Text}
	}
	if err != nil {
		log.Error(route, "conn", conn, "err", err)
		return events.APIGatewayProxyResponse{StatusCode: 500}
	}
	return events.APIGatewayProxyResponse{StatusCode: 200}
}
