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

  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    const list = Array.isArray(args[0]) ? args[0] : args; // node itself hands its arguments in one array
    const o = list[0] && typeof list[0] === 'object' ? list[0] : typeof list[0] === 'number' || /^\d+$/.test(list[0]) ? { port: list[0], host: typeof list[1] === 'string' ? list[1] : 'localhost' } : {};
    const to = o.path ? null : target(o);
    if (!to) return connect.apply(this, args);
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
