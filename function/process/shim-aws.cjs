'use strict';
// Conventions of AWS Lambda's node runtimes (aws.md 3.1 and 3.3 to 3.6).
const { Writable } = require('stream');
const util = require('util');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HTTP = 'application/vnd.awslambda.http-integration-response'; // a stream that begins with the head of an answer

let rt = null;
let fixed = null;  // what every context says; reading process.env costs more than all the rest of a call
let trace;         // of the current call, when it is the only one; the environment shows it

exports.endings = ['', '.js', '.mjs', '.cjs']; // of modules' files

exports.setup = (core) => {
  rt = core;
  trace = undefined;
  const env = process.env;
  // Setting it for each call would take more memory with each: glibc keeps every value for ever.
  Object.setPrototypeOf(env, Object.create(Object.prototype, { _X_AMZN_TRACE_ID: { get: () => trace, enumerable: true } }));
  fixed = {
    functionName: env.AWS_LAMBDA_FUNCTION_NAME || rt.spec.name,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION || '$LATEST',
    memoryLimitInMB: String(rt.spec.memMB),
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME || '/aws/lambda/' + rt.spec.name,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME || '',
  };
  if (env.AWS_LAMBDA_LOG_FORMAT === 'JSON') structure(env.AWS_LAMBDA_LOG_LEVEL);
  globalThis.awslambda = {
    streamifyResponse(handler) {
      handler[STREAMING] = 'response';
      return handler;
    },
    HttpResponseStream: {
      from(stream, head) {
        stream.setContentType(HTTP);
        stream.head = { ...head };
        return stream;
      },
    },
  };
};

const LEVELS = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];

// structure makes objects of what the console gets, from a level on.
function structure(least) {
  exports.prefix = () => '';
  const parts = (err) => ({ errorType: err.name, errorMessage: err.message, stackTrace: String(err.stack).split('\n') });
  const show = (key, v) => (v instanceof Error ? { ...v, ...parts(v) } : v);
  const record = (level, args) => {
    const call = rt.ongoing();
    const o = { timestamp: new Date().toISOString(), level, requestId: call ? call.rid : undefined };
    if (args.length === 1) {
      try { return JSON.stringify({ ...o, message: args[0] }, show); } catch { /* it goes round in circles */ }
    }
    return JSON.stringify({ ...o, message: util.format(...args), ...args.filter((v) => v instanceof Error).map(parts)[0] });
  };
  const from = LEVELS.indexOf(least);
  for (const [name, level] of [['log', 'INFO'], ['info', 'INFO'], ['debug', 'DEBUG'], ['warn', 'WARN'], ['error', 'ERROR'], ['trace', 'TRACE']]) {
    console[name] = (...args) => { if (LEVELS.indexOf(level) >= from) rt.log(level, record(level, args)); };
  }
}

exports.prefix = (time, rid, level) => `${time}\t${rid || 'undefined'}\t${level}\t`;

// error makes something with a name of that which was thrown for nothing.
const error = (err) => (err === undefined || err === null ? new Error(String(err)) : err);

const turn = Promise.resolve();

const json = (v) => {
  const body = JSON.stringify(v === undefined ? null : v);
  return { body: body === undefined ? 'null' : body };
};

function context(call) {
  const attrs = call.attrs || {};
  if (rt.spec.conc === 1) trace = attrs.trace || '';
  return { // by hand: spreading costs more
    callbackWaitsForEmptyEventLoop: true,
    functionName: fixed.functionName,
    functionVersion: fixed.functionVersion,
    memoryLimitInMB: fixed.memoryLimitInMB,
    logGroupName: fixed.logGroupName,
    logStreamName: fixed.logStreamName,
    awsRequestId: call.rid,
    invokedFunctionArn: attrs.arn || '',
    clientContext: attrs.client ? JSON.parse(attrs.client) : undefined,
    identity: attrs.identity ? JSON.parse(attrs.identity) : undefined,
    tenantId: attrs.tenant,
    getRemainingTimeInMillis: () => Math.max(0, call.deadline - Date.now()),
  };
}

exports.invoke = (fn, call) => {
  const event = call.body.length ? JSON.parse(call.body.toString()) : {};
  return fn[STREAMING] ? stream(fn, event, context(call), call) : settle(fn, event, context(call));
};

// settle runs a function that answers by its promise, its callback or its context.
function settle(fn, event, context) {
  return new Promise((resolve, reject) => {
    let over = false, callOff = null;
    const once = (f) => (v) => {
      if (over) return;
      over = true;
      if (callOff) callOff();
      f(v);
    };
    const succeed = once((v) => { try { resolve(json(v)); } catch (err) { reject(err); } });
    const fail = once((err) => reject(error(err)));
    context.succeed = succeed;
    context.fail = fail;
    context.done = (err, v) => (err ? fail(err) : succeed(v));
    const callback = (err, v) => {
      const finish = () => (err === undefined || err === null ? succeed(v) : fail(err));
      if (context.callbackWaitsForEmptyEventLoop) rt.whenIdle(finish); else finish();
    };
    const r = fn(event, context, callback);
    if (r && typeof r.then === 'function') {
      r.then(succeed, fail);
      turn.then(() => { if (!over) callOff = stalled(() => over); }); // most have answered by then
    } else if (fn.length < 3) rt.whenIdle(() => succeed(null)); // it can still answer by context.done
  });
}

// stalled ends the process when there is nothing left to do and a promise is still pending; with other
// calls beside it that cannot be told.
function stalled(over) {
  if (rt.spec.conc > 1) return null;
  return rt.whenIdle(() => {
    if (over()) return;
    rt.die(Object.assign(new Error('the event loop is empty, and the promise of the handler is still pending'), { name: 'Runtime.NodeJsExit' }));
  });
}

const listed = (v) => (Array.isArray(v) ? v : [v]).map(String);

// headOf is the head of an HTTP answer, or what a function that has none says of its stream.
function headOf(out) {
  const { statusCode = 200, headers = {}, cookies } = out.head || {};
  if (!out.head) return out.contentType ? { headers: { 'content-type': [out.contentType] } } : null;
  const list = {};
  for (const [name, v] of Object.entries(headers)) if (v !== undefined && v !== null) list[name.toLowerCase()] = listed(v);
  if (cookies) list['set-cookie'] = listed(cookies);
  return { status: Number(statusCode), headers: list };
}

// stream runs a function that writes its answer to a stream. For a caller who does not read it as it comes
// it goes out when it is whole; one with a head looks like that of a function which does not stream then.
function stream(fn, event, context, call) {
  return new Promise((resolve, reject) => {
    const parts = [];
    const write = (chunk) => (call.stream ? rt.send(call, headOf(out), chunk) : parts.push(chunk));
    const out = new Writable({
      write(chunk, encoding, cb) {
        try { write(Buffer.from(chunk, encoding)); } catch (err) { return cb(err); }
        cb();
      },
    });
    out.setContentType = (type) => { out.contentType = type; };
    let over = false;
    const callOff = stalled(() => over);
    const end = (f) => (v) => {
      if (over) return;
      over = true;
      if (callOff) callOff();
      f(v);
    };
    const finish = end(() => {
      if (call.stream && !call.begun) rt.send(call, headOf(out), Buffer.alloc(0));
      const body = Buffer.concat(parts);
      resolve(call.stream ? { body } : out.head ? json({ statusCode: 200, ...out.head, body: body.toString('base64'), isBase64Encoded: true }) : { body });
    });
    const fail = end((err) => reject(error(err)));
    out.on('finish', () => { try { finish(); } catch (err) { reject(err); } }).on('error', fail);
    Promise.resolve(fn(event, out, context)).then(() => out.end(), fail);
  });
}

exports.hook = () => Promise.resolve({ body: '' });

const types = { malformed: 'Runtime.MalformedHandlerName', module: 'Runtime.ImportModuleError', export: 'Runtime.HandlerNotFound' };

// isError also knows errors of other realms.
const isError = (err) => err instanceof Error || (err && typeof err === 'object' && typeof err.name === 'string' && typeof err.message === 'string' && typeof err.stack === 'string');

exports.describe = (err, kind, origin) => {
  const e = isError(err);
  let type = e ? String(err.name || 'Error') : typeof err;
  let message = e ? String(err.message) : String(err);
  let trace = e && err.stack ? String(err.stack).split('\n') : [];
  let more = {};
  const called = (name, text) => {
    type = name;
    message = text;
    trace = [`${type}: ${message}`, ...(e && err.why ? [] : trace.slice(1))];
  };
  if (origin === 'unhandledRejection') {
    more = { reason: { errorType: type, errorMessage: message, stack: trace } };
    called('Runtime.UnhandledPromiseRejection', e ? `${type}: ${message}` : message);
  } else if (e && err.why) called(types[err.why], err.why === 'module' ? 'Error: ' + message : message);
  else if (e && /^(ERR_)?MODULE_NOT_FOUND$/.test(err.code)) called('Runtime.ImportModuleError', 'Error: ' + message);
  else if (kind === 'entry' && err instanceof SyntaxError) called('Runtime.UserCodeSyntaxError', 'SyntaxError: ' + message);
  return { type, message, stack: trace, body: JSON.stringify({ errorType: type, errorMessage: message, ...more, trace }) };
};
