//go:build !unix

package deploy

import "os/exec"

// killGroup leaves the default: only cmd itself is killed.
func killGroup(*exec.Cmd) {}
