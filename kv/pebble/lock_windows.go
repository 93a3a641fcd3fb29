package pebble

import (
	"errors"

	"golang.org/x/sys/windows"
)

// lockHeld says whether another process holds the lock.
func lockHeld(err error) bool { return errors.Is(err, windows.ERROR_SHARING_VIOLATION) }
