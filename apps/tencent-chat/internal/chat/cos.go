package chat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/tencentyun/cos-go-sdk-v5"
)

// Keys open a bucket. Token is "" unless they are temporary.
type Keys struct{ ID, Secret, Token string }

// COS is a [Store] in a bucket.
type COS struct{ client *cos.Client }

var _ Store = (*COS)(nil)

// OpenCOS is the store in a bucket, whose name has the account's number at its end. It asks for nothing yet.
func OpenCOS(bucket, region string, keys Keys) (*COS, error) {
	u, err := cos.NewBucketURL(bucket, region, true)
	if err != nil {
		return nil, fmt.Errorf("bucket %q in region %q: %w", bucket, region, err)
	}
	return newCOS(u, http.DefaultTransport, keys), nil
}

func newCOS(u *url.URL, via http.RoundTripper, keys Keys) *COS {
	return &COS{cos.NewClient(&cos.BaseURL{BucketURL: u}, &http.Client{Timeout: 5 * time.Second, Transport: &cos.AuthorizationTransport{
		SecretID: keys.ID, SecretKey: keys.Secret, SessionToken: keys.Token, Transport: via,
	}})}
}

// Get implements [Store].
func (s *COS) Get(ctx context.Context, key string) ([]byte, error) {
	res, err := s.client.Object.Get(ctx, key, nil)
	if cos.IsNotFoundError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// Put implements [Store].
func (s *COS) Put(ctx context.Context, key string, body []byte) error {
	_, err := s.client.Object.Put(ctx, key, bytes.NewReader(body), nil)
	return err
}

// Claim implements [Store].
func (s *COS) Claim(ctx context.Context, key string, body []byte) (bool, error) {
	_, err := s.client.Object.Put(ctx, key, bytes.NewReader(body), &cos.ObjectPutOptions{ObjectPutHeaderOptions: &cos.ObjectPutHeaderOptions{
		XOptionHeader: &http.Header{"x-cos-forbid-overwrite": {"true"}},
	}})
	if e, ok := cos.IsCOSError(err); ok && e.Response != nil && e.Response.StatusCode == http.StatusConflict {
		return false, nil
	}
	return err == nil, err
}

// Delete implements [Store].
func (s *COS) Delete(ctx context.Context, keys ...string) error {
	if len(keys) == 1 {
		_, err := s.client.Object.Delete(ctx, keys[0])
		return err
	}
	opt := &cos.ObjectDeleteMultiOptions{Quiet: true}
	for _, k := range keys {
		opt.Objects = append(opt.Objects, cos.Object{Key: k})
	}
	res, _, err := s.client.Object.DeleteMulti(ctx, opt)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range res.Errors {
		errs = append(errs, fmt.Errorf("delete %s: %s: %s", e.Key, e.Code, e.Message))
	}
	return errors.Join(errs...)
}

// Version implements [Store].
func (s *COS) Version(ctx context.Context, key string) (string, error) {
	res, err := s.client.Object.Head(ctx, key, nil)
	if cos.IsNotFoundError(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return res.Header.Get("ETag"), nil
}

// List implements [Store]: page by page, each begins after the last key of the one before.
func (s *COS) List(ctx context.Context, prefix string, limit int) ([]string, error) {
	var keys []string
	opt := &cos.BucketGetOptions{Prefix: prefix}
	for {
		opt.MaxKeys = 1000
		if limit > 0 {
			opt.MaxKeys = min(opt.MaxKeys, limit-len(keys))
		}
		page, _, err := s.client.Bucket.Get(ctx, opt)
		if err != nil {
			return nil, err
		}
		for _, o := range page.Contents {
			keys = append(keys, o.Key)
		}
		if !page.IsTruncated || len(page.Contents) == 0 || limit > 0 && len(keys) >= limit {
			return keys, nil
		}
		opt.Marker = keys[len(keys)-1]
	}
}
