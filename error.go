package sluice

import (
	"errors"
	"fmt"
)

// Kind sorts errors for the edge: one table per dialect turns kinds (or a room's own error types)
// into that cloud's codes. An error without a kind is Internal and is never shown to a client.
type Kind uint8

// The kinds.
const (
	Internal    Kind = iota
	Invalid          // the caller's input is wrong
	Missing          // what it names is not there
	Exists           // what it would make is there already
	Conflict         // a condition did not hold, or another writer was first
	Denied           // not allowed
	Throttled        // too much at once; try later
	Timeout          // took too long
	TooMuch          // exceeds a limit
	Unavailable      // cannot be served now
)

// Error is the plain error of a room: what went wrong, with its kind. Rooms with more to say have
// their own types with a Kind method.
type Error struct {
	Code Kind
	Msg  string
	Hint string // what to try, for an operator; may be empty
	At   Place  // in the user's file; may be zero
	Err  error  // the cause, already told in Msg; may be nil
}

// Error is one line: place and message.
func (e *Error) Error() string {
	s := e.Msg
	if e.At.File != "" {
		s = e.At.String() + ": " + s
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Kind returns the error's kind.
func (e *Error) Kind() Kind { return e.Code }

// Errorf makes an Error of a kind; %w works.
func Errorf(k Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: k, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// KindOf finds the kind of err, or of what it wraps; Internal when none has one.
func KindOf(err error) Kind {
	var k interface{ Kind() Kind }
	if errors.As(err, &k) {
		return k.Kind()
	}
	return Internal
}

// HintOf finds the hint of err, or of what it wraps; empty when none has one.
func HintOf(err error) string {
	var e *Error
	for err != nil && errors.As(err, &e) {
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}
