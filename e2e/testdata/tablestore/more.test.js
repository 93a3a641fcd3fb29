'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { TableStore, client, int, ignore, createTable, plain } = require('./client');

test('a local transaction commits or is forgotten', async () => {
  const tableName = 'ledger';
  await createTable(tableName, [{ name: 'gid', type: 'INTEGER' }, { name: 'id', type: 'STRING' }]);
  const primaryKey = [{ gid: int(1) }, { id: 'a' }];
  const put = (n, transactionId) => client.putRow({ tableName, condition: ignore(), primaryKey, attributeColumns: [{ n: int(n) }], transactionId });
  const get = async (transactionId) => plain((await client.getRow({ tableName, primaryKey, transactionId })).row).n;
  await put(1);
  for (const [end, n] of [['abortTransaction', 1], ['commitTransaction', 2]]) {
    const { transactionId } = await client.startLocalTransaction({ tableName, primaryKey: [{ gid: int(1) }] });
    await put(2, transactionId);
    await assert.rejects(put(3), (err) => err.code === 409 && /OTSRowOperationConflict/.test(err.message));
    assert.strictEqual(await get(transactionId), 2);
    assert.strictEqual(await get(), 1);
    await client[end]({ transactionId });
    assert.strictEqual(await get(), n);
    await assert.rejects(client[end]({ transactionId }), /OTSSessionNotExist/);
  }
});

test('a search index sums up, groups and is scanned', async () => {
  const tableName = 'sales';
  const indexName = 'index';
  await createTable(tableName, [{ name: 'id', type: 'INTEGER' }]);
  const field = (fieldName, fieldType) => ({ fieldName, fieldType, index: true, enableSortAndAgg: true });
  await client.createSearchIndex({
    tableName,
    indexName,
    schema: { fieldSchemas: [field('town', TableStore.FieldType.KEYWORD), field('sum', TableStore.FieldType.LONG), field('price', TableStore.FieldType.DOUBLE)] },
  });
  for (let i = 0; i < 30; i++) {
    await client.putRow({
      tableName,
      condition: ignore(),
      primaryKey: [{ id: int(i) }],
      attributeColumns: [{ town: ['hz', 'bj', 'sh'][i % 3] }, { sum: int(i) }, { price: i / 2 }],
    });
  }
  const { AggregationType, GroupByType, QueryType, ColumnReturnType } = TableStore;
  const query = { queryType: QueryType.MATCH_ALL_QUERY };
  const found = await client.search({
    tableName,
    indexName,
    searchQuery: {
      limit: 0,
      query,
      getTotalCount: true,
      aggs: {
        aggs: [
          { name: 'avg', type: AggregationType.AGG_AVG, body: { fieldName: 'price' } },
          { name: 'max', type: AggregationType.AGG_MAX, body: { fieldName: 'sum' } },
          { name: 'towns', type: AggregationType.AGG_DISTINCT_COUNT, body: { fieldName: 'town' } },
        ],
      },
      groupBys: {
        groupBys: [{
          name: 'by town',
          type: GroupByType.GROUP_BY_FIELD,
          body: {
            fieldName: 'town',
            size: 2,
            sort: { sorters: [{ groupKeySort: { order: TableStore.SortOrder.SORT_ORDER_ASC } }] },
            subAggs: { aggs: [{ name: 'sold', type: AggregationType.AGG_SUM, body: { fieldName: 'sum' } }] },
          },
        }],
      },
    },
    columnToGet: { returnType: ColumnReturnType.RETURN_NONE },
  });
  assert.deepStrictEqual(found.aggs.aggResults.map((r) => [r.name, Number(r.aggResult.value)]), [['avg', 7.25], ['max', 29], ['towns', 3]]);
  const groups = found.groupBys.groupByResults[0].groupByResult.items;
  assert.deepStrictEqual(groups.map((g) => [g.key, Number(g.rowCount), Number(g.subAggsResult.aggResults[0].aggResult.value)]), [['bj', 10, 145], ['hz', 10, 135]]);

  const { sessionId, splitsSize } = await client.computeSplits({ tableName, searchIndexSplitsOptions: { indexName } });
  assert.strictEqual(splitsSize, 1);
  const ids = [];
  for (let token; ;) {
    const page = await client.parallelScan({
      tableName,
      indexName,
      columnToGet: { returnType: ColumnReturnType.RETURN_ALL_FROM_INDEX },
      sessionId,
      scanQuery: { query, limit: 7, aliveTime: 30, token, currentParallelId: 0, maxParallel: 1 },
    });
    ids.push(...page.rows.map((row) => row.primaryKey[0].value.toNumber()));
    token = page.nextToken;
    if (!token || token.length === 0) break;
  }
  assert.deepStrictEqual(ids, Array.from({ length: 30 }, (_, i) => i));
});
