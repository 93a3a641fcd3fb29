package lambda

import (
	"cmp"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/httpapi"
)

// Address is where a function answers, on the cloud; a Missing error when it has no URL.
func (l *Lambda) Address(app sluice.AppName, function string) (string, error) {
	f, _, err := l.resolve(app, function, "")
	if err != nil {
		return "", err
	}
	if f.Spec.HTTP == nil || app != "" && f.App != app {
		return "", sluice.Errorf(sluice.Missing, "function %s has no URL", f.Name)
	}
	return f.address(), nil
}

// address is the URL of a function that has one.
func (f *Function) address() string {
	return "https://" + URLOf(f.App, &f.Spec).ID + ".lambda-url." + cmp.Or(f.Env["AWS_REGION"], DefaultRegion) + ".on.aws/"
}

// URLOf is how the address of a function answers (section 3.7). Its id follows from the app and the
// function alone.
func URLOf(app sluice.AppName, f *sluice.Function) httpapi.URLSettings {
	e := extraOf(f)
	return httpapi.URLSettings{
		ID: apispec.ID(32, string(app), cmp.Or(f.HTTP.Name, string(f.Name)), "url"), Function: string(f.Name),
		IAM: f.HTTP.Auth != "anonymous", Stream: e.invokeMode() == "RESPONSE_STREAM", CORS: e.CORS,
	}
}
