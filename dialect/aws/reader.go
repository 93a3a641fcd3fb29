package aws

import (
	"cmp"
	"context"
	"path"
	"path/filepath"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/sam"
	"github.com/sluicehq/sluice/dialect/aws/sls"
)

// templates reads both kinds of template that apps of this cloud have: SAM and CloudFormation, and those
// of the Serverless Framework. A folder with both is SAM's.
type templates struct {
	sam *sam.Reader
	sls *sls.Reader
}

func (t templates) Recognize(dir string) string {
	return cmp.Or(t.sam.Recognize(dir), t.sls.Recognize(dir))
}

func (t templates) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	if in.File == "" && t.sam.Recognize(in.Dir) == "" && t.sls.Recognize(in.Dir) != "" || sls.Names(path.Base(filepath.ToSlash(in.File))) {
		return t.sls.Read(ctx, in)
	}
	return t.sam.Read(ctx, in)
}
