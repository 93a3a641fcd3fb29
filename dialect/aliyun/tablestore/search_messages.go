package tablestore

// The messages of search indexes (spec 2.6), in the manner of messages.go.

type createSearchIndexRequest struct {
	Table  string `pb:"1!"`
	Index  string `pb:"2!"`
	Schema []byte `pb:"3"` // an indexSchema, kept as it came
	Source string `pb:"4"`
	TTL    *int32 `pb:"5"`
}

type updateSearchIndexRequest struct {
	Table  string `pb:"1"`
	Index  string `pb:"2"`
	Switch string `pb:"3"`
	TTL    *int32 `pb:"5"`
}

type searchIndexRequest struct {
	Table string `pb:"1"`
	Index string `pb:"2"`
}

type listSearchIndexRequest struct {
	Table string `pb:"1"`
}

type listSearchIndexResponse struct {
	Indexes []searchIndexRequest `pb:"1"`
}

type describeSearchIndexResponse struct {
	Schema  []byte      `pb:"1!"`
	Sync    syncStat    `pb:"2!"`
	Created int64       `pb:"6"` // unix ms
	TTL     int32       `pb:"7!"`
	Status  indexStatus `pb:"8!"` // the Node SDK fails without it
}

type syncStat struct {
	Phase   int32 `pb:"1!"`
	Current int64 `pb:"2!"` // unix ns
}

type indexStatus struct {
	Status int32 `pb:"1!"`
}

type indexSchema struct {
	Fields []fieldSchema `pb:"1"`
	Sort   *sortMessage  `pb:"3"`
}

type fieldSchema struct {
	Name      string   `pb:"1"`
	Type      int32    `pb:"2"`
	Analyzer  string   `pb:"4"`
	Index     *bool    `pb:"5"`
	Array     bool     `pb:"9"`
	Parameter []byte   `pb:"10"`
	Virtual   bool     `pb:"11"`
	Sources   []string `pb:"12"`
	Dates     []string `pb:"13"` // formats
}

type searchRequest struct {
	Table   string         `pb:"1"`
	Index   string         `pb:"2"`
	Columns *searchColumns `pb:"3"`
	Query   []byte         `pb:"4"` // a searchQuery
}

type searchColumns struct {
	Type  int32    `pb:"1"`
	Names []string `pb:"2"`
}

type searchResponse struct {
	Total    int64            `pb:"1!"`
	Rows     [][]byte         `pb:"2"`
	All      bool             `pb:"3!"`
	Next     []byte           `pb:"6"`
	Consumed consumedCapacity `pb:"9!"`
}

type searchQuery struct {
	Offset   int32        `pb:"1"`
	Limit    *int32       `pb:"2"`
	Query    *query       `pb:"4"`
	Collapse []byte       `pb:"5"`
	Sort     *sortMessage `pb:"6"`
	Count    bool         `pb:"8"`
	Token    []byte       `pb:"9"`
	Aggs     []byte       `pb:"10"`
	Groups   []byte       `pb:"11"`
}

type query struct {
	Type  int32  `pb:"1"`
	Query []byte `pb:"2"`
}

// textQuery is MatchQuery and MatchPhraseQuery.
type textQuery struct {
	Field    string `pb:"1"`
	Text     string `pb:"2"`
	Minimum  *int32 `pb:"3"`
	Operator int32  `pb:"4"`
}

// fieldQuery is TermQuery, TermsQuery, PrefixQuery, WildcardQuery and ExistsQuery.
type fieldQuery struct {
	Field  string   `pb:"1"`
	Values [][]byte `pb:"2"`
}

type rangeQuery struct {
	Field        string `pb:"1"`
	From         []byte `pb:"2"`
	To           []byte `pb:"3"`
	IncludeLower bool   `pb:"4"`
	IncludeUpper bool   `pb:"5"`
}

type boolQuery struct {
	Must    []query `pb:"1"`
	MustNot []query `pb:"2"`
	Filter  []query `pb:"3"`
	Should  []query `pb:"4"`
	Minimum *int32  `pb:"5"`
}

// wrappingQuery is ConstScoreQuery and FunctionScoreQuery.
type wrappingQuery struct {
	Query query `pb:"1"`
}

type sortMessage struct {
	Sorters []sorter `pb:"1"`
}

type sorter struct {
	Field *fieldSort `pb:"1"`
	Geo   []byte     `pb:"2"`
	Score *orderOnly `pb:"3"`
	Key   *orderOnly `pb:"4"`
	Doc   *orderOnly `pb:"5"`
}

type fieldSort struct {
	Field        string `pb:"1"`
	Order        int32  `pb:"2"`
	Mode         *int32 `pb:"3"`
	Missing      []byte `pb:"5"` // a value
	MissingField string `pb:"6"`
}

type orderOnly struct {
	Order int32 `pb:"1"`
}
