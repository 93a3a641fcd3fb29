"""Tables and secondary indexes through the Python SDK."""

import tablestore as ots

from tablestore_base import Case


class Tables(Case):
    def test_tables_come_are_described_change_and_go(self):
        self.table('t', [('id', 'STRING'), ('n', 'INTEGER', ots.PK_AUTO_INCR)], 3, [('c', 'INTEGER'), ('d', 'STRING')])
        self.assertEqual(['t'], list(self.ots.list_table()))
        told = self.ots.describe_table('t')
        self.assertEqual([('id', 'STRING'), ('n', 'INTEGER', ots.PK_AUTO_INCR)], told.table_meta.schema_of_primary_key)
        self.assertEqual([('c', 'INTEGER'), ('d', 'STRING')], told.table_meta.defined_columns)
        self.assertEqual((-1, 3, 86400), (told.table_options.time_to_live, told.table_options.max_version, told.table_options.max_time_deviation))
        changed = self.ots.update_table('t', ots.TableOptions(86400, 5))
        self.assertEqual((86400, 5), (changed.table_options.time_to_live, changed.table_options.max_version))
        self.refused(409, 'OTSObjectAlreadyExist', 'Requested table already exists.', self.table, 't', [('id', 'STRING')])
        self.refused(404, 'OTSObjectNotExist', 'Requested table does not exist.', self.ots.describe_table, 'nowhere')

    def test_secondary_indexes_are_read_like_tables(self):
        self.table('t', [('id', 'STRING')], defined=[('c', 'INTEGER'), ('d', 'STRING')])
        self.put('t', [('id', 'old')], c=1, d='x')
        for name, base in ('whole', True), ('later', False):
            self.ots.create_secondary_index('t', ots.SecondaryIndexMeta(name, ['c'], ['d']), base)
        self.put('t', [('id', 'new')], c=2, d='y')
        low, high = [('c', ots.INF_MIN), ('id', ots.INF_MIN)], [('c', ots.INF_MAX), ('id', ots.INF_MAX)]
        for name, want in ('whole', [(1, 'old', 'x'), (2, 'new', 'y')]), ('later', [(2, 'new', 'y')]):
            _, _, rows, _ = self.ots.get_range(name, ots.Direction.FORWARD, low, high)
            self.assertEqual(want, [(r.primary_key[0][1], r.primary_key[1][1], r.attribute_columns[0][1]) for r in rows], name)
        self.refused(400, 'OTSParameterInvalid', "Can't write index table directly", self.put, 'whole', [('c', 1), ('id', 'a')], d='z')
        self.ots.delete_secondary_index('t', 'later')
        self.assertEqual(['whole'], [i.index_name for i in self.ots.describe_table('t').secondary_indexes])

    def test_what_is_not_served_says_so(self):
        self.refused(400, 'OTSParameterInvalid', 'Unsupported operation: SQLQuery.', self.ots.exe_sql_query, 'select * from t')
