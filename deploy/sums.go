package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// settle is how old a file must be for its times to be trusted: a younger one may change again
// within the same tick of the file system's clock.
const settle = 2 * time.Second

// maxSums bounds the memory of sums; beyond it they are forgotten and taken again.
const maxSums = 500_000

// sums remembers the digests of files by size and time, so that looking at thousands of unchanged
// files costs no reading.
type sums struct {
	mu sync.Mutex
	m  map[string]sum // by path
}

type sum struct {
	size int64
	time time.Time
	hex  string
}

// of is the digest of a file's content.
func (s *sums) of(path string, info fs.FileInfo) (string, error) {
	s.mu.Lock()
	had, ok := s.m[path]
	s.mu.Unlock()
	if ok && had.size == info.Size() && had.time.Equal(info.ModTime()) {
		return had.hex, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	hx := hex.EncodeToString(h.Sum(nil))
	if time.Since(info.ModTime()) > settle {
		s.mu.Lock()
		if s.m == nil || len(s.m) >= maxSums {
			s.m = map[string]sum{}
		}
		s.m[path] = sum{info.Size(), info.ModTime(), hx}
		s.mu.Unlock()
	}
	return hx, nil
}
