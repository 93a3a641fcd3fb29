package apigateway

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// verdict is what a register function has decided.
type verdict struct {
	errNo      json.RawMessage // as it was written; nil: the reply says nothing
	errMsg     string
	protocol   string
	extensions string
}

// accepted reports whether the handshake is.
func (v *verdict) accepted() bool {
	text := strings.TrimSpace(strings.Trim(string(v.errNo), `"`))
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && n == 0
}

// deflates reports whether messages may be compressed: the function has named that extension, with whatever
// parameters; the gateway negotiates its own.
func (v *verdict) deflates() bool {
	for e := range strings.SplitSeq(v.extensions, ",") {
		if name, _, _ := strings.Cut(e, ";"); strings.TrimSpace(name) == "permessage-deflate" {
			return true
		}
	}
	return false
}

// readRegister reads the reply of a register function (section 1.4). Only errNo decides; a reply may be
// text that holds the object, or an integrated response whose body does.
func readRegister(payload []byte) verdict { return readVerdict(payload, 2) }

func readVerdict(payload []byte, depth int) (v verdict) {
	var text string
	if json.Unmarshal(payload, &text) == nil {
		payload = []byte(text)
	}
	var reply map[string]json.RawMessage // its names count as they are written
	if json.Unmarshal(payload, &reply) != nil {
		return v
	}
	no, ok := reply["errNo"]
	if no = bytes.TrimSpace(no); !ok || string(no) == "null" {
		var status json.Number
		var body string
		if depth > 0 && json.Unmarshal(reply["statusCode"], &status) == nil && status == "200" && json.Unmarshal(reply["body"], &body) == nil {
			return readVerdict([]byte(body), depth-1)
		}
		return v
	}
	v.errNo = no
	json.Unmarshal(reply["errMsg"], &v.errMsg)
	var socket map[string]json.RawMessage
	json.Unmarshal(reply["websocket"], &socket)
	json.Unmarshal(socket["secWebSocketProtocol"], &v.protocol)
	json.Unmarshal(socket["secWebSocketExtensions"], &v.extensions)
	return v
}

// choose is the first protocol of a reply that the client has offered: functions echo the client's whole
// list, and a browser gives up when it gets one back. "" is none.
func choose(reply string, offered []string) string {
	for p := range strings.SplitSeq(reply, ",") {
		p = strings.TrimSpace(p)
		for _, o := range offered {
			if p != "" && p == o {
				return o
			}
		}
	}
	return ""
}
