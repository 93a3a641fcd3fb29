package tablestore

import "math"

// The messages of group-bys, in the manner of messages.go.

type groupList struct {
	Groups []aggMessage `pb:"1"`
}

type groupFieldBody struct {
	Field  string     `pb:"1"`
	Size   *int64     `pb:"2"`
	Sort   *groupSort `pb:"3"`
	Aggs   *aggList   `pb:"4"`
	Groups *groupList `pb:"5"`
}

type groupRangeBody struct {
	Field  string        `pb:"1"`
	Ranges []groupBounds `pb:"2"`
	Aggs   *aggList      `pb:"3"`
	Groups *groupList    `pb:"4"`
}

// groupBounds is Range: from inclusive, to exclusive.
type groupBounds struct {
	From *float64 `pb:"1"`
	To   *float64 `pb:"2"`
}

// open puts the ends that are missing.
func (b *groupBounds) open(least float64) {
	if b.From == nil {
		b.From = &least
	}
	if b.To == nil {
		b.To = new(math.Inf(1))
	}
}

func (b groupBounds) has(x float64) bool { return x >= *b.From && x < *b.To }

type groupFilterBody struct {
	Filters []query    `pb:"1"`
	Aggs    *aggList   `pb:"2"`
	Groups  *groupList `pb:"3"`
}

type groupGeoBody struct {
	Field  string        `pb:"1"`
	Origin geoPoint      `pb:"2"`
	Ranges []groupBounds `pb:"3"`
	Aggs   *aggList      `pb:"4"`
	Groups *groupList    `pb:"5"`
}

type geoPoint struct {
	Lat float64 `pb:"1!"`
	Lon float64 `pb:"2!"`
}

type groupGeoGridBody struct {
	Field     string     `pb:"1"`
	Precision int32      `pb:"2"`
	Size      *int64     `pb:"3"`
	Aggs      *aggList   `pb:"4"`
	Groups    *groupList `pb:"5"`
}

type groupHistogramBody struct {
	Field    string      `pb:"1"`
	Interval []byte      `pb:"2"`
	Missing  []byte      `pb:"3"`
	Least    *int64      `pb:"4"`
	Sort     *groupSort  `pb:"5"`
	Range    *fieldRange `pb:"6"`
	Aggs     *aggList    `pb:"7"`
	Groups   *groupList  `pb:"8"`
}

type groupDateBody struct {
	Field    string      `pb:"1"`
	Interval dateValue   `pb:"2"`
	Range    *fieldRange `pb:"3"`
	Missing  []byte      `pb:"4"`
	Least    *int64      `pb:"5"`
	Zone     string      `pb:"6"`
	Sort     *groupSort  `pb:"7"`
	Aggs     *aggList    `pb:"8"`
	Groups   *groupList  `pb:"9"`
}

type groupCompositeBody struct {
	Sources   *groupList `pb:"1"`
	Size      *int32     `pb:"2"`
	Aggs      *aggList   `pb:"4"`
	Groups    *groupList `pb:"5"`
	Token     string     `pb:"6"`
	Suggested *int32     `pb:"7"`
}

type fieldRange struct {
	Min []byte `pb:"1"`
	Max []byte `pb:"2"`
}

type groupSort struct {
	Sorters []groupSorter `pb:"1"`
}

type groupSorter struct {
	Key  *orderOnly `pb:"1"`
	Rows *orderOnly `pb:"2"`
	Agg  *aggSort   `pb:"3"`
}

type aggSort struct {
	Name  string `pb:"1"`
	Order int32  `pb:"2"`
}

// groupItems is the result of every group-by but the composite one: its items, already encoded.
type groupItems struct {
	Items [][]byte `pb:"1"`
}

type groupFieldItem struct {
	Key    string      `pb:"1!"`
	Rows   int64       `pb:"2!"`
	Aggs   *aggResults `pb:"3"`
	Groups *aggResults `pb:"4"`
}

type groupRangeItem struct {
	From   float64     `pb:"1!"`
	To     float64     `pb:"2!"`
	Rows   int64       `pb:"3!"`
	Aggs   *aggResults `pb:"4"`
	Groups *aggResults `pb:"5"`
}

type groupFilterItem struct {
	Rows   int64       `pb:"1!"`
	Aggs   *aggResults `pb:"2"`
	Groups *aggResults `pb:"3"`
}

type groupGridItem struct {
	Key    string      `pb:"1!"`
	Grid   geoGrid     `pb:"2!"`
	Rows   int64       `pb:"3!"`
	Aggs   *aggResults `pb:"4"`
	Groups *aggResults `pb:"5"`
}

type geoGrid struct {
	TopLeft     geoPoint `pb:"1!"`
	BottomRight geoPoint `pb:"2!"`
}

type groupHistogramItem struct {
	Key    []byte      `pb:"1!"` // a value
	Rows   int64       `pb:"2!"`
	Aggs   *aggResults `pb:"3"`
	Groups *aggResults `pb:"4"`
}

type groupDateItem struct {
	Time   int64       `pb:"1!"` // unix ms
	Rows   int64       `pb:"2!"`
	Aggs   *aggResults `pb:"3"`
	Groups *aggResults `pb:"4"`
}

type groupCompositeResult struct {
	Items []groupCompositeItem `pb:"1"`
	Names []string             `pb:"2"`
	Next  string               `pb:"3"`
}

type groupCompositeItem struct {
	Keys   []string    `pb:"1"`
	Rows   int64       `pb:"2!"`
	Aggs   *aggResults `pb:"3"`
	Groups *aggResults `pb:"4"`
	Null   []bool      `pb:"5"`
}
