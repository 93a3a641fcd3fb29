'use strict';

const assert = require('node:assert');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const stream = require('node:stream');
const test = require('node:test');
const OSS = require('ali-oss');

// Of the two addresses of "localhost" only one answers, which a busy machine may take its time for.
require('node:net').setDefaultAutoSelectFamilyAttemptTimeout?.(60_000);

const { OSS_HOST, OSS_PORT, OSS_ID, OSS_SECRET, OSS_TOKEN, OSS_PATH, OSS_V4 } = process.env;
const endpoint = `http://${OSS_HOST}:${OSS_PORT}`;
const options = {
  endpoint,
  accessKeyId: OSS_ID,
  accessKeySecret: OSS_SECRET,
  stsToken: OSS_TOKEN || undefined,
  region: 'oss-cn-hongkong',
  sldEnable: OSS_PATH === '1',
  secure: false,
  authorizationV4: OSS_V4 === '1',
  retryMax: 0,
};
const client = new OSS(options);

const text = async (url, init) => {
  const r = await fetch(url, { redirect: 'manual', ...init });
  return { status: r.status, headers: r.headers, body: await r.text() };
};
const code = (want) => (err) => {
  assert.strictEqual(err.code, want, String(err));
  return true;
};

test('the bucket and its settings', async () => {
  await assert.rejects(client.getBucketInfo('site'), code('NoSuchBucket'));
  await client.putBucket('site', { storageClass: 'Standard' });
  client.useBucket('site');
  await client.putBucketACL('site', 'public-read');
  assert.strictEqual((await client.getBucketACL('site')).acl, 'public-read');
  const { bucket } = await client.getBucketInfo('site');
  assert.strictEqual(bucket.Name, 'site');
  assert.strictEqual(bucket.AccessControlList.Grant, 'public-read');
  assert.strictEqual((await client.getBucketLocation('site')).location, 'oss-cn-hongkong');
  const { buckets } = await client.listBuckets();
  assert.deepStrictEqual(buckets.map((b) => b.name), ['site']);

  await assert.rejects(client.getBucketCORS('site'), code('NoSuchCORSConfiguration'));
  await client.putBucketCORS('site', [{ allowedOrigin: '*', allowedMethod: ['GET', 'HEAD'], allowedHeader: '*', exposeHeader: 'ETag', maxAgeSeconds: '5' }]);
  const { rules } = await client.getBucketCORS('site');
  assert.strictEqual(rules[0].allowedOrigin, '*');
  await client.deleteBucketCORS('site');

  await client.putBucketReferer('site', true, ['http://a.example', 'http://b.example']);
  assert.deepStrictEqual((await client.getBucketReferer('site')).referers, ['http://a.example', 'http://b.example']);
  await client.deleteBucketReferer('site');
});

test('objects', async () => {
  client.useBucket('site');
  const name = 'dir/ä +&=?#%.txt';
  const put = await client.put(name, Buffer.from('hello world'), { meta: { who: 'me' }, headers: { 'Cache-Control': 'no-cache' } });
  assert.strictEqual(put.res.status, 200);
  const got = await client.get(name);
  assert.strictEqual(got.content.toString(), 'hello world');
  assert.strictEqual(got.res.headers['cache-control'], 'no-cache');
  assert.strictEqual((await client.get(name, { headers: { Range: 'bytes=6-' } })).content.toString(), 'world');
  const head = await client.head(name);
  assert.deepStrictEqual(head.meta, { who: 'me' });
  assert.strictEqual(head.res.headers.etag, '"5EB63BBBE01EEED093CB22BB8F5ACDC3"');
  assert.strictEqual((await client.head(name, { headers: { 'If-None-Match': head.res.headers.etag } })).status, 304);
  assert.strictEqual((await client.getObjectMeta(name)).res.headers['content-length'], '11');

  await client.copy('copy', name);
  await client.putMeta('copy', { who: 'you' });
  assert.deepStrictEqual((await client.head('copy')).meta, { who: 'you' });
  await client.putACL('copy', 'private');
  assert.strictEqual((await client.getACL('copy')).acl, 'private');

  const first = await client.append('log', Buffer.from('one '));
  assert.strictEqual(first.nextAppendPosition, '4');
  await client.append('log', Buffer.from('two'), { position: first.nextAppendPosition });
  assert.strictEqual((await client.get('log')).content.toString(), 'one two');
  await assert.rejects(client.append('log', Buffer.from('x'), { position: 1 }), code('PositionNotEqualToLength'));

  await client.putStream('streamed', stream.Readable.from(['a', 'b', 'c']));
  const s = await client.getStream('streamed');
  assert.strictEqual((await s.stream.toArray()).join(''), 'abc');

  await assert.rejects(client.get('none'), code('NoSuchKey'));
  await assert.rejects(client.head('none'), code('NoSuchKey'));
  const gone = await client.deleteMulti(['copy', 'log', 'streamed', 'never & there']);
  assert.strictEqual(gone.deleted.length, 4);
  await client.deleteMulti([name], { quiet: true });
  await assert.rejects(client.head(name), code('NoSuchKey'));
});

test('listings', async () => {
  client.useBucket('site');
  const names = ['l/a b', 'l/ä+', 'l/sub/x', 'l/sub/y', 'l/z&<>"'];
  for (const n of names) await client.put(n, Buffer.from('x'));
  const page = await client.list({ prefix: 'l/', 'max-keys': 2 });
  assert.deepStrictEqual(page.objects.map((o) => o.name), ['l/a b', 'l/sub/x']);
  assert.strictEqual(page.isTruncated, true);
  const rest = await client.list({ prefix: 'l/', marker: page.nextMarker, 'max-keys': 100 });
  assert.deepStrictEqual(rest.objects.map((o) => o.name), ['l/sub/y', 'l/z&<>"', 'l/ä+']);
  const v2 = await client.listV2({ prefix: 'l/', delimiter: '/', 'max-keys': 100 });
  assert.deepStrictEqual(v2.prefixes, ['l/sub/']);
  assert.deepStrictEqual(v2.objects.map((o) => o.name), ['l/a b', 'l/z&<>"', 'l/ä+']);
  const one = await client.listV2({ prefix: 'l/', 'max-keys': 1 });
  const two = await client.listV2({ prefix: 'l/', 'max-keys': 1, 'continuation-token': one.nextContinuationToken });
  assert.deepStrictEqual(two.objects.map((o) => o.name), ['l/sub/x']);
});

test('a large file in parts', async () => {
  client.useBucket('site');
  const data = crypto.randomBytes((5 << 20) + 3);
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'oss-')), 'big');
  fs.writeFileSync(file, data);
  const up = await client.multipartUpload('big', file, { partSize: 1 << 20, parallel: 2 });
  assert.match(up.etag, /^"[0-9A-F]{32}-6"$/);
  assert.ok((await client.get('big')).content.equals(data));
  await client.multipartUploadCopy('big copy', { sourceKey: 'big', sourceBucketName: 'site' }, { partSize: 1 << 20 });
  assert.ok((await client.get('big copy')).content.equals(data));
  const { uploadId } = await client.initMultipartUpload('unfinished');
  await client.uploadPart('unfinished', uploadId, 1, file, 0, 200000);
  assert.strictEqual([].concat((await client.listParts('unfinished', uploadId)).parts)[0].Size, '200000');
  assert.deepStrictEqual((await client.listUploads({ 'max-uploads': 10 })).uploads.map((u) => u.uploadId), [uploadId]);
  await client.abortMultipartUpload('unfinished', uploadId);
  fs.rmSync(path.dirname(file), { recursive: true });
});

// The SDK signs no URL for an IP address.
test('signed URLs', { skip: OSS_HOST === '127.0.0.1' }, async () => {
  client.useBucket('site');
  const put = OSS_V4 === '1'
    ? await client.signatureUrlV4('PUT', 60, { headers: { 'content-type': 'text/plain' } }, 'by url')
    : client.signatureUrl('by url', { method: 'PUT', expires: 60, 'Content-Type': 'text/plain' });
  assert.strictEqual((await text(put, { method: 'PUT', body: 'signed', headers: { 'Content-Type': 'text/plain' } })).status, 200);
  await client.putACL('by url', 'private');
  const get = OSS_V4 === '1'
    ? await client.signatureUrlV4('GET', 60, undefined, 'by url')
    : client.signatureUrl('by url', { expires: 60, response: { 'content-type': 'a/b' } });
  const r = await text(get);
  assert.strictEqual(r.body, 'signed');
  assert.strictEqual((await text(get.split('?')[0])).status, 403);
  assert.strictEqual((await text(get.replace('by%20url', 'log'))).status, 403);
});

test('a website', async () => {
  client.useBucket('site');
  await assert.rejects(client.getBucketWebsite('site'), code('NoSuchWebsiteConfiguration'));
  await client.putBucketWebsite('site', { index: 'index.html', error: '404.html', supportSubDir: true });
  const w = await client.getBucketWebsite('site');
  assert.deepStrictEqual([w.index, w.error, w.supportSubDir], ['index.html', '404.html', 'true']);
  await client.put('index.html', Buffer.from('<h1>root</h1>'));
  await client.put('sub/index.html', Buffer.from('<h1>sub</h1>'));
  await client.put('404.html', Buffer.from('<h1>none</h1>'));
  const base = `${endpoint}/site/`;
  const root = await text(base);
  assert.deepStrictEqual([root.status, root.body, root.headers.get('content-type')], [200, '<h1>root</h1>', 'text/html']);
  assert.strictEqual((await text(`${base}sub/`)).body, '<h1>sub</h1>');
  const sub = await text(`${base}sub`);
  assert.deepStrictEqual([sub.status, sub.headers.get('location')], [302, '/site/sub/']);
  assert.deepStrictEqual([(await text(`${base}none`)).status, (await text(`${base}none`)).body], [404, '<h1>none</h1>']);
  assert.strictEqual((await text(base, { headers: { 'If-None-Match': root.headers.get('etag') } })).status, 304);
  await client.deleteBucketWebsite('site');
});

test('the bucket goes when it is empty', async () => {
  client.useBucket('site');
  await assert.rejects(client.deleteBucket('site'), code('BucketNotEmpty'));
  for (;;) {
    const { objects } = await client.list({ 'max-keys': 100 });
    if (!objects || objects.length === 0) break;
    await client.deleteMulti(objects.map((o) => o.name));
  }
  await client.deleteBucket('site');
  await assert.rejects(client.getBucketACL('site'), code('NoSuchBucket'));
});

test('a wrong secret is told', async () => {
  const wrong = new OSS({ ...options, accessKeySecret: 'wrong' });
  await assert.rejects(wrong.listBuckets(), code('SignatureDoesNotMatch'));
});
