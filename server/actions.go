package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"

	"github.com/sluicehq/sluice"
)

// actionEnvironment is what the actions of an app find in their environment over our own: the keys of
// the app, where the cloud's APIs are, and the cloud's tool in the first folder of PATH.
func (s *Server) actionEnvironment(ctx context.Context, app *sluice.App) ([]string, error) {
	d := s.dialect(app.Dialect)
	if d == nil {
		return nil, nil
	}
	env := map[string]string{}
	if d.Exports != nil {
		key, err := s.keys.AppKey(ctx, app.Name)
		if err != nil {
			return nil, fmt.Errorf("key of app %q: %w", app.Name, err)
		}
		maps.Copy(env, d.Exports(key, "http://"+reach(s.admin.Addr())))
	}
	if d.Actions != nil {
		own, err := d.Actions(app)
		if err != nil {
			return nil, err
		}
		maps.Copy(env, own)
	}
	if d.Tool != "" {
		bin, err := s.linkTool(d.Tool)
		if err != nil {
			return nil, fmt.Errorf("make tool %q: %w", d.Tool, err)
		}
		env["PATH"] = bin + string(filepath.ListSeparator) + os.Getenv("PATH")
	}
	list := make([]string, 0, len(env))
	for k, v := range env {
		list = append(list, k+"="+v)
	}
	return list, nil
}

// linkTool makes this binary answer to a name in a folder of its own, and returns the folder.
func (s *Server) linkTool(name string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	bin := s.path("bin")
	if err := os.MkdirAll(bin, 0o700); err != nil {
		return "", err
	}
	link := filepath.Join(bin, name)
	if is, err := os.Readlink(link); err == nil && is == self {
		return bin, nil
	}
	if err := os.Remove(link); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return bin, os.Symlink(self, link)
}
