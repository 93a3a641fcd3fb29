// Package sluice holds the nouns of the whole program, and nothing that runs.
//
// A message comes up a socket and becomes an [Event]; a dialect turns the event into an
// [Invocation]; a function answers with a [Result]; the dialect turns that into a [Reply], and
// what the function sent meanwhile comes down as pushes, each answered by an [Outcome].
// An [App] is what a template asks for. Rooms (gateway, function, table, object, deploy, access)
// speak these types and never import each other.
//
// The package has no goroutine, no I/O and no import outside the standard library.
package sluice

import (
	"fmt"
	"strings"
)

// AppName names one deployed app. It is a DNS label: the app answers at {name}.localhost.
type AppName string

// DNSLabel is s as a DNS label; "" when nothing of it can stay.
func DNSLabel(s string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(s) {
		switch {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			b.WriteRune(c)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() == 63 {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// FunctionName names a function within its app, as the template spells it.
type FunctionName string

// Place says where in a user's file something stands. Line is 1-based; 0 means the whole file.
type Place struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// String is "file:line", or only the file when no line is known.
func (p Place) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}
