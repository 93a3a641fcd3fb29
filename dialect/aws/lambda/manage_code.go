package lambda

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	maxPack  = 250 << 20        // bytes of a code package
	codeLife = 10 * time.Minute // of the address of one
	codePath = "/_aws/lambda/code/"
)

// code is where a package comes from.
type code struct {
	ZipFile         []byte
	S3Bucket        string
	S3Key           string
	S3ObjectVersion string
	ImageURI        string `json:"ImageUri"`
}

func (a *API) codeDir() string { return filepath.Join(a.o.Dir, "lambda") }

// codeFile is the file of a package, named by its CodeSha256. It stays as long as a revision is kept that
// may be deployed from it again.
func (a *API) codeFile(sum string) string {
	raw, err := base64.StdEncoding.DecodeString(sum)
	if err != nil {
		raw = nil // there is no such file
	}
	return filepath.Join(a.codeDir(), hex.EncodeToString(raw)+".zip")
}

// sizeOf is the size of a package; 0 when it is gone.
func (a *API) sizeOf(file string) int64 {
	info, err := os.Stat(file)
	if err != nil || info.IsDir() {
		return 0
	}
	return info.Size()
}

// take keeps the package that a request brings or names, and makes it the function's.
func (a *API) take(ctx context.Context, who access.Principal, c *code, f *sluice.Function, e *Extra) error {
	sum, size, err := a.keep(ctx, who, c)
	if err != nil {
		return err
	}
	f.Code, e.Sum, e.Size = a.codeFile(sum), sum, size
	return nil
}

// keep writes a package to its file, durably.
func (a *API) keep(ctx context.Context, who access.Principal, c *code) (sum string, size int64, err error) {
	var from io.Reader = bytes.NewReader(c.ZipFile)
	switch {
	case c.S3Bucket != "":
		o, err := a.fetch(ctx, who, c.S3Bucket, c.S3Key)
		if err != nil {
			return "", 0, err
		}
		defer o.Close()
		from = o
	case len(c.ZipFile) == 0:
		return "", 0, invalidf("Please provide a source for function code.")
	}
	if err := os.MkdirAll(a.codeDir(), 0o700); err != nil {
		return "", 0, err
	}
	tmp, err := os.CreateTemp(a.codeDir(), "new-*")
	if err != nil {
		return "", 0, err
	}
	defer func() {
		tmp.Close()
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	h := sha256.New()
	size, err = io.Copy(io.MultiWriter(tmp, h), io.LimitReader(from, maxPack+1))
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("write code package: %w", err)
	case size > maxPack:
		return "", 0, faultf(http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Unzipped size must be smaller than %d bytes", maxPack)
	}
	if _, err := zip.NewReader(tmp, size); err != nil {
		return "", 0, invalidf("Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	sum = base64.StdEncoding.EncodeToString(h.Sum(nil))
	if err = errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return "", 0, fmt.Errorf("write code package: %w", err)
	}
	return sum, size, os.Rename(tmp.Name(), a.codeFile(sum))
}

// fetch opens an object that the caller may read.
func (a *API) fetch(ctx context.Context, who access.Principal, bucket, key string) (*object.Content, error) {
	if a.o.Objects == nil {
		return nil, faultf(http.StatusServiceUnavailable, "ServiceException", "this server keeps no objects")
	}
	b, err := a.o.Objects.Bucket(ctx, bucket)
	switch {
	case object.ReasonOf(err) == object.NoSuchBucket:
		return nil, invalidf("Error occurred while GetObject. S3 Error Code: NoSuchBucket. S3 Error Message: The specified bucket does not exist")
	case err != nil:
		return nil, err
	case !who.Admin() && b.App != who.App:
		return nil, faultf(http.StatusForbidden, "AccessDeniedException", "this key may not read bucket %s", bucket)
	}
	o, err := a.o.Objects.Get(ctx, bucket, key)
	if sluice.KindOf(err) == sluice.Missing {
		err = invalidf("Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist.")
	}
	return o, err
}

// sweep removes the packages that no kept revision and no layer names.
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
		if !a.alterable(app) {
			continue
		}
		kept, err := a.o.Apps.History(ctx, app.Name)
		if err != nil {
			return err
		}
		for _, old := range append(kept, app) {
			for _, f := range old.Functions {
				used[filepath.Base(f.Code)] = true
				for _, l := range f.Opt {
					used[filepath.Base(l.Code)] = true
				}
			}
		}
	}
	layers, err := a.layers("")
	if err != nil {
		return err
	}
	for _, l := range layers {
		if l.Deleted {
			continue
		}
		used[filepath.Base(a.codeFile(l.Sum))] = true
	}
	entries, err := os.ReadDir(a.codeDir())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if !e.IsDir() && !used[e.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(a.codeDir(), e.Name())))
		}
	}
	return err
}

// location is an address from which a package can be had for a while, by whoever has it.
func (a *API) location(q *query, sum string) string {
	file := filepath.Base(a.codeFile(sum))
	key := a.o.Keys.Temporary("ASIA", q.who, codeLife)
	expires := strconv.FormatInt(a.o.Now().Add(codeLife).Unix(), 10)
	v := url.Values{"key": {key.ID}, "token": {key.Token}, "expires": {expires}, "signature": {codeSignature(key.Secret, file, expires)}}
	scheme := "http://"
	if q.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + q.r.Host + codePath + file + "?" + v.Encode()
}

func codeSignature(secret, file, expires string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(file + "\n" + expires))
	return hex.EncodeToString(mac.Sum(nil))
}

// isPack reports whether a file name is that of a package.
func isPack(name string) bool {
	sum, ok := strings.CutSuffix(name, ".zip")
	raw, err := hex.DecodeString(sum)
	return ok && err == nil && len(raw) == sha256.Size
}

// download answers a package to whoever has its address.
func (a *API) download(w http.ResponseWriter, r *http.Request) error {
	file, v := strings.TrimPrefix(r.URL.Path, codePath), r.URL.Query()
	secret, _, err := a.o.Keys.Lookup(r.Context(), v.Get("key"), v.Get("token"))
	expires, bad := strconv.ParseInt(v.Get("expires"), 10, 64)
	if err != nil || bad != nil || !isPack(file) || !hmac.Equal([]byte(v.Get("signature")), []byte(codeSignature(secret, file, v.Get("expires")))) || a.o.Now().Unix() > expires {
		return faultf(http.StatusForbidden, "AccessDeniedException", "this address of a code package does not hold, or no longer")
	}
	f, err := os.Open(filepath.Join(a.codeDir(), file))
	if err != nil {
		return missingf("this code package is gone")
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/zip")
	http.ServeContent(w, r, file, time.Time{}, f)
	return nil
}
