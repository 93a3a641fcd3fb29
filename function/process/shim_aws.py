"""Conventions of AWS Lambda's Python runtimes (aws.md 3.3 to 3.6)."""
import json
import logging
import os
import sys
import time
import traceback
from types import SimpleNamespace

LEVEL = logging.WARNING  # of the root logger
HERE = os.path.dirname(os.path.abspath(__file__))

spec = None
fixed = {}   # what every context says

# The trace is a variable of the environment. os.environ would hand each to putenv, of which glibc keeps all for ever.
# So it is set where os.environ itself looks, and handed on when a process is started.
TRACE = os.environ.encodekey('_X_AMZN_TRACE_ID')
variables = os.environ._data
handed = None  # to putenv
STARTS = {'subprocess.Popen', 'os.system', 'os.exec', 'os.posix_spawn'}


def hand(event, args):
    global handed
    if event in STARTS and TRACE in variables and handed != variables[TRACE]:
        handed = variables[TRACE]
        os.putenv(TRACE, handed)


def setup(load):
    global spec
    if spec is None:
        sys.addaudithook(hand)
    spec = load
    e = os.environ
    fixed.update(
        function_name=e.get('AWS_LAMBDA_FUNCTION_NAME') or spec['name'],
        function_version=e.get('AWS_LAMBDA_FUNCTION_VERSION') or '$LATEST',
        memory_limit_in_mb=str(spec['memMB']),
        log_group_name=e.get('AWS_LAMBDA_LOG_GROUP_NAME') or '/aws/lambda/' + spec['name'],
        log_stream_name=e.get('AWS_LAMBDA_LOG_STREAM_NAME') or '',
    )
    if e.get('AWS_LAMBDA_LOG_FORMAT') == 'JSON':
        structure(e.get('AWS_LAMBDA_LOG_LEVEL'))


request = None  # the newest


class Structured(logging.Formatter):
    """Makes objects of log records."""

    own = set(vars(logging.makeLogRecord({}))) | {'message', 'asctime', 'taskName'}

    def format(self, record):
        o = {'timestamp': stamp(record.created), 'level': record.levelname, 'message': record.getMessage(), 'logger': record.name}
        if request:
            o['requestId'] = request
        if record.exc_info and record.exc_info[1]:
            kind, err, trace = record.exc_info
            o.update(errorType=kind.__name__, errorMessage=str(err), stackTrace=traceback.format_tb(trace), location='%s:%s:%d' % (record.pathname, record.funcName, record.lineno))
        o.update((k, v) for k, v in vars(record).items() if k not in self.own and k not in o)
        return json.dumps(o, default=str)


def structure(level):
    """Makes objects of what loggers get, from a level on."""
    global prefix
    prefix = lambda now, rid, level: ''
    root = logging.getLogger()
    root.setLevel({'TRACE': 'NOTSET', 'WARN': 'WARNING', 'FATAL': 'CRITICAL'}.get(level, level) or 'INFO')
    for h in root.handlers:
        h.setFormatter(Structured())


def stamp(now):
    return '%s.%03dZ' % (time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)), int(now % 1 * 1000))


def prefix(now, rid, level):
    return '[%s]\t%s\t%s\t' % (level, stamp(now), rid)


class MarshalError(Exception):
    """The handler's answer is not JSON."""


def plain(value):
    """Makes a number of what DynamoDB answers."""
    decimal = sys.modules.get('decimal')
    if decimal and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError('Object of type %s is not JSON serializable' % type(value).__name__)


coder = json.JSONEncoder(default=plain)


def parts():
    """What coder.encode makes anew for each value: a function that returns an object's text in pieces."""
    try:
        return json.encoder.c_make_encoder({}, plain, json.encoder.encode_basestring_ascii, None, ': ', ', ', False, False, True)
    except Exception:  # another python's
        return None


made = parts()


def encode(value):
    global made
    if made is None or spec['conc'] > 1:  # it must not be used by two at once
        return coder.encode(value)
    try:
        return ''.join(made(value, 0))
    except BaseException:
        made = parts()  # it takes what it was in for a circle
        raise


class LambdaContext(SimpleNamespace):
    """A handler's second argument."""

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))


def context(call):
    attrs = call.meta.get('attrs') or {}
    client, identity = attrs.get('client'), attrs.get('identity')
    client = json.loads(client) if client else None
    identity = json.loads(identity) if identity else {}
    if client is not None:
        client = SimpleNamespace(custom=client.get('custom'), env=client.get('env'), client=SimpleNamespace(**client.get('client') or {}))
    return LambdaContext(
        aws_request_id=call.rid,
        invoked_function_arn=attrs.get('arn', ''),
        identity=SimpleNamespace(cognito_identity_id=identity.get('cognitoIdentityId'), cognito_identity_pool_id=identity.get('cognitoIdentityPoolId')),
        client_context=client,
        tenant_id=attrs.get('tenant'),
        _epoch_deadline_time_in_ms=call.meta.get('deadline', 0),
        **fixed
    )


def invoke(fn, call):
    global request
    request = call.rid
    if spec['conc'] == 1:
        variables[TRACE] = (call.meta.get('attrs') or {}).get('trace', '').encode()
    value = fn(call.event(), context(call))
    try:
        return 0, None, encode(value).encode()
    except (TypeError, ValueError) as err:
        raise MarshalError('Unable to marshal response: %s' % err) from None


def hook(which, fn, call):
    return 0, None, b''


TYPES = {'malformed': 'Runtime.MalformedHandlerName', 'module': 'Runtime.ImportModuleError', 'export': 'Runtime.HandlerNotFound'}


def describe(err, kind, rid):
    """Type, message, stack and body of an error. The stack begins in the application."""
    name, message = type(err).__name__, str(err)
    stack = traceback.format_list(frames(err))
    why = getattr(err, 'sluice_why', '')
    if why:
        name, stack = TYPES[why], []
    elif isinstance(err, MarshalError):
        name, stack = 'Runtime.MarshalError', []
    elif kind == 'entry' and isinstance(err, SyntaxError):
        name = 'Runtime.UserCodeSyntaxError'
        message = 'Syntax error in module \'%s\': %s' % (spec['handler'].rpartition('.')[0], err)
    elif kind == 'entry':
        name = 'Runtime.ImportModuleError'
        message = 'Unable to import module \'%s\': %s' % (spec['handler'].rpartition('.')[0], err)
    body = {'errorMessage': message, 'errorType': name, 'requestId': rid, 'stackTrace': stack}
    return name, message, stack, json.dumps(body)


def frames(err):
    return [f for f in traceback.extract_tb(err.__traceback__)
            if os.path.dirname(f.filename) != HERE and not f.filename.startswith('<frozen importlib')]
