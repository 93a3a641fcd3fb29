package local_test

import (
	"testing"

	"github.com/sluicehq/sluice/bus"
	"github.com/sluicehq/sluice/bus/bustest"
	"github.com/sluicehq/sluice/bus/local"
)

func TestLocalKeepsTheContract(t *testing.T) {
	bustest.Run(t, func(_ *testing.T, node uint16) bus.Bus { return local.New(node) })
}
