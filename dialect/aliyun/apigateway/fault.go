package apigateway

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/sluicehq/sluice"
)

// Code is an error code of API Gateway (section 2.9). Its second part is its HTTP status.
type Code string

// The codes that sluice answers. TestErrorCodes says why those of the cloud that are missing have no cause here.
const (
	I400HD Code = "I400HD" // invalid header
	I400MH Code = "I400MH" // header required
	I400BD Code = "I400BD" // invalid body
	I400CT Code = "I400CT" // invalid Content-Type
	I400PA Code = "I400PA" // invalid request path
	I400RU Code = "I400RU" // invalid request URI
	I400SG Code = "I400SG" // invalid stage
	I400MP Code = "I400MP" // parameter required, or not as declared
	I400I5 Code = "I400I5" // invalid Content-MD5
	I400NC Code = "I400NC" // nonce required
	I403PT Code = "I403PT" // protocol unsupported
	I404DO Code = "I404DO" // invalid domain
	I404NF Code = "I404NF" // API not found
	I404DD Code = "I404DD" // device not found
	I405UM Code = "I405UM" // method unsupported
	I413RL Code = "I413RL" // request body too large
	I413UL Code = "I413UL" // request URL too large
	S403NU Code = "S403NU" // nonce used
	S403TE Code = "S403TE" // timestamp expired
	A400IK Code = "A400IK" // invalid AppKey
	A400AC Code = "A400AC" // invalid AppCode
	A400MA Code = "A400MA" // authorisation needed
	A403IS Code = "A403IS" // invalid signature
	A403PR Code = "A403PR" // not authorised for this API
	A403FC Code = "A403FC" // the function may not be called
	T429IN Code = "T429IN" // too many requests to the instance
	T429GR Code = "T429GR" // to the group
	T429PA Code = "T429PA" // to the API
	D502FC Code = "D502FC" // function's answer invalid
	D504CO Code = "D504CO" // backend connect failed
	D504RE Code = "D504RE" // backend request failed
	D504TO Code = "D504TO" // backend timeout
	X500ER Code = "X500ER" // internal error
	X503BZ Code = "X503BZ" // busy
	X504TO Code = "X504TO" // timeout of our own
)

// status is the HTTP status that the code carries.
func (c Code) status() int {
	return int(c[1]-'0')*100 + int(c[2]-'0')*10 + int(c[3]-'0')
}

// fault is an answer that the gateway gives itself: an error code, a message, no body.
type fault struct {
	code   Code
	msg    string
	status int // 0 is the code's own
}

// Error is code and message.
func (f *fault) Error() string { return string(f.code) + ": " + f.msg }

func faultf(c Code, format string, args ...any) error {
	return &fault{code: c, msg: fmt.Sprintf(format, args...)}
}

// maxFaultMessage is how much of a message goes into a header.
const maxFaultMessage = 512

// head writes the fault into the header of an answer.
func (f *fault) head(h http.Header) {
	h.Set("X-Ca-Error-Code", string(f.code))
	h.Set("X-Ca-Error-Message", oneLine(f.msg, maxFaultMessage))
}

// oneLine makes text fit for a header: at most limit bytes, no control characters.
func oneLine(s string, limit int) string {
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// asFault turns any error into what a client may see: errors that are not ours to show are X500ER.
func (g *Group) asFault(c *call, err error) *fault {
	var f *fault
	if errors.As(err, &f) {
		return f
	}
	g.o.Log.Error("serve API request", "app", g.o.App, "request", c.id, "err", err)
	return &fault{code: X500ER, msg: "Service Internal Error"}
}

// invokeFault words the error of a call that did not reach its function.
func invokeFault(err error) error {
	switch sluice.KindOf(err) {
	case sluice.Missing, sluice.Invalid, sluice.TooMuch:
		return faultf(D502FC, "FunctionCompute response invalid: %v", err)
	case sluice.Denied:
		return faultf(A403FC, "FunctionCompute AssumeRole failed: %v", err)
	case sluice.Throttled:
		return faultf(X503BZ, "Service Busy")
	case sluice.Timeout:
		return faultf(D504TO, "Backend service request timeout")
	case sluice.Unavailable:
		return faultf(D504CO, "Backend service connect failed")
	}
	return err
}
