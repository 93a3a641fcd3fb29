// The management API of WebSocket APIs through the SDK for JavaScript.
import assert from 'node:assert/strict';
import test from 'node:test';
import {
  ApiGatewayManagementApiClient, DeleteConnectionCommand, ForbiddenException, GetConnectionCommand, GoneException, PayloadTooLargeException, PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';

const { ENDPOINT: endpoint, OPEN, CLOSED, PENDING, UNKNOWN, AWS_ACCESS_KEY_ID: accessKeyId } = process.env;
const LONGEST = 131072;

const client = (more) => new ApiGatewayManagementApiClient({ endpoint, maxAttempts: 1, ...more });
const api = client();
const post = (ConnectionId, Data = 'x', c = api) => c.send(new PostToConnectionCommand({ ConnectionId, Data }));
const get = (ConnectionId, c = api) => c.send(new GetConnectionCommand({ ConnectionId }));
const remove = (ConnectionId, c = api) => c.send(new DeleteConnectionCommand({ ConnectionId }));
const all = (id, c) => [() => post(id, 'x', c), () => get(id, c), () => remove(id, c)];

async function refused(status, name, type, calls) {
  for (const call of [calls].flat()) {
    await assert.rejects(call, (e) => {
      assert.deepEqual([e.$metadata.httpStatusCode, e.name], [status, name]);
      assert.ok(e instanceof type);
      return true;
    });
  }
}

test('one connection', async () => {
  for (const id of [PENDING, CLOSED, UNKNOWN]) await refused(410, 'GoneException', GoneException, all(id));
  for (const id of ['abc', 'not an id/at all=', OPEN + 'A']) await refused(400, 'BadRequestException', Error, all(id));

  assert.equal((await post(OPEN, 'héllo')).$metadata.httpStatusCode, 200);
  await post(OPEN, Buffer.alloc(LONGEST, 'x'));
  await refused(413, 'PayloadTooLargeException', PayloadTooLargeException, () => post(OPEN, Buffer.alloc(LONGEST + 1, 'x')));

  const got = await get(OPEN);
  assert.deepEqual(got.Identity, { SourceIp: '127.0.0.1', UserAgent: 'test' });
  const now = Date.now();
  assert.ok(now - 300_000 < got.ConnectedAt && got.ConnectedAt <= got.LastActiveAt && got.LastActiveAt <= now, `${got.ConnectedAt} ${got.LastActiveAt}`);

  await refused(410, 'GoneException', GoneException, all(OPEN, client({ endpoint: endpoint.replace('/Prod', '/Other') })));
  await refused(403, 'ForbiddenException', ForbiddenException, all(OPEN, client({ endpoint: endpoint.replace('/Prod', '/prod') })));
  await refused(403, 'InvalidSignatureException', Error, all(OPEN, client({ credentials: { accessKeyId, secretAccessKey: 'wrong' } })));
  await refused(403, 'UnrecognizedClientException', Error, all(OPEN, client({ credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'any' } })));

  assert.equal((await remove(OPEN)).$metadata.httpStatusCode, 204);
  await refused(410, 'GoneException', GoneException, () => post(OPEN));
});
