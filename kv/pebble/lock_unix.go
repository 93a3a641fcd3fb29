//go:build unix

package pebble

import (
	"errors"

	"golang.org/x/sys/unix"
)

// lockHeld says whether another process holds the lock.
func lockHeld(err error) bool { return errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) }
