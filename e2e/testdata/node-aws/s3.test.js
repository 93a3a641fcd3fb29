// S3 through the SDK for JavaScript v3, at the endpoint of the environment.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import test, { before } from 'node:test'

import {
  CopyObjectCommand, CreateBucketCommand, DeleteObjectsCommand, GetObjectCommand, HeadObjectCommand, ListObjectsV2Command,
  paginateListObjectsV2, PutObjectCommand, S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'

const s3 = new S3Client({})
const Bucket = 'node'

before(() => s3.send(new CreateBucketCommand({ Bucket })))

test('objects come back as they went', async () => {
  const Key = 'dir/a b+c=ü.txt'
  const put = await s3.send(new PutObjectCommand({ Bucket, Key, Body: 'hello', ContentType: 'text/plain', Metadata: { who: 'ann' } }))
  assert.equal(put.ETag, '"5d41402abc4b2a76b9719d911017c592"')
  const got = await s3.send(new GetObjectCommand({ Bucket, Key }))
  assert.equal(await got.Body.transformToString(), 'hello')
  assert.deepEqual([got.ContentType, got.Metadata], ['text/plain', { who: 'ann' }])
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/${encodeURIComponent(Key)}` }))
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'dir/' }))
  assert.deepEqual(Contents.map(o => o.Key), [Key])
  const { Deleted } = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key }, { Key: 'copy' }] } }))
  assert.equal(Deleted.length, 2)
  await assert.rejects(s3.send(new HeadObjectCommand({ Bucket, Key })), { name: 'NotFound' })
  await assert.rejects(s3.send(new GetObjectCommand({ Bucket, Key })), { name: 'NoSuchKey' })
})

test('a stream of a known length goes up', async () => {
  const data = randomBytes(300_000)
  const Body = Readable.from([data.subarray(0, 100_000), data.subarray(100_000)])
  await s3.send(new PutObjectCommand({ Bucket, Key: 'stream', Body, ContentLength: data.length }))
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'stream' }))
  assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), data)
})

test('a big stream goes up in parts', async () => {
  const data = randomBytes(20 << 20)
  await new Upload({ client: s3, params: { Bucket, Key: 'big', Body: Readable.from([data]) }, partSize: 5 << 20 }).done()
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'big' }))
  assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), data)
})

test('wrong keys are refused', async () => {
  const as = (accessKeyId, secretAccessKey) => new S3Client({ credentials: { accessKeyId, secretAccessKey } })
  const read = client => client.send(new ListObjectsV2Command({ Bucket }))
  await assert.rejects(read(as(process.env.AWS_ACCESS_KEY_ID, 'wrong')), e => e.name === 'SignatureDoesNotMatch' && e.$metadata.httpStatusCode === 403)
  await assert.rejects(read(as('AKIANOBODY', 'wrong')), e => e.name === 'InvalidAccessKeyId' && e.$metadata.httpStatusCode === 403)
})

test('listings have pages', async () => {
  for (const Key of ['p/1', 'p/2', 'p/3/x']) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
  const names = []
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: 'p/', Delimiter: '/', MaxKeys: 1 })) {
    names.push(...(page.Contents ?? []).map(o => o.Key), ...(page.CommonPrefixes ?? []).map(p => p.Prefix))
  }
  assert.deepEqual(names, ['p/1', 'p/2', 'p/3/'])
})

test('presigned URLs work, and only as they are', { skip: process.env.AWS_ENDPOINT_URL_S3 ? false : 'fetch has no proxy' }, async () => {
  const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket, Key: 'pre signed' }), { expiresIn: 60 })
  assert.equal((await fetch(put, { method: 'PUT', body: 'by url' })).status, 200)
  const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket, Key: 'pre signed' }), { expiresIn: 60 })
  assert.equal(await (await fetch(get)).text(), 'by url')
  assert.match(await (await fetch(get.replace('X-Amz-Expires=60', 'X-Amz-Expires=6000'))).text(), /<Code>SignatureDoesNotMatch</)
})
