package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
)

// Prefix is where the admin API lives.
const Prefix = "/_sluice/api/"

// StateFile is the file in the data folder with which clients find a running server.
const StateFile = "server.json"

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base     string
	password string
	http     *http.Client
}

// New makes a client of the server with that admin address ("http://127.0.0.1:4566" or host:port).
// password is the administrator's, "" when the server asks for none.
func New(admin, password string) *Client {
	if !strings.Contains(admin, "://") {
		admin = "http://" + admin
	}
	// No proxy: the admin listener is ours, and often loopback.
	tr := &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, IdleConnTimeout: time.Minute}
	return &Client{base: strings.TrimSuffix(admin, "/"), password: password, http: &http.Client{Transport: tr}}
}

// Find reads a data folder for the address of the server that runs on it.
func Find(data string) (string, error) {
	b, err := os.ReadFile(filepath.Join(data, StateFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", &sluice.Error{Code: sluice.Missing, Msg: fmt.Sprintf("no server runs on data folder %s", data),
			Hint: `start one with "sluice dev" or "sluice serve", or name it with --admin or --data`}
	}
	if err != nil {
		return "", fmt.Errorf("find server: %w", err)
	}
	var r Ready
	if err := json.Unmarshal(b, &r); err != nil || r.Admin == "" {
		return "", fmt.Errorf("find server: %s is damaged", filepath.Join(data, StateFile))
	}
	return r.Admin, nil
}

// Do sends one request to the API and decodes its JSON answer into out (nil drops it).
func (c *Client) Do(ctx context.Context, method, path string, query url.Values, body io.Reader, out any) error {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	if w, ok := out.(io.Writer); ok {
		_, err = io.Copy(w, resp.Body)
		return err
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return fmt.Errorf("%s %s: unreadable answer: %w", method, path, err)
	}
	return nil
}

// Stream sends one request and hands every line of the answer to each, until it returns an error, the
// answer ends or ctx does.
func (c *Client) Stream(ctx context.Context, method, path string, query url.Values, body io.Reader, each func(line []byte) error) error {
	resp, err := c.send(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(make([]byte, 64<<10), 16<<20)
	for sc.Scan() {
		if len(bytes.TrimSpace(sc.Bytes())) == 0 {
			continue
		}
		if err := each(sc.Bytes()); err != nil {
			return err
		}
	}
	if err := sc.Err(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("the server went away: %w", err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Response, error) {
	u := c.base + Prefix + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, u, body)
	if err != nil {
		return nil, err
	}
	if c.password != "" {
		req.SetBasicAuth("admin", c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return nil, &sluice.Error{Code: sluice.Unavailable, Msg: fmt.Sprintf("no server answers at %s", c.base), Err: err,
				Hint: `start one with "sluice dev" or "sluice serve", or name another with --admin`}
		}
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	var e Error
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if json.Unmarshal(b, &e) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("%s %s: %s", method, path, resp.Status)
	}
	return nil, &sluice.Error{Code: kindOf(resp.StatusCode), Msg: e.Message, Hint: e.Hint}
}

// statuses pairs kinds with the API's statuses; StatusOf and kindOf read it in both directions.
var statuses = []struct {
	kind   sluice.Kind
	status int
}{
	{sluice.Invalid, http.StatusBadRequest},
	{sluice.Missing, http.StatusNotFound},
	{sluice.Exists, http.StatusConflict},
	{sluice.Conflict, http.StatusPreconditionFailed},
	{sluice.Denied, http.StatusForbidden},
	{sluice.Throttled, http.StatusTooManyRequests},
	{sluice.Timeout, http.StatusGatewayTimeout},
	{sluice.TooMuch, http.StatusRequestEntityTooLarge},
	{sluice.Unavailable, http.StatusServiceUnavailable},
}

// StatusOf is the HTTP status with which the API answers an error of that kind.
func StatusOf(k sluice.Kind) int {
	for _, s := range statuses {
		if s.kind == k {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

func kindOf(status int) sluice.Kind {
	for _, s := range statuses {
		if s.status == status {
			return s.kind
		}
	}
	return sluice.Internal
}
