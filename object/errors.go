package object

import (
	"errors"
	"fmt"

	"github.com/sluicehq/sluice"
)

// Reason says what is wrong, for dialects to word it in their cloud's way.
type Reason uint8

// The reasons.
const (
	NoSuchBucket Reason = iota + 1
	NoSuchKey
	NoSuchUpload
	BucketExists    // its owner may be somebody else
	BucketNotEmpty  // it has objects or uploads
	KeyExists       // the write asked not to overwrite
	ConditionFailed // If-Match, If-None-Match
	BadDigest       // the bytes have another MD5
	Incomplete      // fewer or more bytes came than announced
	TooLarge        // more bytes than the caller's limit
	BadPart         // Error.Part was not uploaded, or has another ETag
	PartOrder       // part numbers do not rise
	PartTooSmall    // Error.Part is smaller than the caller's minimum, and not the last
	NotAppendable   // the object was not made by Append
	WrongPosition   // Error.Size is the length at which to append
	BadBucketName
	BadKey
	NotOwned // the bucket belongs to another app
	NoSuchVersion
	IsMark // Error.Version is a mark that the key was deleted
)

var reasons = [...]struct {
	kind sluice.Kind
	text string
}{
	NoSuchBucket:    {sluice.Missing, "no such bucket"},
	NoSuchKey:       {sluice.Missing, "no such key"},
	NoSuchUpload:    {sluice.Missing, "no such upload"},
	BucketExists:    {sluice.Exists, "bucket exists"},
	BucketNotEmpty:  {sluice.Conflict, "bucket is not empty"},
	KeyExists:       {sluice.Exists, "key exists"},
	ConditionFailed: {sluice.Conflict, "condition does not hold"},
	BadDigest:       {sluice.Invalid, "MD5 does not match the bytes"},
	Incomplete:      {sluice.Invalid, "body has another length than announced"},
	TooLarge:        {sluice.TooMuch, "body is too large"},
	BadPart:         {sluice.Invalid, "part was not uploaded or differs"},
	PartOrder:       {sluice.Invalid, "part numbers do not rise"},
	PartTooSmall:    {sluice.Invalid, "part is too small"},
	NotAppendable:   {sluice.Conflict, "object is not appendable"},
	WrongPosition:   {sluice.Conflict, "append position is not the object's length"},
	BadBucketName:   {sluice.Invalid, "malformed bucket name"},
	BadKey:          {sluice.Invalid, "malformed key"},
	NotOwned:        {sluice.Denied, "bucket belongs to another app"},
	NoSuchVersion:   {sluice.Missing, "no such version"},
	IsMark:          {sluice.Invalid, "version is a delete marker"},
}

// String is the reason in words.
func (r Reason) String() string {
	if r == 0 || int(r) >= len(reasons) {
		return "unknown"
	}
	return reasons[r].text
}

// Error is the room's error: a reason and what it is about.
type Error struct {
	Reason Reason
	Bucket string
	Key    string
	Upload string
	Part   int
	Size   int64
	// Version is the one concerned; with NoSuchKey, the mark that stands at the key, "" when none does.
	Version string
}

// Error is one line: the reason and the bucket, key, upload and part concerned.
func (e *Error) Error() string {
	s := "object: " + e.Reason.String()
	if e.Bucket != "" {
		s += fmt.Sprintf(": bucket %q", e.Bucket)
	}
	if e.Key != "" {
		s += fmt.Sprintf(" key %q", e.Key)
	}
	if e.Version != "" {
		s += " version " + e.Version
	}
	if e.Upload != "" {
		s += " upload " + e.Upload
	}
	if e.Part != 0 {
		s += fmt.Sprintf(" part %d", e.Part)
	}
	return s
}

// Kind sorts the reason.
func (e *Error) Kind() sluice.Kind {
	if int(e.Reason) >= len(reasons) {
		return sluice.Internal
	}
	return reasons[e.Reason].kind
}

// Is makes errors.Is compare reasons: errors.Is(err, &object.Error{Reason: object.NoSuchKey}).
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

// ReasonOf finds the reason of err, or of what it wraps; 0 when it has none.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return 0
}
