'use strict';

const assert = require('node:assert');
const test = require('node:test');
const { TableStore, client, int, ignore, createTable, plain } = require('./client');

test('a secondary index is read as a table', async () => {
  await createTable('orders', [{ name: 'id', type: 'STRING' }], { definedColumn: [{ name: 'who', type: 4 }, { name: 'sum', type: 1 }] });
  for (const [id, who, sum] of [['1', 'bob', 5], ['2', 'ann', 7], ['3', 'bob', 9]]) {
    await client.putRow({ tableName: 'orders', condition: ignore(), primaryKey: [{ id }], attributeColumns: [{ who }, { sum: int(sum) }] });
  }
  await client.createIndex({ mainTableName: 'orders', indexMeta: { name: 'by_who', primaryKey: ['who'], definedColumn: ['sum'] }, includeBaseData: true });
  const page = await client.getRange({
    tableName: 'by_who',
    direction: TableStore.Direction.FORWARD,
    inclusiveStartPrimaryKey: [{ who: 'bob' }, { id: TableStore.INF_MIN }],
    exclusiveEndPrimaryKey: [{ who: 'bob' }, { id: TableStore.INF_MAX }],
  });
  assert.deepStrictEqual(page.rows.map(plain), [{ sum: 5 }, { sum: 9 }]);
  await client.dropIndex({ mainTableName: 'orders', indexName: 'by_who' });
  const { indexMetas } = await client.describeTable({ tableName: 'orders' });
  assert.deepStrictEqual(indexMetas, []);
});

test('the search of the barrage app: a term, pages by token, a count', async () => {
  await createTable('barrage', [{ name: 'gid', type: 'INTEGER' }, { name: 'id', type: 'INTEGER', option: 'AUTO_INCREMENT' }]);
  await client.createSearchIndex({
    tableName: 'barrage',
    indexName: 'index',
    schema: {
      fieldSchemas: [
        { fieldName: 'interceptor_status', fieldType: TableStore.FieldType.LONG, index: true, enableSortAndAgg: true },
        { fieldName: 'text', fieldType: TableStore.FieldType.TEXT, index: true, analyzer: 'single_word', analyzerParameter: { caseSensitive: false } },
      ],
    },
  });
  const made = await client.describeSearchIndex({ tableName: 'barrage', indexName: 'index' });
  assert.strictEqual(made.schema.fieldSchemas[0].fieldName, 'interceptor_status');
  const { indices } = await client.listSearchIndex({ tableName: 'barrage' });
  assert.strictEqual(indices[0].indexName, 'index');
  for (let i = 0; i < 25; i++) {
    await client.putRow({
      tableName: 'barrage',
      condition: ignore(),
      primaryKey: [{ gid: int(1) }, { id: TableStore.PK_AUTO_INCR }],
      attributeColumns: [{ interceptor_status: int(i % 2) }, { text: `Message number ${i}` }],
    });
  }
  const search = (query, token, limit) => client.search({
    tableName: 'barrage',
    indexName: 'index',
    searchQuery: { limit, query, token, getTotalCount: true },
    columnToGet: { returnType: TableStore.ColumnReturnType.RETURN_ALL },
  });
  const one = { queryType: TableStore.QueryType.TERM_QUERY, query: { fieldName: 'interceptor_status', term: int(1) } };
  const texts = [];
  let token = null;
  do {
    const page = await search(one, token, 5);
    assert.strictEqual(Number(page.totalCounts), 12);
    texts.push(...page.rows.map((row) => plain(row).text));
    token = page.nextToken && page.nextToken.toString('base64') ? page.nextToken : null;
  } while (token);
  assert.deepStrictEqual(texts, Array.from({ length: 12 }, (_, i) => `Message number ${2 * i + 1}`));
  const word = await search({ queryType: TableStore.QueryType.MATCH_QUERY, query: { fieldName: 'text', text: '24' } }, null, 5);
  assert.deepStrictEqual(word.rows.map(plain), [{ interceptor_status: 0, text: 'Message number 24' }]);
  await client.deleteSearchIndex({ tableName: 'barrage', indexName: 'index' });
  await assert.rejects(search(one, null, 5), /search index \[index\] does not exist/);
});

test('vectors, highlights and inner hits', async () => {
  const tableName = 'shown';
  const indexName = 'index';
  const { FieldType, QueryType } = TableStore;
  await createTable(tableName, [{ name: 'id', type: 'STRING' }]);
  const text = (fieldName) => ({ fieldName, fieldType: FieldType.TEXT, index: true, enableHighlighting: true });
  await client.createSearchIndex({
    tableName,
    indexName,
    schema: {
      fieldSchemas: [
        text('title'),
        { fieldName: 'parts', fieldType: FieldType.NESTED, fieldSchemas: [text('note')] },
        {
          fieldName: 'vector',
          fieldType: FieldType.VECTOR,
          index: true,
          vectorOptions: { dataType: TableStore.VectorDataType.VD_FLOAT_32, metricType: TableStore.VectorMetricType.VM_EUCLIDEAN, dimension: 2 },
        },
      ],
    },
  });
  for (const [id, title, parts, vector] of [['a', 'the west lake', '[{"note":"east"},{"note":"far west"}]', '[0,1]'], ['b', 'a lake', '[]', '[0,3]'], ['c', 'none', '[]', '[9,9]']]) {
    await client.putRow({ tableName, condition: ignore(), primaryKey: [{ id }], attributeColumns: [{ title }, { parts }, { vector }] });
  }
  const search = (searchQuery) => client.search({ tableName, indexName, searchQuery, columnToGet: { returnType: TableStore.ColumnReturnType.RETURN_ALL } });
  const keys = (page) => page.rows.map((row) => row.primaryKey[0].value).join('');

  const near = await search({
    limit: 10,
    query: { queryType: QueryType.KNN_VECTOR_QUERY, query: { fieldName: 'vector', topK: 2, float32QueryVector: [0, 2.5], filter: { queryType: QueryType.MATCH_ALL_QUERY } } },
    sort: { sorters: [{ scoreSort: { order: TableStore.SortOrder.SORT_ORDER_DESC } }] },
  });
  assert.strictEqual(keys(near), 'ba');

  const shown = await search({
    limit: 10,
    query: { queryType: QueryType.MATCH_QUERY, query: { fieldName: 'title', text: 'west' } },
    highlight: { highlightParameters: [{ fieldName: 'title', preTag: '<b>', postTag: '</b>' }] },
  });
  assert.deepStrictEqual(shown.searchHits[0].highlightResultItem.highlightFields.get('title').fragments, ['the <b>west</b> lake']);

  const inner = await search({
    limit: 10,
    query: {
      queryType: QueryType.NESTED_QUERY,
      query: {
        path: 'parts',
        scoreMode: TableStore.ScoreMode.SCORE_MODE_MAX,
        query: { queryType: QueryType.MATCH_QUERY, query: { fieldName: 'parts.note', text: 'west' } },
        innerHits: { highlight: { highlightParameters: [{ fieldName: 'parts.note' }] } },
      },
    },
  });
  const [found] = inner.searchHits[0].searchInnerHits.get('parts').subSearchHits;
  assert.strictEqual(found.nestedDocOffset, 1);
  assert.deepStrictEqual(found.highlightResultItem.highlightFields.get('parts.note').fragments, ['far <em>west</em>']);
});
