"""The frame core of sluice's Python instances.

It speaks with the supervisor over fd 3, loads the user's module, runs handlers, and sends logs. What a
handler's arguments and results look like, it does not know: that is in the dialect's file, named by
argv[1]. Frames are described in function/DESIGN.md. Started with "--fork" it is a fork server: fd 3 is
then a socket that brings the descriptors of instances, and each instance is a fork of it.
"""
import atexit
import gc
import importlib
import importlib.util
import io
import json
import logging
import os
import queue
import struct
import sys
import threading
import time

FD = 3
(HELLO, LOAD, READY, INVOKE, RESULT, ERROR, CHUNK, LOG, CANCEL, HOOK, PING, PONG, STOP, INITERR) = range(1, 15)
MORE = 1  # flag: CHUNKs of the same id follow
HEAD = struct.Struct('<IBBHI')
PIECE, LINE, META = 1 << 20, 64 << 10, 60000
HERE = os.path.dirname(os.path.abspath(__file__))
scan = json.JSONDecoder().scan_once  # without json.loads's three layers around it


def private(name):
    """Loads a file of ours under a name that no application uses."""
    full = '_sluice_' + os.path.splitext(os.path.basename(name))[0]
    where = importlib.util.spec_from_file_location(full, os.path.join(HERE, name))
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


class EntryError(Exception):
    """A handler is not there: why is malformed, module or export."""

    def __init__(self, why, message):
        super().__init__(message)
        self.sluice_why = why


class Call:
    """One request of the supervisor: an invocation or a hook."""
    __slots__ = ('id', 'rid', 'meta', 'body')

    def __init__(self, id, meta, body):
        self.id, self.rid, self.meta, self.body = id, meta.get('rid', ''), meta, body

    def event(self):
        """The body as json.loads reads it, in half the time when it is plain UTF-8 with nothing around it."""
        try:
            text = self.body.decode()
            value, end = scan(text, 0)
            if end == len(text):
                return value
        except (ValueError, StopIteration):
            pass
        return json.loads(self.body or b'{}')


# --- writing ---------------------------------------------------------------------------------------

lock = threading.RLock()  # of fd 3


def write(data):
    """Returns when the supervisor has taken everything, so that nothing is lost when the process exits
    or hangs right after. The supervisor always reads."""
    try:
        with lock:
            n = os.write(FD, data)
            while n < len(data):
                data = memoryview(data)[n:]
                n = os.write(FD, data)
    except OSError:
        os._exit(1)  # nobody is there any more


def frame(kind, flags, id, meta, body):
    return HEAD.pack(len(meta) + len(body), kind, flags, len(meta), id) + meta + body if meta else HEAD.pack(len(body), kind, flags, 0, id) + body


def answer(kind, id, meta=b'', body=b''):
    if len(body) <= PIECE:
        return write(frame(kind, 0, id, meta, body))
    write(frame(kind, MORE, id, meta, body[:PIECE]))
    for i in range(PIECE, len(body), PIECE):
        write(frame(CHUNK, MORE if i + PIECE < len(body) else 0, id, b'', body[i:i + PIECE]))


def failure(kind, err):
    """Words an error for ERROR and INITERR; kind is handled, crash, entry, init or big."""
    call = ongoing()
    type, message, stack, body = dialect.describe(err, kind, call.rid if call else '')
    meta = {'kind': kind, 'thrown': True, 'type': type[:200], 'message': message[:4000], 'stack': []}
    room = META // 4
    for line in stack:
        room -= len(line) + 8
        if room < 0:
            break
        meta['stack'].append(line)
    text = json.dumps(meta).encode()
    if len(text) > META:
        meta.update(message=message[:1000], stack=[])
        text = json.dumps(meta).encode()
    return text, body.encode('utf-8', 'backslashreplace')


# --- logs ------------------------------------------------------------------------------------------

spec = None                # LOAD's body
strayed = False            # this is a fork of a handler's
running = None             # the call that logs belong to, when there is at most one
mine = threading.local()   # its call, when there may be more

LEVELS = {'WARNING': 'WARN', 'CRITICAL': 'ERROR'}


def ongoing():
    return running if spec is None or spec['conc'] == 1 else getattr(mine, 'call', None)


def log(level, lines):
    """Sends lines (bytes), cut into pieces of at most LINE; level "" is plain output."""
    call = ongoing()
    now = time.time()
    prefix = dialect.prefix(now, call.rid if call else '', level).encode() if level else b''
    meta = json.dumps({'lvl': LEVELS.get(level, level), 't': int(now * 1000), 'p': len(prefix)}).encode()
    out = []
    for line in lines:
        start = 0
        while True:
            end = start + LINE
            while len(line) > end > start and line[end] & 0xC0 == 0x80:  # not inside a character
                end -= 1
            end = end if end > start else start + LINE
            out.append(frame(LOG, 0, call.id if call else 0, meta, prefix + line[start:end]))
            start = end
            if start >= len(line):
                break
    if out:
        write(b''.join(out))


class Lines(io.RawIOBase):
    """A standard stream whose lines belong to the call that prints them. Native code and child
    processes still have the pipe."""

    def __init__(self, fd):
        self.fd, self.parts = fd, {}  # what has no newline yet, by thread

    def fileno(self):
        return self.fd

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        me = threading.get_ident()
        lines = (self.parts.pop(me, b'') + data).split(b'\n')
        part = lines.pop()
        if len(part) > LINE:
            keep = len(part) % LINE
            lines.append(part[:len(part) - keep])
            part = part[len(part) - keep:]
        if part:
            self.parts[me] = part
        log('', lines)
        return len(data)

    def end(self, threads):
        for t in threads:
            part = self.parts.pop(t, None)
            if part:
                log('', [part])


class Records(logging.Handler):
    """The root logger's handler."""

    def emit(self, record):
        try:
            log(record.levelname, [self.format(record).encode('utf-8', 'backslashreplace')])
        except Exception:
            self.handleError(record)


streams, texts = [], []
greeting = b''


def stream(fd):
    raw = Lines(fd)
    streams.append(raw)
    text = io.TextIOWrapper(raw, encoding='utf-8', errors='backslashreplace', newline='\n', write_through=True)
    text.mode = 'w'
    texts.append(text)


def forked():
    global lock, strayed
    lock, strayed = threading.RLock(), True


def prepare():
    """Makes what every instance needs before any fork, whose memory it then is not."""
    global greeting
    stream(1)
    stream(2)
    root = logging.getLogger()
    root.addHandler(Records())
    root.setLevel(dialect.LEVEL)
    os.register_at_fork(after_in_child=forked)
    hello = {'v': 1, 'lang': 'python', 'rt': '%d.%d.%d' % sys.version_info[:3], 'exec': sys.executable}
    greeting = json.dumps(hello).encode()


def leave(code):
    """Exits after what was registered for it, waiting for no thread."""
    try:
        atexit._run_exitfuncs()
    except BaseException as err:
        sys.stderr.write('%s: %s\n' % (type(err).__name__, err))
    for s in streams:
        s.end(list(s.parts))
    os._exit(code)


def leave_for(err):
    """Does what SystemExit asks for."""
    code = err.code
    if code is not None and not isinstance(code, int):
        sys.stderr.write('%s\n' % (code,))
        code = 1
    leave((code or 0) & 0xFF)


# --- starting ----------------------------------------------------------------------------------------

handler = None
hooks = {}  # initialize, preStop, preFreeze


def find(name):
    """Resolves "folder/file.function"."""
    path, _, attr = name.rpartition('.')
    module = (path[2:] if path.startswith('./') else path).replace('/', '.')
    if not attr or not all(module.split('.')):
        raise EntryError('malformed', "Bad handler '%s'" % name)
    first = module.partition('.')[0]
    known = sys.modules.get(first)
    if known is not None and any(os.path.exists(os.path.join(spec['root'], first + e)) for e in ('.py', '/__init__.py')):
        if not str(getattr(known, '__file__', '')).startswith(spec['root'] + os.sep):
            del sys.modules[first]  # the application's file has the name of a module that we use
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as err:
        if err.name and (module + '.').startswith(err.name + '.'):
            raise EntryError('module', "Unable to import module '%s': %s" % (module, err)) from None
        raise
    fn = getattr(found, attr, None)
    if not callable(fn):
        raise EntryError('export', "Handler '%s' missing on module '%s'" % (attr, module))
    return fn


def paths(env):
    """The module search path that a python started in the code's folder would have."""
    front = [spec['root']] + [p for p in env.get('PYTHONPATH', '').split(os.pathsep) if p]
    base = env.get('PYTHONUSERBASE')
    if base:
        front.append(os.path.join(base, 'lib', 'python%d.%d' % sys.version_info[:2], 'site-packages'))
    own = [p for p in sys.path if p not in ('', HERE)]
    sys.path[:] = list(dict.fromkeys(front + own))
    sys.pycache_prefix = os.path.join(HERE, 'pycache')  # the code's folder stays as it was deployed
    sys.dont_write_bytecode = sys.version_info < (3, 8)  # which knows no prefix


def start(load):
    global spec, handler
    spec = load
    env = load['env']
    for k in [k for k in os.environ if k not in env]:
        del os.environ[k]
    for k, v in env.items():
        if os.environ.get(k) != v:
            os.environ[k] = v
    time.tzset()
    os.chdir(load['root'])
    sys.argv[:] = [os.path.join(load['root'], load['handler'].rpartition('.')[0] + '.py')]
    paths(env)
    if load.get('egress'):
        egress.install(load['egress'])
    dialect.setup(load)
    try:
        handler = find(load['handler'])
        for which, name in load['hooks'].items():
            hooks[which] = find(name)
    except SystemExit as err:
        leave_for(err)
    except BaseException as err:
        entry = isinstance(err, (EntryError, SyntaxError, ModuleNotFoundError))
        answer(INITERR, 0, *failure('entry' if entry else 'init', err))
        leave(1)
    answer(READY, 0)


# --- calls -----------------------------------------------------------------------------------------

def run(call, work, *args):
    """Runs work, which returns (status, headers, body), and answers the call."""
    global running
    many = spec['conc'] > 1
    if many:
        mine.call = call
    else:
        running = call
    try:
        status, headers, body = work(*args)
        meta = json.dumps({'status': status, 'headers': headers}).encode() if status else b''
        if len(body) > spec['max']:
            out = (ERROR, call.id) + failure('big', ValueError('the answer has %d bytes, more than %d' % (len(body), spec['max'])))
        elif len(meta) > META:
            out = (ERROR, call.id) + failure('handled', ValueError("the answer's headers have %d bytes, more than %d" % (len(meta), META)))
        else:
            out = (RESULT, call.id, meta, body)
    except SystemExit as err:
        leave_for(err)
    except BaseException as err:
        out = (ERROR, call.id) + failure('handled', err)
    if strayed:
        os._exit(0)  # a fork of the handler's that came back here
    for s in streams:
        if s.parts:
            s.end([threading.get_ident()] if many else list(s.parts))
    if many:
        mine.call = None
    else:
        running = None
    if out[1]:  # nobody waits for hook 0
        answer(*out)
    elif out[0] == ERROR:
        log('ERROR', [b'preFreeze: ' + out[3]])


def invoke(call):
    run(call, dialect.invoke, handler, call)


todo, idle = queue.SimpleQueue(), threading.Semaphore(0)


def worker(call):
    while True:
        invoke(call)
        idle.release()
        call = todo.get()


def dispatch(call):
    if spec['conc'] == 1:
        invoke(call)
    elif idle.acquire(False):
        todo.put(call)
    else:
        threading.Thread(target=worker, args=(call,), daemon=True).start()


def fill(data, n):
    """What has been read, and more, until it has n bytes."""
    while len(data) < n:
        more = os.read(FD, max(64 << 10, n - len(data)))
        if not more:
            raise EOFError
        data += more
    return data


def serve():
    """Reads frames until there is nobody to write them, which is an EOFError, or an order to stop."""
    parts = {}  # id -> (meta, bodies): INVOKEs whose CHUNKs are still coming
    data = b''
    while True:
        if len(data) < HEAD.size:
            data = fill(data, HEAD.size)
        n, kind, flags, m, id = HEAD.unpack_from(data)
        at, end = HEAD.size + m, HEAD.size + n
        if len(data) < end:
            data = fill(data, end)
        meta, body = scan(data[HEAD.size:at].decode(), 0)[0] if m else {}, data[at:end]
        data = data[end:]
        if kind == INVOKE:
            if flags & MORE:
                parts[id] = (meta, [body])
            else:
                dispatch(Call(id, meta, body))
        elif kind == CHUNK and id in parts:
            parts[id][1].append(body)
            if not flags & MORE:
                meta, bodies = parts.pop(id)
                dispatch(Call(id, meta, b''.join(bodies)))
        elif kind == HOOK:
            call = Call(id, meta, b'')
            run(call, dialect.hook, meta['which'], hooks[meta['which']], call)
        elif kind == LOAD:
            start(json.loads(body))
        elif kind == CANCEL:
            parts.pop(id, None)
        elif kind == PING:
            answer(PONG, id)
        elif kind == STOP:
            return


def instance():
    global strayed
    os.set_inheritable(FD, False)
    strayed = False  # if this is a fork, then the fork server's
    sys.stdout, sys.stderr = texts
    answer(HELLO, 0, greeting)
    try:
        serve()
    except (EOFError, OSError):
        pass  # fd 3 is gone
    leave(0)


dialect, egress = private(sys.argv[1]), private('egress.py')
if __name__ == '__main__':
    prepare()
    if sys.argv[2:] == ['--fork']:
        private('zygote.py').serve(FD)  # returns in each fork
    instance()
