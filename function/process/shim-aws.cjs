'use strict';
// Conventions of AWS Lambda's node runtimes (aws.md 3.3 to 3.6).

let rt = null;

exports.setup = (core) => { rt = core; };

exports.prefix = (time, rid, level) => `${time}\t${rid || 'undefined'}\t${level}\t`;

exports.invoke = (fn, call) => new Promise((resolve, reject) => {
  let over = false;
  const once = (f) => (v) => { if (!over) { over = true; f(v); } };
  const succeed = once((v) => {
    const body = JSON.stringify(v === undefined ? null : v);
    resolve({ body: body === undefined ? 'null' : body });
  });
  const fail = once((err) => reject(err === undefined || err === null ? new Error(String(err)) : err));
  const attrs = call.attrs || {};
  const env = process.env;
  const context = {
    callbackWaitsForEmptyEventLoop: true,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME || rt.spec.name,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION || '$LATEST',
    memoryLimitInMB: String(rt.spec.memMB),
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME || '/aws/lambda/' + rt.spec.name,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME || '',
    awsRequestId: call.rid,
    invokedFunctionArn: attrs.arn || '',
    clientContext: attrs.client ? JSON.parse(attrs.client) : undefined,
    identity: attrs.identity ? JSON.parse(attrs.identity) : undefined,
    tenantId: attrs.tenant,
    getRemainingTimeInMillis: () => Math.max(0, call.deadline - Date.now()),
    succeed, fail,
    done: (err, v) => (err ? fail(err) : succeed(v)),
  };
  if (rt.spec.conc === 1) env._X_AMZN_TRACE_ID = attrs.trace || '';
  const callback = (err, v) => {
    const finish = () => (err === undefined || err === null ? succeed(v) : fail(err));
    if (context.callbackWaitsForEmptyEventLoop) rt.whenIdle(finish); else finish();
  };
  const r = fn(call.body.length ? JSON.parse(call.body.toString()) : {}, context, callback);
  if (r && typeof r.then === 'function') r.then(succeed, fail);
  else if (fn.length < 3) rt.whenIdle(() => succeed(null)); // it can still answer by context.done
});

exports.hook = () => Promise.resolve({ body: '' });

const types = { malformed: 'Runtime.MalformedHandlerName', module: 'Runtime.ImportModuleError', export: 'Runtime.HandlerNotFound' };

exports.describe = (err, kind) => {
  const e = err instanceof Error;
  let type = e ? String(err.name || 'Error') : typeof err;
  let message = e ? String(err.message) : typeof err === 'string' ? err : JSON.stringify(err) || String(err);
  let stack = e && err.stack ? String(err.stack).split('\n') : [];
  if (e && err.why) {
    type = types[err.why];
    stack = [`${type}: ${message}`];
    if (err.why === 'module') message = 'Error: ' + message;
  } else if (e && /^(ERR_)?MODULE_NOT_FOUND$/.test(err.code)) {
    type = 'Runtime.ImportModuleError';
    message = 'Error: ' + message;
  } else if (kind === 'entry' && err instanceof SyntaxError) {
    type = 'Runtime.UserCodeSyntaxError';
    message = 'SyntaxError: ' + message;
  }
  return { type, message, stack, body: JSON.stringify({ errorType: type, errorMessage: message, trace: stack }) };
};
