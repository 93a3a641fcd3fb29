package tables

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aliyun/tablestore"
)

const secret = "secret"

// everybody is who has the key.
type everybody struct{}

func (everybody) Lookup(context.Context, string, string) (string, access.Principal, error) {
	return secret, access.Principal{}, nil
}

// ServeTablestore is the protocol on the room on disk, which checks every signature, but no date.
func ServeTablestore() error {
	tables, err := onDisk()
	if err != nil {
		return err
	}
	return serve(tablestore.New(tablestore.Options{Tables: tables, Keys: everybody{}, Log: slog.New(slog.DiscardHandler), MaxSkew: -1}))
}

// signed is a request as Alibaba's SDKs sign it.
func signed(operation, body string) []byte {
	sum := md5.Sum([]byte(body))
	headers := []string{"x-ots-accesskeyid", "x", "x-ots-apiversion", "2015-12-31", "x-ots-contentmd5", base64.StdEncoding.EncodeToString(sum[:]),
		"x-ots-date", "2026-01-01T00:00:00.000Z", "x-ots-instancename", "bench"}
	mac := hmac.New(sha1.New, []byte(secret))
	fmt.Fprintf(mac, "/%s\nPOST\n\n", operation)
	for i := 0; i < len(headers); i += 2 {
		fmt.Fprintf(mac, "%s:%s\n", headers[i], headers[i+1])
	}
	return request("/"+operation, body, append(headers, "x-ots-signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))...)
}

// rowMessages are the messages that put so many rows, and those that get them.
func rowMessages(ctx context.Context, n int) (puts, gets []string, err error) {
	var last string
	catch := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		last = string(b)
	}))
	defer catch.Close()
	c := &tablestore.Client{Endpoint: catch.URL, Instance: "bench"}
	for i := range n {
		if err := c.PutRow(ctx, "bench", "id", int64(i), fmt.Appendf(nil, `{"n":%d,"v":"%s"}`, i, value)); err != nil {
			return nil, nil, err
		}
		puts = append(puts, last)
		if err := c.PutRow(ctx, "bench", "id", int64(i), []byte("{}")); err != nil {
			return nil, nil, err
		}
		gets = append(gets, last+"\x28\x01") // table and key, and one version
	}
	return puts, gets, nil
}

// prepareTablestore makes a table, its rows and the requests.
func (x *wire) prepareTablestore(ctx context.Context) error {
	c := &tablestore.Client{Endpoint: "http://" + x.addr, Instance: "bench"}
	c.Credentials.ID, c.Credentials.Secret = "x", secret
	if _, err := c.CreateTable(ctx, []byte(`{"tableMeta":{"tableName":"bench","primaryKey":[{"name":"id","type":"INTEGER"}]}}`)); err != nil {
		return err
	}
	puts, gets, err := rowMessages(ctx, wireRows)
	if err != nil {
		return err
	}
	for i := range puts {
		x.put, x.get = append(x.put, signed("PutRow", puts[i])), append(x.get, signed("GetRow", gets[i]))
		for _, r := range [][]byte{x.put[i], x.get[i]} {
			if err := x.ask(r); err != nil {
				return err
			}
		}
	}
	return nil
}
