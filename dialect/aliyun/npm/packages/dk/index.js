'use strict';
// Koa applications as functions with an HTTP trigger: http.get(path, …) adds routes to one shared
// router, http.app is the application, and http(options) is the function's handler.
const { IncomingMessage, ServerResponse } = require('http');
const { Socket } = require('net');
const Koa = require('koa');
const Router = require('koa-router');
const koaBody = require('koa-body');

// bodyOf reads all of a request's body.
async function bodyOf(req) {
  const chunks = [];
  for await (const chunk of req) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

// requestOf is a function's request as Node's own.
function requestOf(req, body, path, context) {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: req.clientIP });
  const r = new IncomingMessage(socket);
  const query = String(req.url || '').split('?')[1];
  Object.assign(r, { method: req.method, url: path + (query ? '?' + query : ''), headers: { ...req.headers }, httpVersion: '1.1', complete: true });
  if (body.length > 0) r.headers['content-length'] = String(body.length);
  r.requestContext = { ...context };
  r.body = undefined;
  r.push(body);
  r.push(null);
  return r;
}

// responseTo is Node's response whose end is the function's answer.
function responseTo(request, resp) {
  const r = new ServerResponse(request);
  const chunks = [];
  const keep = (chunk, encoding) => {
    if (chunk !== undefined && chunk !== null && typeof chunk !== 'function') chunks.push(Buffer.from(chunk, typeof encoding === 'string' ? encoding : 'utf8'));
  };
  const last = (args) => args.find((a) => typeof a === 'function');
  let ended = false;
  r.write = (chunk, encoding, ...rest) => {
    keep(chunk, encoding);
    const done = last([encoding, ...rest]);
    if (done) process.nextTick(done);
    return true;
  };
  r.end = (chunk, encoding, ...rest) => {
    if (ended) return r;
    ended = true;
    keep(chunk, encoding);
    resp.setStatusCode(r.statusCode);
    for (const [name, value] of Object.entries(r.getHeaders())) resp.setHeader(name, Array.isArray(value) ? value : String(value));
    resp.send(Buffer.concat(chunks));
    const done = last([chunk, encoding, ...rest]);
    process.nextTick(() => {
      r.finished = true;
      r.emit('finish');
      if (done) done();
    });
    return r;
  };
  return r;
}

// pathOf is the path below options.basePath.
function pathOf(path, base) {
  base = String(base || '').replace(/\/+$/, '');
  if (base && (path === base || path.startsWith(base + '/'))) path = path.slice(base.length);
  return path || '/';
}

const app = new Koa();
app.use(koaBody({ multipart: true }));

// serverless makes a handler of a Koa application.
function serverless(koa, options = {}) {
  const serve = koa.callback();
  return async (req, resp, context) => {
    const request = requestOf(req, await bodyOf(req), pathOf(req.path || '/', options.basePath), context);
    return serve(request, responseTo(request, resp));
  };
}

// http makes a handler of the shared application. Its prototype is the router.
function http(options) {
  return serverless(app, options);
}
Object.setPrototypeOf(http, new Router());
http.app = app;

module.exports = { http, serverless };
