package scli

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// async calls a function through Function Compute's own API (2023-03-30, whose paths know no services),
// which answers before the function does.
func (t *Tool) async(ctx context.Context, a *app, function string, event []byte) error {
	var out bytes.Buffer
	if err := t.Sluice(ctx, &out, "env", "--json", "--app", string(a.Name), "--dialect", "aliyun"); err != nil {
		return err
	}
	var env map[string]string
	if err := json.Unmarshal(out.Bytes(), &env); err != nil {
		return err
	}
	path := "/2023-03-30/functions/" + function + "/invocations"
	address := strings.TrimSuffix(env["SLUICE_FC_ENDPOINT"], "/") + (&url.URL{Path: path}).EscapedPath()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(event))
	if err != nil {
		return err
	}
	const kind = "application/octet-stream"
	date := time.Now().UTC().Format(http.TimeFormat)
	mac := hmac.New(sha256.New, []byte(env["ALIBABA_CLOUD_ACCESS_KEY_SECRET"]))
	fmt.Fprintf(mac, "POST\n\n%s\n%s\nx-fc-invocation-type:Async\n%s", kind, date, path)
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Date", date)
	req.Header.Set("X-Fc-Invocation-Type", "Async")
	req.Header.Set("Authorization", "FC "+env["ALIBABA_CLOUD_ACCESS_KEY_ID"]+":"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("call %s: %s: %s", function, resp.Status, bytes.TrimSpace(body))
	}
	fmt.Fprintf(t.Out, "request id: %s\n", resp.Header.Get("X-Fc-Request-Id"))
	return nil
}
