package dynamodb

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
)

// packed is how long an answer has to be to be compressed, if the client likes that.
const packed = 4096

// errTooLong is a body that becomes longer than one may be.
var errTooLong = errors.New("dynamodb: the body is too long")

// unpack undoes a Content-Encoding.
func unpack(encoding string, body []byte) ([]byte, error) {
	var plain io.Reader
	var err error
	switch encoding {
	case "", "identity":
		return body, nil
	case "gzip":
		plain, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		plain, err = zlib.NewReader(bytes.NewReader(body))
	default:
		err = errors.New("dynamodb: unknown encoding")
	}
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(plain, maxBody+1))
	if err == nil && len(out) > maxBody {
		err = errTooLong
	}
	return out, err
}

// pack compresses an answer as a client accepts it; name is "" when it stays as it is.
func pack(accept []string, body []byte) (name string, out []byte) {
	if len(accept) == 0 || len(body) < packed {
		return "", body
	}
	name = preferred(accept[0]) // AWS looks at the first header only
	pool := packers[name]
	if pool == nil {
		return "", body
	}
	var buf bytes.Buffer
	w := pool.Get().(packer)
	w.Reset(&buf)
	_, _ = w.Write(body) // a buffer takes everything
	_ = w.Close()
	pool.Put(w)
	return name, buf.Bytes()
}

// packer is a compressor. One is as large as a long answer (some 800 KB), so they are used again.
type packer interface {
	io.WriteCloser
	Reset(io.Writer)
}

var packers = map[string]*sync.Pool{
	"gzip":    {New: func() any { return packer(gzip.NewWriter(nil)) }},
	"deflate": {New: func() any { return packer(zlib.NewWriter(nil)) }},
}

// preferred is the encoding, gzip or deflate, that an Accept-Encoding likes best; "" is none. It is read as
// AWS does: identity counts for nothing, the first "q=" is the weight, and what is no number is 1.
func preferred(accept string) (best string) {
	most, any := 0.0, 0.0
	named := map[string]bool{}
	take := func(name string, weight float64) {
		if weight = min(weight, 1); weight > most {
			best, most = name, weight
		}
	}
	for part := range strings.SplitSeq(accept, ",") {
		name, rest, _ := strings.Cut(part, ";")
		weight := 1.0
		if _, q, ok := strings.Cut(rest, "q="); ok {
			q, _, _ = strings.Cut(q, ";")
			if n, err := strconv.ParseFloat(strings.TrimSpace(q), 64); err == nil {
				weight = n
			}
		}
		switch name = strings.ToLower(strings.TrimSpace(name)); name {
		case "gzip", "deflate":
			named[name] = true
			take(name, weight)
		case "*":
			any = weight
		}
	}
	for _, name := range []string{"gzip", "deflate"} {
		if !named[name] {
			take(name, any)
		}
	}
	return best
}
