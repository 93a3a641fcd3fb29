package fc

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/access"
	"github.com/sluicehq/sluice/object"
)

const (
	maxPack  = 500 << 20        // bytes of a code package
	codeLife = 10 * time.Minute // of an address of a code package
	tempLife = time.Hour        // of credentials to upload one
)

// pack is a code package. It is a file, named by its hash, that stays as long as a revision is kept
// that may be deployed from it again.
type pack struct {
	Hash     string `json:"hash"` // SHA-256, hex
	Size     int64  `json:"size"`
	Checksum string `json:"checksum"` // CRC-64/ECMA, decimal
}

func (a *API) codeDir() string { return filepath.Join(a.o.Dir, "fc") }

// codeFile tells the checksum, too, for calls to answer.
func (a *API) codeFile(p pack) string {
	return filepath.Join(a.codeDir(), p.Hash+"."+p.Checksum+".zip")
}

// checksumOf is the checksum of the code package in a file; "" when it is none of ours.
func checksumOf(code string) string {
	p := strings.Split(filepath.Base(code), ".")
	if len(p) != 3 || len(p[0]) != hex.EncodedLen(sha256.Size) || p[2] != "zip" {
		return ""
	}
	return p[1]
}

// take keeps the code package that a request brings or names.
func (a *API) take(ctx context.Context, who access.Principal, raw json.RawMessage) (pack, error) {
	var code struct {
		ZipFile       []byte `json:"zipFile"`
		OSSBucketName string `json:"ossBucketName"`
		OSSObjectName string `json:"ossObjectName"`
		Checksum      string `json:"checksum"`
	}
	if err := json.Unmarshal(raw, &code); err != nil {
		return pack{}, faultf("InvalidArgument", "code cannot be read: zipFile is a zip archive in base64: %v", err)
	}
	var from io.Reader = bytes.NewReader(code.ZipFile)
	switch {
	case code.OSSBucketName != "":
		c, err := a.fetch(ctx, who, code.OSSBucketName, code.OSSObjectName)
		if err != nil {
			return pack{}, err
		}
		defer c.Close()
		from = c
	case len(code.ZipFile) == 0:
		return pack{}, faultf("InvalidArgument", "code needs zipFile, or ossBucketName and ossObjectName")
	}
	p, err := a.keep(from)
	if err == nil && code.Checksum != "" && code.Checksum != p.Checksum {
		err = faultf("InvalidArgument", "the checksum of the code package is %s, not %s", p.Checksum, code.Checksum)
	}
	if err == nil && code.OSSBucketName == tempBucket(who) { // it was put there for us
		err = a.o.Objects.Delete(ctx, code.OSSBucketName, code.OSSObjectName)
	}
	return p, err
}

// tempBucket is where a client uploads code packages that are too big for a request.
func tempBucket(who access.Principal) string {
	if who.Admin() {
		return "fc-code"
	}
	return "fc-code-" + string(who.App)
}

// fetch opens an object that the caller may read.
func (a *API) fetch(ctx context.Context, who access.Principal, bucket, key string) (*object.Content, error) {
	b, err := a.o.Objects.Bucket(ctx, bucket)
	switch {
	case object.ReasonOf(err) == object.NoSuchBucket:
		return nil, faultf("InvalidArgument", "OSS bucket '%s' does not exist", bucket)
	case err != nil:
		return nil, err
	case !who.Admin() && b.App != who.App:
		return nil, faultf("AccessDenied", "this key may not read OSS bucket '%s'", bucket)
	}
	c, err := a.o.Objects.Get(ctx, bucket, key)
	if sluice.KindOf(err) == sluice.Missing {
		err = faultf("InvalidArgument", "object '%s' does not exist in OSS bucket '%s'", key, bucket)
	}
	return c, err
}

// keep writes a code package to its file, durably.
func (a *API) keep(from io.Reader) (p pack, err error) {
	if err := os.MkdirAll(a.codeDir(), 0o700); err != nil {
		return p, err
	}
	f, err := os.CreateTemp(a.codeDir(), "new-*")
	if err != nil {
		return p, err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	sum, crc := sha256.New(), crc64.New(crc64.MakeTable(crc64.ECMA))
	p.Size, err = io.Copy(io.MultiWriter(f, sum, crc), io.LimitReader(from, maxPack+1))
	switch {
	case err != nil:
		return p, fmt.Errorf("write code package: %w", err)
	case p.Size > maxPack:
		return p, faultf("InvalidArgument", "the code package exceeds %d bytes", maxPack)
	}
	if _, err := zip.NewReader(f, p.Size); err != nil {
		return p, faultf("InvalidArgument", "the code package is not a zip archive: %v", err)
	}
	p.Hash, p.Checksum = hex.EncodeToString(sum.Sum(nil)), strconv.FormatUint(crc.Sum64(), 10)
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return p, fmt.Errorf("write code package: %w", err)
	}
	return p, os.Rename(f.Name(), a.codeFile(p))
}

// sweep removes the code packages that no kept revision names.
func (a *API) sweep(ctx context.Context) {
	if err := a.dropUnused(ctx); err != nil {
		a.o.Log.Warn("remove old code packages", "err", err)
	}
}

func (a *API) dropUnused(ctx context.Context) error {
	apps, err := a.o.Apps.List(ctx)
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, app := range apps {
		if app.Dialect != dialectName || len(app.Spec) == 0 {
			continue
		}
		kept, err := a.o.Apps.History(ctx, app.Name)
		if err != nil {
			return err
		}
		for _, old := range kept {
			for _, f := range old.Functions {
				used[filepath.Base(f.Code)] = true
			}
		}
	}
	entries, err := os.ReadDir(a.codeDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !used[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(a.codeDir(), e.Name())))
		}
	}
	return err
}

// getCode answers an address from which the code package can be had for a while, signed for who asks.
func (a *API) getCode(ctx context.Context, q *query) (any, error) {
	m, f, err := a.function(ctx, q, false)
	if err != nil {
		return nil, err
	}
	if m.Template {
		return nil, faultf("InvalidArgument", "function '%s' has no code package: its template names a folder", f.name())
	}
	path := v2016 + "/code/" + f.Code.Hash
	key := a.o.Keys.Temporary(tokenPrefix, q.who, codeLife)
	expires := strconv.FormatInt(a.o.Now().Add(codeLife).Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key.Secret))
	mac.Write([]byte("GET\n\n\n" + expires + "\n" + path))
	v := url.Values{"x-fc-access-key-id": {key.ID}, "x-fc-security-token": {key.Token}, "x-fc-expires": {expires},
		"x-fc-signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	return map[string]string{"url": q.origin() + path + "?" + v.Encode(), "checksum": f.Code.Checksum}, nil
}

// origin is where the client reached us. An SDK leaves the port out of its Host.
func (q *query) origin() string {
	host := q.r.Host
	if at, ok := q.r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		if _, _, err := net.SplitHostPort(host); err != nil {
			host = net.JoinHostPort(strings.Trim(host, "[]"), strconv.Itoa(at.Port))
		}
	}
	if q.r.TLS != nil {
		return "https://" + host
	}
	return "http://" + host
}

// download answers a code package.
func (a *API) download(ctx context.Context, q *query) (any, error) {
	all, err := a.catalog(ctx, q.who)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		for _, f := range m.Functions {
			if f.Code.Hash == q.args["hash"] && !m.Template {
				q.w.Header().Set("Content-Type", "application/zip")
				return os.Open(a.codeFile(f.Code))
			}
		}
	}
	return nil, faultf("FunctionNotFound", "no function has this code package")
}

// bucketToken answers where a client may upload a code package, and with what.
func (a *API) bucketToken(ctx context.Context, q *query) (any, error) {
	bucket := tempBucket(q.who)
	b, err := a.o.Objects.CreateBucket(ctx, object.Bucket{Name: bucket, App: q.who.App, Region: "oss-" + region})
	if err != nil && object.ReasonOf(err) != object.BucketExists {
		return nil, err
	}
	if b.App != q.who.App {
		return nil, faultf("AccessDenied", "OSS bucket '%s', which is for code packages, belongs to somebody else", bucket)
	}
	key := a.o.Keys.Temporary(tokenPrefix, q.who, tempLife)
	return map[string]any{
		"credentials": map[string]string{"AccessKeyId": key.ID, "AccessKeySecret": key.Secret, "SecurityToken": key.Token,
			"Expiration": stamp(a.o.Now().Add(tempLife))},
		"ossBucket": bucket, "objectName": id(), "ossRegion": region,
	}, nil
}
