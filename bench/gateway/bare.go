package gateway

import (
	"bytes"
	"fmt"
	"syscall"
)

const accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// ServeBare is the limit: one thread, one epoll, a canned handshake, an echo, and for texts that begin
// with P one write per connection. It keeps nothing about a connection and checks nothing.
func ServeBare() error {
	ln, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := syscall.Bind(ln, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := syscall.Listen(ln, 4096); err != nil {
		return err
	}
	sa, err := syscall.Getsockname(ln)
	if err != nil {
		return err
	}
	ep, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	add := func(fd int) error {
		return syscall.EpollCtl(ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	}
	if err := add(ln); err != nil {
		return err
	}
	fmt.Printf("127.0.0.1:%d\n", sa.(*syscall.SockaddrInet4).Port)
	events, buf := make([]syscall.EpollEvent, 256), make([]byte, 64<<10)
	upgraded := make([]bool, 1<<16)
	var open []int
	for {
		n, err := syscall.EpollWait(ep, events, -1)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			fd := int(e.Fd)
			if fd == ln {
				for {
					c, _, err := syscall.Accept4(ln, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
					if err != nil {
						break
					}
					syscall.SetsockoptInt(c, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
					upgraded[c] = false
					add(c)
				}
				continue
			}
			got, err := syscall.Read(fd, buf)
			switch {
			case got <= 0 && err != syscall.EAGAIN:
				syscall.Close(fd)
			case got <= 0:
			case !upgraded[fd]:
				if bytes.HasSuffix(buf[:got], []byte("\r\n\r\n")) {
					upgraded[fd] = true
					open = append(open, fd)
					syscall.Write(fd, []byte(accepted))
				}
			default:
				answerBare(fd, buf[:got], open)
			}
		}
	}
}

// answerBare answers the frames of one read; the load sends texts of at most 125 bytes, whole.
func answerBare(fd int, b []byte, open []int) {
	for len(b) >= 6 {
		n := int(b[1] & 0x7f)
		if len(b) < 6+n {
			return
		}
		mask, data := b[2:6], b[6:6+n]
		for i := range data {
			data[i] ^= mask[i&3]
		}
		frame := append([]byte{0x81, byte(n)}, data...)
		if data[0] == 'P' {
			for _, c := range open {
				syscall.Write(c, frame)
			}
		} else {
			syscall.Write(fd, frame)
		}
		b = b[6+n:]
	}
}
