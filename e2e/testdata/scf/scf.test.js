'use strict';
// The official SDK for Node calls the functions of a real server.
const assert = require('assert');
const { test } = require('node:test');
const { scf } = require('tencentcloud-sdk-nodejs-scf');

const { SCF_ADMIN, TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY } = process.env;

function client(secretId, secretKey, more) {
  return new scf.v20180416.Client({
    credential: { secretId, secretKey },
    region: 'ap-guangzhou',
    profile: { httpProfile: { endpoint: SCF_ADMIN, protocol: 'http://' }, ...more },
  });
}

const good = client(TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY);

test('a call', async () => {
  const { Result, RequestId } = await good.Invoke({ FunctionName: 'Hello', ClientContext: JSON.stringify({ a: '中' }), LogType: 'Tail' });
  assert.match(RequestId, /^[0-9a-f-]{36}$/);
  assert.deepEqual(JSON.parse(Result.RetMsg), { got: { a: '中' }, who: 'world', name: 'Hello' });
  assert.equal(Result.InvokeResult, 0);
  assert.equal(Result.ErrMsg, '');
  assert.ok(Result.MemUsage > 1e6 && Result.BillDuration >= Result.Duration, JSON.stringify(Result));
  assert.match(Result.Log, /^START RequestId: [^]*a line of log\n[^]*Report RequestId: /);
});

test('a call in the other way', async () => {
  const { Result } = await good.InvokeFunction({ FunctionName: 'Hello', Event: '{"a":1}' });
  assert.deepEqual(JSON.parse(Result.RetMsg).got, { a: 1 });
});

test('a call that fails', async () => {
  const { Result } = await good.Invoke({ FunctionName: 'Hello', ClientContext: '{"fail":true}' });
  assert.equal(Result.InvokeResult, 1);
  assert.match(Result.ErrMsg, /^Traceback [^]*ValueError: told to$/);
  const body = JSON.parse(Result.RetMsg);
  assert.equal(body.statusCode, 430);
  assert.equal(body.stackTrace, Result.ErrMsg);
  assert.equal(body.requestId, Result.FunctionRequestId);
});

test('refusals', async () => {
  const code = (c) => (err) => err.code === c || assert.fail(`${err.code} ${err.message}`);
  await assert.rejects(good.Invoke({ FunctionName: 'None' }), code('ResourceNotFound.Function'));
  await assert.rejects(good.Invoke({ FunctionName: 'Hello', Qualifier: '9' }), code('ResourceNotFound.Qualifier'));
  await assert.rejects(good.PublishVersion({ FunctionName: 'Hello' }), code('InvalidAction'));
  await assert.rejects(client(TENCENTCLOUD_SECRETID, 'wrong').Invoke({ FunctionName: 'Hello' }), code('AuthFailure.SignatureFailure'));
  await assert.rejects(client('AKIDnobody', 'wrong').Invoke({ FunctionName: 'Hello' }), code('AuthFailure.SecretIdNotFound'));
});

test('an unsigned payload', async () => {
  const { Result } = await client(TENCENTCLOUD_SECRETID, TENCENTCLOUD_SECRETKEY, { unsignedPayload: true }).Invoke({ FunctionName: 'Hello', ClientContext: '{}' });
  assert.equal(Result.InvokeResult, 0);
});

test('what is deployed', async () => {
  const all = await good.ListFunctions({});
  assert.deepEqual(all.Functions.map((f) => [f.FunctionName, f.Runtime]), [['Hello', 'Python3.6'], ['Shell', 'CustomRuntime']]);
  assert.equal(all.TotalCount, 2);
  const one = await good.GetFunction({ FunctionName: 'Hello' });
  assert.deepEqual(one.Environment.Variables.find((v) => v.Key === 'WHO'), { Key: 'WHO', Value: 'world' });
});

test('a change of settings', async () => {
  const Variables = [{ Key: 'WHO', Value: 'moon' }];
  await good.UpdateFunctionConfiguration({ FunctionName: 'Hello', Environment: { Variables }, Timeout: 10 });
  const { Result } = await good.Invoke({ FunctionName: 'Hello' });
  assert.equal(JSON.parse(Result.RetMsg).who, 'moon');
  assert.deepEqual((await good.GetFunction({ FunctionName: 'Hello' })).Environment, { Variables });
  await assert.rejects(good.UpdateFunctionConfiguration({ FunctionName: 'Hello', Timeout: 1000 }), { code: 'InvalidParameterValue.Timeout' });
});
