package memory_test

import (
	"testing"

	"github.com/sluicehq/sluice/kv"
	"github.com/sluicehq/sluice/kv/kvtest"
	"github.com/sluicehq/sluice/kv/memory"
)

func TestContract(t *testing.T) {
	kvtest.Run(t, func(*testing.T) (kv.Store, func() kv.Store) { return memory.New(), nil })
}
