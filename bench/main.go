// Command bench runs sluice and its references in turns, and prints and keeps the ratios. Areas are the
// folders beside it; measure has the rules.
//
//	bench -sluice ../bin/sluice                  everything
//	bench -area gateway -rounds 3 -growth=false  one area, without how it grows
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/endtoend"
	"github.com/sluicehq/sluice/bench/functions"
	"github.com/sluicehq/sluice/bench/gateway"
	"github.com/sluicehq/sluice/bench/measure"
	"github.com/sluicehq/sluice/bench/overload"
	"github.com/sluicehq/sluice/bench/push"
	"github.com/sluicehq/sluice/bench/startup"
	"github.com/sluicehq/sluice/bench/tables"
)

var areas = []measure.Area{gateway.Area, gateway.Crowd, functions.Area, push.Area, endtoend.Area, overload.Area, tables.Area, startup.Area}

// servers are the bare references that are processes of their own, and sluice's rooms alone.
var servers = map[string]func() error{
	"gateway/sluice":     gateway.ServeSluice,
	"gateway/bare":       gateway.ServeBare,
	"gateway/gws":        gateway.ServeGWS,
	"gateway/gws-asking": gateway.ServeGWSAsking,
	"gateway/function":   gateway.ServeFunction,
	"gateway/sluice-tls": gateway.ServeSluiceOverTLS,
	"gateway/gws-tls":    gateway.ServeGWSOverTLS,
	"gateway/idlers":     gateway.ServeIdlers,
	"push/crowd":         push.ServeCrowd,
	"push/empty":         push.ServeEmpty,
	"push/prober":        push.ServeProber,
	"endtoend/floor":     endtoend.ServeFloor,
	"tables/null":        tables.ServeNull,
	"tables/dynamodb":    tables.ServeDynamoDB,
	"tables/tablestore":  tables.ServeTablestore,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	var s measure.Settings
	w := &measure.Workshop{}
	serve := flag.String("serve", "", "internal: be this server")
	area := flag.String("area", "", "only this area")
	results := flag.String("results", "results", "folder for results.json, results.md and pictures; empty keeps nothing")
	cache, _ := os.UserCacheDir()
	flag.IntVar(&s.Rounds, "rounds", 3, "how often each figure is taken")
	flag.StringVar(&s.Only, "only", "", "only what has this in its name")
	flag.BoolVar(&s.Growth, "growth", true, "measure how costs grow")
	flag.BoolVar(&s.Cases, "cases", true, "compare with the references")
	flag.StringVar(&w.Sluice, "sluice", "../bin/sluice", "the sluice to measure")
	flag.StringVar(&w.Source, "source", "..", "its source")
	flag.StringVar(&w.Cache, "cache", filepath.Join(cache, "sluice-bench"), "folder for what registries have")
	flag.Parse()
	if *serve != "" {
		if f := servers[*serve]; f != nil {
			return f()
		}
		return fmt.Errorf("no server is called %q", *serve)
	}
	var err error
	for _, path := range []*string{&w.Sluice, &w.Source, &w.Cache} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if w.Self, err = os.Executable(); err != nil {
		return err
	}
	if w.Temp, err = os.MkdirTemp("", "sluice-bench-*"); err != nil {
		return err
	}
	defer os.RemoveAll(w.Temp)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { // what waits for a server that says nothing does not look at ctx
		time.Sleep(3 * time.Second)
		os.Exit(1)
	})
	fmt.Println(measure.Machine())
	var chapters []*measure.Chapter
	for _, a := range append(areas, tables.Rows) {
		if a.Name != *area && (*area != "" || a.Name == tables.Rows.Name) { // rows takes long: only when asked for
			continue
		}
		ch, err := measure.Run(ctx, w, a, s, os.Stdout)
		if err != nil {
			return err
		}
		chapters = append(chapters, ch)
	}
	if len(chapters) == 0 {
		var names []string
		for _, a := range areas {
			names = append(names, a.Name)
		}
		return fmt.Errorf("no area is called %q; there are %s", *area, strings.Join(names, ", "))
	}
	if *results == "" {
		return nil
	}
	return measure.Save(*results, measure.Version(w.Sluice, "version"), chapters)
}
