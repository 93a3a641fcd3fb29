"""Conventions of Tencent SCF's Python runtimes (tencent.md 2.2 and 2.4)."""
import importlib
import importlib.machinery
import json
import logging
import os
import sys
import traceback

LEVEL = logging.INFO  # of the root logger
HERE = os.path.dirname(os.path.abspath(__file__))
MAX = 6 << 20  # bytes of an answer

spec = None
fixed = {}  # the context, but for its request
triggered = ''  # by the last call's trigger


def setup(load):
    global spec
    spec = load
    load['max'] = min(load['max'], MAX)
    e = os.environ
    environment = e.pop('SLUICE_SCF_ENVIRONMENT', '{}')  # the function's own variables as JSON
    own = ['%s=%s' % pair for pair in json.loads(environment).items()]
    fixed.update(
        memory_limit_in_mb=spec['memMB'],
        time_limit_in_ms=spec['timeoutMs'],
        request_id='',
        environment=environment,
        environ=';'.join(['SCF_NAMESPACE=%s' % e.get('SCF_NAMESPACE', '')] + own),
        function_version=e.get('SCF_FUNCTIONVERSION') or '$LATEST',
        function_name=e.get('SCF_FUNCTIONNAME') or spec['name'],
        namespace=e.get('SCF_NAMESPACE') or spec['group'],
        tencentcloud_region=e.get('TENCENTCLOUD_REGION', ''),
        tencentcloud_appid=e.get('TENCENTCLOUD_APPID', ''),
        tencentcloud_uin=e.get('TENCENTCLOUD_UIN', ''),
    )
    sys.meta_path.insert(0, CosV5())


def prefix(now, rid, level):
    return ''  # output is logged as it is


class CosV5:
    """Finds the COS SDK by the name that it has on the cloud, qcloud_cos_v5, when the code does not bring a
    package of that name: it is qcloud_cos, and both names are the same modules."""
    cloud, ours = 'qcloud_cos_v5', 'qcloud_cos'

    def find_spec(self, name, path=None, target=None):
        if name != self.cloud and not name.startswith(self.cloud + '.'):
            return None
        if name == self.cloud:
            if importlib.machinery.PathFinder.find_spec(name):
                return None
        elif sys.modules.get(self.cloud) is not sys.modules.get(self.ours):
            return None
        return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, alias):
        try:
            module = importlib.import_module(self.ours + alias.name[len(self.cloud):])
        except ModuleNotFoundError as err:
            if err.name != self.ours:
                raise
            raise ImportError("No module named '%s': add the package cos-python-sdk-v5 to the function's code" % self.cloud, name=self.cloud) from None
        self.kept = module.__spec__
        return module

    def exec_module(self, module):
        module.__spec__ = self.kept


def context(call):
    global triggered
    trigger = (call.meta.get('attrs') or {}).get('trigger')
    if trigger:
        os.environ['TRIGGER_SRC'] = trigger
    elif triggered != trigger:
        os.environ.pop('TRIGGER_SRC', None)
    triggered = trigger
    return dict(fixed, request_id=call.rid)


def plain(value):
    decimal = sys.modules.get('decimal')
    if decimal and isinstance(value, decimal.Decimal):
        return str(value)
    raise TypeError('Object of type %s is not JSON serializable' % type(value).__name__)


encode = json.JSONEncoder(ensure_ascii=False, default=plain).encode


def invoke(fn, call):
    value = fn(call.event(), context(call))
    try:
        return 0, None, encode(value).encode()
    except UnicodeEncodeError:  # half a character
        return 0, None, json.dumps(value, default=plain).encode()


def hook(which, fn, call):
    return 0, None, b''


def describe(err, kind, rid):
    """Type, message, stack and body of an error. The stack begins in the application."""
    name = 'HandlerNotFound' if getattr(err, 'sluice_why', '') else type(err).__name__
    try:
        message = str(err)
    except Exception:
        message = repr(type(err))
    if getattr(err, 'sluice_why', ''):
        return name, message, [message], ''
    frames = [f for f in traceback.extract_tb(err.__traceback__)
              if os.path.dirname(f.filename) != HERE and not f.filename.startswith('<frozen importlib')]
    text = ''.join(['Traceback (most recent call last):\n'] + traceback.format_list(frames) + traceback.format_exception_only(type(err), err))
    if kind == 'entry' and isinstance(err, SyntaxError) and os.environ.get('SCF_RUNTIME', '').startswith('Python2'):
        text += 'The function is written for Python 2, and this is Python %d.%d: it has to be ported.' % sys.version_info[:2]
    return name, message, text.rstrip('\n').split('\n'), ''
