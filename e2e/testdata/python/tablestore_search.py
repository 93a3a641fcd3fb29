"""Search indexes, queries and sorts through the Python SDK."""

import tablestore as ots
from tablestore import FieldType as F

from tablestore_base import Case

BOOKS = {
    'a': dict(title='Moby-Dick; or, The Whale', author='Melville', year=1851, price=9.5, lent=True, place='30,120'),
    'b': dict(title='Nineteen Eighty-Four', author='Orwell', year=1949, price=7.0, lent=False, place='30.001,120', tags='["dystopia","classic"]'),
    'c': dict(title='Animal Farm', author='Orwell', year=1945, tags='["classic"]', parts='[{"kind":"x","n":1},{"kind":"y","n":2}]'),
    'd': dict(title='红楼梦', author='曹雪芹', parts='[{"kind":"x","n":2}]'),
    'e': dict(blurb='菊花茶是一款大部分人都适合的经典花茶', vector='[1,0]', parts='[{"note":"lake"},{"note":"west lake"},{"note":"the west"}]'),
    'f': dict(vector='[1,1]'), 'g': dict(vector='[0,-1]'),
}


class Search(Case):
    def setUp(self):
        super().setUp()
        self.table('books', [('id', 'STRING')])
        fields = [
            ots.FieldSchema('author', F.KEYWORD), ots.FieldSchema('year', F.LONG), ots.FieldSchema('price', F.DOUBLE),
            ots.FieldSchema('lent', F.BOOLEAN), ots.FieldSchema('title', F.TEXT), ots.FieldSchema('place', F.GEOPOINT),
            ots.FieldSchema('tags', F.KEYWORD, is_array=True),
            ots.FieldSchema('parts', F.NESTED, sub_field_schemas=[
                ots.FieldSchema('kind', F.KEYWORD), ots.FieldSchema('n', F.LONG), ots.FieldSchema('note', F.TEXT, enable_highlighting=True)]),
            ots.FieldSchema('blurb', F.TEXT, analyzer=ots.AnalyzerType.MAXWORD, enable_highlighting=True),
            ots.FieldSchema('vector', F.VECTOR, vector_options=ots.VectorOptions(
                data_type=ots.VectorDataType.VD_FLOAT_32, metric_type=ots.VectorMetricType.VM_COSINE, dimension=2)),
        ]
        self.ots.create_search_index('books', 'i', ots.SearchIndexMeta(fields))
        for id, columns in BOOKS.items():
            self.put('books', [('id', id)], **columns)

    def find(self, query, **options):
        options.setdefault('limit', 10)
        columns = ots.ColumnsToGet(return_type=ots.ColumnReturnType.ALL)
        return self.ots.search('books', 'i', ots.SearchQuery(query, **options), columns)

    def keys(self, answer):
        return ''.join(row[0][0][1] for row in answer.rows)

    def test_the_index_is_described(self):
        meta, sync = self.ots.describe_search_index('books', 'i')
        self.assertEqual(['author', 'year', 'price', 'lent', 'title', 'place', 'tags', 'parts', 'blurb', 'vector'], [f.field_name for f in meta.fields])
        self.assertEqual(ots.SyncPhase.INCR, sync.sync_phase)
        self.assertEqual([('books', 'i')], list(self.ots.list_search_index()))
        self.refused(400, 'OTSParameterInvalid', 'Table[books] who has at least one search index cannot be deleted', self.ots.delete_table, 'books')

    def test_queries_find(self):
        year, orwell = ots.TermQuery('year', 1949), ots.TermQuery('author', 'Orwell')
        for want, query in (
            ('abcdefg', ots.MatchAllQuery()),
            ('b', year),
            ('bc', orwell),
            ('ab', ots.TermsQuery('year', [1851, 1949, 2000])),
            ('bc', ots.RangeQuery('year', 1851, 1949, include_lower=False, include_upper=True)),
            ('a', ots.RangeQuery('price', 8.0)),
            ('b', ots.TermQuery('lent', False)),
            ('bc', ots.TermQuery('tags', 'classic')),
            ('bc', ots.PrefixQuery('author', 'Or')),
            ('a', ots.WildcardQuery('author', 'M*vi??e')),
            ('ab', ots.ExistsQuery('price')),
            ('ac', ots.MatchQuery('title', 'farm whale')),
            ('c', ots.MatchQuery('title', 'farm animal', operator=ots.QueryOperator.AND)),
            ('d', ots.MatchPhraseQuery('title', '楼梦')),
            ('c', ots.BoolQuery(must_queries=[orwell], must_not_queries=[year])),
            ('b', ots.BoolQuery(filter_queries=[orwell, year])),
            ('ab', ots.BoolQuery(should_queries=[year, ots.TermQuery('author', 'Melville')], minimum_should_match=1)),
            ('ab', ots.GeoDistanceQuery('place', '30,120', 1000)),
            ('a', ots.GeoDistanceQuery('place', '30,120', 10)),
            ('ab', ots.GeoBoundingBoxQuery('place', '31,119', '29,121')),
            ('ab', ots.GeoPolygonQuery('place', ['29,119', '31,119', '31,122', '29,122'])),
            ('d', ots.NestedQuery('parts', ots.BoolQuery(must_queries=[ots.TermQuery('parts.kind', 'x'), ots.TermQuery('parts.n', 2)]))),
            ('ab', ots.DisMaxQuery([year, ots.TermQuery('author', 'Melville', weight=2.0)])),
            ('ef', ots.KnnVectorQuery('vector', 2, [2, 1])),
            ('f', ots.KnnVectorQuery('vector', 1, [2, 2])),
            ('b', ots.BoolQuery(filter_queries=[ots.ExistsQuery('tags')], should_queries=[year], minimum_should_match=1)),
            ('bc', ots.FunctionScoreQuery(orwell, ots.FieldValueFactor('year'))),
        ):
            got = self.find(query, get_total_count=True)
            self.assertEqual((want, len(want), True), (''.join(sorted(self.keys(got))), got.total_count, got.is_all_succeed), query)

    def test_hits_are_sorted_and_paged(self):
        down, up = ots.SortOrder.DESC, ots.SortOrder.ASC
        for want, sorters in (
            ('abcdefg', [ots.PrimaryKeySort(up)]),
            ('gfedcba', [ots.PrimaryKeySort(down)]),
            ('bcadefg', [ots.FieldSort('year', down)]),
            ('acbdefg', [ots.FieldSort('author', up), ots.FieldSort('year', up)]),
            ('bacdefg', [ots.GeoDistanceSort('place', ['30.002,120'], up)]),
        ):
            got, token = '', None
            while token != b'':
                sort = ots.Sort(sorters) if token is None else None
                page = self.find(ots.MatchAllQuery(), limit=3, sort=sort, next_token=token, get_total_count=True)
                self.assertEqual(7, page.total_count)
                got, token = got + self.keys(page), page.next_token
            self.assertEqual(want, got)

    def test_scores_sort_and_are_told(self):
        query = ots.FunctionScoreQuery(ots.MatchAllQuery(), ots.FieldValueFactor('year'))
        got = self.find(query, sort=ots.Sort([ots.ScoreSort()]))
        self.assertEqual('bca', self.keys(got)[:3])
        self.assertEqual([1949, 1945, 1851], [h.score for h in got.search_hits][:3])

    def test_the_nearest_vectors_score_best(self):
        got = self.find(ots.KnnVectorQuery('vector', 3, [1, 0.5]), sort=ots.Sort([ots.ScoreSort()]))
        self.assertEqual('feg', self.keys(got))
        self.assertAlmostEqual(0.97, got.search_hits[0].score, 2)

    def test_what_was_found_is_shown(self):
        shown = ots.Highlight([ots.HighlightParameter('blurb', 1, 18, '<b>', '</b>')])
        got = self.find(ots.MatchQuery('blurb', '花茶'), highlight=shown)
        field = got.search_hits[0].highlight_result.highlight_fields[0]
        self.assertEqual(('blurb', ['菊<b>花茶</b>是一款大部分人都适合的经典<b>花茶</b>']), (field.field_name, list(field.field_fragments)))
        self.refused(400, 'OTSParameterInvalid', 'highlighting is not supported for field[title]', self.find,
                     ots.MatchAllQuery(), highlight=ots.Highlight([ots.HighlightParameter('title')]))

    def test_inner_hits_are_the_elements_that_match(self):
        inner = ots.InnerHits(ots.Sort([ots.DocSort()]), 0, 10, ots.Highlight([ots.HighlightParameter('parts.note')]))
        got = self.find(ots.NestedQuery('parts', ots.MatchQuery('parts.note', 'west'), inner_hits=inner))
        found = got.search_hits[0].search_inner_hits[0]
        self.assertEqual('parts', found.path)
        self.assertEqual([(1, '<em>west</em> lake'), (2, 'the <em>west</em>')],
                         [(h.nested_doc_offset, h.highlight_result.highlight_fields[0].field_fragments[0]) for h in found.search_hits])

    def test_hits_collapse(self):
        got = self.find(ots.ExistsQuery('author'), collapse_field=ots.Collapse('author'))
        self.assertEqual('abd', self.keys(got))

    def test_sums_and_groups(self):
        query = ots.MatchAllQuery()
        got = self.find(query, aggs=[ots.Max('year', name='max'), ots.Count('price', name='count'), ots.Avg('price', name='avg')],
                        group_bys=[ots.GroupByField('author', name='by')])
        self.assertEqual({'max': 1949.0, 'count': 2, 'avg': 8.25}, {a.name: a.value for a in got.agg_results})
        self.assertEqual({'Orwell': 2, 'Melville': 1, '曹雪芹': 1}, {i.key: i.row_count for i in got.group_by_results[0].items})

    def test_all_rows_are_scanned(self):
        session, splits = self.ots.compute_splits('books', 'i').session_id, self.ots.compute_splits('books', 'i').splits_size
        got, token = '', None
        columns = ots.ColumnsToGet(return_type=ots.ColumnReturnType.ALL_FROM_INDEX)
        while token != b'':
            page = self.ots.parallel_scan('books', 'i', ots.ScanQuery(ots.MatchAllQuery(), 3, token, 0, splits), session, columns)
            got, token = got + self.keys(page), page.next_token
        self.assertEqual('abcdefg', got)

    def test_an_unknown_index_is_refused(self):
        self.refused(400, 'OTSMetaNotMatch', 'search index [none] does not exist', self.ots.search, 'books', 'none', ots.SearchQuery(ots.MatchAllQuery()))
