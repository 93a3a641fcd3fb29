// Package ports tells which process listens on a TCP port of this machine, where the system says so.
package ports
