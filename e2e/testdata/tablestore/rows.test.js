'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { TableStore, client, int, ignore, createTable, plain } = require('./client');

test('a table is made, described, updated, listed and deleted', async () => {
  await createTable('life', [{ name: 'id', type: 'STRING' }], { definedColumn: [{ name: 'c', type: 1 }] });
  const list = await client.listTable();
  assert.ok(list.tableNames.includes('life'));
  const made = await client.describeTable({ tableName: 'life' });
  assert.strictEqual(made.tableMeta.tableName, 'life');
  assert.strictEqual(made.tableMeta.definedColumn[0].name, 'c');
  assert.strictEqual(made.tableOptions.maxVersions, 1);
  const updated = await client.updateTable({
    tableName: 'life',
    tableOptions: { maxVersions: 5, timeToLive: 86400, allowUpdate: false },
  });
  assert.strictEqual(updated.tableOptions.allowUpdate, false);
  assert.strictEqual(updated.tableOptions.maxVersions, 5);
  await client.deleteTable({ tableName: 'life' });
  await assert.rejects(client.describeTable({ tableName: 'life' }), (err) => {
    assert.strictEqual(err.code, 404);
    assert.match(err.message, /OTSObjectNotExist.*Requested table does not exist\./s);
    return true;
  });
});

test('a row keeps every type', async () => {
  await createTable('types', [{ name: 's', type: 'STRING' }, { name: 'i', type: 'INTEGER' }, { name: 'b', type: 'BINARY' }]);
  const primaryKey = [{ s: '表格存储' }, { i: int(-10) }, { b: Buffer.from([1, 2, 0, 255]) }];
  await client.putRow({
    tableName: 'types',
    condition: ignore(),
    primaryKey,
    attributeColumns: [{ text: 'é' }, { whole: int(9007199254740991) }, { real: 1.5 }, { yes: true }, { no: false }, { bytes: Buffer.from('x') }],
  });
  const { row } = await client.getRow({ tableName: 'types', primaryKey });
  assert.deepStrictEqual(plain(row), { bytes: Buffer.from('x'), no: false, real: 1.5, text: 'é', whole: 9007199254740991, yes: true });
  assert.strictEqual(row.primaryKey[0].value, '表格存储');
  assert.strictEqual(row.primaryKey[1].value.toNumber(), -10);
  assert.deepStrictEqual(row.primaryKey[2].value, Buffer.from([1, 2, 0, 255]));
});

test('the calls of the barrage app: auto-increment, update, range, delete', async () => {
  await createTable('barrage', [{ name: 'gid', type: 'INTEGER' }, { name: 'id', type: 'INTEGER', option: 'AUTO_INCREMENT' }]);
  const ids = [];
  for (let i = 0; i < 3; i++) {
    const put = await client.putRow({
      tableName: 'barrage',
      condition: ignore(),
      primaryKey: [{ gid: int(1) }, { id: TableStore.PK_AUTO_INCR }],
      attributeColumns: [{ message: `m${i}` }, { status: int(0) }],
      returnContent: { returnType: TableStore.ReturnType.Primarykey },
    });
    ids.push(put.row.primaryKey[1].value.toNumber());
  }
  assert.ok(ids[0] > 0 && ids[0] < ids[1] && ids[1] < ids[2] && Number.isSafeInteger(ids[2]), `${ids}`);
  await client.updateRow({
    tableName: 'barrage',
    condition: ignore(),
    primaryKey: [{ gid: int(1) }, { id: int(ids[1]) }],
    updateOfAttributeColumns: [{ PUT: [{ status: int(2) }] }, { DELETE_ALL: [] }, { INCREMENT: [] }],
  });
  await client.deleteRow({ tableName: 'barrage', condition: ignore(), primaryKey: [{ gid: int(1) }, { id: int(ids[0]) }] });
  const missing = await client.getRow({ tableName: 'barrage', primaryKey: [{ gid: int(1) }, { id: int(ids[0]) }], columnsToGet: [] });
  assert.deepStrictEqual(missing.row, {});
  let start = [{ gid: TableStore.INF_MIN }, { id: TableStore.INF_MIN }];
  const seen = [];
  while (start) {
    const page = await client.getRange({
      tableName: 'barrage',
      direction: TableStore.Direction.FORWARD,
      inclusiveStartPrimaryKey: start,
      exclusiveEndPrimaryKey: [{ gid: TableStore.INF_MAX }, { id: TableStore.INF_MAX }],
      limit: 1,
    });
    seen.push(...page.rows.map(plain));
    start = page.nextStartPrimaryKey && page.nextStartPrimaryKey.map((c) => ({ [c.name]: c.value }));
  }
  assert.deepStrictEqual(seen, [{ message: 'm1', status: 2 }, { message: 'm2', status: 0 }]);
});

test('versions are kept, incremented and deleted one by one', async () => {
  await createTable('versions', [{ name: 'id', type: 'STRING' }]);
  await client.updateTable({ tableName: 'versions', tableOptions: { maxVersions: 3 } });
  const primaryKey = [{ id: 'a' }];
  const now = Date.now();
  for (const back of [3000, 2000, 1000, 0]) {
    await client.updateRow({
      tableName: 'versions',
      condition: ignore(),
      primaryKey,
      updateOfAttributeColumns: [{ PUT: [{ c: int(back), timestamp: now - back }] }],
    });
  }
  const times = async () => {
    const { row } = await client.getRow({ tableName: 'versions', primaryKey, maxVersions: 10 });
    return row.attributes.map((a) => now - a.timestamp.toNumber());
  };
  assert.deepStrictEqual(await times(), [0, 1000, 2000]);
  await client.updateRow({
    tableName: 'versions',
    condition: ignore(),
    primaryKey,
    updateOfAttributeColumns: [{ DELETE: [{ c: int(now - 1000) }] }],
  });
  assert.deepStrictEqual(await times(), [0, 2000]);
  const up = await client.updateRow({
    tableName: 'versions',
    condition: ignore(),
    primaryKey,
    updateOfAttributeColumns: [{ INCREMENT: [{ n: int(4) }] }],
    returnContent: { returnColumns: ['n'], returnType: TableStore.ReturnType.AfterModify },
  });
  assert.deepStrictEqual(plain(up.row), { n: 4 });
});

test('conditions and filters decide', async () => {
  await createTable('code', [{ name: 'uuid', type: 'STRING' }]);
  const primaryKey = [{ uuid: 'c1' }];
  const equal = (name, value, missing) => new TableStore.SingleColumnCondition(name, value, TableStore.ComparatorType.EQUAL, missing);
  const use = () => client.updateRow({
    tableName: 'code',
    condition: new TableStore.Condition(TableStore.RowExistenceExpectation.EXPECT_EXIST, equal('status', 'UNACTIVED')),
    primaryKey,
    updateOfAttributeColumns: [{ PUT: [{ status: 'ACTIVED' }] }],
  });
  const failed = (err) => err.code === 403 && /OTSConditionCheckFail/.test(err.message);
  await assert.rejects(use(), failed);
  await client.putRow({
    tableName: 'code',
    condition: new TableStore.Condition(TableStore.RowExistenceExpectation.EXPECT_NOT_EXIST, null),
    primaryKey,
    attributeColumns: [{ status: 'UNACTIVED' }],
  });
  await use();
  await assert.rejects(use(), failed);
  const either = new TableStore.CompositeCondition(TableStore.LogicalOperator.OR);
  either.addSubCondition(equal('status', 'ACTIVED'));
  either.addSubCondition(equal('other', 1, false));
  const hit = await client.getRow({ tableName: 'code', primaryKey, columnFilter: either });
  assert.deepStrictEqual(plain(hit.row), { status: 'ACTIVED' });
  const none = await client.getRow({ tableName: 'code', primaryKey, columnFilter: equal('status', 'GONE') });
  assert.deepStrictEqual(none.row, {});
});

test('batches answer row by row', async () => {
  await createTable('batch', [{ name: 'id', type: 'STRING' }]);
  const put = (id) => ({
    type: 'PUT',
    condition: new TableStore.Condition(TableStore.RowExistenceExpectation.EXPECT_NOT_EXIST, null),
    primaryKey: [{ id }],
    attributeColumns: [{ c: id }],
  });
  await client.batchWriteRow({ tables: [{ tableName: 'batch', rows: [put('b')] }] });
  const written = await client.batchWriteRow({ tables: [{ tableName: 'batch', rows: [put('a'), put('b'), put('c')] }] });
  assert.deepStrictEqual(written.tables.map((r) => r.isOk), [true, false, true]);
  assert.strictEqual(written.tables[1].errorCode, 'OTSConditionCheckFail');
  const read = await client.batchGetRow({
    tables: [{ tableName: 'batch', primaryKey: [[{ id: 'c' }], [{ id: 'nothere' }], [{ id: 'a' }]] }],
  });
  assert.deepStrictEqual(read.tables[0].map((r) => r.isOk && plain(r)), [{ c: 'c' }, {}, { c: 'a' }]);
});
