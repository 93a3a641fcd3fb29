"""Moves a server that would listen on port 9000, as web functions do on the cloud, to its instance's own."""
import os
import socket
import sys

PORT = int(os.environ.get('SLUICE_WEB_PORT') or 0)

if PORT:
    plain = socket.socket.bind

    def bind(self, address):
        if isinstance(address, tuple) and len(address) > 1 and address[1] == 9000:
            address = (address[0], PORT) + address[2:]
        return plain(self, address)

    socket.socket.bind = bind

# The application, or the system, may have such a file, too.
sys.path.remove(os.path.dirname(os.path.abspath(__file__)))
del sys.modules['sitecustomize']
try:
    import sitecustomize
except ImportError:
    pass
