package websocket

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/websocket/document"
)

// proxy calls a function with the event as it is, and reads its answer as a response.
func (in *integration) proxy(ctx context.Context, c *call, twoWay bool) (answer, error) {
	event := c.event(c.encoded && in.spec.ContentHandling != "CONVERT_TO_TEXT")
	res, err := in.st.apis.o.Functions.Invoke(ctx, in.st.api.app.name, in.function, event, c.ev.Conn.ID)
	if err != nil {
		return answer{}, in.unreached(c, statusFailed, err)
	}
	if f := res.Failure; f != nil {
		return answer{}, failed(statusFailed, fmt.Errorf("%s: %s", f.Type, f.Message))
	}
	if c.ev.Kind == sluice.Close {
		return answer{}, nil
	}
	a, err := proxyAnswer(res.Payload)
	if err != nil {
		bad := failed(statusFailed, fmt.Errorf("malformed answer of function %s: %w", in.function, err))
		bad.silent = !malformedTold && !twoWay && c.ev.Kind == sluice.Message
		return answer{}, bad
	}
	return a, nil
}

// proxyAnswer reads what a function returned: {"statusCode", "headers", "multiValueHeaders", "body",
// "isBase64Encoded"}.
func proxyAnswer(b []byte) (a answer, err error) {
	var status, encoded, headers, multi []byte
	err = document.Members(b, func(key, raw []byte) (err error) {
		is := func(name string) bool { return strings.EqualFold(string(key), name) }
		switch {
		case is("statusCode"):
			status = bytes.Trim(raw, `"`)
		case is("body"):
			a.body, err = textOf(raw)
		case is("isBase64Encoded"):
			encoded = raw
		case is("headers"):
			headers = raw
		case is("multiValueHeaders"):
			multi = raw
		}
		return err
	})
	if err != nil {
		return a, err
	}
	if a.status, err = strconv.Atoi(string(status)); err != nil {
		return a, errors.New("it has no statusCode")
	}
	if headers != nil || multi != nil {
		if a.subprotocol, err = subprotocol(headers, multi); err != nil {
			return a, err
		}
	}
	switch string(encoded) {
	case "", "null", "false":
	case "true":
		if a.body, err = base64.StdEncoding.DecodeString(string(a.body)); err != nil {
			return a, errors.New("its body is not base64")
		}
		a.binary = !utf8.Valid(a.body)
	default:
		return a, errors.New("its isBase64Encoded is no boolean")
	}
	return a, nil
}

// subprotocol is the one that headers and multiValueHeaders of an answer name.
func subprotocol(headers, multi []byte) (chosen string, err error) {
	var all map[string][]string
	if multi != nil {
		if err := json.Unmarshal(multi, &all); err != nil {
			return "", err
		}
	}
	for name, vals := range all {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") && len(vals) > 0 {
			chosen = vals[len(vals)-1]
		}
	}
	var one map[string]json.RawMessage
	if headers != nil {
		err = json.Unmarshal(headers, &one)
	}
	for name, v := range one {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			json.Unmarshal(v, &chosen) // what is no text is no subprotocol
		}
	}
	return chosen, err
}

// textOf is a body: a text, or null, which is none.
func textOf(raw []byte) ([]byte, error) {
	text, ok := document.Unquote(raw)
	if !ok && string(raw) != "null" {
		return nil, errors.New("its body is no text")
	}
	return text, nil
}

// mock answers what the request template says: {"statusCode": 200}. Without templates it succeeds.
func (in *integration) mock(body []byte) (backend, error) {
	b := backend{status: http.StatusOK, body: body}
	if in.request.empty() {
		return b, nil
	}
	doc, err := document.Parse(body)
	o, ok := doc.(*document.Object)
	if err != nil || !ok {
		return b, failed(500, errors.New("the request template of a MOCK integration makes no JSON object"))
	}
	if v, ok := o.Get("statusCode"); ok {
		if b.status, err = strconv.Atoi(document.Text(v)); err != nil {
			return b, failed(500, fmt.Errorf("statusCode of a MOCK integration: %w", err))
		}
	}
	return b, nil
}
