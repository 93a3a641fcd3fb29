package ports

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// owner tells whether one of a process group listens on a TCP port, and whether anybody is known to.
func owner(group, port int) (ours, known bool) {
	leader := "/proc/" + strconv.Itoa(group)
	sockets := listening(leader, port)
	if len(sockets) == 0 {
		return false, false
	}
	if holds(leader, sockets) {
		return true, true
	}
	pids, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range pids {
		if dir != leader && groupOf(dir) == group && holds(dir, sockets) {
			return true, true
		}
	}
	return false, true
}

// holds reports whether a process has one of some sockets open.
func holds(dir string, sockets map[string]bool) bool {
	files, _ := os.ReadDir(dir + "/fd")
	for _, f := range files {
		if to, err := os.Readlink(dir + "/fd/" + f.Name()); err == nil && sockets[to] {
			return true
		}
	}
	return false
}

// listening are the sockets on a port in the network of a process, ours when it has ended, as links in fd folders
// show them.
func listening(dir string, port int) map[string]bool {
	found := map[string]bool{}
	end := ":" + strings.ToUpper(strconv.FormatInt(int64(port)+1<<16, 16)[1:])
	for _, name := range []string{"/net/tcp", "/net/tcp6"} {
		f, err := os.Open(dir + name)
		if err != nil {
			f, err = os.Open("/proc/self" + name)
		}
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(f)
		lines.Scan() // the names of the columns
		for lines.Scan() {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			col := strings.Fields(lines.Text())
			if len(col) < 10 || col[3] != "0A" {
				break // who listens comes first (proc_net_tcp.rst); connections may be many
			}
			if strings.HasSuffix(col[1], end) {
				found["socket:["+col[9]+"]"] = true
			}
		}
		f.Close()
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
