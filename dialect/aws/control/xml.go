package control

import (
	"bytes"
	"encoding/xml"
	"net/http"
)

// element is the content of an element of the Query protocol's answers: name, value, name, value …. A value
// is text, an element, or a list of elements, whose items are called member. Empty texts are left out.
type element []any

func (e element) write(b *bytes.Buffer) {
	for i := 0; i+1 < len(e); i += 2 {
		name := e[i].(string)
		switch v := e[i+1].(type) {
		case string:
			if v == "" {
				continue
			}
			b.WriteString("<" + name + ">")
			xml.EscapeText(b, []byte(v)) // a buffer never fails
			b.WriteString("</" + name + ">")
		case element:
			b.WriteString("<" + name + ">")
			v.write(b)
			b.WriteString("</" + name + ">")
		case []element:
			b.WriteString("<" + name + ">")
			for _, m := range v {
				b.WriteString("<member>")
				m.write(b)
				b.WriteString("</member>")
			}
			b.WriteString("</" + name + ">")
		case []string:
			b.WriteString("<" + name + ">")
			for _, s := range v {
				b.WriteString("<member>")
				xml.EscapeText(b, []byte(s))
				b.WriteString("</member>")
			}
			b.WriteString("</" + name + ">")
		}
	}
}

// queryAnswer writes the answer of an action.
func queryAnswer(w http.ResponseWriter, namespace, action string, result element, id string) error {
	var b bytes.Buffer
	b.WriteString("<" + action + `Response xmlns="` + namespace + `"><` + action + "Result>")
	result.write(&b)
	b.WriteString("</" + action + "Result><ResponseMetadata><RequestId>" + id + "</RequestId></ResponseMetadata></" + action + "Response>")
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusOK)
	w.Write(b.Bytes())
	return nil
}
