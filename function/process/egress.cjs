'use strict';
// Connects hosts that are ours to our own address, whatever library asks: http, https, fetch, tls and
// http2 all end in a socket's connect. Names stay as they are, so certificates and Host headers fit.
const fs = require('fs');
const net = require('net');
const { syncBuiltinESMExports } = require('module');
const threads = require('worker_threads');

// plainSocket makes the class of connections without TLS that their users cannot tell from those with it.
// Between a function and us, on one machine, TLS protects nothing, and a handshake costs more than most calls.
function plainSocket(TLSSocket) {
  class Plain extends net.Socket {
    #name;

    constructor(o) {
      super({ allowHalfOpen: o.allowHalfOpen, highWaterMark: o.highWaterMark, onread: o.onread, signal: o.signal, noDelay: o.noDelay, keepAlive: o.keepAlive, keepAliveInitialDelay: o.keepAliveInitialDelay });
      this.encrypted = true;
      this.secureConnecting = true;
      this.authorized = false;
      this.authorizationError = null;
      this.servername = null;
      this.alpnProtocol = null;
      this.#name = o.servername || o.host;
      this.once('connect', () => process.nextTick(() => { // who waits for connect hears it first
        if (this.destroyed) return;
        this.secureConnecting = false;
        this.authorized = true;
        this.servername = o.servername || false;
        this.alpnProtocol = o.ALPNProtocols ? 'http/1.1' : false;
        this.emit('secureConnect');
        this.emit('secure');
      }));
    }

    getPeerCertificate() {
      const name = this.#name, year = 365 * 24 * 3600e3;
      return { subject: { CN: name }, issuer: { CN: 'sluice' }, subjectaltname: 'DNS:' + name, valid_from: new Date(Date.now() - year).toUTCString(), valid_to: new Date(Date.now() + year).toUTCString() };
    }

    exportKeyingMaterial() { throw Object.assign(new Error('this connection to sluice has no keys'), { code: 'ERR_TLS_INVALID_STATE' }); }

    renegotiate(o, cb) {
      if (cb) process.nextTick(cb, null);
      return true;
    }

    getCipher() { return { name: 'TLS_AES_128_GCM_SHA256', standardName: 'TLS_AES_128_GCM_SHA256', version: 'TLSv1.3' }; }
    getProtocol() { return 'TLSv1.3'; }
    getCertificate() { return {}; }
    getEphemeralKeyInfo() { return {}; }
    getSharedSigalgs() { return []; }
    isSessionReused() { return false; }
    setMaxSendFragment() { return true; }
  }

  // It is an instance of TLSSocket, of whose methods none finds a handle that is not TLS's.
  Object.defineProperty(Plain, 'name', { value: 'TLSSocket' });
  for (const k of Reflect.ownKeys(TLSSocket.prototype)) {
    if (Object.hasOwn(Plain.prototype, k)) continue;
    const of = Object.getOwnPropertyDescriptor(net.Socket.prototype, k) || { value: () => undefined, writable: true, configurable: true };
    Object.defineProperty(Plain.prototype, k, of);
  }
  Object.setPrototypeOf(Plain.prototype, TLSSocket.prototype);
  return Plain;
}

// own are settings of which TLS itself makes something. Whoever brings one is left alone.
const own = ['ca', 'cert', 'key', 'pfx', 'crl', 'secureContext', 'secureProtocol', 'secureOptions', 'ciphers', 'sigalgs', 'ecdhCurve', 'minVersion', 'maxVersion', 'checkServerIdentity', 'pskCallback', 'requestOCSP', 'enableTrace', 'socket'];
const simple = ({ ALPNProtocols: p }) => p == null || (Array.isArray(p) && p.includes('http/1.1'));

module.exports = (hook) => {
  const { hosts, addr, clear, ca } = hook;
  const place = (addr) => {
    const at = addr.lastIndexOf(':');
    return { host: addr.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(addr.slice(at + 1)), lookup: undefined };
  };
  const ours = place(addr), withoutTLS = place(clear);
  const suffixes = hosts.filter((h) => h.startsWith('*')).map((h) => h.slice(1).toLowerCase());
  const names = new Set(hosts.filter((h) => !h.startsWith('*')).map((h) => h.toLowerCase()));

  function target(o) {
    if (o.path) return null;
    const host = String(o.host || '').toLowerCase().replace(/\.$/, '');
    if (!names.has(host) && !suffixes.some((s) => host.length > s.length && host.endsWith(s))) return null;
    const port = Number(o.port);
    if (port === 80 || port === 443 || !host.endsWith('.localhost')) return ours;
    return { host: '127.0.0.1', port, lookup: undefined }; // a port of this machine, named on purpose
  }

  // trust lets a TLS connection that is about to be made trust our authority, unless it has roots of its own.
  // NODE_EXTRA_CA_CERTS would do so for all, but reads every root there is at boot, which can take as long as
  // all the rest of it.
  const trusting = new WeakSet();
  let pem = null;
  function trust(socket, o) {
    const context = socket._tlsOptions?.secureContext?.context;
    if (!context || o.ca != null || trusting.has(context)) return;
    trusting.add(context);
    try { pem ??= fs.readFileSync(ca); } catch { return; }
    context.addCACert(pem);
  }

  // leaveOut has tls make them, once it is there: who does not use it does not wait for it to be loaded.
  let left = false;
  function leaveOut() {
    if (left || !process.moduleLoadList.includes('NativeModule tls')) return;
    left = true;
    const tls = require('tls');
    const Plain = plainSocket(tls.TLSSocket);
    const secure = tls.connect;
    tls.connect = function (...args) {
      const o = args.find((a) => a && typeof a === 'object') || {};
      if (args[0] !== o || !simple(o) || own.some((k) => o[k] != null) || target(o) !== ours) {
        const socket = secure.apply(this, args);
        if (o.socket && target({ host: o.servername || o.host })) trust(socket, o); // others connect themselves
        return socket;
      }
      const socket = new Plain(o);
      const cb = args.find((a) => typeof a === 'function');
      if (cb) socket.once('secureConnect', cb);
      if (o.timeout) socket.setTimeout(o.timeout);
      return socket.connect({ ...o, ...withoutTLS });
    };
    syncBuiltinESMExports();
  }

  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const list = Array.isArray(args[0]) ? args[0] : args; // node itself hands its arguments in one array
    const o = list[0] && typeof list[0] === 'object' ? list[0] : typeof list[0] === 'number' || /^\d+$/.test(list[0]) ? { port: list[0], host: typeof list[1] === 'string' ? list[1] : 'localhost' } : {};
    const to = target(o);
    leaveOut(); // for the next one, which may be to go through this one
    if (!to) return connect.apply(this, args);
    trust(this, o);
    const next = { ...o, ...to };
    if (list !== args) {
      list[0] = next;
      return connect.apply(this, args);
    }
    const cb = args.find((a) => typeof a === 'function');
    return connect.call(this, next, ...(cb ? [cb] : []));
  };

  // Threads have modules of their own.
  threads.setEnvironmentData(__filename, hook);
  threads.Worker = class Worker extends threads.Worker {
    constructor(file, o) { super(file, { ...o, execArgv: ['--require', __filename, ...(o?.execArgv ?? [])] }); }
  };
  syncBuiltinESMExports();
  return leaveOut;
};

if (!threads.isMainThread) module.exports(threads.getEnvironmentData(__filename));
