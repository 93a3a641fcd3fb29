package s3

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/object/rest"
)

const (
	maxChunk = 16 << 20 // bytes of a chunk that is signed: they are checked before they are used
	maxTrail = 64       // lines after the last chunk
)

// frame replaces a request's body by what is in its frame, checked against all that the request and its
// trailers promise. s is nil when nobody signed it (aws.md 6.3). What is checked comes to c.Docs.
func frame(c *rest.Call, s *sigv4.Signed) error {
	r := c.R
	payload := r.Header.Get("X-Amz-Content-Sha256")
	b := &body{raw: r.Body, docs: c.Docs, sums: map[string]hash.Hash{}, want: map[string]string{}}
	if streaming, ok := strings.CutPrefix(payload, "STREAMING-"); ok {
		chunks := &chunkReader{r: bufio.NewReaderSize(r.Body, 64<<10), trailers: map[string]string{}}
		switch streaming {
		case "UNSIGNED-PAYLOAD-TRAILER":
		case "AWS4-HMAC-SHA256-PAYLOAD", "AWS4-HMAC-SHA256-PAYLOAD-TRAILER":
			if s == nil {
				return rest.Denied("Anonymous requests cannot have signed chunks.")
			}
			if !s.Unchecked {
				chunks.signed, chunks.prev = s, s.Signature
			}
		default:
			return rest.NotImplemented("x-amz-content-sha256: " + payload)
		}
		size, err := strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		if err != nil || size < 0 {
			return rest.Refuse(411, "MissingContentLength", "You must provide the Content-Length HTTP header.")
		}
		b.raw, b.trailers, r.ContentLength = chunks, chunks.trailers, size
		for name := range strings.SplitSeq(r.Header.Get("X-Amz-Trailer"), ",") {
			name = strings.ToLower(strings.TrimSpace(name))
			if sum := algorithms[strings.TrimPrefix(name, checksum)]; sum != nil {
				b.sums[name], b.want[name] = sum(), ""
			}
		}
	} else if payload != "" && payload != sigv4.Unsigned {
		if len(payload) != 64 {
			return rest.Invalid("x-amz-content-sha256", payload, "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, or a valid sha256 value.")
		}
		b.sums[""], b.want[""] = sha256.New(), payload
	}
	if !completes(r) { // there they are of the object, not of this body
		for end, sum := range algorithms {
			if v := r.Header.Get(checksum + end); v != "" {
				b.sums[checksum+end], b.want[checksum+end] = sum(), v
			}
		}
	}
	unchunk(r.Header)
	r.Body = b
	return nil
}

func completes(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// unchunk takes aws-chunked out of the content encodings: it is not kept with the object.
func unchunk(h http.Header) {
	v := h.Get("Content-Encoding")
	if v == "" {
		return
	}
	var kept []string
	for e := range strings.SplitSeq(v, ",") {
		if e = strings.TrimSpace(e); e != "aws-chunked" && e != "" {
			kept = append(kept, e)
		}
	}
	if len(kept) == 0 {
		h.Del("Content-Encoding")
		return
	}
	h.Set("Content-Encoding", strings.Join(kept, ", "))
}

// body is a request's body, whose checksums are compared at its end.
type body struct {
	raw      io.Reader
	sums     map[string]hash.Hash // by their headers; "" is of x-amz-content-sha256
	want     map[string]string
	trailers map[string]string
	docs     map[string]string
	end      error // what the end has been found to be
}

// Close does nothing: the server closes what is on the wire.
func (b *body) Close() error { return nil }

func (b *body) Read(p []byte) (int, error) {
	if b.end != nil {
		return 0, b.end
	}
	n, err := b.raw.Read(p)
	for _, sum := range b.sums {
		sum.Write(p[:n])
	}
	if err == io.EOF {
		err = b.check()
	}
	b.end = err
	return n, err
}

// check compares the checksums; io.EOF says that they hold.
func (b *body) check() error {
	for name, sum := range b.sums {
		want, got := b.want[name], sum.Sum(nil)
		if name == "" {
			if !strings.EqualFold(want, hex.EncodeToString(got)) {
				return rest.Refuse(400, "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed.").
					With("ClientComputedContentSHA256", want).With("S3ComputedContentSHA256", hex.EncodeToString(got))
			}
			continue
		}
		if want == "" {
			want = b.trailers[name]
		}
		have := base64.StdEncoding.EncodeToString(got)
		if want != have {
			return rest.Refuse(400, "BadDigest", "The "+strings.ToUpper(strings.TrimPrefix(name, checksum))+" you specified did not match the calculated checksum.")
		}
		b.docs[name] = have
	}
	return io.EOF
}

var errChunk = rest.Refuse(400, "InvalidChunkSizeError", "The aws-chunked body is not well formed.")

// chunkReader reads what is in a body of aws-chunked encoding:
//
//	{hex size}[;chunk-signature={hex}]\r\n {bytes} \r\n … 0[;…]\r\n [{trailer}:{value}\r\n …] \r\n
type chunkReader struct {
	r        *bufio.Reader
	signed   *sigv4.Signed // nil when chunks are not signed
	prev     string        // the signature before
	left     int64         // bytes of the chunk that are still to be read; of signed ones in buf
	buf      []byte
	trailers map[string]string
	begun    bool
	err      error
}

func (c *chunkReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, c.err
	}
	for c.err == nil && c.left == 0 {
		c.err = c.next()
	}
	if c.err != nil {
		return 0, c.err
	}
	n := int(min(int64(len(p)), c.left))
	var err error
	if c.signed != nil {
		copy(p, c.buf[:n])
		c.buf = c.buf[n:]
	} else if n, err = c.r.Read(p[:n]); err != nil {
		c.err = short(err)
		err = c.err
	}
	c.left -= int64(n)
	return n, err
}

// short is an end that comes too early.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line reads a line without its end.
func (c *chunkReader) line() (string, error) {
	b, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) || len(b) > 8<<10 {
		return "", errChunk
	}
	if err != nil {
		return "", short(err)
	}
	return string(bytes.TrimRight(b, "\r\n")), nil
}

// next begins a chunk; io.EOF is the end of all.
func (c *chunkReader) next() error {
	if c.begun { // the end of the chunk before
		if end, err := c.line(); err != nil || end != "" {
			if err == nil {
				err = errChunk
			}
			return err
		}
	}
	c.begun = true
	head, err := c.line()
	if err != nil {
		return err
	}
	text, extension, _ := strings.Cut(head, ";")
	size, err := strconv.ParseInt(strings.TrimSpace(text), 16, 64)
	if err != nil || size < 0 || c.signed != nil && size > maxChunk {
		return errChunk
	}
	c.left = size
	if c.signed != nil {
		c.buf = make([]byte, size)
		if _, err := io.ReadFull(c.r, c.buf); err != nil {
			return short(err)
		}
		_, given, _ := strings.Cut(extension, "chunk-signature=")
		if c.prev = c.signed.ChunkSignature(c.prev, c.buf); c.prev != given {
			return mismatch
		}
	}
	if size > 0 {
		return nil
	}
	return c.end()
}

// end reads the trailers.
func (c *chunkReader) end() error {
	var signed strings.Builder
	for range maxTrail {
		line, err := c.line()
		if err == nil && line != "" {
			name, value, _ := strings.Cut(line, ":")
			name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
			if name == "x-amz-trailer-signature" {
				if c.signed != nil && value != c.signed.TrailerSignature(c.prev, signed.String()) {
					return mismatch
				}
				signed.Reset()
				continue
			}
			signed.WriteString(name + ":" + value + "\n")
			c.trailers[name] = value
			continue
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if c.signed != nil && signed.Len() > 0 { // trailers that nobody signed
			return mismatch
		}
		return io.EOF
	}
	return errChunk
}
