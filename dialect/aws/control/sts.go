package control

import (
	"encoding/xml"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/access"
)

const stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"

// identity is the answer of GetCallerIdentity.
type identity struct {
	XMLName xml.Name `xml:"GetCallerIdentityResponse"`
	NS      string   `xml:"xmlns,attr"`
	ARN     string   `xml:"GetCallerIdentityResult>Arn"`
	UserID  string   `xml:"GetCallerIdentityResult>UserId"`
	Account string   `xml:"GetCallerIdentityResult>Account"`
	Request string   `xml:"ResponseMetadata>RequestId"`
}

// serveSTS answers GetCallerIdentity, the one call that anybody with a key may make.
func (c *Control) serveSTS(w http.ResponseWriter, r *http.Request, id string) error {
	who, body, err := admit(c.sts, w, r)
	if err != nil {
		return err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return &fault{status: http.StatusBadRequest, kind: "MalformedQueryString", msg: "The query string is malformed"}
	}
	action := form.Get("Action")
	if action == "" {
		action = r.URL.Query().Get("Action")
	}
	if action != "GetCallerIdentity" {
		return &fault{status: http.StatusBadRequest, kind: "InvalidAction", msg: "sluice does not serve " + action + " of STS"}
	}
	arn, user := callerOf(who.Principal)
	return writeXML(w, http.StatusOK, identity{NS: stsNamespace, ARN: arn, UserID: user, Account: account, Request: id})
}

// callerOf is who a principal is on the cloud: the account itself, or the role of an app's functions.
func callerOf(p access.Principal) (arn, user string) {
	if p.Admin() {
		return "arn:aws:iam::" + account + ":root", account
	}
	session := string(p.Function)
	if session == "" {
		session = "app"
	}
	return "arn:aws:sts::" + account + ":assumed-role/" + string(p.App) + "/" + session, "AROA" + account + ":" + session
}

// queryError is an error of the Query protocol.
type queryError struct {
	XMLName xml.Name `xml:"ErrorResponse"`
	NS      string   `xml:"xmlns,attr"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
	Request string   `xml:"RequestId"`
}

// queryCodes are the codes that services of the Query protocol have for what others call so.
var queryCodes = map[string]string{"InvalidSignatureException": "SignatureDoesNotMatch", "UnrecognizedClientException": "InvalidClientTokenId",
	"MissingAuthenticationTokenException": "MissingAuthenticationToken", "IncompleteSignatureException": "IncompleteSignature", "ExpiredTokenException": "ExpiredToken",
	"InternalServerException": "InternalFailure"}

// refuseQuery answers with an error of a service.
func refuseQuery(namespace string) func(http.ResponseWriter, *fault, string) {
	return func(w http.ResponseWriter, f *fault, id string) {
		e := queryError{NS: namespace, Type: "Sender", Code: f.kind, Message: f.msg, Request: id}
		if f.status >= 500 {
			e.Type = "Receiver"
		}
		if code := queryCodes[f.kind]; code != "" {
			e.Code = code
		}
		writeXML(w, f.status, e)
	}
}

func writeXML(w http.ResponseWriter, status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	w.Write(b)
	return nil
}
