package tablestore

// The messages of the protocol, as far as they are served (spec 2). Field comments would only repeat
// the cloud's names: a struct is the message of the same name.

type capacityUnit struct {
	Read  int32 `pb:"1!"` // optional on the wire, but SDKs fail without it
	Write int32 `pb:"2!"`
}

// capacityRequest is capacityUnit as clients send it.
type capacityRequest struct {
	Read  *int32 `pb:"1"`
	Write *int32 `pb:"2"`
}

type consumedCapacity struct {
	Unit capacityUnit `pb:"1!"`
}

type reservedThroughput struct {
	Unit capacityRequest `pb:"1!"`
}

type throughputDetails struct {
	Unit         capacityUnit `pb:"1!"`
	LastIncrease int64        `pb:"2!"` // unix s
	LastDecrease int64        `pb:"3"`
}

type keySchema struct {
	Name   string `pb:"1!"`
	Type   int32  `pb:"2!"`
	Option *int32 `pb:"3"`
}

type definedColumn struct {
	Name string `pb:"1!" json:"name"`
	Type int32  `pb:"2!" json:"type"`
}

type tableMeta struct {
	Name    string          `pb:"1!"`
	Key     []keySchema     `pb:"2"`
	Defined []definedColumn `pb:"3"`
}

type tableOptions struct {
	TimeToLive    *int32 `pb:"1" json:"-"`
	MaxVersions   *int32 `pb:"2" json:"-"`
	BloomFilter   *int32 `pb:"3" json:"bloom,omitempty"`
	BlockSize     *int32 `pb:"4" json:"block,omitempty"`
	Deviation     *int64 `pb:"5" json:"deviation,omitempty"` // seconds
	AllowUpdate   *bool  `pb:"6" json:"allowUpdate,omitempty"`
	UpdateFullRow *bool  `pb:"7" json:"updateFullRow,omitempty"`
}

type streamSpec struct {
	Enable  bool     `pb:"1!"`
	Hours   *int32   `pb:"2"`
	Columns []string `pb:"3"`
}

type streamDetails struct {
	Enable     bool     `pb:"1!"`
	ID         string   `pb:"2"`
	Hours      *int32   `pb:"3"`
	LastEnable *int64   `pb:"4"` // unix µs
	Columns    []string `pb:"5"`
}

type indexMeta struct {
	Name    string   `pb:"1!"`
	Key     []string `pb:"2"`
	Defined []string `pb:"3"`
	Mode    int32    `pb:"4!"`
	Type    int32    `pb:"5!"`
	Phase   int32    `pb:"6"`
}

type sseSpec struct {
	Enable bool `pb:"1!"`
}

type none struct{}

type createTableRequest struct {
	Meta       tableMeta          `pb:"1!"`
	Throughput reservedThroughput `pb:"2!"`
	Options    *tableOptions      `pb:"3"`
	Stream     *streamSpec        `pb:"5"`
	SSE        *sseSpec           `pb:"6"`
	Indexes    []indexMeta        `pb:"7"`
	LocalTxn   *bool              `pb:"8"`
}

type listTableResponse struct {
	Names []string `pb:"1"`
}

type tableRequest struct {
	Table string `pb:"1!"`
}

type describeTableResponse struct {
	Meta       tableMeta         `pb:"1!"`
	Throughput throughputDetails `pb:"2!"`
	Options    tableOptions      `pb:"3!"`
	Status     int32             `pb:"4!"`
	Stream     *streamDetails    `pb:"5"`
	Indexes    []indexMeta       `pb:"8"`
	Created    int64             `pb:"9"` // unix µs
}

type updateTableRequest struct {
	Table      string              `pb:"1!"`
	Throughput *reservedThroughput `pb:"2"`
	Options    *tableOptions       `pb:"3"`
	Stream     *streamSpec         `pb:"4"`
}

type updateTableResponse struct {
	Throughput throughputDetails `pb:"1!"`
	Options    tableOptions      `pb:"2!"`
	Stream     streamDetails     `pb:"3!"` // the Go SDK fails without it
}

type createIndexRequest struct {
	Table string    `pb:"1!"`
	Index indexMeta `pb:"2!"`
	Base  bool      `pb:"3"` // the rows that are there enter the index
}

type dropIndexRequest struct {
	Table string `pb:"1!"`
	Index string `pb:"2!"`
}

type addDefinedRequest struct {
	Table   string          `pb:"1!"`
	Columns []definedColumn `pb:"2"`
}

type deleteDefinedRequest struct {
	Table   string   `pb:"1!"`
	Columns []string `pb:"2"`
}

type startTransactionRequest struct {
	Table string `pb:"1!"`
	Key   []byte `pb:"2!"` // of the partition key column alone
}

// transactionMessage is what names a transaction: the answer of StartLocalTransaction, and the requests
// that end one.
type transactionMessage struct {
	ID string `pb:"1!"`
}

type condition struct {
	Existence int32  `pb:"1!"`
	Column    []byte `pb:"2"`
}

type returnContent struct {
	Type    int32    `pb:"1"`
	Columns []string `pb:"2"`
}

type timeRange struct {
	Start    *int64 `pb:"1"`
	End      *int64 `pb:"2"`
	Specific *int64 `pb:"3"`
}

// rowRequest is PutRow, UpdateRow and DeleteRow: they have the same shape.
type rowRequest struct {
	Table       string         `pb:"1!"`
	Row         []byte         `pb:"2!"`
	Condition   condition      `pb:"3!"`
	Return      *returnContent `pb:"4"`
	Transaction string         `pb:"5"`
}

type rowResponse struct {
	Consumed consumedCapacity `pb:"1!"`
	Row      []byte           `pb:"2"`
}

type getRowRequest struct {
	Table       string     `pb:"1!"`
	Key         []byte     `pb:"2!"`
	Columns     []string   `pb:"3"`
	Time        *timeRange `pb:"4"`
	MaxVersions *int32     `pb:"5"`
	Filter      []byte     `pb:"7"`
	Start       *string    `pb:"8"`
	End         *string    `pb:"9"`
	Transaction string     `pb:"11"`
}

type getRowResponse struct {
	Consumed consumedCapacity `pb:"1!"`
	Row      []byte           `pb:"2!"`
}

type batchGetRequest struct {
	Tables []batchGetTable `pb:"1"`
}

type batchGetTable struct {
	Table       string     `pb:"1!"`
	Keys        [][]byte   `pb:"2"`
	Columns     []string   `pb:"4"`
	Time        *timeRange `pb:"5"`
	MaxVersions *int32     `pb:"6"`
	Filter      []byte     `pb:"8"`
	Start       *string    `pb:"9"`
	End         *string    `pb:"10"`
}

type batchWriteRequest struct {
	Tables      []batchWriteTable `pb:"1"`
	Transaction string            `pb:"2"`
	Atomic      bool              `pb:"3"`
}

type batchWriteTable struct {
	Table string          `pb:"1!"`
	Rows  []batchWriteRow `pb:"2"`
}

type batchWriteRow struct {
	Type      int32          `pb:"1!"`
	Row       []byte         `pb:"2!"`
	Condition condition      `pb:"3!"`
	Return    *returnContent `pb:"4"`
}

// batchResponse answers BatchGetRow and BatchWriteRow.
type batchResponse struct {
	Tables []batchTable `pb:"1"`
}

type batchTable struct {
	Table string     `pb:"1!"`
	Rows  []batchRow `pb:"2"`
}

type batchRow struct {
	OK       bool              `pb:"1!"`
	Error    *errorMessage     `pb:"2"`
	Consumed *consumedCapacity `pb:"3"`
	Row      []byte            `pb:"4"`
}

type getRangeRequest struct {
	Table       string     `pb:"1!"`
	Direction   int32      `pb:"2!"`
	Columns     []string   `pb:"3"`
	Time        *timeRange `pb:"4"`
	MaxVersions *int32     `pb:"5"`
	Limit       *int32     `pb:"6"`
	From        []byte     `pb:"7!"`
	To          []byte     `pb:"8!"`
	Filter      []byte     `pb:"10"`
	Start       *string    `pb:"11"`
	End         *string    `pb:"12"`
	Transaction string     `pb:"14"`
	Block       int32      `pb:"15"` // how the rows had best come
}

type getRangeResponse struct {
	Consumed consumedCapacity `pb:"1!"`
	Rows     []byte           `pb:"2!"`
	Next     []byte           `pb:"3"`
	Block    int32            `pb:"5"`
}

type listStreamRequest struct {
	Table string `pb:"1"`
}

type listStreamResponse struct {
	Streams []streamMessage `pb:"1"`
}

type streamMessage struct {
	ID      string `pb:"1!"`
	Table   string `pb:"2!"`
	Created int64  `pb:"3!"` // unix µs
}

type describeStreamRequest struct {
	Stream string `pb:"1!"`
	Start  string `pb:"2"` // shard, inclusive
}

type describeStreamResponse struct {
	Stream  string         `pb:"1!"`
	Hours   int32          `pb:"2!"`
	Table   string         `pb:"3!"`
	Created int64          `pb:"4!"` // unix µs
	Status  int32          `pb:"5!"`
	Shards  []shardMessage `pb:"6"`
}

type shardMessage struct {
	ID string `pb:"1!"`
}

type shardIteratorRequest struct {
	Stream    string `pb:"1!"`
	Shard     string `pb:"2!"`
	Timestamp int64  `pb:"3"` // unix µs
}

type shardIteratorResponse struct {
	Iterator string `pb:"1!"`
}

type streamRecordRequest struct {
	Iterator string `pb:"1!"`
	Limit    *int32 `pb:"2"`
}

type streamRecordResponse struct {
	Records  []streamRecord   `pb:"1"`
	Next     string           `pb:"2"`
	Consumed consumedCapacity `pb:"3!"`
	More     bool             `pb:"4!"`
}

type streamRecord struct {
	Action int32  `pb:"1!"`
	Record []byte `pb:"2!"`
	Origin []byte `pb:"3"`
}

type splitPointsRequest struct {
	Table string `pb:"1!"`
	Size  int64  `pb:"2!"`
	Unit  *int64 `pb:"3"` // bytes
	Limit *int32 `pb:"4"`
}

type splitPointsResponse struct {
	Consumed  consumedCapacity `pb:"1!"`
	Schema    []keySchema      `pb:"2"`
	Points    [][]byte         `pb:"3"`
	Locations []splitLocation  `pb:"4"`
}

type splitLocation struct {
	Location string `pb:"1!"`
	Repeat   int64  `pb:"2!"` // zigzag
}
