'use strict';
// Conventions of Tencent SCF's node runtimes (tencent.md 2.3 and 2.4).
const MAX = 6 << 20; // bytes of an answer

let rt = null;
let fixed = null;   // what every context says; reading process.env costs more than all the rest of a call
let triggered = ''; // by the last call's trigger

exports.setup = (core) => {
  rt = core;
  rt.spec.max = Math.min(rt.spec.max, MAX);
  const e = process.env;
  const environment = e.SLUICE_SCF_ENVIRONMENT || '{}'; // the function's own variables as JSON
  delete e.SLUICE_SCF_ENVIRONMENT;
  const own = Object.entries(JSON.parse(environment));
  fixed = {
    environment,
    environ: [`SCF_NAMESPACE=${e.SCF_NAMESPACE}`, ...own.map(([k, v]) => `${k}=${v}`)].join(';'),
    version: e.SCF_FUNCTIONVERSION || '$LATEST',
    name: e.SCF_FUNCTIONNAME || rt.spec.name,
    namespace: e.SCF_NAMESPACE || rt.spec.group,
    region: e.TENCENTCLOUD_REGION || '',
    appid: e.TENCENTCLOUD_APPID || '',
    uin: e.TENCENTCLOUD_UIN || '',
  };
};

exports.endings = ['.js', '.cjs', '.mjs', '']; // of modules' files

exports.prefix = () => ''; // output is logged as it is

function context(call) {
  const trigger = (call.attrs || {}).trigger || '';
  if (trigger !== triggered) {
    if (trigger) process.env.TRIGGER_SRC = trigger; else delete process.env.TRIGGER_SRC;
    triggered = trigger;
  }
  return {
    callbackWaitsForEmptyEventLoop: true,
    getContext() { return this; },
    getRemainingTimeInMillis: () => Math.max(0, call.deadline - Date.now()),
    memory_limit_in_mb: rt.spec.memMB,
    time_limit_in_ms: rt.spec.timeoutMs,
    request_id: call.rid,
    environment: fixed.environment,
    environ: fixed.environ,
    function_version: fixed.version,
    function_name: fixed.name,
    namespace: fixed.namespace,
    tencentcloud_region: fixed.region,
    tencentcloud_appid: fixed.appid,
    tencentcloud_uin: fixed.uin,
  };
}

const json = (v) => ({ body: JSON.stringify(v === undefined ? null : v) || 'null' });

// invoke runs a function that answers by its promise, or else by its callback or its context. What the
// latter say is held back until the event loop is empty, unless the function does not want that.
exports.invoke = (fn, call) => new Promise((resolve, reject) => {
  const ctx = context(call);
  let said = false, over = false;
  const settle = (f) => {
    over = true;
    try { f(); } catch (err) { reject(err); }
  };
  const callback = (err, v) => {
    if (said || over) return;
    said = true;
    const tell = () => { if (!over) settle(() => (err ? reject(err) : resolve(json(v)))); };
    if (ctx.callbackWaitsForEmptyEventLoop) rt.whenIdle(tell); else tell();
  };
  Object.assign(ctx, { done: callback, succeed: (v) => callback(null, v), fail: (err) => callback(err || new Error(String(err))) });
  const r = fn(call.body.length ? JSON.parse(call.body.toString()) : {}, ctx, callback);
  if (r && typeof r.then === 'function') {
    let callOff = null;
    const end = (f) => (v) => {
      if (callOff) callOff();
      if (!over) settle(() => f(v));
    };
    r.then(end((v) => resolve(json(v))), end((err) => reject(err || new Error(String(err)))));
    if (rt.spec.conc === 1) callOff = rt.whenIdle(() => { if (!over) settle(() => resolve(json(null))); }); // it never settles
  } else if (!said) rt.whenIdle(() => { if (!said && !over) settle(() => resolve(json(null))); });
});

exports.hook = () => Promise.resolve({ body: '' });

exports.describe = (err) => {
  const e = err instanceof Error || (err && typeof err === 'object' && typeof err.stack === 'string');
  const message = e ? String(err.message) : typeof err === 'object' ? JSON.stringify(err) : String(err);
  const type = e ? (err.why ? 'HandlerNotFound' : String(err.name || 'Error')) : typeof err;
  const stack = e && err.stack && !err.why ? String(err.stack).split('\n').filter((l) => !l.includes(__dirname)) : [message];
  return { thrown: true, type, message, stack, body: '' };
};
