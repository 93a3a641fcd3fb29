package live

import (
	"cmp"
	"net/http"
	"net/http/httptrace"
)

// Patient is net/http's client, but an answer waits until its request is written. AWS's SDK for Go (smithy-go
// 1.28.8) closes a request's body when the answer's head is here; if net/http has yet to look for the body's
// end, it takes the EOF that it is given for a failed write and hangs up, amid what is still to be read.
type Patient struct {
	Client *http.Client // nil is net/http's own
}

// Do sends r and returns its answer, or net/http's error.
func (p Patient) Do(r *http.Request) (*http.Response, error) {
	written := make(chan struct{}, 1)
	res, err := cmp.Or(p.Client, http.DefaultClient).Do(r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) {
		select {
		case written <- struct{}{}:
		default: // net/http's own second try
		}
	}})))
	if err == nil {
		<-written
	}
	return res, err
}
