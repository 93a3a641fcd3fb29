"""The fork server: an interpreter that has read what every instance needs, and no user code.

Messages of the socket, one a packet: "fork n" with the descriptors of an instance (its socket, its
output) is answered "forked n pid" or "failed n why"; "ended pid exited|signal number" tells a child's end, and
leaves it a zombie, so that its number stays its own, until "reap pid" has come.
"""
import array
import gc
import os
import select
import signal
import socket
import sys

try:
    import ctypes
    prctl = ctypes.CDLL(None).prctl
except Exception:  # a python without it: instances end when their socket does
    prctl = None

PR_SET_PDEATHSIG = 1


def receive(sock):
    """One message and its descriptors."""
    fds = array.array('i')
    data, extra, _, _ = sock.recvmsg(256, socket.CMSG_SPACE(2 * fds.itemsize))
    for level, kind, value in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
    return data.decode().split(), list(fds)


def serve(fd):
    """Forks until the supervisor has gone; returns in the children, their socket in place of ours."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd)
    sock.set_inheritable(False)
    me = os.getpid()
    wake, woken = os.pipe()
    for end in (wake, woken):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    poll.register(fd, select.POLLIN)
    gc.disable()
    gc.collect()
    gc.freeze()
    running = set()
    sock.send(b'ready ' + os.fsencode(sys.executable))
    while True:
        for ready, _ in poll.poll():
            if ready == wake:
                os.read(wake, 4096)
                for pid in list(running):
                    end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                    if end is not None:
                        running.discard(pid)
                        how = 'exited' if end.si_code == os.CLD_EXITED else 'signal'
                        sock.send(('ended %d %s %d' % (pid, how, end.si_status)).encode())
                continue
            words, fds = receive(sock)
            if not words:
                os._exit(0)
            if words[0] == 'reap':
                os.waitpid(int(words[1]), 0)
                continue
            try:
                pid = os.fork()
            except OSError as err:
                sock.send(('failed %s %s' % (words[1], err)).encode())
                pid = -1
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setpgid(0, 0)
                if prctl is not None:
                    prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
                if os.getppid() != me:
                    os._exit(1)
                sock.detach()
                os.dup2(fds[0], fd, inheritable=False)
                os.dup2(fds[1], 1)
                os.dup2(fds[1], 2)
                for f in fds + [wake, woken]:
                    os.close(f)
                gc.enable()
                return
            for f in fds:
                os.close(f)
            if pid > 0:
                try:
                    os.setpgid(pid, pid)  # here as well: who comes first
                except OSError:
                    pass
                running.add(pid)
                sock.send(('forked %s %d' % (words[1], pid)).encode())
