package httpapi

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// FunctionURL is the address of one function (section 3.7).
type FunctionURL struct {
	o    Options
	name string
	id   string
	iam  bool
	live bool
	cors *apispec.CORS
}

// URLSettings are how a function's address answers.
type URLSettings struct {
	ID       string // of the address
	Function string // name or ARN, with an alias if need be
	IAM      bool   // AuthType AWS_IAM
	Stream   bool   // InvokeMode RESPONSE_STREAM
	CORS     *apispec.CORS
}

// NewURL makes the handler of a function's address.
func NewURL(o Options, s URLSettings) *FunctionURL {
	o.fill()
	return &FunctionURL{o: o, name: s.Function, id: s.ID, iam: s.IAM, live: s.Stream, cors: s.CORS}
}

// ServeHTTP serves one request.
func (u *FunctionURL) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{API: &API{o: u.o, spec: &apispec.API{CORS: u.cors}}, w: w, r: r, id: uuid.NewString(), origin: r.Header.Get("Origin")}
	w.Header().Set("X-Amzn-Requestid", c.id)
	c.cors(c)
	if u.cors != nil && r.Method == http.MethodOptions && c.origin != "" && r.Header.Get("Access-Control-Request-Method") != "" {
		c.preflight()
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, r.Body, 6<<20))
	if err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			refuse(c.w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
			return
		}
		refuse(c.w, http.StatusBadRequest, "Bad Request")
		return
	}
	q := request2{r: r, body: body, id: c.id, api: u.id, domain: u.id + ".lambda-url." + u.o.Region + ".on.aws", route: defaultName, stage: defaultName, path: r.URL.Path, now: u.o.Now(), account: noAccount}
	if u.iam {
		signed, bad := u.o.Verify.Verify(r, body)
		if bad != nil {
			c.w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
			c.w.Header().Set("Content-Type", "application/json")
			c.w.WriteHeader(http.StatusForbidden)
			io.WriteString(c.w, `{"Message":"Forbidden"}`)
			return
		}
		q.auth, q.account = iamContext(signed.KeyID), account
	}
	out := &flow{Live: Live{W: c.w}}
	var res sluice.Result
	if u.live {
		res, err = u.o.Functions.Stream(r.Context(), u.o.App, u.name, q.event(), out)
	} else {
		res, err = u.o.Functions.Invoke(r.Context(), u.o.App, u.name, q.event(), sluice.ConnID{})
	}
	switch {
	case out.begun && (err != nil || res.Failure != nil):
		panic(http.ErrAbortHandler) // so the client sees that this is not all
	case out.begun:
	case sluice.KindOf(err) == sluice.Throttled:
		fail(c.w, http.StatusTooManyRequests, "Too Many Requests")
	case err != nil:
		u.o.Log.Warn("function URL", "app", u.o.App, "function", u.name, "request", c.id, "err", err)
		fail(c.w, http.StatusBadGateway, "Internal Server Error")
	case res.Failure != nil:
		fail(c.w, http.StatusBadGateway, "Internal Server Error")
	default:
		if answer(c.w, r, res.Payload, false) != nil {
			fail(c.w, http.StatusBadGateway, "Internal Server Error")
		}
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	io.WriteString(w, strings.TrimSpace(message))
}

// iamContext is what an event tells of a caller who has signed.
func iamContext(key string) map[string]any {
	return map[string]any{"iam": map[string]any{
		"accessKey": key, "accountId": account, "callerId": key, "cognitoIdentity": nil, "principalOrgId": nil,
		"userArn": "arn:aws:iam::" + account + ":root", "userId": key,
	}}
}
