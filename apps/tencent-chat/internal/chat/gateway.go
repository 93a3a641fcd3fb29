package chat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// notFound is the errNo of pushes to connections that have ended.
const notFound = 10004

const (
	pushMany  = 5000 // connections in one push
	pushAside = 32   // pushes at once, when each is for one connection
)

// Gateway is a [Pusher] that posts to the reverse push address of an API.
type Gateway struct {
	url    string
	single atomic.Bool // the gateway does not take lists of connections
}

var _ Pusher = (*Gateway)(nil)

// NewGateway pushes to the API whose internal domain is url.
func NewGateway(url string) *Gateway { return &Gateway{url: url} }

// push is the body of a push. ID is a connection, or a list of them.
type push struct {
	Action   string `json:"action"`
	ID       any    `json:"secConnectionID"`
	DataType string `json:"dataType,omitempty"`
	Data     string `json:"data,omitempty"`
}

// pushed is the answer to a push. Only one to a list has Sent.
type pushed struct {
	No     int      `json:"errNo"`
	Msg    string   `json:"errMsg"`
	Sent   *int     `json:"sent"`
	Gone   []string `json:"gone"`
	Failed []struct {
		ID  string `json:"secConnectionID"`
		No  int    `json:"errNo"`
		Msg string `json:"errMsg"`
	} `json:"failed"`
}

// Push implements [Pusher]. A list goes in one push where the gateway takes lists, which sluice does;
// elsewhere each connection gets a push of its own.
func (g *Gateway) Push(ctx context.Context, ids []string, text string) (gone []string, err error) {
	var failed error
	for len(ids) > 1 && !g.single.Load() {
		n := min(len(ids), pushMany)
		out, status, err := g.post(ctx, push{"data send", ids[:n], "text", text})
		if err != nil {
			return gone, err
		}
		if status != http.StatusOK || out.No != 0 || out.Sent == nil {
			g.single.Store(true)
			break
		}
		gone, ids = append(gone, out.Gone...), ids[n:]
		if len(out.Failed) > 0 { // too slow, mostly: the gateway closes them, and they come back for what they missed
			f := out.Failed[0]
			failed = errors.Join(failed, fmt.Errorf("%d of %d pushes failed, one with %d %s", len(out.Failed), n, f.No, f.Msg))
		}
	}
	more, err := g.each(ctx, ids, text)
	return append(gone, more...), errors.Join(failed, err)
}

// each pushes to connections one by one, some at once.
func (g *Gateway) each(ctx context.Context, ids []string, text string) ([]string, error) {
	var mu sync.Mutex // guards gone and errs
	var gone []string
	var errs []error
	var wg sync.WaitGroup
	work := make(chan string)
	for range min(pushAside, len(ids)) {
		wg.Go(func() {
			for id := range work {
				out, status, err := g.post(ctx, push{"data send", id, "text", text})
				mu.Lock()
				switch {
				case err != nil:
					errs = append(errs, err)
				case out.No == notFound:
					gone = append(gone, id)
				case out.No != 0 || status != http.StatusOK:
					errs = append(errs, fmt.Errorf("push answered %d: %d %s", status, out.No, out.Msg))
				}
				mu.Unlock()
			}
		})
	}
	for _, id := range ids {
		work <- id
	}
	close(work)
	wg.Wait()
	if len(errs) > 0 {
		return gone, fmt.Errorf("%d of %d pushes failed: %w", len(errs), len(ids), errs[0])
	}
	return gone, nil
}

// Close implements [Pusher].
func (g *Gateway) Close(ctx context.Context, id string) error {
	out, status, err := g.post(ctx, push{Action: "closing", ID: id})
	if err == nil && out.No != 0 && out.No != notFound {
		err = fmt.Errorf("closing answered %d: %d %s", status, out.No, out.Msg)
	}
	return err
}

func (g *Gateway) post(ctx context.Context, p push) (out pushed, status int, err error) {
	body, err := json.Marshal(map[string]push{"websocket": p})
	if err != nil {
		return out, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return out, 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return out, 0, err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, 8<<20))
	if err != nil {
		return out, res.StatusCode, err
	}
	if bad := json.Unmarshal(said, &out); bad != nil {
		if res.StatusCode == http.StatusOK {
			return out, res.StatusCode, errors.Join(errors.New("push answered what is no JSON"), bad)
		}
		out.No = cmp.Or(out.No, res.StatusCode)
	}
	return out, res.StatusCode, nil
}
