package wall

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxHeader bounds the list of device ids in one call, well below what HTTP servers accept.
const maxHeader = 8 << 10

// HTTPNotifier calls the gateway's NOTIFY API.
type HTTPNotifier struct {
	url    string
	batch  bool
	client *http.Client
}

// NewHTTPNotifier returns a notifier for that address. With batch, one call names many devices,
// which sluice understands; Alibaba Cloud wants a call for each.
func NewHTTPNotifier(url string, batch bool) *HTTPNotifier {
	t := http.DefaultTransport.(*http.Transport).Clone() // with the environment's proxy
	t.MaxIdleConnsPerHost = 64
	return &HTTPNotifier{url: url, batch: batch, client: &http.Client{Transport: t, Timeout: 6 * time.Second}}
}

// Notify implements [Notifier]. Calls for different devices run in parallel.
func (n *HTTPNotifier) Notify(ctx context.Context, devices []string, body []byte) (gone, failed []string, err error) {
	var mu sync.Mutex // guards the results
	var wg sync.WaitGroup
	for _, group := range n.groups(devices) {
		wg.Go(func() {
			g, e := n.call(ctx, group, body)
			mu.Lock()
			defer mu.Unlock()
			gone = append(gone, g...)
			if e != nil {
				failed = append(failed, group...)
				err = errors.Join(err, e)
			}
		})
	}
	wg.Wait()
	return gone, failed, err
}

// groups cuts the devices into those that one call names.
func (n *HTTPNotifier) groups(devices []string) [][]string {
	var groups [][]string
	size := 0
	for _, d := range devices {
		if size += len(d) + 1; len(groups) == 0 || !n.batch || size > maxHeader {
			groups = append(groups, nil)
			size = len(d)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], d)
	}
	return groups
}

// call makes one call. It returns the devices that are gone, or an error when none was reached.
func (n *HTTPNotifier) call(ctx context.Context, devices []string, body []byte) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("x-ca-deviceid", strings.Join(devices, ","))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusNotFound && resp.Header.Get("X-Ca-Error-Code") == "I404DD":
		return devices, nil
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("notify answered %d %s", resp.StatusCode, resp.Header.Get("X-Ca-Error-Message"))
	case len(devices) == 1 || len(answer) == 0:
		return nil, nil
	}
	var counted struct{ Failed []string }
	if err := json.Unmarshal(answer, &counted); err != nil {
		return nil, fmt.Errorf("notify answered %.80q: %w", answer, err)
	}
	return counted.Failed, nil
}
