package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice"
)

func (t *tool) sendCommand() *cobra.Command {
	var messages []string
	var wait time.Duration
	var count int
	cmd := &cobra.Command{
		Use: "send URL", Short: "Open a WebSocket: what you type goes up, what comes down is printed", Args: cobra.ExactArgs(1),
		Long: "Without -m, every line of standard input is one message. With -m, the messages are sent, answers are\nprinted for --wait (or until --count of them came), and the command ends.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.HasPrefix(args[0], "ws://") && !strings.HasPrefix(args[0], "wss://") {
				return usageError{fmt.Errorf("URL %q: want ws://host/path or wss://host/path", args[0])}
			}
			d := ws.Dialer{Timeout: 10 * time.Second}
			conn, br, _, err := d.Dial(cmd.Context(), args[0])
			if err != nil {
				var st ws.StatusError
				if errors.As(err, &st) {
					return fmt.Errorf("%s refused the connection: status %d", args[0], int(st))
				}
				return &sluice.Error{Code: sluice.Unavailable, Msg: fmt.Sprintf("connect %s: %v", args[0], err), Hint: `is the app deployed? "sluice list" shows the addresses`}
			}
			defer conn.Close()
			var r io.Reader = conn
			if br != nil {
				r = br
			}
			return t.converse(cmd.Context(), conn, r, messages, wait, count)
		},
	}
	cmd.Flags().StringArrayVarP(&messages, "message", "m", nil, "message to send, repeatable")
	cmd.Flags().DurationVar(&wait, "wait", 2*time.Second, "with -m: how long to print answers")
	cmd.Flags().IntVar(&count, "count", 0, "with -m: end after so many answers")
	return cmd
}

func (t *tool) converse(ctx context.Context, conn net.Conn, r io.Reader, messages []string, wait time.Duration, count int) error {
	got := make(chan error, 1)
	go func() { got <- t.print(conn, r, count) }() // ends when conn is closed
	if len(messages) > 0 {
		for _, m := range messages {
			if err := wsutil.WriteClientText(conn, []byte(m)); err != nil {
				return err
			}
		}
		select {
		case err := <-got:
			return err
		case <-time.After(wait):
			if count > 0 {
				return fmt.Errorf("fewer than %d messages came within %s", count, wait)
			}
		case <-ctx.Done():
		}
		return wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
	}
	typed := make(chan string)
	go func() { // ends with standard input, or with the process
		defer close(typed)
		for sc := bufio.NewScanner(t.in); sc.Scan(); {
			select {
			case typed <- sc.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	if f, ok := t.in.(*os.File); ok && isTerminal(f) {
		fmt.Fprintln(t.err, "connected; type a message and Enter, Ctrl-C to leave")
	}
	for {
		select {
		case line, ok := <-typed:
			if !ok {
				wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
				select {
				case <-got:
				case <-time.After(wait):
				}
				return nil
			}
			if err := wsutil.WriteClientText(conn, []byte(line)); err != nil {
				return err
			}
		case err := <-got:
			return err
		case <-ctx.Done():
			return wsutil.WriteClientMessage(conn, ws.OpClose, ws.NewCloseFrameBody(ws.StatusNormalClosure, ""))
		}
	}
}

// print writes every message that comes, one a line, until the socket closes or count have come.
func (t *tool) print(conn net.Conn, r io.Reader, count int) error {
	rw := struct {
		io.Reader
		io.Writer
	}{r, conn}
	for n := 0; count == 0 || n < count; n++ {
		data, op, err := wsutil.ReadServerData(rw)
		var closed wsutil.ClosedError
		switch {
		case errors.As(err, &closed):
			if closed.Code == ws.StatusNormalClosure || closed.Code == ws.StatusNoStatusRcvd {
				return nil
			}
			return fmt.Errorf("the server closed the connection: %d %s", int(closed.Code), closed.Reason)
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("the connection broke: %w", err)
		}
		if t.json {
			err = t.line(map[string]any{"binary": op == ws.OpBinary, "data": string(data)})
		} else {
			_, err = fmt.Fprintf(t.out, "%s\n", data)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
