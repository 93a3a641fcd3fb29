//go:build !linux

package reactor

import (
	"errors"
	"net"
	"time"
)

// Supported says whether loops can own descriptors on this system.
const Supported = false

// epoll is not there: no loop of this system has one, so none of its methods is ever called.
type epoll struct{}

func newEpoll() (*epoll, error)                       { return nil, errors.ErrUnsupported }
func (*epoll) wait(*Loop, time.Duration)              {}
func (*epoll) wake()                                  {}
func (*epoll) leave(*Loop)                            {}
func (*epoll) close()                                 {}
func (*epoll) add(int32, uint64) error                { return errors.ErrUnsupported }
func (*epoll) remove(int32)                           {}
func (*epoll) read(int32, []byte) ([]byte, error)     { return nil, errors.ErrUnsupported }
func (*epoll) write(int32, []byte) (int, error)       { return 0, errors.ErrUnsupported }
func (*epoll) modify(int32, uint64, bool, bool) error { return errors.ErrUnsupported }
func (*epoll) shutdown(int32)                         {}
func closeFD(int32)                                   {}
func dup(*net.TCPConn) (int32, error)                 { return -1, errors.ErrUnsupported }
func netConn(int32) (net.Conn, error)                 { return nil, errors.ErrUnsupported }

// Listener is a listening descriptor that loops accept from by themselves.
type Listener struct{}

// RawListener reports that the system has no such thing.
func RawListener(*net.TCPListener) (*Listener, error) { return nil, errors.ErrUnsupported }

// Close does nothing: there is no descriptor.
func (*Listener) Close() {}

// Listen reports that the system has no such thing.
func (*Loop) Listen(*Listener) error { return errors.ErrUnsupported }

// Unlisten does nothing: nothing was listened to.
func (*Loop) Unlisten(*Listener) {}
