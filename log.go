package sluice

import "time"

// LevelPlatform marks the lines that we write into a function's log ourselves: the start and end of a
// call, what it took.
const LevelPlatform = "PLATFORM"

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
