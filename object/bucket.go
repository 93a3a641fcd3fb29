package object

import (
	"context"
	"regexp"

	"github.com/sluicehq/sluice/kv"
)

// bucketName is what all clouds allow together; dialects are stricter.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CreateBucket makes a bucket and returns it with its ID and time. An empty ACL is private. When the
// name is taken the error has Reason BucketExists and the bucket that has it comes along.
func (s *Store) CreateBucket(ctx context.Context, b Bucket) (*Bucket, error) {
	if !bucketName.MatchString(b.Name) {
		return nil, &Error{Reason: BadBucketName, Bucket: b.Name}
	}
	if b.ACL == "" {
		b.ACL = Private
	}
	var out Bucket
	err := s.kv.Update(ctx, locks(bucketKey(b.Name), []byte(bucketIDs)), func(tx kv.Txn) error {
		out = Bucket{}
		ok, err := getJSON(tx, bucketKey(b.Name), &out)
		if err != nil {
			return err
		}
		if ok {
			return &Error{Reason: BucketExists, Bucket: b.Name}
		}
		id, err := tx.Seq([]byte(bucketIDs), 1)
		if err != nil {
			return err
		}
		out = b
		out.ID = uint32(id)
		out.Created = s.clock()
		return putJSON(tx, bucketKey(b.Name), &out)
	})
	if err != nil && ReasonOf(err) != BucketExists {
		return nil, err
	}
	return &out, err
}

// Bucket returns a bucket by name.
func (s *Store) Bucket(ctx context.Context, name string) (*Bucket, error) {
	b := new(Bucket)
	err := s.kv.View(ctx, func(r kv.Reader) error {
		ok, err := getJSON(r, bucketKey(name), b)
		if err == nil && !ok {
			err = &Error{Reason: NoSuchBucket, Bucket: name}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Buckets lists the buckets whose names begin with prefix and come after a name, at most limit, in the
// order of their names. limit 0 is 1,000.
func (s *Store) Buckets(ctx context.Context, prefix, after string, limit int) ([]Bucket, error) {
	if limit <= 0 {
		limit = 1000
	}
	var list []Bucket
	err := s.kv.View(ctx, func(r kv.Reader) error {
		list = nil
		lo := bucketKey(prefix)
		if after >= prefix && after != "" {
			lo = append(bucketKey(after), 0)
		}
		it := r.Scan(lo, kv.PrefixEnd(bucketKey(prefix)), kv.ScanOpts{Limit: limit})
		defer it.Close()
		for it.Next() {
			var b Bucket
			if err := decodeRow(it.Key(), it.Value(), &b); err != nil {
				return err
			}
			list = append(list, b)
		}
		return it.Err()
	})
	return list, err
}

// AlterBucket lets fn change a bucket's settings, in one transaction: fn may run more than once. Its
// name, ID and time stay as they are. An error of fn changes nothing and comes back.
func (s *Store) AlterBucket(ctx context.Context, name string, fn func(b *Bucket) error) (*Bucket, error) {
	var out Bucket
	err := s.kv.Update(ctx, locks(bucketKey(name)), func(tx kv.Txn) error {
		out = Bucket{}
		ok, err := getJSON(tx, bucketKey(name), &out)
		if err != nil {
			return err
		}
		if !ok {
			return &Error{Reason: NoSuchBucket, Bucket: name}
		}
		id, created := out.ID, out.Created
		if err := fn(&out); err != nil {
			return err
		}
		out.Name, out.ID, out.Created = name, id, created
		return putJSON(tx, bucketKey(name), &out)
	})
	if err != nil {
		return nil, err
	}
	return &out, nil
}

// DeleteBucket removes a bucket that has neither objects, versions nor uploads.
func (s *Store) DeleteBucket(ctx context.Context, name string) error {
	return s.kv.Update(ctx, locks(bucketKey(name)), func(tx kv.Txn) error {
		var b Bucket
		ok, err := getJSON(tx, bucketKey(name), &b)
		if err != nil {
			return err
		}
		if !ok {
			return &Error{Reason: NoSuchBucket, Bucket: name}
		}
		for _, lo := range [][]byte{objectKey(b.ID, ""), versionKey(b.ID, "", ""), uploadKey(b.ID, "", "")} {
			it := tx.Scan(lo, kv.PrefixEnd(lo), kv.ScanOpts{Limit: 1, KeysOnly: true})
			some, err := it.Next(), it.Err()
			it.Close()
			if err != nil {
				return err
			}
			if some {
				return &Error{Reason: BucketNotEmpty, Bucket: name}
			}
		}
		tx.Delete(bucketKey(name))
		return nil
	})
}
