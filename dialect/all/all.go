// Package all is the list of the clouds that this binary speaks.
package all

import (
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun"
	"github.com/sluicehq/sluice/dialect/aws"
	"github.com/sluicehq/sluice/dialect/tencent"
)

// Dialects lists the clouds this binary speaks. To add one, add a line.
func Dialects(r dialect.Rooms) ([]dialect.Dialect, error) {
	var out []dialect.Dialect
	for _, open := range []func(dialect.Rooms) (dialect.Dialect, error){tencent.New, aliyun.New, aws.New} {
		d, err := open(r)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
