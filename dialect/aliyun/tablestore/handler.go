package tablestore

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/table"
)

// Keys finds the secret of an access key and who owns it; access.Keys is one.
type Keys interface {
	Lookup(ctx context.Context, id, token string) (secret string, p access.Principal, err error)
}

// Options are what the handler works with. Tables and Keys are required.
type Options struct {
	Tables *table.Tables
	Keys   Keys
	Log    *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
	// MaxSkew is how far a request's date may be off; 0 is 15 minutes, negative switches the check off.
	MaxSkew time.Duration
	// MaxTables is how many tables one instance may have; 0 is 64, as on the cloud.
	MaxTables int
	// Strict refuses, as the cloud's documents say, to overwrite an existing row of a table with an
	// auto-increment key without expecting it to exist, local transactions on a table that was made
	// without asking for them, and tables without a time to live and a number of versions. Otherwise such
	// a write is an ordinary one, the first transaction switches them on unless the table was made with an
	// explicit no, and a table keeps one version for ever.
	Strict bool
}

// New makes the handler of all operations. It is safe for concurrent use.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxSkew == 0 {
		o.MaxSkew = 15 * time.Minute
	}
	if o.MaxTables == 0 {
		o.MaxTables = maxTables
	}
	return &handler{Options: o}
}

// Claims reports whether a request on a shared listener is for Tablestore: only its clients send
// x-ots headers.
func Claims(r *http.Request) bool {
	return r.Header.Get(headVersion) != "" || r.Header.Get(headKey) != "" || r.Header.Get(headInstance) != ""
}

type handler struct {
	Options
	owners sync.Map // instance name to the sluice.AppName that owns it; never changes once known
	extras sync.Map // table ID to its knownExtra
	mains  sync.Map // indexName to the name of the index's table, where it was last

	transactions transactions
}

// call is one request whose sender is known.
type call struct {
	*handler
	instance string
	who      access.Principal
}

// operation serves one request message and returns the response message.
type operation func(c *call, ctx context.Context, body []byte) (any, error)

// serve makes an operation of a method that takes the decoded message.
func serve[Request, Response any](f func(*call, context.Context, *Request) (*Response, error)) operation {
	return func(c *call, ctx context.Context, body []byte) (any, error) {
		req := new(Request)
		if err := unmarshal(body, req); err != nil {
			return nil, invalid("Cannot deserialize the request data.")
		}
		return f(c, ctx, req)
	}
}

// operationNamed finds what serves an operation; nil when nothing does.
func operationNamed(name string) operation {
	switch name {
	case "CreateTable":
		return serve((*call).createTable)
	case "ListTable":
		return serve((*call).listTable)
	case "DescribeTable":
		return serve((*call).describeTable)
	case "UpdateTable":
		return serve((*call).updateTable)
	case "DeleteTable":
		return serve((*call).deleteTable)
	case "AddDefinedColumn":
		return serve((*call).addDefinedColumn)
	case "DeleteDefinedColumn":
		return serve((*call).deleteDefinedColumn)
	case "CreateIndex":
		return serve((*call).createIndex)
	case "DropIndex":
		return serve((*call).dropIndex)
	case "GetRow":
		return serve((*call).getRow)
	case "GetRange":
		return serve((*call).getRange)
	case "BatchGetRow":
		return serve((*call).batchGetRow)
	case "PutRow":
		return serve((*call).putRow)
	case "UpdateRow":
		return serve((*call).updateRow)
	case "DeleteRow":
		return serve((*call).deleteRow)
	case "BatchWriteRow":
		return serve((*call).batchWriteRow)
	case "StartLocalTransaction":
		return serve((*call).startTransaction)
	case "CommitTransaction":
		return serve((*call).commitTransaction)
	case "AbortTransaction":
		return serve((*call).abortTransaction)
	case "ListStream":
		return serve((*call).listStream)
	case "DescribeStream":
		return serve((*call).describeStream)
	case "GetShardIterator":
		return serve((*call).getShardIterator)
	case "GetStreamRecord":
		return serve((*call).getStreamRecord)
	case "ComputeSplitPointsBySize":
		return serve((*call).computeSplitPoints)
	case "ComputeSplits":
		return serve((*call).computeSplits)
	case "ParallelScan":
		return serve((*call).parallelScan)
	case "ListSearchIndex":
		return serve((*call).listSearchIndex)
	case "CreateSearchIndex":
		return serve((*call).createSearchIndex)
	case "UpdateSearchIndex":
		return serve((*call).updateSearchIndex)
	case "DeleteSearchIndex":
		return serve((*call).deleteSearchIndex)
	case "DescribeSearchIndex":
		return serve((*call).describeSearchIndex)
	case "Search":
		return serve((*call).search)
	}
	return nil
}

// ServeHTTP answers one request. Every answer, also of an error, is signed once the key is known.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := h.Now()
	name := path.Base(r.URL.Path) // clients sign this alone, whatever their endpoint's path
	request := strings.ToLower(sluice.NewRequestID())
	var key string
	var body []byte
	status := http.StatusOK
	msg, err := func() (msg any, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		c, op, err := h.admit(r, name, &key)
		if err != nil {
			return nil, err
		}
		data, err := readBody(r)
		if err != nil {
			return nil, err
		}
		return op(c, r.Context(), data)
	}()
	if err == nil {
		body = marshal(msg)
	} else {
		f := faultOf(err)
		if f == faultInternal {
			h.Log.Error("tablestore request failed", "dialect", "aliyun", "request", request, "operation", name, "err", err)
		}
		status = f.Status
		body = marshal(&errorMessage{f.Code, f.Message})
	}
	head := w.Header()
	head.Set(headDate, h.Now().UTC().Format("2006-01-02T15:04:05.000Z"))
	head.Set(headRequest, request)
	head.Set(headType, contentType)
	head.Set(headMD5, contentMD5(body))
	if key != "" {
		head.Set("Authorization", "OTS "+r.Header.Get(headKey)+":"+signAnswer(name, head, key))
	}
	head.Set("Content-Type", "application/x.protobuf")
	head.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
	h.Log.Debug("tablestore", "dialect", "aliyun", "request", request, "operation", name,
		"status", status, "took", h.Now().Sub(began))
}

type errorMessage struct {
	Code    string `pb:"1!"`
	Message string `pb:"2!"`
}

// admit checks all that can be known from the headers and finds the operation. key is set as soon as
// the sender's secret is known.
func (h *handler) admit(r *http.Request, name string, key *string) (*call, operation, error) {
	if r.Method != http.MethodPost {
		return nil, nil, faultMethod
	}
	for _, required := range []string{headDate, headVersion, headKey, headMD5, headInstance} {
		if r.Header.Get(required) == "" {
			return nil, nil, invalid("Missing header: %s.", strings.ToLower(required))
		}
	}
	if r.Header.Get(headSign) == "" && r.Header.Get(headSignV4) == "" {
		return nil, nil, invalid("Missing header: %s.", strings.ToLower(headSign))
	}
	secret, who, err := h.Keys.Lookup(r.Context(), r.Header.Get(headKey), r.Header.Get(headToken))
	switch {
	case errors.Is(err, access.ErrUnknownKey):
		return nil, nil, refused("The AccessKeyID does not exist.")
	case errors.Is(err, access.ErrBadToken):
		return nil, nil, refused("The security token is invalid.")
	case errors.Is(err, access.ErrExpired):
		return nil, nil, refused("The security token has expired.")
	case err != nil:
		return nil, nil, err
	}
	answerKey, ok := verify(name, r.Header, secret)
	if !ok {
		return nil, nil, refused("Signature mismatch.")
	}
	*key = answerKey
	if err := h.checkDate(r.Header.Get(headDate)); err != nil {
		return nil, nil, err
	}
	op := operationNamed(name)
	if op == nil {
		return nil, nil, invalid("Unsupported operation: %s.", name)
	}
	c := &call{handler: h, instance: r.Header.Get(headInstance), who: who}
	return c, op, c.enter(r.Context())
}

// checkDate reads whole seconds only: the Go SDK writes garbage after them.
func (h *handler) checkDate(text string) error {
	const layout = "2006-01-02T15:04:05"
	if len(text) < len(layout) {
		return invalid("Invalid date format: %s.", text)
	}
	fraction, zulu := strings.CutSuffix(text[len(layout):], "Z")
	date, err := time.Parse(layout, text[:len(layout)])
	if err != nil || !zulu || strings.Trim(fraction, ".0123456789") != "" {
		return invalid("Invalid date format: %s.", text)
	}
	if h.MaxSkew > 0 && h.Now().Sub(date).Abs() > h.MaxSkew {
		return refused("Mismatch between system time and x-ots-date: %s.", text)
	}
	return nil
}

// readBody reads, checks and inflates a request's body.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, faultSlow
	}
	if err != nil {
		return nil, invalid("Cannot deserialize the request data.")
	}
	if len(body) > maxBody {
		// Clients read the answer only after they have sent it all.
		io.Copy(io.Discard, io.LimitReader(r.Body, 8*maxBody))
		return nil, faultBody
	}
	if contentMD5(body) != r.Header.Get(headMD5) {
		return nil, refused("Mismatch between MD5 value of request body and x-ots-contentmd5 in header.")
	}
	if !strings.EqualFold(r.Header.Get(headDeflate), deflateMethod) {
		return body, nil
	}
	size, err := strconv.Atoi(r.Header.Get(headInflated))
	if err != nil || size < 0 {
		return nil, invalid("Missing header: %s.", strings.ToLower(headInflated))
	}
	if size > maxBody {
		return nil, faultBody
	}
	z, err := zlib.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, invalid("Cannot deserialize the request data.")
	}
	raw, err := io.ReadAll(io.LimitReader(z, int64(size)+1))
	if err != nil || len(raw) != size {
		return nil, invalid("Cannot deserialize the request data.")
	}
	return raw, nil
}
