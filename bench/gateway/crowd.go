package gateway

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluicehq/sluice/bench/measure"
)

// Crowd is what does not fit one process: each has a limit of descriptors, so that there are several
// gateways, each with a load of its own, in one kernel.
var Crowd = measure.Area{Name: "crowd", Open: openCrowd}

// all is G14's number of connections.
const all = 247_000

func openCrowd(_ context.Context, w *measure.Workshop) (*measure.Bench, error) {
	var last gathering
	costs := map[int][]float64{} // of handshakes, by the number of connections
	return &measure.Bench{
		Cases: []measure.Case{
			{Name: "247,000 connections are opened (G14)", Unit: "s", Cost: true, Goal: 90, Rounds: 1, Ours: measure.Side{Name: "sluice", Take: func() (took float64, err error) {
				last, err = gather(w, all)
				return last.opened.Seconds(), err
			}}},
			{Name: "one broadcast to all", Unit: "s", Cost: true, Rounds: 1, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) { return last.told.Seconds(), nil }}},
			{Name: "who did not hear it", Unit: "connections", Cost: true, Goal: 0.5, Rounds: 1, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) {
				if last.heard == 0 {
					return 0, errors.New("nobody is there")
				}
				return float64(all - last.heard), nil
			}}},
			{Name: "memory of each", Unit: "B of user space", Cost: true, Goal: 750, Rounds: 1, Ours: measure.Side{Name: "sluice", Take: func() (float64, error) { return last.memory / all, nil }}},
		},
		Curves: []measure.Curve{
			{Name: "memory of idle connections", Of: "connections", Unit: "kB", At: []int{1000, 10_000, 100_000}, Take: func(n int) (float64, error) {
				g, err := gather(w, n)
				costs[n] = append(costs[n], g.cpu.Seconds()*1e3)
				return g.memory / 1000, err
			}},
			{Name: "processor time of handshakes", Of: "connections", Unit: "CPU-ms", At: []int{1000, 10_000, 100_000}, Take: func(n int) (float64, error) {
				if len(costs[n]) == 0 { // the other curve was not asked for
					g, err := gather(w, n)
					return g.cpu.Seconds() * 1e3, err
				}
				return measure.Median(costs[n]), nil
			}},
		},
	}, nil
}

// gathering is what a crowd has cost.
type gathering struct {
	opened, told time.Duration
	heard        int
	memory       float64       // of all gateways
	cpu          time.Duration // of all gateways while connections were opened
}

// gather opens n connections and tells all of them something.
func gather(w *measure.Workshop, n int) (g gathering, err error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return g, err
	}
	each := min(19_000, int(limit.Max)-500)
	var gateways, loads []*measure.Process
	defer func() {
		for _, p := range append(loads, gateways...) {
			p.Kill()
		}
	}()
	for range (n + each - 1) / each {
		s, err := w.Serve("gateway/sluice")
		if err != nil {
			return g, err
		}
		gateways = append(gateways, s)
		g.memory -= s.Memory()
		g.cpu -= s.CPU()
	}
	began := time.Now()
	type started struct {
		p   *measure.Process
		err error
	}
	ready := make(chan started, len(gateways))
	for i, s := range gateways {
		some := n*(i+1)/len(gateways) - n*i/len(gateways)
		go func() { // heard of below
			p, err := w.Serve("gateway/idlers", s.Addr, strconv.Itoa(some))
			ready <- started{p, err}
		}()
	}
	for range gateways {
		r := <-ready
		if r.err != nil {
			err = r.err
		} else {
			loads = append(loads, r.p)
		}
	}
	if err != nil {
		return g, err
	}
	g.opened = time.Since(began)
	for _, s := range gateways {
		g.cpu += s.CPU()
	}
	time.Sleep(3 * time.Second)
	for _, s := range gateways {
		g.memory += s.Memory()
	}
	return g, g.tell(gateways, loads)
}

// tell says something to all and counts who hears it.
func (g *gathering) tell(gateways, loads []*measure.Process) error {
	var ears []net.Conn
	defer func() { hangUp(ears) }()
	for _, p := range loads { // connecting has them listen
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			return err
		}
		c.SetDeadline(time.Now().Add(2 * time.Minute))
		ears = append(ears, c)
	}
	began := time.Now()
	for _, s := range gateways {
		c, err := dial(s.Addr, 1)
		if err != nil {
			return err
		}
		defer hangUp(c)
		if _, err := c[0].Write(text('P')); err != nil {
			return err
		}
	}
	for _, c := range ears {
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			return err
		}
		g.heard += n
	}
	g.told = time.Since(began)
	return nil
}

// ServeIdlers opens connections that join the crowd: its arguments are a gateway's address and how many.
// Whoever connects to it is told how many of them have heard the next word to all.
func ServeIdlers() error {
	n, err := strconv.Atoi(flag.Arg(1))
	if err != nil {
		return err
	}
	conns, err := dial(flag.Arg(0), n)
	if err != nil {
		return err
	}
	if err := join(conns); err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		heard, frame := 0, make([]byte, 2+size)
		until := time.Now().Add(time.Minute)
		for _, i := range conns {
			i.SetReadDeadline(until)
			if _, err := io.ReadFull(i, frame); err == nil {
				heard++
			}
		}
		fmt.Fprintln(c, heard)
		c.Close()
	}
}
