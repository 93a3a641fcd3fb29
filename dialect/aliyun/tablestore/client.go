package tablestore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/table"
)

// Client calls the few operations that the tablestore component of Serverless Devs has.
type Client struct {
	Endpoint    string // http://host:port
	Instance    string
	Credentials access.Credentials
}

// Error is a refusal by the server.
type Error struct {
	Code    string // OTSObjectAlreadyExist …
	Message string
}

// Error is code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Exists reports whether what was to be made is there already.
func (e *Error) Exists() bool { return e.Code == "OTSObjectAlreadyExist" }

// tableJSON is a table as the Node SDK's users write it.
type tableJSON struct {
	TableMeta struct {
		TableName  string
		PrimaryKey []struct {
			Name   string
			Type   any // "STRING", or its number
			Option any // "AUTO_INCREMENT", or its number
		}
		DefinedColumn []definedColumn
	}
	ReservedThroughput struct{ CapacityUnit struct{ Read, Write *int32 } }
	TableOptions       *struct {
		TimeToLive, MaxVersions *int32
	}
	StreamSpecification *struct {
		EnableStream   bool
		ExpirationTime *int32
	}
}

// CreateTable makes the table that text describes, in the form of the Node SDK's createTable.
func (c *Client) CreateTable(ctx context.Context, text []byte) (name string, err error) {
	var t tableJSON
	if err := json.Unmarshal(text, &t); err != nil {
		return "", fmt.Errorf("read table: %w", err)
	}
	req := createTableRequest{Meta: tableMeta{Name: t.TableMeta.TableName, Defined: t.TableMeta.DefinedColumn}}
	for _, k := range t.TableMeta.PrimaryKey {
		s := keySchema{Name: k.Name}
		switch fmt.Sprint(k.Type) {
		case "INTEGER", "1":
			s.Type = keyInteger
		case "STRING", "2":
			s.Type = keyString
		case "BINARY", "3":
			s.Type = keyBinary
		default:
			return "", fmt.Errorf("primary key %q has type %v: want STRING, INTEGER or BINARY", k.Name, k.Type)
		}
		if o := fmt.Sprint(k.Option); o == "AUTO_INCREMENT" || o == "1" {
			s.Option = new(int32(autoIncrement))
		}
		req.Meta.Key = append(req.Meta.Key, s)
	}
	req.Throughput.Unit = capacityRequest{t.ReservedThroughput.CapacityUnit.Read, t.ReservedThroughput.CapacityUnit.Write}
	req.Options = &tableOptions{TimeToLive: new(int32(-1)), MaxVersions: new(int32(1))}
	if o := t.TableOptions; o != nil {
		req.Options = &tableOptions{TimeToLive: o.TimeToLive, MaxVersions: o.MaxVersions}
	}
	if s := t.StreamSpecification; s != nil {
		req.Stream = &streamSpec{Enable: s.EnableStream, Hours: s.ExpirationTime}
	}
	return req.Meta.Name, c.call(ctx, "CreateTable", marshal(&req))
}

// PutRow writes a row over what is there: its key has one INTEGER column, and columns, a JSON object,
// may be texts, whole numbers, other numbers and booleans.
func (c *Client) PutRow(ctx context.Context, name, key string, id int64, columns []byte) error {
	dec := json.NewDecoder(bytes.NewReader(columns))
	dec.UseNumber()
	var cols map[string]any
	if err := dec.Decode(&cols); err != nil {
		return fmt.Errorf("read columns: %w", err)
	}
	row := wireRow{Key: []cell{{Name: key, Kind: vtInteger, Value: table.Value{Type: table.Int, Int: id}}}}
	for col, v := range cols {
		value := cell{Name: col}
		switch v := v.(type) {
		case string:
			value.Kind, value.Value = vtString, table.Value{Type: table.String, Str: v}
		case bool:
			value.Kind, value.Value = vtBoolean, table.Value{Type: table.Bool}
			if v {
				value.Value.Int = 1
			}
		case json.Number:
			if n, err := v.Int64(); err == nil {
				value.Kind, value.Value = vtInteger, table.Value{Type: table.Int, Int: n}
			} else if f, err := v.Float64(); err == nil {
				value.Kind, value.Value = vtDouble, table.Value{Type: table.Float, Float: f}
			} else {
				return fmt.Errorf("column %q: %w", col, err)
			}
		default:
			return fmt.Errorf("column %q is neither text, number nor boolean", col)
		}
		row.Cells = append(row.Cells, value)
	}
	return c.call(ctx, "PutRow", marshal(&rowRequest{Table: name, Row: appendRow(appendHeader(nil), row)}))
}

// call sends one signed request. None of the client's has an answer worth reading.
func (c *Client) call(ctx context.Context, operation string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.Endpoint, "/")+"/"+operation, bytes.NewReader(body))
	if err != nil {
		return err
	}
	h := req.Header
	h.Set(headVersion, "2015-12-31")
	h.Set(headDate, time.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	h.Set(headKey, c.Credentials.ID)
	h.Set(headInstance, c.Instance)
	h.Set(headMD5, contentMD5(body))
	if c.Credentials.Token != "" {
		h.Set(headToken, c.Credentials.Token)
	}
	h.Set(headSign, signatureV2(operation, h, c.Credentials.Secret))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	var e errorMessage
	if unmarshal(answer, &e) != nil {
		return fmt.Errorf("%s: %s", operation, resp.Status)
	}
	return &Error{e.Code, e.Message}
}
