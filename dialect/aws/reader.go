package aws

import (
	"cmp"
	"context"
	"path"
	"path/filepath"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/deploy"
	"github.com/sluicehq/sluice/dialect/aws/apispec"
	"github.com/sluicehq/sluice/dialect/aws/sam"
	"github.com/sluicehq/sluice/dialect/aws/sls"
)

// templates reads both kinds of template that apps of this cloud have: SAM and CloudFormation, and those
// of the Serverless Framework. A folder with both is SAM's.
type templates struct {
	sam    *sam.Reader
	sls    *sls.Reader
	quotas apispec.Quotas
}

func (t templates) Recognize(dir string) string {
	return cmp.Or(t.sam.Recognize(dir), t.sls.Recognize(dir))
}

func (t templates) Read(ctx context.Context, in deploy.Input) (*sluice.App, error) {
	read := t.sam.Read
	if in.File == "" && t.sam.Recognize(in.Dir) == "" && t.sls.Recognize(in.Dir) != "" || sls.Names(path.Base(filepath.ToSlash(in.File))) {
		read = t.sls.Read
	}
	app, err := read(ctx, in)
	if err != nil {
		return nil, err
	}
	return app, t.quotas.Check(app)
}
