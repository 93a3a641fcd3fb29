package fc

import (
	"log/slog"

	"github.com/sluicehq/sluice/function/modules"
)

// NewModules is what the cloud's node images carry besides a function's own modules (section 3.4), kept in
// a folder.
func NewModules(dir string, log *slog.Logger) *modules.Set {
	return &modules.Set{
		Language: modules.Node, Dir: dir, Log: log,
		Base: []string{"tablestore@5", "ali-oss@6", "co", "raw-body", "body", "@alicloud/fc2"},
	}
}
