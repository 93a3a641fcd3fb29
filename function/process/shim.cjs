'use strict';
// The frame core of sluice's Node instances: it speaks with the supervisor over fd 3, loads the user's
// module, runs handlers, and sends logs. What handlers' arguments and results look like, it does not
// know: that is in the dialect's file, named by argv[2]. Frames are described in function/DESIGN.md.
forgetFlags();
const fs = require('fs');
const net = require('net');
const util = require('util');
const { Module } = require('module');
const { EntryError, find } = require('./load.cjs');

// forgetFlags makes V8's flags what they are by default: with others it refuses the compiled code that node brings of
// its own modules, and http alone takes 20 ms more to load. The heap has its limit by now. Where this is not
// possible (Node 24), V8 does not mind the flag.
function forgetFlags() {
  const { noDeprecation } = process;
  process.noDeprecation = true;
  try { process.binding('v8').setFlagsFromString('--max-old-space-size=0'); } catch { /* it is Node 24 */ }
  process.noDeprecation = noDeprecation;
}

const FD = 3;
const HELLO = 1, LOAD = 2, READY = 3, INVOKE = 4, RESULT = 5, ERROR = 6, CHUNK = 7, LOG = 8, CANCEL = 9,
  HOOK = 10, PING = 11, PONG = 12, STOP = 13, INITERR = 14;
const MORE = 1; // flag: CHUNKs of the same id follow
const HEAD = 12, PIECE = 1 << 20, LINE = 64 << 10, META = 60000;

const dialect = require(process.argv[2]);
let spec = null;        // LOAD's body
let handler = null;
let hooks = {};         // initialize, preStop, preFreeze
let frozen = null;      // while preFreeze runs, a promise
const calls = new Map(); // id → call, in flight
let current = null;     // the call that logs belong to, when there is at most one
let storage = null;     // AsyncLocalStorage of calls, when there may be more

// --- writing ---------------------------------------------------------------------------------------

const nap = new Int32Array(new SharedArrayBuffer(4));

// writeAll blocks until the supervisor has taken everything, so that nothing is lost when the process
// exits or hangs right after. The supervisor always reads.
function writeAll(b) {
  for (let i = 0; i < b.length;) {
    try {
      i += fs.writeSync(FD, b, i, b.length - i);
    } catch (e) {
      if (e.code !== 'EAGAIN' && e.code !== 'EINTR') process.reallyExit(1); // nobody is there any more
      Atomics.wait(nap, 0, 0, 1);
    }
  }
}

const sizeOf = (body) => (typeof body === 'string' ? Buffer.byteLength(body) : body ? body.length : 0);

// fill writes a frame of size bytes into b.
function fill(b, at, size, type, flags, id, meta, mn, body) {
  b.writeUInt32LE(size - HEAD, at);
  b[at + 4] = type;
  b[at + 5] = flags;
  b.writeUInt16LE(mn, at + 6);
  b.writeUInt32LE(id, at + 8);
  if (mn) b.write(meta, at + HEAD, 'utf8');
  if (typeof body === 'string') b.write(body, at + HEAD + mn, 'utf8'); else if (body) b.set(body, at + HEAD + mn);
  return b;
}

function frame(type, flags, id, meta, body) {
  const m = meta ? JSON.stringify(meta) : '';
  const mn = sizeOf(m), size = HEAD + mn + sizeOf(body);
  return fill(Buffer.allocUnsafe(size), 0, size, type, flags, id, m, mn, body);
}

// Answers of one turn of the event loop leave in one write.
const out = Buffer.allocUnsafeSlow(64 << 10);
const turn = Promise.resolve();
let filled = 0;

function flush() {
  if (filled === 0) return;
  const n = filled;
  filled = 0;
  if (rehearsing) return void (rehearsing = spec = handler = null);
  writeAll(out.subarray(0, n));
}

function answer(type, id, meta, body) {
  if (typeof body === 'string' && body.length > PIECE / 4) body = Buffer.from(body);
  if (typeof body !== 'string' && body && body.length > PIECE) {
    flush();
    writeAll(frame(type, MORE, id, meta, body.subarray(0, PIECE)));
    for (let i = PIECE; i < body.length; i += PIECE) {
      writeAll(frame(CHUNK, i + PIECE < body.length ? MORE : 0, id, null, body.subarray(i, i + PIECE)));
    }
    return;
  }
  const m = meta ? JSON.stringify(meta) : '';
  const mn = sizeOf(m), size = HEAD + mn + sizeOf(body);
  if (size > out.length - filled) flush();
  if (size > out.length) return writeAll(fill(Buffer.allocUnsafe(size), 0, size, type, 0, id, m, mn, body));
  fill(out, filled, size, type, 0, id, m, mn, body);
  if (filled === 0) turn.then(flush);
  filled += size;
}

// failure words an error for ERROR and INITERR; kind is handled, crash, entry, init or big.
function failure(kind, err, origin) {
  const d = dialect.describe(err, kind, origin);
  const meta = { kind, thrown: d.thrown, type: d.type.slice(0, 200), message: d.message.slice(0, 4000), stack: [] };
  let room = META / 4; // a character takes at most three bytes, or six when escaped but then it is rare
  for (const line of d.stack) {
    if ((room -= line.length + 8) < 0) break;
    meta.stack.push(line);
  }
  if (Buffer.byteLength(JSON.stringify(meta)) > META) Object.assign(meta, { message: d.message.slice(0, 1000), stack: [] });
  return [meta, d.body];
}

// --- logs ------------------------------------------------------------------------------------------

const ongoing = () => (storage ? storage.getStore() : current) || null;

// log sends text as lines of at most LINE characters; level "" is plain output.
function log(level, text) {
  const call = ongoing();
  const now = new Date();
  const prefix = level ? dialect.prefix(now.toISOString(), call ? call.rid : '', level) : '';
  const meta = { lvl: level, t: now.getTime(), p: Buffer.byteLength(prefix) };
  flush(); // answers of earlier calls come before
  for (let i = 0; i === 0 || i < text.length; i += LINE) {
    writeAll(frame(LOG, 0, call && !call.over ? call.id : 0, meta, prefix + text.slice(i, i + LINE)));
  }
}

for (const [name, level] of [['log', 'INFO'], ['info', 'INFO'], ['debug', 'DEBUG'], ['warn', 'WARN'], ['error', 'ERROR'], ['trace', 'TRACE']]) {
  console[name] = (...args) => log(level, util.format(...args));
}

// The standard streams are ours, so that what is written belongs to its call and nothing is lost at
// exit. Native code and child processes still have the pipe.
for (const [name, fd] of [['stdout', 1], ['stderr', 2]]) {
  let stream = null;
  const make = () => {
    const { Writable } = require('stream');
    let part = '';
    const emit = (text) => {
      const lines = (part + text).split('\n');
      part = lines.pop();
      for (; part.length > LINE; part = part.slice(LINE)) lines.push(part.slice(0, LINE));
      for (const l of lines) log('', l);
    };
    process.on('exit', () => { if (part) log('', part); });
    return Object.assign(new Writable({ decodeStrings: false, write(c, e, cb) { emit(typeof c === 'string' ? c : c.toString()); cb(); } }), { fd, _type: 'pipe' });
  };
  Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream || (stream = make()) });
}

// --- starting ----------------------------------------------------------------------------------------

const setup = () => dialect.setup({ spec, log, whenIdle, die, send, ongoing });

let rehearsing = null; // true while nobody is to hear of an answer

// rehearse does for once what is slow the first time, in an instance that waits for its function: finds
// one and calls it.
async function rehearse() {
  const own = process.argv[1];
  await find(__dirname, 'nodepath.resolve', dialect.endings);
  if (spec) return;
  process.argv[1] = own;
  rehearsing = true;
  spec = { name: '', group: '', handler: '', instance: '', hooks: {}, conc: 1, memMB: 0, timeoutMs: 0, initMs: 0, max: PIECE };
  handler = async (event) => event;
  setup();
  const call = frame(INVOKE, 0, 0, { rid: '', deadline: 0 }, '{"an":"event"}'); // the supervisor has no call 0
  read(call.length, call);
}

const waiting = setTimeout(() => rehearse().catch(() => { if (rehearsing) rehearsing = spec = handler = null; }), 20);

async function start(load) {
  clearTimeout(waiting);
  rehearsing = null;
  spec = load;
  const folders = process.env.NODE_PATH;
  for (const k of Object.keys(process.env)) if (!(k in spec.env)) delete process.env[k];
  Object.assign(process.env, spec.env);
  if (spec.env.NODE_PATH !== folders) Module._initPaths();
  process.chdir(spec.root);
  process.argv.length = 2;
  const leaveOutTLS = spec.egress ? require('./egress.cjs')(spec.egress) : () => {};
  if (spec.conc > 1) storage = new (require('async_hooks').AsyncLocalStorage)();
  setup();
  try {
    handler = await find(spec.root, spec.handler, dialect.endings);
    for (const [which, name] of Object.entries(spec.hooks)) hooks[which] = await find(spec.root, name, dialect.endings);
    leaveOutTLS(); // most have loaded their libraries now
  } catch (err) {
    const missing = err instanceof EntryError || err instanceof SyntaxError || (err && /^(ERR_)?MODULE_NOT_FOUND$/.test(err.code));
    writeAll(frame(INITERR, 0, 0, ...failure(missing ? 'entry' : 'init', err)));
    process.exit(1);
  }
  answer(READY, 0, null, null);
}

// whenIdle calls back when nothing but us keeps the event loop alive. What it returns calls that off.
function whenIdle(cb) {
  if (spec.conc > 1) return cb();
  const over = () => {
    process.off('beforeExit', idle);
    socket.ref();
  };
  const idle = () => { over(); cb(); };
  socket.unref();
  process.on('beforeExit', idle);
  return over;
}

// --- calls -----------------------------------------------------------------------------------------

function run(call, work) {
  calls.set(call.id, call);
  if (!storage) current = call;
  const done = (r) => end(call, () => {
    if (call.begun) return answer(CHUNK, call.id, null, r.body);
    const n = typeof r.body === 'string' ? Buffer.byteLength(r.body) : r.body.length;
    if (n > spec.max) return answer(ERROR, call.id, ...failure('big', new Error(`the answer has ${n} bytes, more than ${spec.max}`)));
    answer(RESULT, call.id, r.status ? { status: r.status, headers: r.headers } : null, r.body);
  });
  const failed = (err) => end(call, () => answer(ERROR, call.id, ...failure('handled', err)));
  const go = () => { try { work().then(done, failed); } catch (err) { failed(err); } };
  if (storage) storage.run(call, go); else go();
}

// send sends a part of an answer that is still being made; what comes with the first is its head.
function send(call, head, body) {
  if (!calls.has(call.id)) return;
  flush();
  let i = 0;
  do {
    writeAll(frame(call.begun ? CHUNK : RESULT, MORE, call.id, call.begun ? null : head, body.subarray(i, i + PIECE)));
    call.begun = true;
  } while ((i += PIECE) < body.length);
}

function end(call, tell) {
  if (!calls.delete(call.id)) return;
  tell();
  call.over = true;
  if (current === call) current = null;
}

function invoke(id, meta, body) {
  const call = { id, body, ...meta };
  if (frozen) return void frozen.then(() => run(call, () => dialect.invoke(handler, call)));
  run(call, () => dialect.invoke(handler, call));
}

function hook(id, meta) {
  const call = { id, body: Buffer.alloc(0), ...meta };
  const work = () => dialect.hook(meta.which, hooks[meta.which], call);
  if (meta.which !== 'preFreeze') return run(call, work);
  let timer;
  const late = new Promise((_, no) => { timer = setTimeout(no, call.deadline - Date.now(), new Error('ran out of time')); });
  frozen = Promise.race([work(), late]).catch((err) => {
    const d = dialect.describe(err, 'handled');
    log('ERROR', ['preFreeze: ' + d.message, ...d.stack].join('\n'));
  }).then(() => { clearTimeout(timer); frozen = null; });
}

// die tells all whose calls are running, and exits.
function die(err, origin) {
  if (spec && !handler) writeAll(frame(INITERR, 0, 0, ...failure('init', err, origin)));
  for (const call of calls.values()) writeAll(frame(ERROR, 0, call.id, ...failure('crash', err, origin)));
  if (calls.size === 0) log('ERROR', util.format(err));
  calls.clear();
  process.exit(origin === 'unhandledRejection' ? 128 : 129);
}

process.on('uncaughtException', die);
process.on('exit', flush);

// --- reading ---------------------------------------------------------------------------------------

const bodies = new Map(); // id → {meta, parts}: INVOKEs whose CHUNKs are still coming

function receive(type, flags, id, meta, body) {
  switch (type) {
    case LOAD: return void start(JSON.parse(body.toString()));
    case INVOKE:
      if (flags & MORE) return void bodies.set(id, { meta, parts: [body] });
      return invoke(id, meta, body);
    case CHUNK: {
      const b = bodies.get(id);
      if (!b) return;
      b.parts.push(body);
      if (flags & MORE) return;
      bodies.delete(id);
      return invoke(id, b.meta, Buffer.concat(b.parts));
    }
    case CANCEL: {
      const call = calls.get(id);
      if (call) end(call, () => {});
      return void bodies.delete(id);
    }
    case HOOK: return hook(id, meta);
    case PING: return answer(PONG, id, null, null);
    case STOP:
      if (Module.flushCompileCache) Module.flushCompileCache();
      process.exit(0);
  }
}

let part = null, have = 0; // a frame that has not come whole

function read(n, buf) {
  for (let i = 0; i < n;) {
    if (part === null && n - i >= HEAD) {
      const size = HEAD + buf.readUInt32LE(i);
      if (n - i >= size) {
        unpack(buf, i, size, true);
        i += size;
        continue;
      }
      part = Buffer.allocUnsafe(size);
    } else if (part === null) part = Buffer.allocUnsafe(HEAD);
    const k = buf.copy(part, have, i, n);
    have += k;
    i += k;
    if (have < part.length) continue;
    const size = HEAD + part.readUInt32LE(0);
    if (size > have) {
      part = Buffer.concat([part], size);
      continue;
    }
    const whole = part;
    part = null;
    have = 0;
    unpack(whole, 0, whole.length, false);
  }
  return true;
}

// unpack reads a frame; again says that its bytes will be used again.
function unpack(b, at, size, again) {
  const m = b.readUInt16LE(at + 6), start = at + HEAD + m;
  let body = null;
  if (again) b.copy(body = Buffer.allocUnsafe(at + size - start), 0, start, at + size); else body = b.subarray(start);
  receive(b[at + 4], b[at + 5], b.readUInt32LE(at + 8), m ? JSON.parse(b.utf8Slice(at + HEAD, start)) : {}, body);
}

const socket = new net.Socket({ fd: FD, readable: true, writable: false, onread: { buffer: Buffer.allocUnsafe(64 << 10), callback: read } });
socket.on('end', () => process.exit(0)); // the supervisor is gone
socket.on('error', () => process.exit(0));
answer(HELLO, 0, { v: 1, lang: 'node', rt: process.versions.node, exec: process.execPath }, null);
