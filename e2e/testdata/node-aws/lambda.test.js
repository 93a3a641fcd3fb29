// Lambda through the SDK for JavaScript, at the endpoint of the environment.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import {
  AddPermissionCommand, CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand, GetPolicyCommand, InvokeCommand, InvokeWithResponseStreamCommand, LambdaClient,
  PublishVersionCommand, CreateAliasCommand, paginateListFunctions, UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand, waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2,
} from '@aws-sdk/client-lambda';

const client = new LambdaClient({ maxAttempts: 1 });
const FunctionName = 'js-greeter';
const said = async (more = {}) => {
  const out = await client.send(new InvokeCommand({ FunctionName, Payload: '{}', ...more }));
  return { ...out, value: out.Payload?.length ? JSON.parse(Buffer.from(out.Payload).toString()) : undefined };
};

test('a function lives', async () => {
  const made = await client.send(new CreateFunctionCommand({
    FunctionName, Role: 'arn:aws:iam::000000000000:role/any', Runtime: 'python3.11', Handler: 'app.handler', Code: { ZipFile: readFileSync(process.env.CODE) },
    Environment: { Variables: { WHO: 'ann' } },
  }));
  assert.equal(made.State, 'Pending');
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 60, minDelay: 1 }, { FunctionName });
  assert.equal((await said()).value.word, 'js');
  assert.equal((await said({ ClientContext: Buffer.from('{"custom":{"a":1}}').toString('base64') })).value.custom.a, 1);
  await client.send(new UpdateFunctionConfigurationCommand({ FunctionName, Environment: { Variables: { WHO: 'bob' } } }));
  await waitUntilFunctionUpdatedV2({ client, maxWaitTime: 60, minDelay: 1 }, { FunctionName });
  assert.equal((await said()).value.who, 'bob');
  await client.send(new UpdateFunctionCodeCommand({ FunctionName, ZipFile: readFileSync(process.env.CODE) }));
  const failed = await said({ Payload: '{"fail":true}', LogType: 'Tail' });
  assert.equal(failed.FunctionError, 'Unhandled');
  assert.equal(failed.value.errorType, 'ValueError');
  assert.match(Buffer.from(failed.LogResult, 'base64').toString(), /REPORT RequestId/);
  await client.send(new PublishVersionCommand({ FunctionName }));
  await client.send(new CreateAliasCommand({ FunctionName, Name: 'live', FunctionVersion: '1' }));
  assert.match((await said({ FunctionName: `${FunctionName}:live` })).value.arn, /:live$/);
  await client.send(new AddPermissionCommand({ FunctionName, StatementId: 's', Action: 'lambda:InvokeFunction', Principal: 's3.amazonaws.com' }));
  assert.equal(JSON.parse((await client.send(new GetPolicyCommand({ FunctionName }))).Policy).Statement.length, 1);
  let text = '';
  for await (const e of (await client.send(new InvokeWithResponseStreamCommand({ FunctionName }))).EventStream) {
    if (e.PayloadChunk) text += Buffer.from(e.PayloadChunk.Payload).toString();
  }
  assert.equal(JSON.parse(text).word, 'js');
  const names = [];
  for await (const page of paginateListFunctions({ client }, { MaxItems: 1 })) names.push(...page.Functions.map((f) => f.FunctionName));
  assert.ok(names.includes(FunctionName));
  await client.send(new DeleteFunctionCommand({ FunctionName }));
  await assert.rejects(client.send(new GetFunctionCommand({ FunctionName })), { name: 'ResourceNotFoundException' });
});

test('an answer comes while it is made', async () => {
  for (const fail of [false, true]) {
    const gate = `js-${fail}`;
    const out = await client.send(new InvokeWithResponseStreamCommand({ FunctionName: 'streams', Payload: JSON.stringify({ gate, fail }) }));
    let text = '', end, opened = false;
    for await (const e of out.EventStream) {
      if (e.PayloadChunk) text += Buffer.from(e.PayloadChunk.Payload).toString();
      if (e.InvokeComplete) end = e.InvokeComplete;
      if (!opened && text.includes('one\n\n')) {
        opened = true;
        await fetch(`${process.env.GATES}/open/${gate}`);
      }
    }
    const [head, body] = text.split('\0'.repeat(8));
    assert.equal(JSON.parse(head).statusCode, 202);
    assert.equal(body, fail ? 'data: one\n\n' : 'data: one\n\ndata: two\n\n');
    assert.equal(end.ErrorCode, fail ? 'Unhandled' : undefined);
    if (fail) assert.equal(JSON.parse(end.ErrorDetails).errorType, 'RangeError');
  }
});

test('a wrong signature is refused', async () => {
  const wrong = new LambdaClient({ maxAttempts: 1, credentials: { accessKeyId: process.env.AWS_ACCESS_KEY_ID, secretAccessKey: 'wrong' } });
  for (const command of [new InvokeCommand({ FunctionName: 'streams' }), new InvokeWithResponseStreamCommand({ FunctionName: 'streams' }), new GetFunctionCommand({ FunctionName: 'streams' })]) {
    await assert.rejects(wrong.send(command), { name: 'InvalidSignatureException', message: /^The request signature we calculated does not match the signature you provided\./ });
  }
  const nobody = new LambdaClient({ maxAttempts: 1, credentials: { accessKeyId: 'AKIANOBODYKNOWSTHIS0', secretAccessKey: 'wrong' } });
  await assert.rejects(nobody.send(new InvokeCommand({ FunctionName: 'streams' })), { name: 'UnrecognizedClientException' });
});
