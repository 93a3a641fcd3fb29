// A client of the server under test, whose methods give promises.
'use strict';

const TableStore = require('tablestore');

const client = new TableStore.Client({
  accessKeyId: process.env.OTS_ID,
  secretAccessKey: process.env.OTS_SECRET,
  endpoint: process.env.OTS_ENDPOINT,
  instancename: process.env.OTS_INSTANCE,
  maxRetries: 0,
});

const int = (n) => TableStore.Long.fromNumber(n);

const ignore = () => new TableStore.Condition(TableStore.RowExistenceExpectation.IGNORE, null);

// createTable makes a table of primary key columns; the options are those of the barrage app.
const createTable = (tableName, primaryKey, more) => client.createTable({
  tableMeta: { tableName, primaryKey, ...more },
  reservedThroughput: { capacityUnit: { read: 0, write: 0 } },
  tableOptions: { timeToLive: -1, maxVersions: 1 },
  streamSpecification: { enableStream: true, expirationTime: 24 },
});

// plain is a row's attributes by name, with integers as numbers.
const plain = (row) => Object.fromEntries((row.attributes || []).map((a) => [
  a.columnName,
  a.columnValue !== null && typeof a.columnValue.toNumber === 'function' ? a.columnValue.toNumber() : a.columnValue,
]));

module.exports = { TableStore, client, int, ignore, createTable, plain };
