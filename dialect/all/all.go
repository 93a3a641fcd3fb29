// Package all is the list of the clouds that this binary speaks.
package all

import (
	"github.com/sluicehq/sluice/dialect"
	"github.com/sluicehq/sluice/dialect/aliyun"
	"github.com/sluicehq/sluice/dialect/aws"
	"github.com/sluicehq/sluice/dialect/tencent"
)

// Options are what an operator may change of each cloud.
type Options struct {
	AWS     aws.Options
	Aliyun  aliyun.Options
	Tencent tencent.Options
}

// Dialects lists the clouds this binary speaks. To add one, add a line.
func Dialects(r dialect.Rooms, o Options) ([]dialect.Dialect, error) {
	var out []dialect.Dialect
	for _, open := range []func() (dialect.Dialect, error){
		func() (dialect.Dialect, error) { return tencent.New(r, o.Tencent) },
		func() (dialect.Dialect, error) { return aliyun.New(r, o.Aliyun) },
		func() (dialect.Dialect, error) { return aws.New(r, o.AWS) },
	} {
		d, err := open()
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}
