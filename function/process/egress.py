"""Connects hosts that are ours to our own address, whatever library asks: names are resolved by
socket.getaddrinfo or by connect. Names stay as they are, so certificates and Host headers fit, and who
loads roots of his own (most SDKs bring certifi's) gets ours as well."""
import importlib.util
import socket
import sys

PORTS = (80, 443, '80', '443', 'http', 'https', b'80', b'443', b'http', b'https')


class Trust:
    """Waits for the import of ssl, which is too slow for functions that need none."""

    def __init__(self, ca):
        self.ca = ca

    def find_spec(self, name, path=None, target=None):
        if name != 'ssl':
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            self.extend(module.SSLContext)

        spec.loader.exec_module = exec_module
        return spec

    def extend(self, context):
        load, ca = context.load_verify_locations, self.ca

        def load_verify_locations(self, *args, **kwargs):
            load(self, *args, **kwargs)
            load(self, ca)

        context.load_verify_locations = load_verify_locations


def install(egress):
    host, _, port = egress['addr'].rpartition(':')
    ours = (host.strip('[]'), int(port))
    hosts = [h.lower() for h in egress['hosts']]
    names = {h for h in hosts if not h.startswith('*')}
    suffixes = tuple(h[1:] for h in hosts if h.startswith('*'))

    def target(host, port):
        """Where to go for a host and port; None is where they say."""
        if isinstance(host, (bytes, bytearray)):
            host = bytes(host).decode('ascii', 'replace')
        if not isinstance(host, str):
            return None
        host = host.lower()
        host = host[:-1] if host.endswith('.') else host
        if host not in names and not any(len(host) > len(s) and host.endswith(s) for s in suffixes):
            return None
        if port in PORTS or not host.endswith('.localhost'):
            return ours
        return ('127.0.0.1', port)  # a port of this machine, named on purpose

    resolve = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):
        to = target(host, port)
        if to is None:
            return resolve(host, port, family, type, proto, flags)
        return resolve(to[0], to[1], 0, type, proto, flags)

    socket.getaddrinfo = getaddrinfo

    def wrap(name):
        connect = getattr(socket.socket, name)

        def connect_to(self, address):
            if isinstance(address, tuple) and len(address) >= 2:
                to = target(address[0], address[1])
                if to is not None:
                    address = to
            return connect(self, address)

        setattr(socket.socket, name, connect_to)

    sys.meta_path.insert(0, Trust(egress['ca']))
    wrap('connect')
    wrap('connect_ex')
