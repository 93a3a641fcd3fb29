'use strict';
// Connects hosts that are ours to our own address, whatever library asks: http, https, fetch, tls and
// http2 all end in a socket's connect. Names stay as they are, so certificates and Host headers fit.
const net = require('net');

module.exports = ({ hosts, addr }) => {
  const at = addr.lastIndexOf(':');
  const ours = { host: addr.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(addr.slice(at + 1)) };
  const suffixes = hosts.filter((h) => h.startsWith('*')).map((h) => h.slice(1).toLowerCase());
  const names = new Set(hosts.filter((h) => !h.startsWith('*')).map((h) => h.toLowerCase()));

  function target(o) {
    const host = String(o.host || '').toLowerCase().replace(/\.$/, '');
    if (!names.has(host) && !suffixes.some((s) => host.length > s.length && host.endsWith(s))) return null;
    const port = Number(o.port);
    if (port === 80 || port === 443 || !host.endsWith('.localhost')) return ours;
    return { host: '127.0.0.1', port }; // a port of this machine, named on purpose
  }

  // A handshake costs more than most calls, and SDKs make many: connections to our hosts share a context,
  // and take up the last session with their host. Whoever brings anything of their own is left alone.
  const own = ['ca', 'cert', 'key', 'pfx', 'crl', 'secureContext', 'secureProtocol', 'secureOptions', 'ciphers', 'sigalgs', 'ecdhCurve', 'minVersion', 'maxVersion', 'checkServerIdentity', 'pskCallback', 'socket'];
  const sessions = new Map();
  let context;
  function resume(tls) {
    const connect = tls.connect;
    tls.connect = function (o, ...rest) {
      if (!o || typeof o !== 'object' || o.rejectUnauthorized === false || !target(o) || own.some((k) => o[k] != null)) return connect.call(this, o, ...rest);
      const name = o.servername || o.host;
      context ??= tls.createSecureContext();
      const socket = connect.call(this, { ...o, secureContext: context, session: o.session ?? sessions.get(name) }, ...rest);
      return socket.on('session', (s) => sessions.set(name, s));
    };
  }

  let resumes = false;
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const list = Array.isArray(args[0]) ? args[0] : args; // node itself hands its arguments in one array
    const o = list[0] && typeof list[0] === 'object' ? list[0] : typeof list[0] === 'number' || /^\d+$/.test(list[0]) ? { port: list[0], host: typeof list[1] === 'string' ? list[1] : 'localhost' } : {};
    const to = o.path ? null : target(o);
    if (!to) return connect.apply(this, args);
    if (!resumes && this.setSession) { // tls is there: who uses none does not pay for it
      resumes = true;
      resume(require('tls'));
    }
    const next = { ...o, ...to };
    delete next.lookup;
    if (list !== args) {
      list[0] = next;
      return connect.apply(this, args);
    }
    const cb = args.find((a) => typeof a === 'function');
    return connect.call(this, next, ...(cb ? [cb] : []));
  };
};
