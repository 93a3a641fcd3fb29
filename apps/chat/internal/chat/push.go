package chat

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Gateway pushes through API Gateway's @connections.
type Gateway struct {
	url    string // of the stage, without a slash at the end
	region string
	keys   aws.CredentialsProvider
	signer *v4.Signer
	client *http.Client
}

var _ Pusher = (*Gateway)(nil)

// NewGateway returns a pusher for the stage at that address, https://API.execute-api.REGION.amazonaws.com/STAGE.
func NewGateway(url, region string, keys aws.CredentialsProvider) *Gateway {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the environment's proxy and authorities
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 0, abreast
	return &Gateway{url: url, region: region, keys: keys, signer: v4.NewSigner(), client: &http.Client{Transport: t, Timeout: 3 * time.Second}}
}

// Push implements [Pusher]. What fails for a moment is tried three times.
func (g *Gateway) Push(ctx context.Context, conn string, data []byte) error {
	for pause := 50 * time.Millisecond; ; pause *= 4 {
		again, err := g.post(ctx, conn, data)
		if err == nil || !again || pause > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// post makes one call. again says that the next one may have another end.
func (g *Gateway) post(ctx context.Context, conn string, data []byte) (again bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url+"/@connections/"+url.QueryEscape(conn), bytes.NewReader(data))
	if err != nil {
		return false, err
	}
	keys, err := g.keys.Retrieve(ctx)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(data)
	if err := g.signer.SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "execute-api", g.region, time.Now()); err != nil {
		return false, err
	}
	res, err := g.client.Do(req)
	if err != nil {
		return true, err
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<10)) // for the error, and so that the connection serves again
	switch {
	case res.StatusCode == http.StatusOK:
		return false, nil
	case res.StatusCode == http.StatusGone:
		return false, ErrGone
	}
	return res.StatusCode == http.StatusTooManyRequests || res.StatusCode >= 500, fmt.Errorf("push answered %s %s", res.Status, text)
}
