// COS through its SDK for Node, at the address of the environment.
'use strict'
const assert = require('node:assert/strict')
const { randomBytes } = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test, before } = require('node:test')
const COS = require('cos-nodejs-sdk-v5')

const cos = new COS({ SecretId: process.env.COS_ID, SecretKey: process.env.COS_SECRET, Ip: process.env.COS_ADDR, Protocol: 'http:', SliceSize: 1 << 20 })
const at = { Bucket: 'node-1250000000', Region: 'ap-guangzhou' }

before(() => cos.putBucket(at))

test('objects come back as they went', async () => {
  const Key = 'dir/a b+c=中~!.txt'
  const put = await cos.putObject({ ...at, Key, Body: 'websocket', ContentType: 'text/plain' })
  assert.equal(put.ETag, '"bf56d570e62cdb573c86b18526296117"')
  const got = await cos.getObject({ ...at, Key })
  assert.deepEqual([String(got.Body), got.headers['content-type']], ['websocket', 'text/plain'])
  assert.equal((await cos.headObject({ ...at, Key })).statusCode, 200)
  const { Contents } = await cos.getBucket({ ...at, Prefix: 'dir/' })
  assert.deepEqual(Contents.map(o => o.Key), [Key])
  const { Deleted } = await cos.deleteMultipleObject({ ...at, Objects: [{ Key }] })
  assert.deepEqual(Deleted.map(o => o.Key), [Key])
  await assert.rejects(cos.getObject({ ...at, Key }), e => e.code === 'NoSuchKey' && e.statusCode === 404)
})

test('a big file goes up in slices', async () => {
  const FilePath = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'cos-')), 'big')
  const data = randomBytes(3 << 20)
  fs.writeFileSync(FilePath, data)
  await cos.uploadFile({ ...at, Key: 'big', FilePath, SliceSize: 1 << 20 })
  assert.deepEqual((await cos.getObject({ ...at, Key: 'big' })).Body, data)
})

test('a website is set and told', async () => {
  const WebsiteConfiguration = { IndexDocument: { Suffix: 'index.html' }, ErrorDocument: { Key: 'error.html' } }
  await cos.putBucketWebsite({ ...at, WebsiteConfiguration })
  const got = await cos.getBucketWebsite(at)
  assert.equal(got.WebsiteConfiguration.IndexDocument.Suffix, 'index.html')
})

test('wrong keys are refused', async () => {
  const stranger = new COS({ SecretId: process.env.COS_ID, SecretKey: 'wrong', Ip: process.env.COS_ADDR, Protocol: 'http:' })
  await assert.rejects(stranger.getBucket(at), { code: 'SignatureDoesNotMatch' })
})
