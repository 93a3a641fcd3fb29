//go:build !linux

package ports

// owner tells whether one of a process group listens on a TCP port, and whether anybody is known to: here
// nobody is.
func owner(group, port int) (ours, known bool) { return false, false }

// daemon tells whether one who listens on a TCP port is younger than a process group: here nobody is known.
func daemon(group, port int) bool { return false }
