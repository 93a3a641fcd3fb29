package control

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
)

// serveResources answers for Cloud Control, which the SAM CLI asks for one thing: the URL of a function.
func (c *Control) serveResources(w http.ResponseWriter, r *http.Request, _ string) error {
	who, body, err := admit(c.resources, w, r)
	if err != nil {
		return err
	}
	var q struct{ TypeName, Identifier string }
	if err := json.Unmarshal(body, &q); err != nil {
		return &fault{status: http.StatusBadRequest, kind: "SerializationException", msg: "the request is no JSON that can be understood: " + err.Error()}
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op != "GetResource" || q.TypeName != "AWS::Lambda::Url" || c.o.URL == nil {
		return &fault{status: http.StatusBadRequest, kind: "UnsupportedActionException", msg: "sluice does not serve " + op + " of " + q.TypeName + " of Cloud Control"}
	}
	url, err := c.o.URL(who.App, q.Identifier)
	if sluice.KindOf(err) == sluice.Missing {
		return &fault{status: http.StatusBadRequest, kind: "ResourceNotFoundException", msg: "Resource of type 'AWS::Lambda::Url' with identifier '" + q.Identifier + "' was not found."}
	}
	if err != nil {
		return err
	}
	properties, _ := json.Marshal(map[string]string{"FunctionUrl": url, "FunctionArn": q.Identifier, "TargetFunctionArn": q.Identifier}) // strings always marshal
	return answer(w, http.StatusOK, map[string]any{"TypeName": q.TypeName, "ResourceDescription": map[string]string{"Identifier": q.Identifier, "Properties": string(properties)}})
}
