package tables

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/bench/post"
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
	return serveWhole(tablestore.New(tablestore.Options{Tables: tables, Keys: everybody{}, Log: slog.New(slog.DiscardHandler), MaxSkew: -1}))
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
	return post.Request("/"+operation, body, append(headers, "x-ots-signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))...)
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
		gets = append(gets, head(last)+"\x28\x01") // table and key, and one version
	}
	return puts, gets, nil
}

// head is the table and the key of a message that puts a row, without what it asks of the row before.
func head(put string) string {
	n := 2 + int(put[1]) + 1 // the name of the table, and the tag of the row
	size, k := binary.Uvarint([]byte(put[n:]))
	return put[:n+k+int(size)]
}

// prepareTablestore makes a table, its rows and the requests.
func (x *wire) prepareTablestore(ctx context.Context) error {
	c := &tablestore.Client{Endpoint: "http://" + x.Addr, Instance: "bench"}
	c.Credentials.ID, c.Credentials.Secret = "x", secret
	if _, err := c.CreateTable(ctx, []byte(`{"tableMeta":{"tableName":"bench","primaryKey":[{"name":"id","type":"INTEGER"}]}}`)); err != nil {
		return err
	}
	puts, gets, err := rowMessages(ctx, wireRows)
	if err != nil {
		return err
	}
	x.put.least, x.get.least = 1, len(value)
	for i := range puts {
		x.put.all, x.get.all = append(x.put.all, signed("PutRow", puts[i])), append(x.get.all, signed("GetRow", gets[i]))
		if err := errors.Join(x.ask(x.put.all[i], x.put.least), x.ask(x.get.all[i], x.get.least)); err != nil {
			return err
		}
	}
	return nil
}
