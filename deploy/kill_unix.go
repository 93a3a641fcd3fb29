//go:build unix

package deploy

import (
	"os/exec"
	"syscall"
)

// killGroup makes cmd the leader of a process group that dies as a whole.
func killGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
