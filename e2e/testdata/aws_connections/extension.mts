// sluice's own client, as somebody who writes TypeScript uses it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Connections, ConnectionsError, type Data, type Options, type Result } from 'sluice-connections';

const [a, b, gone]: string[] = (process.env.IDS ?? '').split(',');
const options: Options = { endpoint: process.env.ENDPOINT };
const c = new Connections(options);

test('many connections and groups', async () => {
  const bytes: Data = new TextEncoder().encode('héllo');
  const result: Result = await c.sendMany(new Set([gone, 'bad', a, b]), bytes);
  assert.deepEqual(result, { sent: 2, gone: [gone], failed: [{ connectionId: 'bad', code: 'BadRequestException' }] });
  await c.join('room 1/ü', a);
  await c.join('room 1/ü', b);
  const size: number = await c.groupSize('room 1/ü');
  assert.equal(size, 2);
  assert.equal(await c.sendGroup('room 1/ü', 'all'), 2);
  assert.equal(await c.sendGroup('room 1/ü', 'some', { except: [b] }), 1);
  await c.leave('room 1/ü', b);
  assert.equal(await c.groupSize('room 1/ü'), 1);
  await c.send(a, 'one');
  await c.close(b);
  const refusal = async (call: Promise<void>): Promise<[number, string]> => {
    try {
      await call;
    } catch (e) {
      if (e instanceof ConnectionsError) return [e.status, e.name];
      throw e;
    }
    throw new Error('it is not refused');
  };
  assert.deepEqual(await refusal(c.send(gone, 'x')), [410, 'GoneException']);
  assert.deepEqual(await refusal(c.join('room', 'bad')), [400, 'BadRequestException']);
  const accessKeyId = process.env.AWS_ACCESS_KEY_ID ?? '';
  assert.deepEqual(await refusal(new Connections({ ...options, credentials: { accessKeyId, secretAccessKey: 'wrong' } }).send(a, '')), [403, 'InvalidSignatureException']);
  // @ts-expect-error: a message is text or bytes
  await assert.rejects(c.send(a, 1));
});
