'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const http = require('node:http');
const test = require('node:test');
const FC2 = require('@alicloud/fc2');
const fc3 = require('@alicloud/fc20230330');
const { $OpenApiUtil } = require('@alicloud/openapi-core');

const { FC_ADMIN, FC_PUBLIC, FC_ID, FC_SECRET, FC_ZIP1, FC_ZIP2, FC_CRC1, FC_CRC2 } = process.env;
const zip1 = fs.readFileSync(FC_ZIP1, 'base64');
const zip2 = fs.readFileSync(FC_ZIP2, 'base64');
const account = '1000000000000001';

// get asks the public listener for a host.
const get = (host, path, method = 'GET') => new Promise((resolve, reject) => {
  const url = new URL(path, FC_PUBLIC);
  http.request({ host: '127.0.0.1', port: url.port, path: url.pathname + url.search, method, headers: { host } }, (res) => {
    let body = '';
    res.on('data', (d) => { body += d; }).on('end', () => resolve({ status: res.statusCode, headers: res.headers, body }));
  }).on('error', reject).end();
});

test('2016-08-15: a service, its functions and their triggers', async (t) => {
  const client = new FC2(account, { accessKeyID: FC_ID, accessKeySecret: FC_SECRET, region: 'cn-hangzhou', endpoint: FC_ADMIN });
  const code = (want) => (err) => {
    assert.strictEqual(err.code, want, String(err));
    return true;
  };
  const made = await client.createService('Shop_1', { description: 'a shop' });
  assert.strictEqual(made.data.serviceName, 'Shop_1');
  assert.ok(made.headers['x-fc-request-id'] && made.headers.etag);
  await assert.rejects(client.createService('Shop_1'), code('ServiceAlreadyExists'));
  await assert.rejects(client.createService('1shop'), code('InvalidArgument'));
  await assert.rejects(client.getService('none'), code('ServiceNotFound'));
  assert.strictEqual((await client.updateService('Shop_1', { description: 'the shop' })).data.description, 'the shop');
  assert.strictEqual((await client.getService('Shop_1')).data.description, 'the shop');
  await client.createService('shop2');
  assert.deepStrictEqual((await client.listServices({ prefix: 'Shop' })).data.services.map((s) => s.serviceName), ['Shop_1']);
  const page = (await client.listServices({ limit: 1 })).data;
  assert.strictEqual(page.services.length, 1);
  assert.strictEqual((await client.listServices({ limit: 1, nextToken: page.nextToken })).data.services[0].serviceName, 'shop2');

  const spec = { functionName: 'hello', runtime: 'nodejs20', handler: 'index.handler', memorySize: 256, environmentVariables: { WHO: 'one' }, code: { zipFile: zip1 } };
  const fn = (await client.createFunction('Shop_1', { ...spec })).data;
  assert.deepStrictEqual([fn.functionName, fn.memorySize, fn.timeout, fn.codeChecksum, fn.codeSize, fn.environmentVariables],
    ['hello', 256, 3, FC_CRC1, Buffer.from(zip1, 'base64').length, { WHO: 'one' }]);
  assert.match(fn.createdTime, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  assert.ok(fn.functionId && !fn.code);
  await assert.rejects(client.createFunction('Shop_1', { ...spec }), code('FunctionAlreadyExists'));
  await assert.rejects(client.createFunction('none', { ...spec }), code('ServiceNotFound'));
  for (const wrong of [{ runtime: 'cobol' }, { functionName: 'a b' }, { memorySize: 100 }, { timeout: 100000 }, { code: { zipFile: 'bm8gemlw' } },
    { code: {} }, { runtime: 'custom-container' }, { environmentVariables: { FC_X: '1' } }, { environmentVariables: [] }]) {
    await assert.rejects(client.createFunction('Shop_1', { ...spec, functionName: 'wrong', ...wrong }), code('InvalidArgument'), JSON.stringify(wrong));
  }
  await assert.rejects(client.getFunction('Shop_1', 'none'), code('FunctionNotFound'));
  await assert.rejects(client.getFunction('Shop_1', 'hello', {}, 'prod'), code('AliasNotFound'));

  const sync = await client.invokeFunction('Shop_1', 'hello', 'event', { 'x-fc-log-type': 'Tail' });
  assert.strictEqual(sync.data, 'first one event');
  assert.strictEqual(sync.headers['x-fc-code-checksum'], FC_CRC1);
  assert.match(Buffer.from(sync.headers['x-fc-log-result'], 'base64').toString(), /a line of log/);
  assert.strictEqual((await client.invokeFunction('Shop_1', 'hello', 'event', {}, 'LATEST')).data, 'first one event');
  const later = await client.invokeFunction('Shop_1', 'hello', 'later', { 'x-fc-invocation-type': 'Async' });
  assert.strictEqual(later.data, '');
  const failed = await client.invokeFunction('Shop_1', 'hello', 'throw');
  assert.strictEqual(failed.headers['x-fc-error-type'], 'UnhandledInvocationError');
  assert.strictEqual(failed.data.errorMessage, 'thrown');

  const where = (await client.getFunctionCode('Shop_1', 'hello')).data;
  assert.strictEqual(where.checksum, FC_CRC1);
  const got = Buffer.from(await (await fetch(where.url)).arrayBuffer());
  assert.strictEqual(got.toString('base64'), zip1);
  assert.strictEqual((await fetch(where.url.replace('signature=', 'signature=x'))).status, 403);

  const updated = (await client.updateFunction('Shop_1', 'hello', { code: { zipFile: zip2 }, environmentVariables: { WHO: 'two' } })).data;
  assert.strictEqual(updated.codeChecksum, FC_CRC2);
  assert.strictEqual(updated.memorySize, 256);
  assert.strictEqual((await client.invokeFunction('Shop_1', 'hello', 'event')).data, 'second two event');
  await assert.rejects(client.updateFunction('Shop_1', 'hello', { timeout: 5 }, { 'If-Match': 'x' }), code('PreconditionFailed'));

  await client.createFunction('Shop_1', { ...spec, functionName: 'web', handler: 'index.web' });
  const http1 = { triggerName: 'http', triggerType: 'http', triggerConfig: { authType: 'anonymous', methods: ['GET'] } };
  const trigger = (await client.createTrigger('Shop_1', 'web', http1)).data;
  assert.deepStrictEqual(trigger.triggerConfig, http1.triggerConfig);
  const host = new URL(trigger.urlInternet).host;
  const answer = await get(host, new URL(trigger.urlInternet).pathname + 'a?b=c');
  assert.deepStrictEqual([answer.status, answer.body], [201, 'first GET /a']);
  assert.strictEqual((await get(host, new URL(trigger.urlInternet).pathname, 'PUT')).status, 405);
  await assert.rejects(client.createTrigger('Shop_1', 'web', http1), code('TriggerAlreadyExists'));
  await assert.rejects(client.getTrigger('Shop_1', 'web', 'none'), code('TriggerNotFound'));
  await assert.rejects(client.createTrigger('Shop_1', 'web', { triggerName: 'x', triggerType: 'magic', triggerConfig: {} }), code('InvalidArgument'));
  await client.updateTrigger('Shop_1', 'web', 'http', { triggerConfig: { authType: 'anonymous', methods: ['GET', 'PUT'] } });
  assert.strictEqual((await get(host, new URL(trigger.urlInternet).pathname, 'PUT')).status, 201);
  assert.deepStrictEqual((await client.listTriggers('Shop_1', 'web')).data.triggers.map((x) => x.triggerName), ['http']);

  const domain = { domainName: 'shop.example.com', protocol: 'HTTP', routeConfig: { routes: [
    { path: '/w/*', serviceName: 'Shop_1', functionName: 'web', rewriteConfig: { wildcardRules: [{ match: '/w/*', replacement: '/$1' }] } },
    { path: '/w/deep/*', serviceName: 'Shop_1', functionName: 'hello' },
  ] } };
  assert.strictEqual((await client.createCustomDomain('shop.example.com', domain)).data.domainName, 'shop.example.com');
  assert.strictEqual((await get('shop.example.com', '/w/x/y')).body, 'first GET /x/y');
  assert.strictEqual((await get('shop.example.com', '/w/deep/y')).status, 404);
  assert.strictEqual((await get('shop.example.com', '/other')).status, 404);
  assert.deepStrictEqual((await client.listCustomDomains()).data.customDomains.map((d) => d.domainName), ['shop.example.com']);
  await assert.rejects(client.createCustomDomain('shop.example.com', domain), code('DomainNameAlreadyExists'));
  await assert.rejects(client.getCustomDomain('no.example.com'), code('DomainNameNotFound'));
  await client.deleteCustomDomain('shop.example.com');

  assert.deepStrictEqual((await client.listFunctions('Shop_1')).data.functions.map((f) => f.functionName), ['hello', 'web']);
  assert.deepStrictEqual((await client.listVersions('Shop_1')).data.versions, []);
  await assert.rejects(client.publishVersion('Shop_1', 'x'), code('VersionNotFound'));
  await assert.rejects(client.getAlias('Shop_1', 'prod'), code('AliasNotFound'));
  await assert.rejects(client.getFunctionAsyncConfig('Shop_1', 'hello', 'LATEST'), code('AsyncConfigNotExists'));
  const token = (await client.getTempBucketToken()).data;
  assert.ok(token.credentials.SecurityToken && token.ossBucket && token.objectName);

  const wrong = new FC2(account, { accessKeyID: FC_ID, accessKeySecret: 'wrong', region: 'cn-hangzhou', endpoint: FC_ADMIN });
  await assert.rejects(wrong.listServices(), code('SignatureNotMatch'));
  const stranger = new FC2(account, { accessKeyID: 'nobody', accessKeySecret: 'x', region: 'cn-hangzhou', endpoint: FC_ADMIN });
  await assert.rejects(stranger.listServices(), code('AccessDenied'));
  await assert.rejects(client.get('/nothing'), code('PathNotSupported'));
  await assert.rejects(client.put('/services', {}), code('MethodNotSupported'));

  await assert.rejects(client.deleteService('Shop_1'), code('ServiceNotEmpty'));
  await client.deleteTrigger('Shop_1', 'web', 'http');
  assert.strictEqual((await get(host, new URL(trigger.urlInternet).pathname)).status, 404);
  await client.deleteFunction('Shop_1', 'web');
  await client.deleteFunction('Shop_1', 'hello');
  await assert.rejects(client.invokeFunction('Shop_1', 'hello', ''), code('FunctionNotFound'));
  await client.deleteService('Shop_1');
  await assert.rejects(client.getService('Shop_1'), code('ServiceNotFound'));
});

test('2023-03-30: functions without a service', async () => {
  const options = (secret) => new $OpenApiUtil.Config({ accessKeyId: FC_ID, accessKeySecret: secret, endpoint: new URL(FC_ADMIN).host, protocol: 'http' });
  const client = new fc3.default(options(FC_SECRET));
  const refused = (code, status) => (err) => {
    assert.strictEqual(err.code, code, String(err));
    assert.strictEqual(err.statusCode ?? err.data?.statusCode, status, String(err));
    return true;
  };
  const input = (more) => new fc3.CreateFunctionRequest({ body: new fc3.CreateFunctionInput({
    functionName: 'hello3', runtime: 'nodejs20', handler: 'index.handler', environmentVariables: { WHO: 'three' },
    code: new fc3.InputCodeLocation({ zipFile: zip1, checksum: FC_CRC1 }), ...more }) });
  const made = (await client.createFunction(input())).body;
  assert.deepStrictEqual([made.functionName, made.functionArn, made.memorySize, made.state, made.lastUpdateStatus, made.codeChecksum],
    ['hello3', `acs:fc:cn-hangzhou:${account}:functions/hello3`, 512, 'Active', 'Successful', FC_CRC1]);
  await assert.rejects(client.createFunction(input()), refused('FunctionAlreadyExists', 409));
  await assert.rejects(client.createFunction(input({ functionName: '3' })), refused('InvalidArgument', 400));
  await assert.rejects(client.createFunction(input({ functionName: 'x', code: new fc3.InputCodeLocation({ zipFile: zip1, checksum: '1' }) })), refused('InvalidArgument', 400));
  await assert.rejects(client.getFunction('none', new fc3.GetFunctionRequest({})), refused('FunctionNotFound', 404));
  await assert.rejects(new fc3.default(options('wrong')).getFunction('hello3', new fc3.GetFunctionRequest({})), refused('SignatureNotMatch', 403));

  const text = async (stream) => {
    let s = '';
    for await (const b of stream) s += b;
    return s;
  };
  const invoke = async (body, headers = {}) => {
    const res = await client.invokeFunctionWithOptions('hello3', new fc3.InvokeFunctionRequest({ body: require('node:stream').Readable.from([Buffer.from(body)]) }),
      new fc3.InvokeFunctionHeaders(headers), {});
    return { ...res, text: await text(res.body) };
  };
  const sync = await invoke('event', { xFcLogType: 'Tail' });
  assert.strictEqual(sync.text, 'first three event');
  assert.match(Buffer.from(sync.headers['x-fc-log-result'], 'base64').toString(), /a line of log/);
  assert.strictEqual((await invoke('later', { xFcInvocationType: 'Async' })).statusCode, 202);

  await client.updateFunction('hello3', new fc3.UpdateFunctionRequest({ body: new fc3.UpdateFunctionInput({
    code: new fc3.InputCodeLocation({ zipFile: zip2 }), timeout: 9 }) }));
  const now = (await client.getFunction('hello3', new fc3.GetFunctionRequest({}))).body;
  assert.deepStrictEqual([now.timeout, now.codeChecksum, now.environmentVariables], [9, FC_CRC2, { WHO: 'three' }]);
  assert.strictEqual((await invoke('event')).text, 'second three event');
  const where = (await client.getFunctionCode('hello3', new fc3.GetFunctionCodeRequest({}))).body;
  assert.strictEqual(Buffer.from(await (await fetch(where.url)).arrayBuffer()).toString('base64'), zip2);

  await client.updateFunction('hello3', new fc3.UpdateFunctionRequest({ body: new fc3.UpdateFunctionInput({ handler: 'index.web3' }) }));
  const trigger = (await client.createTrigger('hello3', new fc3.CreateTriggerRequest({ body: new fc3.CreateTriggerInput({
    triggerName: 'http', triggerType: 'http', triggerConfig: '{"authType":"anonymous","methods":["GET"]}' }) }))).body;
  assert.strictEqual(trigger.triggerConfig, '{"authType":"anonymous","methods":["GET"]}');
  const answer = await get(new URL(trigger.httpTrigger.urlInternet).host, '/a');
  assert.deepStrictEqual([answer.status, answer.body], [202, 'second GET /a']);
  assert.strictEqual((await client.listTriggers('hello3', new fc3.ListTriggersRequest({}))).body.triggers.length, 1);
  await client.createCustomDomain(new fc3.CreateCustomDomainRequest({ body: new fc3.CreateCustomDomainInput({ domainName: 'three.example.com', protocol: 'HTTP',
    routeConfig: new fc3.RouteConfig({ routes: [new fc3.PathConfig({ path: '/*', functionName: 'hello3' })] }) }) }));
  assert.strictEqual((await get('three.example.com', '/b')).body, 'second GET /b');
  assert.strictEqual((await client.listCustomDomains(new fc3.ListCustomDomainsRequest({}))).body.customDomains[0].domainName, 'three.example.com');
  await client.deleteCustomDomain('three.example.com');

  await assert.rejects(client.getAsyncInvokeConfig('hello3', new fc3.GetAsyncInvokeConfigRequest({})), refused('AsyncConfigNotExists', 404));
  await client.putAsyncInvokeConfig('hello3', new fc3.PutAsyncInvokeConfigRequest({ body: new fc3.PutAsyncInvokeConfigInput({ maxAsyncRetryAttempts: 1 }) }));
  assert.strictEqual((await client.getAsyncInvokeConfig('hello3', new fc3.GetAsyncInvokeConfigRequest({}))).body.maxAsyncRetryAttempts, 1);
  await client.deleteAsyncInvokeConfig('hello3', new fc3.DeleteAsyncInvokeConfigRequest({}));
  await assert.rejects(client.getAlias('hello3', 'prod'), refused('AliasNotFound', 404));
  await assert.rejects(client.getTrigger('hello3', 'none'), refused('TriggerNotFound', 404));

  assert.deepStrictEqual((await client.listFunctions(new fc3.ListFunctionsRequest({}))).body.functions.map((f) => f.functionName), ['hello3']);
  await client.deleteFunction('hello3');
  await assert.rejects(client.getFunction('hello3', new fc3.GetFunctionRequest({})), refused('FunctionNotFound', 404));
});
