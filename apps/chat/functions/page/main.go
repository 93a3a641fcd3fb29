// Page is the function behind the chat's HTTP API: it shows the page, which it carries inside.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html"
	"mime"
	"os"
	"path"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

//go:embed site
var site embed.FS

func main() {
	socket := os.Getenv("SOCKET")
	if os.Getenv("SLUICE") == "1" {
		socket = "/" + path.Base(socket) // the page's own host has the socket as well, whatever it is called
	}
	lambda.Start(func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		return show(e.RawPath, e.Headers["if-none-match"], socket), nil
	})
}

// show answers with a file of the site. The page learns the address of its socket.
func show(name, known, socket string) events.APIGatewayV2HTTPResponse {
	if name = path.Base(path.Clean("/" + name)); name == "/" {
		name = "index.html"
	}
	body, err := site.ReadFile("site/" + name)
	if err != nil {
		return events.APIGatewayV2HTTPResponse{StatusCode: 404, Headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"}, Body: "There is nothing here. The chat is at /."}
	}
	body = bytes.ReplaceAll(body, []byte("{{socket}}"), []byte(html.EscapeString(socket)))
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:8]) + `"`
	head := map[string]string{
		"Content-Type":            mime.TypeByExtension(path.Ext(name)),
		"Cache-Control":           "no-cache", // ask each time, by ETag
		"ETag":                    etag,
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"X-Content-Type-Options":  "nosniff",
		"Referrer-Policy":         "no-referrer",
	}
	if known == etag {
		return events.APIGatewayV2HTTPResponse{StatusCode: 304, Headers: head}
	}
	return events.APIGatewayV2HTTPResponse{StatusCode: 200, Headers: head, Body: string(body)}
}
