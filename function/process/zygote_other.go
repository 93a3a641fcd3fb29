//go:build !linux

package process

import (
	"context"
	"errors"

	"github.com/sluicehq/sluice/function"
)

// canFork is false: what keeps a fork server's children from outliving us is Linux's.
const canFork = false

// zygote is never made.
type zygote struct {
	proc function.Process
	gone chan struct{}
}

func newZygote(context.Context, *Spawner, function.Command) (*zygote, string, error) {
	return nil, "", errors.ErrUnsupported
}

func (z *zygote) spawn(*function.Command) (function.Process, error) {
	return nil, errors.ErrUnsupported
}
func (z *zygote) run()    {}
func (z *zygote) retire() {}
