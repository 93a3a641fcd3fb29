// Package all is the list of the clouds that this binary speaks.
package all

import (
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun"
)

// Dialects lists the clouds this binary speaks. To add one, add a line.
func Dialects(r dialect.Rooms) ([]dialect.Dialect, error) {
	a, err := aliyun.New(r)
	if err != nil {
		return nil, err
	}
	return []dialect.Dialect{a}, nil
}
