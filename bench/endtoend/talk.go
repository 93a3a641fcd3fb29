package endtoend

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/socket"
)

// An action of the chat answers who asks for it: echo by what its function returns, push by what that
// function posts to the connection.
type action string

const (
	echo action = "echo"
	push action = "back"
)

// talker is a client that asks for its next answer as soon as it has one. One thread does so for all, by an epoll
// of its own: what the load takes of the processors, the servers lack.
type talker struct {
	file  *os.File
	fd    int
	in    []byte // what has come and is not read yet
	began time.Time
}

// hireTalkers opens n connections.
func hireTalkers(addr, path string, n int) ([]*talker, error) {
	conns, err := socket.Dial(addr, path, n)
	if err != nil {
		return nil, err
	}
	defer socket.HangUp(conns) // Go's poller forgets them: the files are others
	var all []*talker
	for _, c := range conns {
		f, err := c.File()
		if err != nil {
			dismiss(all)
			return nil, err
		}
		all = append(all, &talker{file: f, fd: int(f.Fd())})
	}
	return all, nil
}

func dismiss(all []*talker) {
	for _, t := range all {
		t.file.Close()
	}
}

func (t *talker) send(first byte, text string) error {
	_, err := syscall.Write(t.fd, append([]byte{first, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...))
	return err
}

// ask sends a message.
func (t *talker) ask(a action) error {
	t.began = time.Now()
	return t.send(0x81, `{"action":"`+string(a)+`","data":"hello"}`)
}

// hear reads what is there, and says whether the answer to ask was in it.
func (t *talker) hear(a action) (answered bool, err error) {
	var buf [4 << 10]byte
	n, err := syscall.Read(t.fd, buf[:])
	if err == nil && n == 0 {
		err = fmt.Errorf("a client was hung up on")
	}
	if err != nil {
		return false, err
	}
	t.in = append(t.in, buf[:n]...)
	for len(t.in) >= 2 {
		op, size, head := t.in[0]&0xf, int(t.in[1]), 2
		if size == 126 {
			if head = 4; len(t.in) < head {
				return answered, nil
			}
			size = int(t.in[2])<<8 | int(t.in[3])
		}
		if len(t.in) < head+size {
			return answered, nil
		}
		text := string(t.in[head : head+size])
		t.in = append(t.in[:0], t.in[head+size:]...)
		switch {
		case op == 9:
			err = t.send(0x8a, text)
		case op == 8 || op != 10 && strings.Contains(text, "rror"):
			err = fmt.Errorf("answered %q", text)
		case text == string(a)+" hello":
			answered = true
		}
		if err != nil {
			return false, err
		}
	}
	return answered, nil
}

// talk has each ask for one answer after the other, and says how many a second came and what each took in ms.
func talk(all []*talker, a action, spell time.Duration) (rate float64, took []float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	poll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return 0, nil, err
	}
	defer syscall.Close(poll)
	began := time.Now()
	for i, t := range all {
		if err := syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, t.fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)}); err != nil {
			return 0, nil, err
		}
		if err := t.ask(a); err != nil {
			return 0, nil, err
		}
	}
	events := make([]syscall.EpollEvent, len(all))
	for open := len(all); open > 0; {
		n, err := syscall.EpollWait(poll, events, 10_000)
		switch {
		case err == syscall.EINTR:
			continue
		case err != nil:
			return 0, nil, err
		case n == 0:
			return 0, nil, fmt.Errorf("no answer came for 10 s")
		}
		for _, e := range events[:n] {
			t := all[e.Fd]
			answered, err := t.hear(a)
			if err != nil {
				return 0, nil, err
			}
			if !answered {
				continue
			}
			took = append(took, time.Since(t.began).Seconds()*1e3)
			if time.Since(began) >= spell {
				open--
			} else if err := t.ask(a); err != nil {
				return 0, nil, err
			}
		}
	}
	return float64(len(took)) / time.Since(began).Seconds(), took, nil
}
