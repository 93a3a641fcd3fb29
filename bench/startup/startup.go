// Package startup measures what sluice costs before anybody uses it.
package startup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// Area is the program itself.
var Area = measure.Area{Name: "startup", Open: open}

const template = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Resources:
  Hello: { Type: AWS::Serverless::Function, Properties: { Runtime: nodejs20.x, Handler: index.handler, CodeUri: src/, FunctionUrlConfig: { AuthType: NONE } } }
`

func open(_ context.Context, w *measure.Workshop) (*measure.Bench, error) {
	absolute := func(take func() (float64, error)) measure.Side { return measure.Side{Name: "sluice", Take: take} }
	apps := filepath.Join(w.Temp, "apps")
	var filled int
	return &measure.Bench{
		Cases: []measure.Case{
			{Name: "binary, stripped", Unit: "MB", Cost: true, Goal: 50, Rounds: 1, Ours: absolute(func() (float64, error) {
				info, err := os.Stat(w.Sluice)
				if err != nil {
					return 0, err
				}
				return float64(info.Size()) / 1e6, nil
			})},
			{Name: "start to ready, empty data folder", Unit: "ms", Cost: true, Goal: 150, Rounds: 5, Ours: absolute(func() (float64, error) {
				t := time.Now()
				s, err := w.Run("serve")
				if err != nil {
					return 0, err
				}
				took := time.Since(t).Seconds() * 1e3
				s.Kill()
				return took, nil
			})},
			{Name: "start to ready, 50 apps", Unit: "ms", Cost: true, Goal: 300, Rounds: 3, Ours: absolute(func() (float64, error) {
				if err := fill(w, apps, &filled, 50); err != nil {
					return 0, err
				}
				return again(w, apps)
			})},
			{Name: "idle, no app", Unit: "MB resident", Cost: true, Goal: 40, Rounds: 2, Ours: absolute(func() (float64, error) {
				s, err := w.Run("serve")
				if err != nil {
					return 0, err
				}
				defer s.Kill()
				time.Sleep(3 * time.Second)
				return s.Resident() / 1e6, nil
			})},
			{Name: "idle, no app, without the binary's pages", Unit: "MB", Cost: true, Rounds: 2, Ours: absolute(func() (float64, error) {
				s, err := w.Run("serve")
				if err != nil {
					return 0, err
				}
				defer s.Kill()
				time.Sleep(3 * time.Second)
				return s.Memory() / 1e6, nil
			})},
		},
	}, nil
}

// again is the time to ready on a folder that has apps, after a clean end.
func again(w *measure.Workshop, data string) (float64, error) {
	t := time.Now()
	s, err := w.RunOn(data, "serve")
	if err != nil {
		return 0, err
	}
	took := time.Since(t).Seconds() * 1e3
	s.Process.Kill() // keeps the folder
	return took, nil
}

// fill deploys apps until there are n.
func fill(w *measure.Workshop, data string, have *int, n int) error {
	if *have >= n {
		return nil
	}
	app := filepath.Join(w.Temp, "hello")
	if err := os.MkdirAll(filepath.Join(app, "src"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(app, "template.yaml"), []byte(template), 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(app, "src/index.js"), []byte(`exports.handler = async () => 'hello'`), 0o644); err != nil {
		return err
	}
	s, err := w.RunOn(data, "serve")
	if err != nil {
		return err
	}
	defer s.Process.Kill()
	for ; *have < n; *have++ {
		if out, err := s.Command("deploy", app, "--name", fmt.Sprintf("app%d", *have)); err != nil {
			return fmt.Errorf("deploy: %w: %s", err, out)
		}
	}
	return nil
}
