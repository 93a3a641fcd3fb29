// Command sluice runs serverless full-duplex apps: on a laptop (sluice dev), on a server (sluice
// serve), and everything an operator does with them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluicehq/sluice"
	"github.com/sluicehq/sluice/dialect/aliyun/scli"
)

// version is set by the linker for releases.
var version = "0.1.0-dev"

func main() { os.Exit(run()) }

// run is main with an exit code: 0 done, 1 failed, 2 used wrongly.
func run() int {
	// The first Ctrl-C stops politely; once it has been seen, the second one kills at once.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)

	// Under the name s this binary is the cloud's own tool: while a template's actions run, and for whoever
	// links it so.
	if filepath.Base(os.Args[0]) == "s" {
		s := scli.Tool{Version: version, Env: os.Getenv, Dir: mustGetwd(), In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Sluice: func(ctx context.Context, out io.Writer, args ...string) error {
			if err := execute(ctx, out, args); err != nil {
				if !errors.Is(err, errSilent) {
					printError(os.Stderr, err)
				}
				return scli.Told{Err: err}
			}
			return nil
		}}
		return s.Run(ctx, os.Args[1:])
	}
	err := execute(ctx, os.Stdout, os.Args[1:])
	if err == nil {
		return 0
	}
	var usage usageError
	code := 1
	if errors.As(err, &usage) {
		code = 2
	}
	if !errors.Is(err, errSilent) {
		printError(os.Stderr, err)
	}
	return code
}

// execute runs the command line.
func execute(ctx context.Context, out io.Writer, args []string) error {
	t := &tool{in: os.Stdin, out: out, err: os.Stderr, env: os.LookupEnv}
	root := t.commands()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(t.err)
	return root.ExecuteContext(ctx)
}

// errSilent ends a command that has said already what is wrong.
var errSilent = errors.New("failed")

// usageError is a mistake on the command line itself.
type usageError struct{ error }

// Unwrap returns the mistake.
func (u usageError) Unwrap() error { return u.error }

// printError writes one line an error, and its hint when there is one. Joined errors are one each.
func printError(w io.Writer, err error) {
	for _, e := range flatten(err) {
		fmt.Fprintf(w, "sluice: error: %s\n", strings.TrimSpace(e.Error()))
		if h := sluice.HintOf(e); h != "" {
			fmt.Fprintf(w, "sluice: hint: %s\n", h)
		}
	}
}

func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	// A joined error may be wrapped by a plain one: its parts are still told apart when the wrapping
	// says nothing more.
	if in := errors.Unwrap(err); in != nil && in.Error() == err.Error() {
		return flatten(in)
	}
	return []error{err}
}
