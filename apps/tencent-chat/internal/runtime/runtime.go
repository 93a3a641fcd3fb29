// Package runtime serves a function's calls in SCF's custom runtime: it fetches events from the runtime API
// and hands in what the function answers.
package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// Handler answers an event. What it returns is sent as JSON; an error fails the call.
type Handler func(ctx context.Context, event []byte) (any, error)

// Serve tells the API at SCF_RUNTIME_API that the function is ready and serves calls, one after the other,
// until the API cannot be reached.
func Serve(ctx context.Context, handle Handler) error {
	return serve(ctx, "http://"+os.Getenv("SCF_RUNTIME_API")+":"+os.Getenv("SCF_RUNTIME_API_PORT")+"/runtime/", handle)
}

func serve(ctx context.Context, api string, handle Handler) error {
	if err := post(ctx, api+"init/ready", nil); err != nil {
		return err
	}
	for {
		event, limit, err := next(ctx, api+"invocation/next")
		if err != nil {
			return err
		}
		where, body := "invocation/response", []byte(nil)
		answer, err := call(ctx, limit, event, handle)
		if err == nil {
			body, err = json.Marshal(answer)
		}
		if err != nil {
			where, body = "invocation/error", []byte(err.Error())
		}
		if err := post(ctx, api+where, body); err != nil {
			return err
		}
	}
}

// call runs a handler for no longer than the function may. A panic fails the call only.
func call(ctx context.Context, limit time.Duration, event []byte, handle Handler) (answer any, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return handle(ctx, event)
}

// next waits for a call.
func next(ctx context.Context, url string) (event []byte, limit time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, 0, err
	}
	defer res.Body.Close()
	event, err = io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", url, res.Status, event)
	}
	limit = time.Minute
	for name, v := range res.Header { // the API spells it with underscores
		if ms, err := strconv.Atoi(v[0]); err == nil && ms > 0 && http.CanonicalHeaderKey(name) == "Time_limit_in_ms" {
			limit = time.Duration(ms) * time.Millisecond
		}
	}
	return event, limit, err
}

func post(ctx context.Context, url string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	said, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 && res.StatusCode != http.StatusRequestEntityTooLarge {
		err = fmt.Errorf("%s answers %s: %s", url, res.Status, said)
	}
	return err
}
