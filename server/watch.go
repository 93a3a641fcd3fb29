package server

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How long a folder must be quiet before a change counts: editors write in several steps. A file that is
// empty now was most likely cut for new content.
const (
	settle      = 10 * time.Millisecond
	settleEmpty = 50 * time.Millisecond
)

// Watch calls changed, with the paths relative to dir, each time files of dir were saved, until ctx
// ends. Changes made while changed runs are told afterwards, together.
func (s *Server) Watch(ctx context.Context, dir string, changed func([]string)) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	defer w.Close()
	add := func(root string) {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil
			}
			if path != dir && unwatched(d.Name()) || s.own(path) {
				return filepath.SkipDir
			}
			if err := w.Add(path); err != nil {
				s.log.Warn("cannot watch folder for changes", "folder", path, "err", err)
			}
			return nil
		})
	}
	add(dir)
	pending := map[string]bool{} // whether the file is empty
	quiet := time.NewTimer(0)
	<-quiet.C
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events:
			if !ok {
				return nil
			}
			rel, err := filepath.Rel(dir, e.Name)
			if err != nil || e.Op == fsnotify.Chmod || unwatched(filepath.Base(e.Name)) || s.own(e.Name) {
				continue
			}
			if e.Has(fsnotify.Create) {
				add(e.Name)
			}
			info, err := os.Stat(e.Name)
			pending[rel] = err == nil && info.Size() == 0
			wait := settle
			for _, empty := range pending {
				if empty {
					wait = settleEmpty
				}
			}
			quiet.Reset(wait)
		case err, ok := <-w.Errors:
			if !ok {
				return nil
			}
			s.log.Warn("watching for changes", "err", err)
		case <-quiet.C:
			names := make([]string, 0, len(pending))
			for n := range pending {
				names = append(names, n)
			}
			sort.Strings(names)
			clear(pending)
			changed(names)
		}
	}
}

// own reports whether a path is the data folder, which may lie in an app's.
func (s *Server) own(path string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && abs == s.cfg.Data
}

// unwatched names what no one means when they save: our own data, version control, installed modules,
// editors' swap files.
func unwatched(name string) bool {
	switch name {
	case "node_modules", "__pycache__":
		return true
	}
	return strings.HasPrefix(name, ".") && name != ".env" || strings.HasSuffix(name, "~") || strings.HasSuffix(name, ".swp")
}
