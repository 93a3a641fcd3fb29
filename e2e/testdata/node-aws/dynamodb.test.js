// DynamoDB through the SDK for JavaScript v3, its own client and the one for documents, at the endpoint of the
// environment.
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'

import {
  CreateTableCommand, DeleteTableCommand, DescribeTableCommand, DescribeTimeToLiveCommand, DynamoDBClient, ListTablesCommand,
  UpdateTimeToLiveCommand, waitUntilTableExists, waitUntilTableNotExists,
} from '@aws-sdk/client-dynamodb'
import { DescribeStreamCommand, DynamoDBStreamsClient, GetRecordsCommand, GetShardIteratorCommand } from '@aws-sdk/client-dynamodb-streams'
import {
  BatchGetCommand, BatchWriteCommand, DeleteCommand, DynamoDBDocumentClient, ExecuteStatementCommand, GetCommand, paginateScan,
  PutCommand, QueryCommand, TransactGetCommand, TransactWriteCommand, UpdateCommand,
} from '@aws-sdk/lib-dynamodb'

const db = new DynamoDBClient({ maxAttempts: 1 })
const doc = DynamoDBDocumentClient.from(db)
const TableName = 'node-messages'
let stream

before(async () => {
  const { TableDescription } = await db.send(new CreateTableCommand({
    TableName,
    AttributeDefinitions: [['room', 'S'], ['at', 'N'], ['author', 'S']].map(([AttributeName, AttributeType]) => ({ AttributeName, AttributeType })),
    KeySchema: [{ AttributeName: 'room', KeyType: 'HASH' }, { AttributeName: 'at', KeyType: 'RANGE' }],
    GlobalSecondaryIndexes: [{ IndexName: 'byAuthor', KeySchema: [{ AttributeName: 'author', KeyType: 'HASH' }], Projection: { ProjectionType: 'KEYS_ONLY' } }],
    StreamSpecification: { StreamEnabled: true, StreamViewType: 'NEW_IMAGE' },
    BillingMode: 'PAY_PER_REQUEST',
  }))
  assert.equal(TableDescription.TableStatus, 'CREATING')
  await waitUntilTableExists({ client: db, maxWaitTime: 30, minDelay: 1 }, { TableName })
  const { Table } = await db.send(new DescribeTableCommand({ TableName }))
  assert.equal(Table.TableStatus, 'ACTIVE')
  assert.ok(Date.now() - Table.CreationDateTime < 3600_000)
  stream = Table.LatestStreamArn
})

after(async () => {
  await db.send(new DeleteTableCommand({ TableName }))
  await waitUntilTableNotExists({ client: db, maxWaitTime: 30, minDelay: 1 }, { TableName })
  await assert.rejects(db.send(new DescribeTableCommand({ TableName })), { name: 'ResourceNotFoundException' })
})

test('documents come back as they went', async () => {
  const Key = { room: 'items', at: 1 }
  const Item = { ...Key, author: 'ann', text: 'hé "there"\n', tags: new Set(['a', 'b']), meta: { list: [1, null, true, { x: '' }] }, raw: new Uint8Array([0, 255]) }
  await doc.send(new PutCommand({ TableName, Item, ConditionExpression: 'attribute_not_exists(room)' }))
  assert.deepEqual((await doc.send(new GetCommand({ TableName, Key, ConsistentRead: true }))).Item, Item)
  await assert.rejects(doc.send(new PutCommand({ TableName, Item, ConditionExpression: 'attribute_not_exists(room)' })),
    { name: 'ConditionalCheckFailedException', message: 'The conditional request failed' })
  const { Attributes } = await doc.send(new UpdateCommand({
    TableName, Key, UpdateExpression: 'SET meta.#list[1] = :two ADD edits :one REMOVE #text', ExpressionAttributeNames: { '#list': 'list', '#text': 'text' },
    ExpressionAttributeValues: { ':one': 1, ':two': 'two' }, ReturnValues: 'ALL_NEW',
  }))
  assert.deepEqual([Attributes.meta.list, Attributes.edits, Attributes.text], [[1, 'two', true, { x: '' }], 1, undefined])
  const gone = await doc.send(new DeleteCommand({ TableName, Key, ReturnValues: 'ALL_OLD' }))
  assert.equal(gone.Attributes.author, 'ann')
  assert.equal((await doc.send(new GetCommand({ TableName, Key }))).Item, undefined)
})

test('batches, queries and scans', async () => {
  const put = at => ({ PutRequest: { Item: { room: 'pages', at, author: at % 2 ? 'odd' : 'even' } } })
  const { UnprocessedItems } = await doc.send(new BatchWriteCommand({ RequestItems: { [TableName]: Array.from({ length: 20 }, (_, i) => put(i)) } }))
  assert.deepEqual(UnprocessedItems, {})
  const odd = await doc.send(new QueryCommand({ TableName, IndexName: 'byAuthor', KeyConditionExpression: 'author = :a', ExpressionAttributeValues: { ':a': 'odd' } }))
  assert.equal(odd.Count, 10)
  const some = await doc.send(new QueryCommand({
    TableName, KeyConditionExpression: 'room = :r AND #at BETWEEN :a AND :b', FilterExpression: 'author = :o', ScanIndexForward: false,
    ExpressionAttributeNames: { '#at': 'at' }, ExpressionAttributeValues: { ':r': 'pages', ':a': 5, ':b': 9, ':o': 'odd' },
  }))
  assert.deepEqual([some.Items.map(i => i.at), some.ScannedCount], [[9, 7, 5], 5])
  let seen = 0, pages = 0
  for await (const page of paginateScan({ client: doc, pageSize: 6 }, { TableName, FilterExpression: 'room = :r', ExpressionAttributeValues: { ':r': 'pages' } })) {
    seen += page.Count
    pages++
  }
  assert.equal(seen, 20)
  assert.ok(pages > 3)
  const got = await doc.send(new BatchGetCommand({ RequestItems: { [TableName]: { Keys: [{ room: 'pages', at: 3 }, { room: 'pages', at: 77 }], ProjectionExpression: 'author' } } }))
  assert.deepEqual(got.Responses[TableName], [{ author: 'odd' }])
})

test('transactions are done whole or not at all', async () => {
  const put = at => ({ Put: { TableName, Item: { room: 'tx', at }, ConditionExpression: 'attribute_not_exists(room)' } })
  await doc.send(new TransactWriteCommand({ TransactItems: [put(1), put(2)] }))
  await assert.rejects(doc.send(new TransactWriteCommand({ TransactItems: [put(3), put(2)] })), err => {
    assert.deepEqual([err.name, err.CancellationReasons.map(r => r.Code)], ['TransactionCanceledException', ['None', 'ConditionalCheckFailed']])
    return true
  })
  const { Responses } = await doc.send(new TransactGetCommand({ TransactItems: [1, 3].map(at => ({ Get: { TableName, Key: { room: 'tx', at } } })) }))
  assert.deepEqual(Responses.map(r => r.Item?.at), [1, undefined])
})

test('time to live, PartiQL', async () => {
  await db.send(new UpdateTimeToLiveCommand({ TableName, TimeToLiveSpecification: { Enabled: true, AttributeName: 'ends' } }))
  const ttl = await db.send(new DescribeTimeToLiveCommand({ TableName }))
  assert.deepEqual(ttl.TimeToLiveDescription, { TimeToLiveStatus: 'ENABLED', AttributeName: 'ends' })
  const run = (Statement, Parameters) => doc.send(new ExecuteStatementCommand({ Statement, Parameters }))
  await run(`INSERT INTO "${TableName}" VALUE {'room': ?, 'at': ?, 'm': {'x': 'deep'}}`, ['ql', 1])
  assert.deepEqual((await run(`SELECT m.x FROM "${TableName}" WHERE room = 'ql' AND at = 1`)).Items, [{ x: 'deep' }])
})

test('a stream tells what was written', async () => {
  const streams = new DynamoDBStreamsClient({ maxAttempts: 1 })
  await doc.send(new PutCommand({ TableName, Item: { room: 'stream', at: 1, text: 'hi' } }))
  const { StreamDescription } = await streams.send(new DescribeStreamCommand({ StreamArn: stream }))
  const place = { StreamArn: stream, ShardId: StreamDescription.Shards[0].ShardId, ShardIteratorType: 'TRIM_HORIZON' }
  const { ShardIterator } = await streams.send(new GetShardIteratorCommand(place))
  const { Records, NextShardIterator } = await streams.send(new GetRecordsCommand({ ShardIterator }))
  const mine = Records.filter(r => r.dynamodb.Keys.room.S === 'stream')
  assert.deepEqual(mine.map(r => [r.eventName, r.dynamodb.NewImage.text.S]), [['INSERT', 'hi']])
  assert.ok(NextShardIterator)
})

test('wrong signatures are refused as AWS does', async () => {
  const list = credentials => new DynamoDBClient({ maxAttempts: 1, credentials }).send(new ListTablesCommand({}))
  const accessKeyId = process.env.AWS_ACCESS_KEY_ID
  await assert.rejects(list({ accessKeyId, secretAccessKey: 'wrong' }), { name: 'InvalidSignatureException' })
  await assert.rejects(list({ accessKeyId: 'AKIAUNKNOWN', secretAccessKey: 'x' }), { name: 'UnrecognizedClientException' })
})
