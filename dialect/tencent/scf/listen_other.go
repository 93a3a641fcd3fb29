//go:build !linux

package scf

// listens reports whether a process of a group listens on a TCP port, as far as that can be told.
func listens(group, port int) bool { return false }
