package sluice

import "time"

// LogLine is one line of a function's log.
type LogLine struct {
	Time     time.Time    `json:"time"`
	App      AppName      `json:"app"`
	Function FunctionName `json:"function"`
	Request  string       `json:"request,omitempty"` // "" when it belongs to no call
	Instance string       `json:"instance,omitempty"`
	Level    string       `json:"level,omitempty"` // "INFO", "ERROR" … as the runtime says; "" for plain output
	Text     string       `json:"text"`            // without the final newline
	Line     string       `json:"-"`               // the same as the cloud prints it, with time and request; "" is Text
}
