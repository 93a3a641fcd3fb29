'use strict';
// A web function that speaks WebSocket itself, as the cloud's documents have it: it listens on port 9000.
const http = require('http');
const { WebSocketServer } = require('ws');

const server = http.createServer((req, res) => res.end('plain ' + req.url));
const sockets = new WebSocketServer({
  server,
  perMessageDeflate: { threshold: 0 },
  maxPayload: 16 << 20,
  handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
  verifyClient: ({ req }, done) => (req.url.includes('refuse') ? done(false, 401, 'no') : done(true)),
});
sockets.on('connection', (socket, req) => {
  socket.send(JSON.stringify({ pid: process.pid, url: req.url, request: req.headers['x-scf-request-id'] }));
  socket.on('message', (data, binary) => {
    const text = binary ? '' : data.toString();
    const [word, code] = text.split(' ');
    if (word === 'close') socket.close(Number(code), 'as asked');
    else if (word === 'die') process.exit(3);
    else socket.send(data, { binary });
  });
});
const { BACKEND_PORT } = process.env; // as a server of its own
server.listen(Number(BACKEND_PORT || 9000), '0.0.0.0', () => BACKEND_PORT && console.log(server.address().port));
