'use strict';
// Conventions of Alibaba Function Compute's node runtimes (aliyun.md 3.3 and 3.10).
const { Readable } = require('stream');

let rt = null;
let fixed = null; // what is the same in every context

exports.setup = (core) => {
  rt = core;
  const e = process.env;
  e.FC_INSTANCE_ID = rt.spec.instance;
  const init = rt.spec.hooks.initialize || '';
  fixed = {
    credentials: { accessKeyId: e.FC_ACCESS_KEY_ID || e.ALIBABA_CLOUD_ACCESS_KEY_ID || '', accessKeySecret: e.FC_ACCESS_KEY_SECRET || e.ALIBABA_CLOUD_ACCESS_KEY_SECRET || '', securityToken: e.FC_SECURITY_TOKEN || e.ALIBABA_CLOUD_SECURITY_TOKEN || '' },
    function: { name: rt.spec.name, handler: rt.spec.handler, memory: rt.spec.memMB, timeout: Math.ceil(rt.spec.timeoutMs / 1000), initializer: init, initializationTimeout: Math.ceil(rt.spec.initMs / 1000) },
    service: { name: rt.spec.group, logProject: e.FC_SERVICE_LOG_PROJECT || '', logStore: e.FC_SERVICE_LOG_STORE || '', qualifier: e.FC_QUALIFIER || 'LATEST', versionId: '' },
    region: e.FC_REGION || '',
    accountId: e.FC_ACCOUNT_ID || '',
  };
};

exports.endings = ['.js', '.cjs', '.mjs', '']; // of modules' files

exports.prefix = (time, rid, level) => `${time} ${rid} [${level}] `;

// The logger is no part of what a context shows.
const logger = {
  value: {
    log: (...a) => console.log(...a), debug: (...a) => console.debug(...a), info: (...a) => console.info(...a),
    warn: (...a) => console.warn(...a), error: (...a) => console.error(...a),
  },
  writable: true, configurable: true,
};

// context is plain and open: applications add to it, copy it and print it as JSON.
function context(call) {
  const { credentials: k, function: f, service: s } = fixed;
  return Object.defineProperty({ // copied by hand: spreading costs more than the rest of a call's JavaScript
    requestId: call.rid,
    credentials: { accessKeyId: k.accessKeyId, accessKeySecret: k.accessKeySecret, securityToken: k.securityToken },
    function: { name: f.name, handler: f.handler, memory: f.memory, timeout: f.timeout, initializer: f.initializer, initializationTimeout: f.initializationTimeout },
    service: { name: s.name, logProject: s.logProject, logStore: s.logStore, qualifier: s.qualifier, versionId: s.versionId },
    region: fixed.region, accountId: fixed.accountId, retryCount: 0,
    tracing: { openTracingSpanContext: '', openTracingSpanBaggages: {}, jaegerEndpoint: '' },
  }, 'logger', logger);
}

// Said is an error that a function gave to its callback; others were thrown.
class Said {
  constructor(err) { this.err = err; }
}

// settle runs a function that answers by its callback or its promise, whichever delivers first. A
// promise of nothing from a function that takes a callback leaves that another 100 ms.
function settle(fn, args) {
  return new Promise((resolve, reject) => {
    let over = false;
    const callback = (err, data) => {
      if (over) return;
      over = true;
      if (err) reject(new Said(err)); else resolve(data);
    };
    const awaits = fn.length > args.length;
    const r = fn(...args, callback);
    if (r && typeof r.then === 'function') {
      r.then((v) => {
        if (v !== undefined || !awaits) return callback(null, v);
        if (!over) setTimeout(callback, 100);
      }, (err) => {
        over = true;
        reject(err || new Error(String(err)));
      });
    } else if (!awaits) callback(null, r);
  });
}

function bytes(data) {
  if (data === undefined || data === null) return '';
  if (typeof data === 'string' || data instanceof Uint8Array) return data;
  return JSON.stringify(data) || '';
}

exports.invoke = (fn, call) => {
  if (call.kind === 'http') return serve(fn, call);
  if (rt.spec.http && rt.spec.group) return plainly(fn, call);
  return settle(fn, [call.body, context(call)]).then((v) => ({ body: bytes(v) }));
};

// plainly calls an HTTP function of FC 2.0 with an event, as a person does who tries it out: the event is
// the body of a request.
function plainly(fn, call) {
  call.http = { method: call.body.length ? 'POST' : 'GET', path: '/', host: 'localhost', remote: '127.0.0.1' };
  return serve(fn, call).then((r) => ({ body: r.body }));
}

// hook runs the initializer (context, callback) and the life cycle hooks, which some write with an
// event in front.
exports.hook = (which, fn, call) => {
  const args = which !== 'initialize' && fn.length >= 3 ? [null, context(call)] : [context(call)];
  return settle(fn, args).then(() => ({ body: '' }));
};

// serve runs an HTTP function (request, response, context); the first send ends it.
function serve(fn, call) {
  return new Promise((resolve, reject) => {
    const h = call.http;
    const headers = {};
    for (const [k, v] of Object.entries(h.headers || {})) headers[k.toLowerCase()] = v.join(', ');
    const queries = {};
    for (const [k, v] of new URLSearchParams(h.query || '')) queries[k] = k in queries ? [].concat(queries[k], v) : v;
    const req = Object.assign(new Readable({ read() {} }), {
      method: h.method, path: h.path, url: h.uri || h.path + (h.query ? '?' + h.query : ''), headers, queries, clientIP: h.remote, host: h.host,
    });
    req.push(call.body.length ? call.body : null);
    if (call.body.length) req.push(null);

    const set = new Map(); // lower-case name → [name, values]
    let over = false;
    const finish = (body) => resolve({ status: resp.statusCode, headers: Object.fromEntries(set.values()), body });
    const resp = {
      statusCode: 200,
      setStatusCode(n) { resp.statusCode = Number(n) || 200; },
      setHeader(k, v) { set.set(String(k).toLowerCase(), [String(k), [].concat(v).map(String)]); },
      getHeader(k) { const e = set.get(String(k).toLowerCase()); return e && (e[1].length === 1 ? e[1][0] : e[1]); },
      deleteHeader(k) { set.delete(String(k).toLowerCase()); },
      send(body) {
        if (over) return;
        over = true;
        if (!body || typeof body.pipe !== 'function') return finish(bytes(body));
        const parts = [];
        body.on('data', (c) => parts.push(Buffer.from(c))).on('end', () => finish(Buffer.concat(parts))).on('error', reject);
      },
    };
    resp.end = resp.send;
    const r = fn(req, resp, context(call));
    if (r && typeof r.then === 'function') r.then(undefined, (err) => reject(err || new Error(String(err))));
  });
}

exports.describe = (err) => {
  const thrown = !(err instanceof Said);
  if (!thrown) err = err.err;
  const e = err instanceof Error || (err && typeof err === 'object' && 'message' in err);
  const message = e ? String(err.message) : typeof err === 'string' ? err : JSON.stringify(err) || String(err);
  const type = e ? ({ malformed: 'InvalidHandlerName', module: 'InvalidHandlerName', export: 'InvalidHandlerName' })[err.why] || String(err.name || 'Error') : 'Error';
  const stack = e && !err.why && err.stack ? String(err.stack).split('\n').slice(1).map((l) => l.trim()) : [];
  const body = { errorMessage: message, errorType: type };
  if (stack.length) body.stackTrace = stack;
  return { thrown, type, message, stack, body: JSON.stringify(body) };
};
