"""What the tests of the Tablestore SDK share: a client, and tables that are gone when a test is over."""

import os
import unittest

import tablestore as ots


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        env = os.environ
        self.ots = ots.OTSClient(env['OTS_ENDPOINT'], env['OTS_ID'], env['OTS_SECRET'], env['OTS_INSTANCE'], logger_name='')

    def table(self, name, key, max_versions=1, defined=()):
        meta = ots.TableMeta(name, key, list(defined))
        self.ots.create_table(meta, ots.TableOptions(-1, max_versions), ots.ReservedThroughput(ots.CapacityUnit(0, 0)))
        self.addCleanup(self.drop, name)

    def drop(self, name):
        for _, index in self.ots.list_search_index(name):
            self.ots.delete_search_index(name, index)
        self.ots.delete_table(name)

    def put(self, table, key, **columns):
        self.ots.put_row(table, ots.Row(key, list(columns.items())))

    def read(self, table, key, **options):
        """A row's columns as a dict; None when there is no row."""
        _, row, _ = self.ots.get_row(table, key, **options)
        return row and {c[0]: c[1] for c in row.attribute_columns}

    def refused(self, status, code, message, call, *args, **kwargs):
        with self.assertRaises(ots.OTSServiceError) as caught:
            call(*args, **kwargs)
        e = caught.exception
        self.assertEqual((status, code, message), (e.get_http_status(), e.get_error_code(), e.get_error_message()))
