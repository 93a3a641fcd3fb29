package apigateway

import (
	"bytes"
	"encoding/json"
	"net/http"

	"github.com/sluicehq/sluice"
)

// fault is an answer of the gateway's own.
type fault struct {
	status int
	body   any // JSON
}

// message is the body of faults of HTTP APIs.
type message struct {
	Text string `json:"message"`
}

// errno is the body of answers to handshakes and pushes.
type errno struct {
	No  any    `json:"errNo"`
	Msg string `json:"errMsg"`
}

func noAPI() *fault {
	return &fault{http.StatusNotFound, message{"There is no api match current request"}}
}

// refusal answers a handshake.
func (f *fault) refusal(request string) *sluice.Refusal {
	return &sluice.Refusal{Status: f.status, Body: plain(f.body), Header: http.Header{
		"Content-Type": {"application/json"}, "X-Api-Requestid": {request},
	}}
}

// write answers a request; request may be empty.
func (f *fault) write(w http.ResponseWriter, request string) {
	w.Header().Set("Content-Type", "application/json")
	if request != "" {
		w.Header().Set("X-Api-RequestId", request)
	}
	w.WriteHeader(f.status)
	w.Write(plain(f.body))
}

// plain is v as the cloud writes JSON: with <, > and & as they are. v always marshals.
func plain(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
