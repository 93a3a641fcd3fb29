package lambda

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"net/http"
)

// maxChunk is how many bytes of a result go into one event of a response stream.
const maxChunk = 64 << 10

// stream calls a function and answers with a stream of events (section 3.1). What a function streams is
// collected first: the events tell it in pieces, but not before its end.
func (a *API) stream(w http.ResponseWriter, r *http.Request, c Call) error {
	if len(c.Payload) > maxPayload {
		return tooLarge(maxPayload)
	}
	if err := a.context(r, &c); err != nil {
		return err
	}
	if r.Header.Get("X-Amz-Invocation-Type") == "DryRun" {
		return a.dry(w, c)
	}
	f, res, err := a.o.Lambda.Invoke(r.Context(), c)
	if err != nil {
		return err
	}
	qualifier := c.Qualifier
	if _, q, _ := ParseName(c.Name); qualifier == "" {
		qualifier = q
	}
	payload := a.header(w, f, qualifier, &res, c)
	h := w.Header()
	h.Del("X-Amz-Function-Error")
	h.Del("X-Amz-Log-Result")
	h.Set("Content-Type", "application/vnd.amazon.eventstream")
	w.WriteHeader(http.StatusOK)
	end := struct {
		ErrorCode    string `json:",omitempty"`
		ErrorDetails string `json:",omitempty"`
		LogResult    string `json:",omitempty"`
	}{}
	if res.Failure != nil {
		end.ErrorCode, end.ErrorDetails, payload = "Unhandled", string(payload), nil
	}
	if c.Tail {
		end.LogResult = base64.StdEncoding.EncodeToString(res.LogTail)
	}
	for len(payload) > 0 {
		n := min(len(payload), maxChunk)
		w.Write(appendEvent(nil, "PayloadChunk", "application/octet-stream", payload[:n]))
		payload = payload[n:]
	}
	body, _ := json.Marshal(end) // texts always marshal
	w.Write(appendEvent(nil, "InvokeComplete", "application/json", body))
	return nil
}

// dry answers whether a call would be made.
func (a *API) dry(w http.ResponseWriter, c Call) error {
	if _, err := a.o.Lambda.Resolve(c.App, c.Name, c.Qualifier); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// context reads the headers that go with a call.
func (a *API) context(r *http.Request, c *Call) error {
	if len(c.Payload) > 0 && !json.Valid(c.Payload) {
		return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json")
	}
	c.Trace, c.Tail = r.Header.Get("X-Amzn-Trace-Id"), r.Header.Get("X-Amz-Log-Type") == "Tail"
	if text := r.Header.Get("X-Amz-Client-Context"); text != "" {
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil || !json.Valid(raw) || len(raw) > maxClient {
			return faultf(http.StatusBadRequest, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object.")
		}
		c.Client = string(raw)
	}
	return nil
}

// appendEvent writes one message of AWS's event stream: lengths, a checksum of them, headers, payload, and
// a checksum of all.
func appendEvent(b []byte, kind, contentType string, payload []byte) []byte {
	var head []byte
	for _, h := range [][2]string{{":event-type", kind}, {":content-type", contentType}, {":message-type", "event"}} {
		head = append(append(head, byte(len(h[0]))), h[0]...)
		head = append(head, 7) // a text
		head = append(binary.BigEndian.AppendUint16(head, uint16(len(h[1]))), h[1]...)
	}
	at := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(12+len(head)+len(payload)+4))
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
	b = append(append(b, head...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}
