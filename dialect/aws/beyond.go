package aws

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/function"
)

// maxBeyond is how many bytes a request to a service that is not ours may have: it is signed anew as a whole.
const maxBeyond = 64 << 20

// Beyond is what becomes of requests of functions to hosts and services of AWS that sluice does not serve
// (aws.md 8.4). They fail at once, unless they are let through.
type Beyond struct {
	// Hosts may be asked: "bedrock-runtime" is every host that begins so, a pattern with dots ("*.amazonaws.com")
	// is held against the whole host, "*" is all of them.
	Hosts []string
	// Credentials sign in place of a function's own, which AWS does not know. With the zero value a function
	// has to bring some that AWS knows.
	Credentials access.Credentials
	// Transport reaches AWS; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

// allows reports whether requests to a host are let through.
func (b *Beyond) allows(host string) bool {
	for _, p := range b.Hosts {
		if p = strings.TrimSpace(p); !strings.ContainsAny(p, ".*") {
			p += ".*"
		}
		if ok, _ := path.Match(strings.ToLower(p), host); ok {
			return true
		}
	}
	return false
}

// beyond serves what is AWS's and not ours.
type beyond struct {
	Beyond
	keys  sigv4.Keys
	logs  function.LogSink // functions' own; may be nil
	log   *slog.Logger
	proxy *httputil.ReverseProxy
}

func newBeyond(o Beyond, keys sigv4.Keys, logs function.LogSink, log *slog.Logger) *beyond {
	b := &beyond{Beyond: o, keys: keys, logs: logs, log: log}
	b.proxy = &httputil.ReverseProxy{
		Transport: o.Transport, FlushInterval: -1, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "https", r.In.Host, r.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			refuseBeyond(w, r, http.StatusBadGateway, "ServiceUnavailable", r.Host+" cannot be reached: "+err.Error())
		},
	}
	return b
}

// hosts are the patterns of AWS's names.
var hosts = []string{"*.amazonaws.com", "*.amazonaws.com.cn", "*.on.aws", "*.api.aws"}

// claims reports whether a request is for AWS; that nobody else has claimed it, the caller knows. APIs and
// URLs of functions have hosts of their own, which apps answer.
func (b *beyond) claims(r *http.Request) bool {
	host := hostOf(r)
	if strings.Contains(host, ".execute-api.") || strings.Contains(host, ".lambda-url.") {
		return false
	}
	return isAWS(host) || serviceOf(r) != ""
}

func isAWS(host string) bool {
	for _, p := range hosts {
		if strings.HasSuffix(host, p[1:]) {
			return true
		}
	}
	return false
}

// hostOf is a request's host without its port, in lower case.
func hostOf(r *http.Request) string {
	host, _, _ := strings.Cut(strings.ToLower(r.Host), ":")
	return strings.TrimSuffix(host, ".")
}

// serviceOf is the service that a request's signature is for; "" when it has none of AWS's.
func serviceOf(r *http.Request) string {
	if !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
		return ""
	}
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	credential, _, _ = strings.Cut(credential, ",")
	parts := strings.Split(strings.TrimSpace(credential), "/")
	if len(parts) < 5 || parts[len(parts)-1] != "aws4_request" {
		return ""
	}
	return parts[len(parts)-2]
}

// ServeHTTP refuses a request, or signs it with credentials that AWS knows and lets it through.
func (b *beyond) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, service := hostOf(r), serviceOf(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBeyond))
	if err != nil {
		status := http.StatusBadRequest
		if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
			status = http.StatusRequestEntityTooLarge
		}
		refuseBeyond(w, r, status, "RequestTooLarge", "sluice could not read the request: "+err.Error())
		return
	}
	signed, fail := sigv4.New(b.keys, service).Verify(r, body)
	switch {
	case !isAWS(host) || !b.allows(host):
		b.stop(w, r, host, service, signed)
		return
	case r.URL.Query().Has("X-Amz-Signature"): // AWS knows whether it holds
	case fail == nil && b.Credentials.ID == "":
		b.log.Warn("a request to AWS cannot be signed", "host", host, "app", signed.App, "function", signed.Function)
		refuseBeyond(w, r, http.StatusForbidden, "UnrecognizedClientException", "sluice lets requests to "+host+" through and has no credentials that AWS knows: start it with AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its environment")
		return
	case fail == nil:
		r.Header.Del("X-Amz-Security-Token")
		sigv4.Sign(r, body, b.Credentials, signed.Region, signed.Service, time.Now())
	case fail.Reason == sigv4.Missing, fail.Reason == sigv4.UnknownKey, fail.Reason == sigv4.BadToken: // nobody's, or somebody's whom AWS may know
	default:
		refuseBeyond(w, r, http.StatusForbidden, "InvalidSignatureException", fail.Message)
		return
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	b.proxy.ServeHTTP(w, r)
}

// stop tells whoever asks, and who reads logs, that there is no such service here and what to do about it.
func (b *beyond) stop(w http.ResponseWriter, r *http.Request, host, service string, by *sigv4.Signed) {
	what, pattern := host, strings.Split(host, ".")[0]
	if !isAWS(host) { // it came by the endpoint that SDKs are told; what the service's hosts are called is not told
		what, pattern = "the service "+service+" of AWS", "'"+service+"*'"
	}
	var app sluice.AppName
	var fn sluice.FunctionName
	if by != nil {
		app, fn = by.App, by.Function
	}
	msg := "sluice does not serve " + what
	if fn != "" {
		msg += ", which function " + string(fn) + " of app " + string(app) + " asks"
	}
	if fn != "" || isAWS(host) {
		msg += ". To let such requests reach AWS, start sluice with --aws.passthrough=" + pattern + " (the beginning of a host) and with credentials of yours in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
	}
	b.log.Warn("a request to AWS was stopped", "host", host, "service", service, "app", app, "function", fn)
	if b.logs != nil && fn != "" {
		b.logs.Log(sluice.LogLine{Time: time.Now(), App: app, Function: fn, Level: "ERROR", Text: msg})
	}
	refuseBeyond(w, r, http.StatusBadRequest, "NotServedException", msg) // a status that SDKs do not try again
}

// refuseBeyond answers with an error in the protocol of the request, as far as that shows.
func refuseBeyond(w http.ResponseWriter, r *http.Request, status int, code, msg string) {
	id := uuid.NewString()
	w.Header().Set("X-Amzn-Requestid", id)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		b, _ := xml.Marshal(struct { // strings always marshal
			XMLName xml.Name `xml:"ErrorResponse"`
			Type    string   `xml:"Error>Type"`
			Code    string   `xml:"Error>Code"`
			Message string   `xml:"Error>Message"`
			Request string   `xml:"RequestId"`
		}{Type: "Sender", Code: code, Message: msg, Request: id})
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		w.Write(b)
		return
	}
	b, _ := json.Marshal(map[string]string{"__type": code, "message": msg}) // strings always marshal
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Errortype", code)
	w.WriteHeader(status)
	w.Write(b)
}
