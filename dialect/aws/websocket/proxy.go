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
		return answer{}, failed(statusFailed, errors.Join(errUnreached, err))
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
	var status string
	var headers map[string]json.RawMessage
	var multi map[string][]string
	encoded := false
	err = document.Members(b, func(key, raw []byte) (err error) {
		is := func(name string) bool { return strings.EqualFold(string(key), name) }
		switch {
		case is("statusCode"):
			status = string(bytes.Trim(raw, `"`))
		case is("body"):
			a.body, err = textOf(raw)
		case is("isBase64Encoded"):
			err = json.Unmarshal(raw, &encoded)
		case is("headers"):
			err = json.Unmarshal(raw, &headers)
		case is("multiValueHeaders"):
			err = json.Unmarshal(raw, &multi)
		}
		return err
	})
	if err != nil {
		return a, err
	}
	if a.status, err = strconv.Atoi(status); err != nil {
		return a, errors.New("it has no statusCode")
	}
	for name, vals := range multi {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") && len(vals) > 0 {
			a.subprotocol = vals[len(vals)-1]
		}
	}
	for name, v := range headers {
		if strings.EqualFold(name, "Sec-WebSocket-Protocol") {
			json.Unmarshal(v, &a.subprotocol) // what is no text is no subprotocol
		}
	}
	if encoded {
		if a.body, err = base64.StdEncoding.DecodeString(string(a.body)); err != nil {
			return a, errors.New("its body is not base64")
		}
		a.binary = !utf8.Valid(a.body)
	}
	return a, nil
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
