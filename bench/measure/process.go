package measure

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Workshop is what every area may use: programs, and a folder for what registries gave us.
type Workshop struct {
	Sluice string // the sluice that is measured
	Self   string // this program, which is also the bare servers: -serve NAME
	Cache  string // peers, kept between runs
	Source string // sluice's source
	Temp   string // ends with the run
}

// Process is a process whose costs are measured.
type Process struct {
	Addr    string // the first line that it printed
	Several bool   // what it costs is also what the processes that it started cost
	cmd     *exec.Cmd
	said    tail
}

// Start starts a program in a process group of its own. A program that says where it listens prints so on
// its first line; with quiet nothing is waited for.
func Start(cmd *exec.Cmd, quiet bool) (*Process, error) {
	p := &Process{cmd: cmd}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = &p.said
	if quiet {
		cmd.Stdout = &p.said
		return p, cmd.Start()
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := bufio.NewReader(out)
	line, err := r.ReadString('\n')
	if err != nil {
		p.Kill()
		return nil, fmt.Errorf("%s did not start: %w: %s", filepath.Base(cmd.Path), err, p.said.String())
	}
	p.Addr = strings.TrimSpace(line)
	go io.Copy(io.Discard, r) // ends with the process
	return p, nil
}

// Kill ends the whole group.
func (p *Process) Kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.cmd.Wait()
}

// Pid is the process's number.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Said is the end of what it printed.
func (p *Process) Said() string { return p.said.String() }

// CPU is how much processor time the process has used, without its children unless it is Several.
func (p *Process) CPU() time.Duration {
	if p.Several {
		return p.CPUOfAll()
	}
	return cpu(p.Pid())
}

// CPUOfAll is with all that it started, as functions are.
func (p *Process) CPUOfAll() time.Duration {
	var sum time.Duration
	for _, pid := range family(p.Pid()) {
		sum += cpu(pid)
	}
	return sum
}

// cpu counts in hundredths of a second: what is measured should use a few tenths at the least.
func cpu(pid int) time.Duration {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	user, _ := strconv.ParseInt(f[11], 10, 64)
	sys, _ := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+sys) * (time.Second / 100) // USER_HZ
}

// family is a process and all that it started.
func family(pid int) []int {
	parents := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		child, _ := strconv.Atoi(strings.Split(file, "/")[2])
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		parent, _ := strconv.Atoi(f[1])
		parents[parent] = append(parents[parent], child)
	}
	all := []int{pid}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// Memory is the process's own resident memory in bytes: without files.
func (p *Process) Memory() float64 { return p.status("RssAnon:") }

// Resident is all of its resident memory in bytes.
func (p *Process) Resident() float64 { return p.status("VmRSS:") }

// Share is the memory in bytes of it and all that it started, where what several processes map counts once.
func (p *Process) Share() (sum float64) {
	for _, pid := range family(p.Pid()) {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid)) // it may have ended
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
				sum += kb * 1024
			}
		}
	}
	return sum
}

func (p *Process) status(field string) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid()))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb * 1024
		}
	}
	return 0
}

// Serve starts this program as one of its bare servers.
func (w *Workshop) Serve(name string, args ...string) (*Process, error) {
	return Start(exec.Command(w.Self, append([]string{"-serve", name}, args...)...), false)
}

// Ready is the line that a ready sluice prints.
type Ready struct {
	Event  string   `json:"event"`
	Public []string `json:"public"`
	Admin  string   `json:"admin"`
	App    struct {
		Name      string                         `json:"name"`
		WebSocket []string                       `json:"websocket"`
		Outputs   []struct{ Name, Value string } `json:"outputs"`
	} `json:"app"`
}

// Running is a running sluice.
type Running struct {
	*Process
	Ready
	Env map[string]string // what `sluice env` says

	w    *Workshop
	data string
}

// Run starts sluice with the arguments, on a data folder of its own, and waits until it is ready.
func (w *Workshop) Run(args ...string) (*Running, error) {
	data, err := os.MkdirTemp(w.Temp, "data-*")
	if err != nil {
		return nil, err
	}
	return w.RunOn(data, args...)
}

// RunOn is Run with a given data folder.
func (w *Workshop) RunOn(data string, args ...string) (*Running, error) {
	p, err := Start(exec.Command(w.Sluice, append(args, "--json", "--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")...), false)
	if err != nil {
		return nil, err
	}
	s := &Running{Process: p, w: w, data: data, Env: map[string]string{}}
	if err := json.Unmarshal([]byte(p.Addr), &s.Ready); err != nil || s.Event != "ready" {
		p.Kill()
		return nil, fmt.Errorf("sluice is not ready but says %s", p.Addr)
	}
	return s, nil
}

// Keys fills Env.
func (s *Running) Keys() error {
	out, err := s.Command("env")
	for line := range strings.Lines(out) {
		if name, v, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			s.Env[name] = strings.Trim(v, `'"`)
		}
	}
	return err
}

// Host is the public address without a scheme.
func (s *Running) Host() string {
	return strings.Replace(strings.TrimPrefix(s.Public[0], "http://"), "localhost", "127.0.0.1", 1)
}

// Path is the path of the app's WebSocket address that ends so.
func (s *Running) Path(suffix string) string {
	for _, o := range s.App.Outputs {
		if v, ok := strings.CutPrefix(o.Value, "ws://"); ok && strings.HasSuffix(v, suffix) {
			if _, path, ok := strings.Cut(v, "/"); ok {
				return "/" + path
			}
		}
	}
	return suffix
}

// Command runs a client command of sluice against it.
func (s *Running) Command(args ...string) (string, error) {
	out, err := exec.Command(s.w.Sluice, append(args, "--admin", s.Admin)...).Output()
	return string(out), err
}

// Kill ends it and its data.
func (s *Running) Kill() {
	for _, pid := range family(s.Pid())[1:] { // functions have groups of their own
		syscall.Kill(pid, syscall.SIGKILL)
	}
	s.Process.Kill()
	os.RemoveAll(s.data)
}

// Installed installs an npm package list once and returns the folder that holds node_modules.
func (w *Workshop) Installed(ctx context.Context, packages ...string) (string, error) {
	dir := filepath.Join(w.Cache, "npm")
	missing := false
	for _, p := range packages {
		name := p
		if i := strings.LastIndexByte(p, '@'); i > 0 {
			name = p[:i]
		}
		if _, err := os.Stat(filepath.Join(dir, "node_modules", name)); err != nil {
			missing = true
		}
	}
	if !missing {
		return dir, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", fmt.Errorf("npm is not installed")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", append([]string{"install", "--no-audit", "--no-fund", "--silent"}, packages...)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("npm has no %s for us: %w: %s", strings.Join(packages, ", "), err, last(out))
	}
	return dir, nil
}

// NpmVersions are of the installed packages.
func NpmVersions(dir string, packages ...string) map[string]string {
	out := map[string]string{}
	for _, p := range packages {
		b, err := os.ReadFile(filepath.Join(dir, "node_modules", p, "package.json"))
		var v struct{ Version string }
		if err == nil && json.Unmarshal(b, &v) == nil {
			out[p] = v.Version
		}
	}
	return out
}

// FreePort is a port nobody listens on now.
func FreePort() (int, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port, nil
}

// Answers waits until an address answers HTTP, whatever it says.
func Answers(url string, within time.Duration) error {
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if time.Now().After(end) {
			return err
		}
	}
}

func last(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

// tail keeps the last bytes written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if len(t.b) > 8<<10 {
		t.b = append([]byte(nil), t.b[len(t.b)-4<<10:]...)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}
