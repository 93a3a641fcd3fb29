package lambda

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// urlInput is what clients say of a function's address.
type urlInput struct {
	AuthType   *string
	InvokeMode *string
	Cors       *corsView
}

// corsView is a CORS configuration as Lambda spells it.
type corsView struct {
	AllowCredentials bool     `json:",omitempty"`
	AllowHeaders     []string `json:",omitempty"`
	AllowMethods     []string `json:",omitempty"`
	AllowOrigins     []string `json:",omitempty"`
	ExposeHeaders    []string `json:",omitempty"`
	MaxAge           *int     `json:",omitempty"`
}

// urlView is a function's address as the API shows it.
type urlView struct {
	FunctionUrl      string
	FunctionArn      string
	AuthType         string
	Cors             *corsView `json:",omitempty"`
	CreationTime     string
	LastModifiedTime string
	InvokeMode       string
}

func urlOf(f *Function) urlView {
	s := URLOf(f.App, &f.Spec)
	v := urlView{FunctionUrl: f.address(), FunctionArn: f.ARN, AuthType: "NONE", InvokeMode: f.Extra.invokeMode(),
		CreationTime: f.changed(f.Extra.URLCreated).UTC().Format(urlTime), LastModifiedTime: f.changed(f.Extra.URLModified).UTC().Format(urlTime)}
	if s.IAM {
		v.AuthType = "AWS_IAM"
	}
	if c := s.CORS; c != nil {
		v.Cors = &corsView{c.Credentials, c.Headers, c.Methods, c.Origins, c.Expose, c.MaxAge}
	}
	return v
}

const urlTime = "2006-01-02T15:04:05.000Z"

// invokeMode is how a function's address answers: as a whole, or as it comes.
func (e *Extra) invokeMode() string {
	var mode string
	json.Unmarshal(e.Settings["InvokeMode"], &mode) // what is none is ""
	return cmp.Or(mode, "BUFFERED")
}

func noURL() error { return missingf("The resource you requested does not exist.") }

// apply writes what is said into the function.
func (d *urlInput) apply(f *sluice.Function, e *Extra) error {
	if d.AuthType != nil {
		switch *d.AuthType {
		case "NONE":
			f.HTTP.Auth = "anonymous"
		case "AWS_IAM":
			f.HTTP.Auth = "function"
		default:
			return invalid(*d.AuthType, "authType", "Member must satisfy enum value set: [NONE, AWS_IAM]")
		}
	}
	if d.InvokeMode != nil {
		if *d.InvokeMode != "BUFFERED" && *d.InvokeMode != "RESPONSE_STREAM" {
			return invalid(*d.InvokeMode, "invokeMode", "Member must satisfy enum value set: [RESPONSE_STREAM, BUFFERED]")
		}
		if e.Settings == nil {
			e.Settings = map[string]json.RawMessage{}
		}
		e.Settings["InvokeMode"] = json.RawMessage(strconv.Quote(*d.InvokeMode))
	}
	if c := d.Cors; c != nil {
		e.CORS = &apispec.CORS{Origins: c.AllowOrigins, Methods: c.AllowMethods, Headers: c.AllowHeaders, Expose: c.ExposeHeaders, Credentials: c.AllowCredentials, MaxAge: c.MaxAge}
	}
	return nil
}

// qualified refuses addresses of aliases: a function has one.
func qualified(qualifier string) error {
	if qualifier != "" && qualifier != Latest {
		return invalidf("addresses of aliases are not supported: all versions of a function run its newest code here")
	}
	return nil
}

func (a *API) createURL(ctx context.Context, q *query) (any, error) {
	var d urlInput
	if err := q.read(&d); err != nil {
		return nil, err
	}
	if d.AuthType == nil {
		return nil, invalid("null", "authType", "Member must not be null")
	}
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, qualifier string) error {
		if err := qualified(qualifier); err != nil {
			return err
		}
		if f.HTTP != nil {
			return faultf(http.StatusConflict, "ResourceConflictException", "Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function", ARN(q.region, f.Physical))
		}
		f.HTTP = &sluice.HTTPTrigger{Name: f.Physical}
		e.URLCreated, e.URLModified = a.o.Now(), a.o.Now()
		return d.apply(f, e)
	})
	if err != nil {
		return nil, err
	}
	return urlOf(f), nil
}

func (a *API) getURL(ctx context.Context, q *query) (any, error) {
	f, qualifier, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	if f.Spec.HTTP == nil || qualifier != "" && qualifier != Latest {
		return nil, noURL()
	}
	return urlOf(f.Function), nil
}

func (a *API) listURLs(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	list := []urlView{}
	if f.Spec.HTTP != nil {
		list = append(list, urlOf(f.Function))
	}
	return listing(q, "FunctionUrlConfigs", list)
}

func (a *API) updateURL(ctx context.Context, q *query) (any, error) {
	var d urlInput
	if err := q.read(&d); err != nil {
		return nil, err
	}
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, qualifier string) error {
		if err := qualified(qualifier); err != nil {
			return err
		}
		if f.HTTP == nil {
			return noURL()
		}
		e.URLModified = a.o.Now()
		return d.apply(f, e)
	})
	if err != nil {
		return nil, err
	}
	return urlOf(f), nil
}

func (a *API) deleteURL(ctx context.Context, q *query) (any, error) {
	_, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, _ string) error {
		if f.HTTP == nil {
			return noURL()
		}
		f.HTTP, e.CORS = nil, nil
		delete(e.Settings, "InvokeMode")
		return nil
	})
	return nil, err
}

// destination is where a result or a failure goes.
type destination struct {
	Destination string `json:",omitempty"`
}

// destinations are those of a function's asynchronous calls, or of a mapping's failures.
type destinations struct {
	OnSuccess *destination `json:",omitempty"`
	OnFailure *destination `json:",omitempty"`
}

// to is the function that a destination names. Others than functions cannot be told.
func (d *destination) to(what string) (string, error) {
	if d == nil || d.Destination == "" {
		return "", nil
	}
	if _, _, ok := ParseName(d.Destination); !ok || !strings.Contains(d.Destination, ":lambda:") {
		return "", invalidf("The provided destination config DestinationConfig(%s) is invalid: sluice tells functions only", what+"="+d.Destination)
	}
	return d.Destination, nil
}

func destinationOf(arn string) *destination { return &destination{arn} }

// invokeConfig is what clients say of asynchronous calls.
type invokeConfig struct {
	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds *int
	DestinationConfig        *destinations
}

// invokeConfigView is the same as the API shows it.
type invokeConfigView struct {
	LastModified             float64
	FunctionArn              string
	MaximumRetryAttempts     *int `json:",omitempty"`
	MaximumEventAgeInSeconds *int `json:",omitempty"`
	DestinationConfig        destinations
}

func showInvokeConfig(f *Function) invokeConfigView {
	c := f.Spec.Async
	v := invokeConfigView{LastModified: unix(f.changed(f.Extra.AsyncModified)), FunctionArn: f.ARN + ":" + Latest, MaximumRetryAttempts: &c.Retries,
		DestinationConfig: destinations{destinationOf(c.OnSuccess), destinationOf(c.OnFailure)}}
	if c.MaxAge > 0 {
		seconds := int(c.MaxAge / time.Second)
		v.MaximumEventAgeInSeconds = &seconds
	}
	return v
}

// unix is a moment as JSON has it where the API wants numbers.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// apply writes what is said into a function.
func (d *invokeConfig) apply(c *sluice.AsyncCalls) error {
	if d.MaximumRetryAttempts != nil {
		if err := within(*d.MaximumRetryAttempts, "maximumRetryAttempts", 0, 2); err != nil {
			return err
		}
		c.Retries = *d.MaximumRetryAttempts
	}
	if d.MaximumEventAgeInSeconds != nil {
		if err := within(*d.MaximumEventAgeInSeconds, "maximumEventAgeInSeconds", 60, 21600); err != nil {
			return err
		}
		c.MaxAge = time.Duration(*d.MaximumEventAgeInSeconds) * time.Second
	}
	if d.DestinationConfig != nil {
		var err, err2 error
		c.OnSuccess, err = d.DestinationConfig.OnSuccess.to("onSuccess")
		c.OnFailure, err2 = d.DestinationConfig.OnFailure.to("onFailure")
		return cmp.Or(err, err2)
	}
	return nil
}

func (a *API) putInvokeConfig(ctx context.Context, q *query) (any, error) {
	return a.setInvokeConfig(ctx, q, true)
}

func (a *API) updateInvokeConfig(ctx context.Context, q *query) (any, error) {
	return a.setInvokeConfig(ctx, q, false)
}

func (a *API) setInvokeConfig(ctx context.Context, q *query, anew bool) (any, error) {
	var d invokeConfig
	if err := q.read(&d); err != nil {
		return nil, err
	}
	f, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, e *Extra, qualifier string) error {
		if f.Async == nil && !anew {
			return missingf("The function %s doesn't have an EventInvokeConfig", ARN(q.region, f.Physical)+":"+cmp.Or(qualifier, Latest))
		}
		if f.Async == nil || anew {
			f.Async = &sluice.AsyncCalls{Retries: asyncRetries}
		}
		e.AsyncModified = a.o.Now()
		return d.apply(f.Async)
	})
	if err != nil {
		return nil, err
	}
	return showInvokeConfig(f), nil
}

func (a *API) getInvokeConfig(ctx context.Context, q *query) (any, error) {
	f, qualifier, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	if f.Spec.Async == nil {
		return nil, missingf("The function %s doesn't have an EventInvokeConfig", f.ARN+":"+cmp.Or(qualifier, Latest))
	}
	return showInvokeConfig(f.Function), nil
}

func (a *API) listInvokeConfigs(ctx context.Context, q *query) (any, error) {
	f, _, err := a.function(ctx, q, q.args["function"])
	if err != nil {
		return nil, err
	}
	list := []invokeConfigView{}
	if f.Spec.Async != nil {
		list = append(list, showInvokeConfig(f.Function))
	}
	return listing(q, "FunctionEventInvokeConfigs", list)
}

func (a *API) deleteInvokeConfig(ctx context.Context, q *query) (any, error) {
	_, err := a.change(ctx, q, q.args["function"], func(f *sluice.Function, _ *Extra, _ string) error {
		if f.Async == nil {
			return missingf("The function %s doesn't have an EventInvokeConfig", ARN(q.region, f.Physical)+":"+Latest)
		}
		f.Async = nil
		return nil
	})
	return nil, err
}
