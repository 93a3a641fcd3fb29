package ports

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Listens reports whether a process of a group listens on a TCP port, as far as that can be told.
func Listens(group, port int) bool {
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		if groupOf(dir) != group {
			continue
		}
		sockets := listening(dir, port)
		if len(sockets) == 0 {
			continue
		}
		files, _ := filepath.Glob(dir + "/fd/*")
		for _, f := range files {
			if to, err := os.Readlink(f); err == nil && sockets[to] {
				return true
			}
		}
	}
	return false
}

// listening are the sockets on a port in the network of a process, as links in its fd folder show them.
func listening(dir string, port int) map[string]bool {
	found := map[string]bool{}
	end := ":" + strings.ToUpper(strconv.FormatInt(int64(port)+1<<16, 16)[1:])
	for _, name := range []string{"tcp", "tcp6"} {
		text, _ := os.ReadFile(dir + "/net/" + name) // none when it has ended
		for line := range strings.Lines(string(text)) {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			if f := strings.Fields(line); len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], end) {
				found["socket:["+f[9]+"]"] = true
			}
		}
	}
	return found
}

// groupOf is the process group of a process, by its folder in /proc; 0 when it is gone.
func groupOf(dir string) int {
	text, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return 0
	}
	// pid (name) state ppid pgrp …; a name may have anything in it.
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(f) < 3 {
		return 0
	}
	group, _ := strconv.Atoi(f[2])
	return group
}
