'use strict';
// The web function of this folder through the gateway. WS is the gateway's address.
const assert = require('assert');
const { once } = require('events');
const http = require('http');
const test = require('node:test');
const WebSocket = require('ws');

const base = process.env.WS;

async function dial(path = '/release/', protocols = [], options = {}) {
  const socket = new WebSocket(base + path, protocols, options);
  const [data] = await once(socket, 'message');
  return { socket, hello: JSON.parse(data) };
}

async function bye(socket, code = 1000) {
  socket.close(code);
  const [got, reason] = await once(socket, 'close');
  return [got, reason.toString()];
}

test('what is said goes through, with protocol and compression', async () => {
  const { socket, hello } = await dial('/release/room/a%20b?x=1', ['other', 'chat']);
  assert.strictEqual(socket.protocol, 'chat');
  assert.match(socket.extensions, /permessage-deflate/);
  assert.strictEqual(hello.url, '/room/a%20b?x=1');
  assert.match(hello.request, /^[0-9a-f-]{36}$/);
  const noise = require('crypto').randomBytes(1 << 19);
  for (const [data, binary] of [['你好', false], ['', false], ['x'.repeat(3 << 20), false], [noise, true], [Buffer.alloc(0), true]]) {
    socket.send(data);
    const [got, gotBinary] = await once(socket, 'message');
    assert.strictEqual(gotBinary, binary);
    assert.ok(Buffer.from(data).equals(got), `${data.length} bytes`);
  }
  socket.ping('are you there');
  assert.strictEqual((await once(socket, 'pong'))[0].toString(), 'are you there');
  assert.deepStrictEqual(await bye(socket), [1000, '']);
});

test('a connection has an instance to itself, which the next one gets', async () => {
  const one = await dial();
  const two = await dial();
  assert.notStrictEqual(one.hello.pid, two.hello.pid);
  await bye(one.socket);
  await bye(two.socket);
  const three = await dial();
  assert.ok([one.hello.pid, two.hello.pid].includes(three.hello.pid));
  await bye(three.socket);
});

test('the server closes', async () => {
  const { socket } = await dial();
  socket.send('close 4001');
  const [code, reason] = await once(socket, 'close');
  assert.deepStrictEqual([code, reason.toString()], [4001, 'as asked']);
});

test('the client closes with a code of its own', async () => {
  const { socket } = await dial();
  assert.strictEqual((await bye(socket, 4002))[0], 4002);
});

test('a server that dies closes with 1011', async () => {
  const { socket } = await dial();
  socket.send('die');
  assert.strictEqual((await once(socket, 'close'))[0], 1011);
});

test('silence closes', async () => {
  const { socket } = await dial();
  assert.strictEqual((await once(socket, 'close'))[0], 1001);
});

test('the server refuses', async () => {
  const socket = new WebSocket(base + '/release/?refuse');
  const [req, res] = await once(socket, 'unexpected-response');
  assert.strictEqual(res.statusCode, 401);
  req.destroy();
});

test('plain requests still come to the function', async () => {
  const res = await fetch(base.replace('ws', 'http') + '/release/page?x=1');
  assert.strictEqual(await res.text(), 'plain /page?x=1');
});

test('a function that is not for sockets says so', async () => {
  const socket = new WebSocket(base + '/test/');
  const [req, res] = await once(socket, 'unexpected-response');
  assert.strictEqual(res.statusCode, 400);
  let text = '';
  for await (const part of res) text += part;
  assert.match(text, /protocolType/);
  req.destroy();
});

test('another server gets what is said', async () => {
  const socket = new WebSocket(base + '/prepub/proxy?x=1', 'chat');
  const [data] = await once(socket, 'message');
  assert.strictEqual(JSON.parse(data).url, '/behind?x=1');
  assert.strictEqual(socket.protocol, 'chat');
  socket.send('hello');
  assert.strictEqual((await once(socket, 'message'))[0].toString(), 'hello');
  socket.send('close 4003');
  assert.strictEqual((await once(socket, 'close'))[0], 4003);
});

test('another server that hears nothing is let go', async () => {
  const socket = new WebSocket(base + '/prepub/proxy');
  await once(socket, 'message');
  await once(socket, 'close');
});
