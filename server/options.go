package server

import (
	"os"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/config"
	"github.com/sluicehq/sluice/dialect/aliyun"
	"github.com/sluicehq/sluice/dialect/all"
	"github.com/sluicehq/sluice/dialect/aws"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/websocket"
	"github.com/sluicehq/sluice/dialect/tencent"
)

// cloudOptions are the settings of the clouds, as their dialects take them.
func cloudOptions(c config.Config) all.Options {
	api := c.AWS.API
	return all.Options{
		AWS: aws.Options{
			Strict:  c.AWS.Strict,
			Relaxed: c.AWS.Auth == "relaxed",
			Beyond: aws.Beyond{
				Hosts:       c.AWS.Passthrough,
				Credentials: access.Credentials{ID: os.Getenv("AWS_ACCESS_KEY_ID"), Secret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Token: os.Getenv("AWS_SESSION_TOKEN")},
			},
			Sockets: websocket.Settings(c.AWS.WebSocket), // field by field: what is added here is added there
			Quotas: apispec.Quotas{
				Routes: api.Routes, Integrations: api.Integrations, Stages: api.Stages, Authorizers: api.Authorizers,
				Timeout: c.AWS.WebSocket.Timeout,
			},
		},
		Aliyun:  aliyun.Options{StrictTables: c.Aliyun.Tablestore.Strict, MaxTables: c.Aliyun.Tablestore.MaxTables},
		Tencent: tencent.Options{COSHosts: c.Tencent.COS.Hosts},
	}
}
