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
	Table   string       `pb:"1"`
	Index   string       `pb:"2"`
	Switch  string       `pb:"3"`
	Weights []flowWeight `pb:"4"`
	TTL     *int32       `pb:"5"`
}

// flowWeight is QueryFlowWeight: the percentage of queries that an index answers.
type flowWeight struct {
	Index  string `pb:"1!" json:"index"`
	Weight int32  `pb:"2!" json:"weight"`
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
	Schema  []byte       `pb:"1!"`
	Sync    syncStat     `pb:"2!"`
	Brother string       `pb:"4"`
	Weights []flowWeight `pb:"5"`
	Created int64        `pb:"6"` // unix ms
	TTL     int32        `pb:"7!"`
	Status  indexStatus  `pb:"8!"` // the Node SDK fails without it
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
	Name      string        `pb:"1"`
	Type      int32         `pb:"2"`
	Analyzer  string        `pb:"4"`
	Index     *bool         `pb:"5"`
	Fields    []fieldSchema `pb:"8"` // of a nested field
	Array     bool          `pb:"9"`
	Parameter []byte        `pb:"10"`
	Virtual   bool          `pb:"11"`
	Sources   []string      `pb:"12"`
	Dates     []string      `pb:"13"` // formats

	Highlighting bool           `pb:"14"`
	Vector       *vectorOptions `pb:"15"`
	JSON         int32          `pb:"16"` // how a JSON field takes objects in arrays
}

type searchRequest struct {
	Table   string         `pb:"1"`
	Index   string         `pb:"2"`
	Columns *searchColumns `pb:"3"`
	Query   []byte         `pb:"4"` // a searchQuery
	Timeout *int32         `pb:"6"` // ms
}

type searchColumns struct {
	Type  int32    `pb:"1"`
	Names []string `pb:"2"`
}

type searchResponse struct {
	Total    int64            `pb:"1!"`
	Rows     [][]byte         `pb:"2"`
	All      bool             `pb:"3!"`
	Hits     []searchHit      `pb:"5"` // none, or one a row
	Next     []byte           `pb:"6"`
	Aggs     []byte           `pb:"7"` // an aggResults
	Groups   []byte           `pb:"8"` // a groupResults
	Consumed consumedCapacity `pb:"9!"`
}

type searchHit struct {
	Score     *float64         `pb:"3"`
	Highlight *highlightResult `pb:"4"`
	Inner     []searchInner    `pb:"5"`
	Offset    *int32           `pb:"6"` // of an element in its nested field
}

type searchQuery struct {
	Offset   int32        `pb:"1"`
	Limit    *int32       `pb:"2"`
	Query    *query       `pb:"4"`
	Collapse *fieldName   `pb:"5"`
	Sort     *sortMessage `pb:"6"`
	Count    bool         `pb:"8"`
	Token    []byte       `pb:"9"`
	Aggs     *aggList     `pb:"10"`
	Groups   *groupList   `pb:"11"`

	Highlight *highlightMessage `pb:"12"`
}

type fieldName struct {
	Field string `pb:"1"`
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
	Operator int32  `pb:"4"` // of MatchQuery; of MatchPhraseQuery it is the slop
	Share    string `pb:"6"` // Minimum as a text, which may be a percentage
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
	Share   string  `pb:"6"` // Minimum as a text, which may be a percentage
}

// wrappingQuery is ConstScoreQuery and FunctionScoreQuery.
type wrappingQuery struct {
	Query  query      `pb:"1"`
	Factor *fieldName `pb:"2"`
}

type nestedQuery struct {
	Path  string        `pb:"1"`
	Query query         `pb:"2"`
	Mode  int32         `pb:"3"`
	Inner *innerMessage `pb:"5"`
}

type disMaxQuery struct {
	Queries []query  `pb:"1"`
	Tie     *float32 `pb:"2"`
}

// geoQuery is GeoPolygonQuery, and GeoBoundingBoxQuery as a polygon of two corners.
type geoQuery struct {
	Field       string   `pb:"1"`
	Points      []string `pb:"2"`
	BottomRight string   `pb:"3"`
}

type geoDistanceQuery struct {
	Field    string  `pb:"1"`
	Center   string  `pb:"2"`
	Distance float64 `pb:"3"` // meters
}

type sortMessage struct {
	Sorters []sorter `pb:"1"`
}

type sorter struct {
	Field *fieldSort `pb:"1"`
	Geo   *geoSort   `pb:"2"`
	Score *scoreSort `pb:"3"`
	Key   *orderOnly `pb:"4"`
	Doc   *orderOnly `pb:"5"`
}

type fieldSort struct {
	Field        string        `pb:"1"`
	Order        int32         `pb:"2"`
	Mode         *int32        `pb:"3"`
	Filter       *nestedFilter `pb:"4"`
	Missing      []byte        `pb:"5"` // a value
	MissingField string        `pb:"6"`
}

type nestedFilter struct {
	Path  string `pb:"1"`
	Query query  `pb:"2"`
}

type geoSort struct {
	Field  string        `pb:"1"`
	Points []string      `pb:"2"`
	Order  int32         `pb:"3"`
	Mode   *int32        `pb:"4"`
	Filter *nestedFilter `pb:"6"`
}

type scoreSort struct {
	Order *int32 `pb:"1"` // descending unless it says otherwise
}

type orderOnly struct {
	Order int32 `pb:"1"`
}

type computeSplitsRequest struct {
	Table string      `pb:"1"`
	Index *splitIndex `pb:"2"`
}

type splitIndex struct {
	Name string `pb:"1"`
}

type computeSplitsResponse struct {
	Session []byte `pb:"1!"`
	Splits  int32  `pb:"2!"`
}

type parallelScanRequest struct {
	Table   string         `pb:"1"`
	Index   string         `pb:"2"`
	Columns *searchColumns `pb:"3"`
	Session []byte         `pb:"4"`
	Query   []byte         `pb:"5"` // a scanQuery
}

type scanQuery struct {
	Query    *query `pb:"1"`
	Limit    *int32 `pb:"2"`
	Alive    *int32 `pb:"3"` // seconds
	Token    []byte `pb:"4"`
	ID       *int32 `pb:"5"`
	Parallel *int32 `pb:"6"`
}

type parallelScanResponse struct {
	Rows [][]byte `pb:"1"`
	Next []byte   `pb:"2"`
}
