'use strict';
// Moves a server that would listen on port 9000, as web functions do on the cloud, to its instance's own.
const { Server } = require('net');
const port = Number(process.env.SLUICE_WEB_PORT);
const listen = Server.prototype.listen;
const ours = (p) => (Number(p) === 9000 ? port : p);

if (port) {
  Server.prototype.listen = function (first, ...rest) {
    if (first && typeof first === 'object' && 'port' in first) first = { ...first, port: ours(first.port) };
    else if (typeof first === 'number' || typeof first === 'string') first = ours(first);
    return listen.call(this, first, ...rest);
  };
}
