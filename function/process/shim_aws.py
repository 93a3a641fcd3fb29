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


def setup(load):
    global spec
    spec = load


def prefix(now, rid, level):
    return '[%s]\t%s.%03dZ\t%s\t' % (level, time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now)), int(now % 1 * 1000), rid)


class MarshalError(Exception):
    """The handler's answer is not JSON."""


def plain(value):
    """Makes a number of what DynamoDB answers."""
    decimal = sys.modules.get('decimal')
    if decimal and isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError('Object of type %s is not JSON serializable' % type(value).__name__)


def context(call):
    e, attrs = os.environ, call.meta.get('attrs') or {}
    deadline = call.meta.get('deadline', 0)
    client, identity = json.loads(attrs.get('client') or 'null'), json.loads(attrs.get('identity') or '{}')
    if client is not None:
        client = SimpleNamespace(custom=client.get('custom'), env=client.get('env'), client=SimpleNamespace(**client.get('client') or {}))
    return SimpleNamespace(
        aws_request_id=call.rid,
        function_name=e.get('AWS_LAMBDA_FUNCTION_NAME') or spec['name'],
        function_version=e.get('AWS_LAMBDA_FUNCTION_VERSION') or '$LATEST',
        invoked_function_arn=attrs.get('arn', ''),
        memory_limit_in_mb=str(spec['memMB']),
        log_group_name=e.get('AWS_LAMBDA_LOG_GROUP_NAME') or '/aws/lambda/' + spec['name'],
        log_stream_name=e.get('AWS_LAMBDA_LOG_STREAM_NAME') or '',
        identity=SimpleNamespace(cognito_identity_id=identity.get('cognitoIdentityId'), cognito_identity_pool_id=identity.get('cognitoIdentityPoolId')),
        client_context=client,
        tenant_id=attrs.get('tenant'),
        log=sys.stdout.write,
        get_remaining_time_in_millis=lambda: max(0, deadline - int(time.time() * 1000)),
    )


def invoke(fn, call):
    if spec['conc'] == 1:
        os.environ['_X_AMZN_TRACE_ID'] = (call.meta.get('attrs') or {}).get('trace', '')
    value = fn(json.loads(call.body or b'{}'), context(call))
    try:
        return 0, None, json.dumps(value, default=plain).encode()
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
