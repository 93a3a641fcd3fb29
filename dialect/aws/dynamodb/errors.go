package dynamodb

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/dynamodb/attr"
	"github.com/sluicehq/sluice/dialect/aws/sigv4"
	"github.com/sluicehq/sluice/table"
)

// The prefixes of __type (aws.md 5.2).
const (
	coralService  = "com.amazon.coral.service#"
	coralValidate = "com.amazon.coral.validate#"
	service       = "com.amazonaws.dynamodb.v20120810#"
)

// fault is an error as clients see it.
type fault struct {
	status  int
	kind    string // __type
	message string // none when empty
	// What some faults say besides.
	item    attr.Item
	reasons []reason
}

// Error is the message.
func (f *fault) Error() string { return f.kind[strings.IndexByte(f.kind, '#')+1:] + ": " + f.message }

// Kind follows from the status.
func (f *fault) Kind() sluice.Kind {
	switch {
	case f.status >= 500:
		return sluice.Internal
	case strings.HasSuffix(f.kind, "NotFoundException"):
		return sluice.Missing
	}
	return sluice.Invalid
}

func newFault(kind, message string) *fault {
	return &fault{status: http.StatusBadRequest, kind: kind, message: message}
}

// invalid is a ValidationException.
func invalid(message string) *fault { return newFault(coralValidate+"ValidationException", message) }

// badValue is the ValidationException of one or more parameter values.
func badValue(message string) *fault {
	return invalid("One or more parameter values were invalid: " + message)
}

func serialization(message string) *fault {
	return newFault(coralService+"SerializationException", message)
}

func notFound(message string) *fault {
	return newFault(service+"ResourceNotFoundException", message)
}

// noTable is what operations on items say of a table that is not there.
func noTable() *fault { return notFound("Requested resource not found") }

// noTableNamed is what operations on tables say.
func noTableNamed(name string) *fault {
	return notFound("Requested resource not found: Table: " + name + " not found")
}

func inUse(message string) *fault { return newFault(service+"ResourceInUseException", message) }

func limitExceeded(message string) *fault {
	return newFault(service+"LimitExceededException", message)
}

func conditionFailed(item attr.Item) *fault {
	f := newFault(service+"ConditionalCheckFailedException", "The conditional request failed")
	f.item = item
	return f
}

// faultOf is how an error looks to clients; ok is false for one that is ours, not theirs.
func faultOf(err error) (f *fault, ok bool) {
	var bad *attr.Error
	var missing *table.MissingError
	switch {
	case errors.As(err, &f):
		return f, true
	case errors.As(err, &bad):
		if bad.Code == attr.Serialization {
			return serialization(bad.Message), true
		}
		return invalid(bad.Message), true
	case errors.As(err, &missing):
		return noTable(), true
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), sluice.KindOf(err) == sluice.Unavailable:
		return &fault{status: http.StatusServiceUnavailable, kind: service + "ServiceUnavailable", message: "The service is unavailable. Please retry."}, true
	case sluice.KindOf(err) == sluice.TooMuch:
		return invalid("Item size has exceeded the maximum allowed size"), true
	}
	return internalFault(), false
}

func internalFault() *fault {
	return &fault{status: http.StatusInternalServerError, kind: service + "InternalServerError", message: "Internal server error"}
}

// body is the JSON of a fault.
func (f *fault) body() []byte {
	b := append([]byte(`{"__type":`), quote(f.kind)...)
	if f.message != "" {
		name := "message"
		switch f.kind[strings.IndexByte(f.kind, '#')+1:] {
		case "SerializationException", "AccessDeniedException", "TransactionCanceledException", "IdempotentParameterMismatchException":
			name = "Message"
		}
		b = append(append(b, `,"`+name+`":`...), quote(f.message)...)
	}
	if f.item != nil {
		b = attr.AppendItem(append(b, `,"Item":`...), f.item)
	}
	if f.reasons != nil {
		b = append(b, `,"CancellationReasons":[`...)
		for i, r := range f.reasons {
			if i > 0 {
				b = append(b, ',')
			}
			b = r.append(b)
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// quote is a JSON string, without the escapes that are for HTML only.
func quote(s string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

// signatureFault is a refused signature in DynamoDB's words.
func signatureFault(e *sigv4.Error) *fault {
	names := map[sigv4.Reason]string{
		sigv4.Missing:      "MissingAuthenticationTokenException",
		sigv4.Incomplete:   "IncompleteSignatureException",
		sigv4.Skewed:       "InvalidSignatureException",
		sigv4.Expired:      "InvalidSignatureException",
		sigv4.WrongScope:   "InvalidSignatureException",
		sigv4.UnknownKey:   "UnrecognizedClientException",
		sigv4.BadToken:     "UnrecognizedClientException",
		sigv4.TokenExpired: "ExpiredTokenException",
		sigv4.Mismatch:     "InvalidSignatureException",
	}
	name, ok := names[e.Reason]
	if !ok {
		return internalFault()
	}
	if e.Reason == sigv4.Missing {
		return newFault(coralService+name, "Request is missing Authentication Token")
	}
	return newFault(coralService+name, e.Message)
}
