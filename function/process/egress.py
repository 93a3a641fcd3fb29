"""Connects hosts that are ours to our own address, whatever library asks: names are resolved by
socket.getaddrinfo or by connect. Names stay as they are, so certificates and Host headers fit."""
import socket

PORTS = (80, 443, '80', '443', 'http', 'https', b'80', b'443', b'http', b'https')


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

    wrap('connect')
    wrap('connect_ex')
