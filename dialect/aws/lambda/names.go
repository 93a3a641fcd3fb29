package lambda

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
)

// Extra is what sluice.Function.Extra holds of a function of ours: what the cloud's API tells of it and
// no room needs.
type Extra struct {
	Role     string            `json:"role,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Aliases  []Alias           `json:"aliases,omitempty"`
	Versions []Version         `json:"versions,omitempty"`
	Policy   []json.RawMessage `json:"policy,omitempty"`   // statements of its resource policy
	Reserved *int              `json:"reserved,omitempty"` // concurrent calls; nil is no limit of its own
	Arch     string            `json:"arch,omitempty"`     // "x86_64", "arm64"
	Modified time.Time         `json:"modified,omitzero"`
	Sum      string            `json:"sum,omitempty"` // CodeSha256
	Size     int64             `json:"size,omitempty"`
	Revision string            `json:"revision,omitempty"`
	CORS     *apispec.CORS     `json:"cors,omitempty"` // of the function's URL
	// Published is the newest number that a version ever had: none comes twice.
	Published int `json:"published,omitempty"`
	// When the function's parts were last changed through the API; Mapped is by table.
	URLCreated    time.Time            `json:"urlCreated,omitzero"`
	URLModified   time.Time            `json:"urlModified,omitzero"`
	AsyncModified time.Time            `json:"asyncModified,omitzero"`
	Mapped        map[string]time.Time `json:"mapped,omitempty"`
	// Settings are those of the function's description that are kept and not acted on (TracingConfig …).
	Settings map[string]json.RawMessage `json:"settings,omitempty"`
}

// Alias is another name for a version.
type Alias struct {
	Name        string `json:"name"`
	Version     string `json:"version"`
	Description string `json:"description,omitempty"`
}

// Version is a published version. All of them run the newest code: sluice keeps one (section 3.2).
type Version struct {
	Number      int       `json:"number"`
	Description string    `json:"description,omitempty"`
	Modified    time.Time `json:"modified"`
	Sum         string    `json:"sum,omitempty"`
}

// Marshal is the Extra as a function keeps it.
func (e *Extra) Marshal() []byte {
	b, _ := json.Marshal(e) // texts and numbers always marshal
	return b
}

// extraOf reads a function's Extra; what is none is empty.
func extraOf(f *sluice.Function) *Extra {
	var e Extra
	if len(f.Extra) > 0 && json.Unmarshal(f.Extra, &e) != nil {
		return &Extra{}
	}
	return &e
}

// has reports whether a qualifier names a version or alias.
func (e *Extra) has(qualifier string) bool {
	if qualifier == Latest || slices.ContainsFunc(e.Aliases, func(a Alias) bool { return a.Name == qualifier }) {
		return true
	}
	n, err := strconv.Atoi(qualifier)
	return err == nil && slices.ContainsFunc(e.Versions, func(v Version) bool { return v.Number == n })
}

// NewRequestID makes a request id: a UUID v4 in lower case (section 0).
func NewRequestID() string {
	var u uuid.UUID
	scatter(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return u.String()
}

// newTrace makes a trace header (section 3.5).
func newTrace() string {
	var b [24]byte
	var room [96]byte
	scatter(b[:])
	binary.BigEndian.PutUint32(b[:], uint32(time.Now().Unix()))
	t := hex.AppendEncode(append(room[:0], "Root=1-"...), b[:4])
	t = hex.AppendEncode(append(t, '-'), b[4:16])
	t = hex.AppendEncode(append(t, ";Parent="...), b[16:])
	return string(append(t, ";Sampled=0"...))
}

// scatter fills b, eight bytes at a time, with what makes names unlike all others. They are no secrets.
func scatter(b []byte) {
	for ; len(b) > 0; b = b[8:] {
		binary.NativeEndian.PutUint64(b, rand.Uint64())
	}
}
