package lambda

import (
	"cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/httpapi"
)

// URLOf is how the address of a function answers (section 3.7). Its id follows from the app and the
// function alone.
func URLOf(app sluice.AppName, f *sluice.Function) httpapi.URLSettings {
	e := extraOf(f)
	return httpapi.URLSettings{
		ID: apispec.ID(32, string(app), cmp.Or(f.HTTP.Name, string(f.Name)), "url"), Function: string(f.Name),
		IAM: f.HTTP.Auth != "anonymous", Stream: e.invokeMode() == "RESPONSE_STREAM", CORS: e.CORS,
	}
}
