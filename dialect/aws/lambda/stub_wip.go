package lambda

import (
	"net/http"

	"github.com/sluicehq/sluice"
)

func (a *API) stream(w http.ResponseWriter, r *http.Request, c Call) error { return missingf("stream") }
func (a *API) manage(w http.ResponseWriter, r *http.Request, app sluice.AppName, parts []string, body []byte) error {
	return missingf("manage")
}
