"""Conventions of Alibaba Function Compute's Python runtimes (aliyun.md 3.5 and 3.10)."""
import io
import json
import logging
import os
import sys
import time
import traceback

LEVEL = logging.INFO  # of the root logger
HERE = os.path.dirname(os.path.abspath(__file__))

spec = None
fixed = None  # the context, but for what a call brings


def setup(load):
    global spec, fixed
    spec = load
    e = os.environ
    e['FC_INSTANCE_ID'] = load['instance']

    def either(name):
        return e.get('FC_' + name) or e.get('ALIBABA_CLOUD_' + name) or ''

    fixed = Record(
        request_id='',
        credentials=Record(access_key_id=either('ACCESS_KEY_ID'), access_key_secret=either('ACCESS_KEY_SECRET'),
                           security_token=either('SECURITY_TOKEN')),
        function=Record(name=spec['name'], handler=spec['handler'], memory=spec['memMB'], timeout=-(-spec['timeoutMs'] // 1000),
                        initializer=spec['hooks'].get('initialize', ''), initialization_timeout=-(-spec['initMs'] // 1000)),
        service=Record(name=spec['group'], log_project=e.get('FC_SERVICE_LOG_PROJECT', ''), log_store=e.get('FC_SERVICE_LOG_STORE', ''),
                       qualifier=e.get('FC_QUALIFIER') or 'LATEST', version_id=''),
        region=e.get('FC_REGION', ''), account_id=e.get('FC_ACCOUNT_ID', ''), retry_count=0,
    )


def prefix(now, rid, level):
    return '%s.%03dZ %s [%s] ' % (time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)), int(now % 1 * 1000), rid, level)


class Record:
    """Attributes with a text form; applications add their own. Those with two words have both
    spellings of the cloud's documents: request_id and requestId."""

    def __init__(self, **fields):
        self.__dict__.update(fields)
        for name, value in fields.items():
            head, *rest = name.split('_')
            self.__dict__[head + ''.join(w.title() for w in rest)] = value

    def __repr__(self):
        return json.dumps(self.__dict__, default=lambda o: o.__dict__)

    def copy(self):
        same = Record.__new__(Record)
        same.__dict__ = self.__dict__.copy()
        return same


def context(call):
    c = fixed.copy()
    c.request_id = c.requestId = call.rid
    c.credentials, c.function, c.service = c.credentials.copy(), c.function.copy(), c.service.copy()
    return c


def data(value):
    if value is None:
        return b''
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if not isinstance(value, str):
        value = json.dumps(value)
    return value.encode('utf-8', 'backslashreplace')


def invoke(fn, call):
    if call.meta.get('kind') == 'http':
        return wsgi(fn, call)
    if spec.get('http') and spec['group']:  # an HTTP function of FC 2.0, which a person tries out: the event is a body
        call.meta['http'] = {'method': 'POST' if call.body else 'GET', 'path': '/', 'host': 'localhost', 'remote': '127.0.0.1'}
        return 0, None, wsgi(fn, call)[2]
    return 0, None, data(fn(call.body, context(call)))


def hook(which, fn, call):
    fn(context(call))
    return 0, None, b''


def native(text):
    """The text as WSGI has it: one character a byte."""
    return text.encode('utf-8', 'surrogateescape').decode('latin-1')


def environ(call):
    h = call.meta['http']
    name, _, port = h['host'].partition(':')
    env = {
        'REQUEST_METHOD': h['method'], 'SCRIPT_NAME': '', 'PATH_INFO': native(h['path']), 'QUERY_STRING': h.get('query', ''),
        'CONTENT_TYPE': '', 'CONTENT_LENGTH': str(len(call.body)), 'SERVER_NAME': name or 'localhost', 'SERVER_PORT': port or '80',
        'SERVER_PROTOCOL': 'HTTP/1.1', 'REMOTE_ADDR': h['remote'], 'HTTP_HOST': h['host'],
        'wsgi.version': (1, 0), 'wsgi.url_scheme': 'http', 'wsgi.input': io.BytesIO(call.body), 'wsgi.errors': sys.stderr,
        'wsgi.multithread': spec['conc'] > 1, 'wsgi.multiprocess': True, 'wsgi.run_once': False,
        'fc.context': context(call), 'fc.request_uri': h.get('uri') or h['path'],
    }
    for k, values in (h.get('headers') or {}).items():
        key = k.upper().replace('-', '_')
        if key == 'CONTENT_TYPE':
            env[key] = native(values[0])
        elif key != 'CONTENT_LENGTH':
            env['HTTP_' + key] = native(('; ' if key == 'COOKIE' else ', ').join(values))
    return env


def wsgi(fn, call):
    head, parts = [], []

    def start_response(status, headers, exc_info=None):
        if head and exc_info is None:
            raise AssertionError('start_response was called before')
        head[:] = [status, headers]
        return lambda b: parts.append(data(b))

    result = fn(environ(call), start_response)
    try:
        if isinstance(result, (str, bytes)):
            result = [result]
        parts.extend(data(b) for b in result or ())
    finally:
        if hasattr(result, 'close'):
            result.close()
    if not head:
        raise AssertionError('the handler has not called start_response')
    headers = {}
    for k, v in head[1]:
        headers.setdefault(str(k), []).append(str(v).encode('latin-1', 'backslashreplace').decode('utf-8', 'replace'))
    return int(str(head[0]).split()[0]), headers, b''.join(parts)


def describe(err, kind, rid):
    """Type, message, stack and body of an error. The stack begins in the application."""
    name = 'InvalidHandlerName' if getattr(err, 'sluice_why', '') else type(err).__name__
    try:
        message = str(err)
    except Exception:
        message = repr(type(err))
    frames = [f for f in traceback.extract_tb(err.__traceback__)
              if os.path.dirname(f.filename) != HERE and not f.filename.startswith('<frozen importlib')]
    stack = [['File "%s"' % f.filename, 'line %s' % f.lineno, 'in %s' % f.name, f.line or ''] for f in frames]
    body = {'errorMessage': message, 'errorType': name}
    if stack:
        body['stackTrace'] = stack
    return name, message, [', '.join(s[:3]) + ': ' + s[3] for s in stack], json.dumps(body)
