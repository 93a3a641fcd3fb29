package control

import (
	"net/http"
	"strings"
)

// serveImages answers for ECR. The Serverless Framework looks for its repository there before it removes a
// service, and takes it well that there is none.
func (c *Control) serveImages(w http.ResponseWriter, r *http.Request, _ string) error {
	if _, _, err := admit(c.images, w, r); err != nil {
		return err
	}
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op != "DescribeRepositories" {
		return &fault{status: http.StatusBadRequest, kind: "UnknownOperationException", msg: "sluice does not serve " + op + " of ECR: container images do not run here"}
	}
	return &fault{status: http.StatusBadRequest, kind: "RepositoryNotFoundException", msg: "There are no repositories here: container images do not run on sluice"}
}

// refuseJSON answers with an error of a service whose protocol is JSON.
func refuseJSON(w http.ResponseWriter, f *fault, _ string) {
	w.Header().Set("X-Amzn-Errortype", f.kind)
	answer(w, f.status, map[string]string{"__type": f.kind, "message": f.msg})
}
