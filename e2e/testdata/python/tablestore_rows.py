"""Rows, ranges, batches, conditions, increments and local transactions through the Python SDK."""

import time

import tablestore as ots

from tablestore_base import Case

IGNORE = ots.Condition(ots.RowExistenceExpectation.IGNORE)
EXIST = ots.Condition(ots.RowExistenceExpectation.EXPECT_EXIST)
ABSENT = ots.Condition(ots.RowExistenceExpectation.EXPECT_NOT_EXIST)


def column(name, value, how=ots.ComparatorType.EQUAL, missing=True):
    return ots.SingleColumnCondition(name, value, how, missing)


class Rows(Case):
    def setUp(self):
        super().setUp()
        self.table('t', [('id', 'STRING'), ('n', 'INTEGER')])

    def key(self, n=1, id='a'):
        return [('id', id), ('n', n)]

    def test_values_of_every_type_come_back(self):
        columns = {'i': 7, 'd': 34.5, 'b': True, 's': '百年孤独', 'x': bytearray(b'\x00\xff')}
        consumed, _ = self.ots.put_row('t', ots.Row(self.key(), list(columns.items())), ABSENT)
        self.assertEqual((1, 1), (consumed.read, consumed.write))
        self.assertEqual(columns, self.read('t', self.key()))
        self.assertEqual({'s': columns['s']}, self.read('t', self.key(), columns_to_get=['s', 'none']))
        self.assertIsNone(self.read('t', self.key(2)))

    def test_an_existing_row_is_not_put_again(self):
        self.put('t', self.key(), i=1)
        self.refused(403, 'OTSConditionCheckFail', 'Condition check failed.', self.ots.put_row, 't', ots.Row(self.key(), [('i', 2)]), ABSENT)

    def test_a_key_of_another_type_is_refused(self):
        self.refused(400, 'OTSInvalidPK', 'Validate PK type fail. Input: VT_INTEGER, Meta: VT_STRING.', self.put, 't', self.key(id=1), i=1)

    def test_updates_put_delete_and_increment(self):
        self.put('t', self.key(), i=5, gone=1, s='old')
        row = ots.Row(self.key(), {'PUT': [('s', 'new')], 'DELETE_ALL': ['gone'], 'INCREMENT': [('i', -2)]})
        condition = ots.Condition(ots.RowExistenceExpectation.EXPECT_EXIST, column('s', 'old'))
        self.ots.update_row('t', row, condition)
        self.assertEqual({'i': 3, 's': 'new'}, self.read('t', self.key()))
        self.refused(403, 'OTSConditionCheckFail', 'Condition check failed.', self.ots.update_row, 't', row, condition)

    def test_increments_begin_at_zero(self):
        for want in 4, 8:
            self.ots.update_row('t', ots.Row(self.key(), {'INCREMENT': [('i', 4)]}), IGNORE)
            self.assertEqual({'i': want}, self.read('t', self.key()))

    def test_deletes_heed_conditions(self):
        self.put('t', self.key(), status='USED')
        free = ots.CompositeColumnCondition(ots.LogicalOperator.AND)
        free.add_sub_condition(column('status', 'FREE'))
        free.add_sub_condition(column('other', 1))
        self.refused(403, 'OTSConditionCheckFail', 'Condition check failed.', self.ots.delete_row, 't', ots.Row(self.key()),
                     ots.Condition(ots.RowExistenceExpectation.IGNORE, free))
        self.ots.delete_row('t', ots.Row(self.key()), EXIST)
        self.assertIsNone(self.read('t', self.key()))

    def test_filters_hide_rows(self):
        self.put('t', self.key(), status='FREE')
        for status, missing, there in ('FREE', True, True), ('USED', True, False), ('USED', False, False):
            hit = self.read('t', self.key(), column_filter=column('status', status, missing=missing))
            self.assertEqual(there, hit is not None, (status, missing))
        self.assertIsNone(self.read('t', self.key(), column_filter=column('none', 1, missing=False)))

    def test_ranges_go_both_ways_page_by_page(self):
        for n in range(25):
            self.put('t', self.key(n), i=n % 5)
        low, high = [('id', 'a'), ('n', ots.INF_MIN)], [('id', 'a'), ('n', ots.INF_MAX)]
        for direction, start, end in (ots.Direction.FORWARD, low, high), (ots.Direction.BACKWARD, high, low):
            got, next_key = [], start
            while next_key:
                _, next_key, rows, _ = self.ots.get_range('t', direction, next_key, end, limit=10)
                got += [row.primary_key[1][1] for row in rows]
            self.assertEqual(sorted(range(25), reverse=direction == ots.Direction.BACKWARD), got)
        units = ots.CapacityUnit(0, 0)
        walked = self.ots.xget_range('t', ots.Direction.FORWARD, low, high, units, column_filter=column('i', 3))
        self.assertEqual([3, 8, 13, 18, 23], [row.primary_key[1][1] for row in walked])
        self.refused(400, 'OTSParameterInvalid', 'Begin key must less than end key in FORWARD',
                     self.ots.get_range, 't', ots.Direction.FORWARD, high, low)

    def test_versions_are_kept_and_chosen(self):
        self.table('versions', [('id', 'STRING')], max_versions=2)
        key = [('id', 'a')]
        now = int(time.time() * 1000)
        for back in 2000, 1000, 0:
            self.ots.update_row('versions', ots.Row(key, {'PUT': [('c', -back, now - back)]}), IGNORE)
        _, row, _ = self.ots.get_row('versions', key, max_version=5)
        self.assertEqual([0, -1000], [c[1] for c in row.attribute_columns])
        _, row, _ = self.ots.get_row('versions', key, max_version=None, time_range=(now - 1500, now))
        self.assertEqual([('c', -1000, now - 1000)], row.attribute_columns)

    def test_batches_answer_row_by_row(self):
        self.put('t', self.key(3), i=0)
        items = [ots.PutRowItem(ots.Row(self.key(n), [('i', n)]), ABSENT) for n in range(5)]
        items.append(ots.UpdateRowItem(ots.Row(self.key(9), {'PUT': [('i', 9)]}), IGNORE))
        items.append(ots.DeleteRowItem(ots.Row(self.key(8)), IGNORE))
        batch = ots.BatchWriteRowRequest()
        batch.add(ots.TableInBatchWriteRowItem('t', items))
        done = self.ots.batch_write_row(batch)
        self.assertFalse(done.is_all_succeed())
        good, bad = done.get_put()
        self.assertEqual((4, ['OTSConditionCheckFail']), (len(good), [r.error_code for r in bad]))
        read = ots.BatchGetRowRequest()
        read.add(ots.TableInBatchGetRowItem('t', [self.key(n) for n in (0, 3, 9, 77)], max_version=1))
        rows = self.ots.batch_get_row(read).get_result_by_table('t')
        self.assertEqual([0, 0, 9, None], [r.row and r.row.attribute_columns[0][1] for r in rows])
        self.refused(400, 'OTSParameterInvalid', 'No row specified in the request of BatchGetRow.',
                     self.ots.batch_get_row, ots.BatchGetRowRequest())

    def test_keys_count_by_themselves(self):
        self.table('auto', [('id', 'STRING'), ('n', 'INTEGER', ots.PK_AUTO_INCR)])
        last = 0
        for _ in range(10):
            _, row = self.ots.put_row('auto', ots.Row([('id', 'a'), ('n', ots.PK_AUTO_INCR)], [('c', 1)]), IGNORE, ots.ReturnType.RT_PK)
            self.assertGreater(row.primary_key[1][1], last)
            last = row.primary_key[1][1]

    def test_transactions_commit_and_abort(self):
        for end, want in ('abort_transaction', None), ('commit_transaction', {'i': 1}):
            id = self.ots.start_local_transaction('t', [('id', 'a')])
            self.ots.put_row('t', ots.Row(self.key(), [('i', 1)]), IGNORE, transaction_id=id)
            self.assertEqual({'i': 1}, self.read('t', self.key(), transaction_id=id))
            self.assertIsNone(self.read('t', self.key()))
            self.refused(400, 'OTSDataOutOfRange', 'Data out of scope of transaction. Data PartKey:b',
                         self.ots.put_row, 't', ots.Row(self.key(id='b'), [('i', 1)]), IGNORE, transaction_id=id)
            batch = ots.BatchWriteRowRequest()
            batch.set_transaction_id(id)
            batch.add(ots.TableInBatchWriteRowItem('t', [ots.PutRowItem(ots.Row(self.key(2), [('i', 2)]), IGNORE)]))
            self.assertTrue(self.ots.batch_write_row(batch).is_all_succeed())
            getattr(self.ots, end)(id)
            self.assertEqual(want, self.read('t', self.key()))
            self.refused(400, 'OTSSessionNotExist', 'Session not exist or may be timeout.', self.ots.commit_transaction, id)
