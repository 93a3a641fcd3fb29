// Package connections is a client of sluice's extensions to the management API of WebSocket APIs: one
// call that sends to many connections, and groups. It speaks the rest of the API, too, so that a
// function needs no other client. It has no dependencies.
//
// A function that was called for a client's message answers everybody in a room:
//
//	c, err := connections.New("https://" + event.RequestContext.DomainName + "/" + event.RequestContext.Stage)
//	…
//	sent, err := c.SendGroup(ctx, "room-1", []byte("hello"))
//
// Calls are signed with the keys of the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// AWS_SESSION_TOKEN, AWS_REGION), which sluice gives to every function.
package connections

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// maxIDs is the most connections of one call; SendMany makes several when there are more.
const maxIDs = 10_000

// Client calls the management API of one stage. It is safe for concurrent use once it is set up.
type Client struct {
	Endpoint string       // "https://{domainName}/{stage}", without a slash at the end
	Region   string       // in signatures; "" is us-east-1
	KeyID    string       // access key
	Secret   string       // its secret
	Token    string       // its session token; "" for long-lived keys
	HTTP     *http.Client // nil is http.DefaultClient
}

// New makes a client with the keys of the environment. An empty endpoint is that of the variable
// AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI, or AWS_ENDPOINT_URL: a call there finds the only stage that
// the keys are for.
func New(endpoint string) (*Client, error) {
	endpoint = cmp.Or(endpoint, os.Getenv("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"), os.Getenv("AWS_ENDPOINT_URL"))
	c := &Client{
		Endpoint: strings.TrimRight(endpoint, "/"),
		Region:   cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION")),
		KeyID:    os.Getenv("AWS_ACCESS_KEY_ID"),
		Secret:   os.Getenv("AWS_SECRET_ACCESS_KEY"),
		Token:    os.Getenv("AWS_SESSION_TOKEN"),
	}
	switch {
	case c.Endpoint == "":
		return nil, errors.New("connections: no endpoint, neither given nor in AWS_ENDPOINT_URL")
	case c.KeyID == "" || c.Secret == "":
		return nil, errors.New("connections: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")
	}
	return c, nil
}

// Error is an answer that is not a success.
type Error struct {
	Status  int
	Code    string // "GoneException", "LimitExceededException" …
	Message string // may be empty
}

// Error is status, code and message.
func (e *Error) Error() string {
	return strings.TrimSpace(fmt.Sprintf("connections: %d %s %s", e.Status, e.Code, e.Message))
}

// IsGone reports whether err says that a connection is closed, or was never there.
func IsGone(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusGone
}

// Failure is a connection that a call did not reach, though it may be there.
type Failure struct {
	ConnectionID string `json:"connectionId"`
	Code         string `json:"code"` // as Error.Code
}

// Result is what became of a message to many.
type Result struct {
	Sent   int       `json:"sent"`   // to so many connections
	Gone   []string  `json:"gone"`   // these are closed: forget them
	Failed []Failure `json:"failed"` // these could not be reached now
}

// Send sends a message of at most 128 KB to one connection. Data that is UTF-8 arrives as text.
func (c *Client) Send(ctx context.Context, id string, data []byte) error {
	return c.do(ctx, http.MethodPost, []string{"@connections", id}, data, nil, nil)
}

// Close closes a connection.
func (c *Client) Close(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, []string{"@connections", id}, nil, nil, nil)
}

// SendMany sends one message to many connections. When an error is returned as well, the result is
// what was done before.
func (c *Client) SendMany(ctx context.Context, ids []string, data []byte) (Result, error) {
	body := struct {
		IDs    []string `json:"connectionIds"`
		Data   *string  `json:"data,omitempty"`
		Base64 []byte   `json:"dataBase64,omitempty"`
	}{}
	if text := string(data); utf8.ValidString(text) {
		body.Data = &text
	} else {
		body.Base64 = data // encoding/json writes bytes as base64
	}
	var all Result
	for len(ids) > 0 {
		n := min(len(ids), maxIDs)
		body.IDs, ids = ids[:n], ids[n:]
		b, err := json.Marshal(body)
		if err != nil {
			return all, err
		}
		var one Result
		if err := c.do(ctx, http.MethodPost, []string{"@connections"}, b, nil, &one); err != nil {
			return all, err
		}
		all.Sent += one.Sent
		all.Gone = append(all.Gone, one.Gone...)
		all.Failed = append(all.Failed, one.Failed...)
	}
	return all, nil
}

// Join takes a connection into a group of this stage. It leaves when it closes.
func (c *Client) Join(ctx context.Context, group, id string) error {
	return c.do(ctx, http.MethodPut, []string{"@groups", group, id}, nil, nil, nil)
}

// Leave takes a connection out of a group.
func (c *Client) Leave(ctx context.Context, group, id string) error {
	return c.do(ctx, http.MethodDelete, []string{"@groups", group, id}, nil, nil, nil)
}

// SendGroup sends a message to all members of a group, save some, and returns to how many.
func (c *Client) SendGroup(ctx context.Context, group string, data []byte, except ...string) (sent int, err error) {
	var out struct{ Sent int }
	var header http.Header
	if len(except) > 0 {
		header = http.Header{"X-Sluice-Except": {strings.Join(except, ",")}}
	}
	err = c.do(ctx, http.MethodPost, []string{"@groups", group}, data, header, &out)
	return out.Sent, err
}

// GroupSize counts the members of a group.
func (c *Client) GroupSize(ctx context.Context, group string) (int, error) {
	var out struct{ Size int }
	err := c.do(ctx, http.MethodGet, []string{"@groups", group}, nil, nil, &out)
	return out.Size, err
}

// do makes one signed call and reads its answer into out, unless that is nil.
func (c *Client) do(ctx context.Context, method string, path []string, body []byte, header http.Header, out any) error {
	address := c.Endpoint
	for _, segment := range path {
		address += "/" + escape(segment)
	}
	u, err := url.Parse(address)
	if err != nil {
		return fmt.Errorf("connections: endpoint: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("connections: %w", err)
	}
	for name, vals := range header {
		req.Header[name] = vals
	}
	c.sign(req, body, time.Now().UTC())
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("connections: %w", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("connections: read the answer: %w", err)
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		e := &Error{Status: res.StatusCode, Code: res.Header.Get("X-Amzn-Errortype")}
		var said struct{ Message string }
		if json.Unmarshal(text, &said) == nil {
			e.Message = said.Message
		}
		return e
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("connections: read the answer: %w", err)
	}
	return nil
}
