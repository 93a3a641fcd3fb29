// Package lambda runs Lambda's asynchronous calls through kill -9.
package lambda

import (
	"os"
	"testing"

	"github.com/sluicehq/sluice/e2e/live"
)

func TestMain(m *testing.M) { os.Exit(live.Main(m)) }
