package wire

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"strings"
	"sync"
)

// deflateAnswer is what we agree to: no context is kept on either side, because a compressor of
// hundreds of KB for each connection is impossible.
const deflateAnswer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// minDeflate is the size below which compression does not pay.
const minDeflate = 128

// rsv1 marks a compressed message in a frame's first byte.
const rsv1 = 0x40

// flushTail ends each flush of a compressor; RFC 7692 section 7.2.1 takes it off, and a final empty
// block after it lets a reader see the end.
const (
	flushTail = "\x00\x00\xff\xff"
	finalTail = flushTail + "\x01\x00\x00\xff\xff"
)

// offersDeflate reports whether one of the client's offers is permessage-deflate with parameters
// that we can meet (RFC 7692 section 7.1). We cannot make our own window smaller.
func offersDeflate(headers []string) bool {
	for _, line := range headers {
		for offer := range strings.SplitSeq(line, ",") {
			if acceptable(offer) {
				return true
			}
		}
	}
	return false
}

func acceptable(offer string) bool {
	name, params, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	seen := map[string]bool{}
	for p := range strings.SplitSeq(params, ";") {
		key, value, valued := strings.Cut(strings.TrimSpace(p), "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		if key == "" && params == "" {
			break
		}
		if seen[key] {
			return false
		}
		seen[key] = true
		switch {
		case (key == "server_no_context_takeover" || key == "client_no_context_takeover") && !valued:
		case key == "client_max_window_bits" && (!valued || windowBits(value)):
		case key == "server_max_window_bits" && value == "15":
		default:
			return false
		}
	}
	return true
}

func windowBits(s string) bool {
	switch s {
	case "8", "9", "10", "11", "12", "13", "14", "15":
		return true
	}
	return false
}

var compressors = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant of the same package
	}
	return w
}}

// deflateFrame builds a compressed frame of a message.
func deflateFrame(op Op, payload []byte) []byte {
	var out bytes.Buffer
	w := compressors.Get().(*flate.Writer)
	defer compressors.Put(w)
	w.Reset(&out)
	w.Write(payload) // a bytes.Buffer does not fail
	w.Flush()
	body := bytes.TrimSuffix(out.Bytes(), []byte(flushTail))
	frame := make([]byte, 0, HeaderSize(len(body))+len(body))
	return append(appendHead(frame, byte(op)|rsv1, len(body)), body...)
}

var decompressors = sync.Pool{New: func() any { return flate.NewReader(strings.NewReader("")) }}

var errInflated = errors.New("inflated message too big")

// inflate decompresses one message of at most limit bytes.
func inflate(body []byte, limit int) ([]byte, error) {
	r := decompressors.Get().(io.ReadCloser)
	defer decompressors.Put(r)
	err := r.(flate.Resetter).Reset(io.MultiReader(bytes.NewReader(body), strings.NewReader(finalTail)), nil)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(out) > limit {
		return nil, errInflated
	}
	return out, nil
}
