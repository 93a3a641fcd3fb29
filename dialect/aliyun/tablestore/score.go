package tablestore

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sluicehq/sluice/table"
)

// Score modes, modifiers and decay functions on the wire.
const (
	nestedAvg   = 2
	nestedMax   = 3
	nestedTotal = 4
	nestedMin   = 5

	scoreAvg      = 1
	scoreMax      = 2
	scoreSum      = 3
	scoreMin      = 4
	scoreMultiply = 5
	scoreFirst    = 6

	combineMultiply = 1
	combineAvg      = 2
	combineMax      = 3
	combineSum      = 4
	combineMin      = 5
	combineReplace  = 6

	decayGauss  = 1
	decayExp    = 2
	decayLinear = 3

	decayDate    = 1
	decayNumeric = 2
	decayGeo     = 3
)

type functionsQuery struct {
	Query     *query          `pb:"1"`
	Functions []scoreFunction `pb:"2"`
	Mode      int32           `pb:"3"`
	Combine   int32           `pb:"4"`
	Min       *float32        `pb:"5"`
	Max       *float32        `pb:"6"`
}

type scoreFunction struct {
	Factor *factorFunction `pb:"1"`
	Random *none           `pb:"2"`
	Decay  *decayFunction  `pb:"3"`
	Weight *float32        `pb:"4"`
	Filter *query          `pb:"5"`
}

type factorFunction struct {
	Field    string   `pb:"1"`
	Factor   *float32 `pb:"2"`
	Modifier int32    `pb:"3"`
	Missing  *float64 `pb:"4"`
}

type decayFunction struct {
	Field string   `pb:"1"`
	Math  int32    `pb:"2"`
	Kind  int32    `pb:"3"`
	Param []byte   `pb:"4"`
	Decay *float64 `pb:"5"`
	Mode  int32    `pb:"6"`
}

type decayDateParam struct {
	Long   *int64    `pb:"1"`
	Text   string    `pb:"2"`
	Scale  dateValue `pb:"3"`
	Offset dateValue `pb:"4"`
}

type decayNumericParam struct {
	Origin float64 `pb:"1"`
	Scale  float64 `pb:"2"`
	Offset float64 `pb:"3"`
}

type decayGeoParam struct {
	Origin string  `pb:"1"`
	Scale  float64 `pb:"2"`
	Offset float64 `pb:"3"`
}

// dateValue is DateTimeValue: so many units of time.
type dateValue struct {
	Value int32 `pb:"1"`
	Unit  int32 `pb:"2"`
}

// duration takes a month for 30 days and a year for 365.
func (d dateValue) duration() time.Duration {
	const day = 24 * time.Hour
	units := [...]time.Duration{0, 365 * day, 91 * day, 30 * day, 7 * day, day, time.Hour, time.Minute, time.Second}
	if d.Unit < 0 || int(d.Unit) >= len(units) {
		return 0
	}
	return time.Duration(d.Value) * units[d.Unit]
}

// scoring works out what a function makes of a document; false when it says nothing about it.
type scoring func(d *document) (float64, bool)

// wrapped builds ConstScoreQuery and FunctionScoreQuery, which multiplies by a field's value.
func (q *queries) wrapped(m *query) (matcher, error) {
	var w wrappingQuery
	if err := unmarshal(m.Query, &w); err != nil {
		return nil, badQuery(m)
	}
	inner, err := q.build(&w.Query)
	if err != nil {
		return nil, err
	}
	if m.Type == queryConstScore {
		return func(d *document) (float64, bool) {
			_, hit := inner(d)
			return 1, hit
		}, nil
	}
	if w.Factor == nil {
		return nil, badQuery(m)
	}
	q.scored = true
	f, err := q.field(w.Factor.Field)
	if err != nil {
		return nil, err
	}
	return func(d *document) (float64, bool) {
		score, hit := inner(d)
		if values := numbers(d.values(f)); len(values) > 0 {
			score *= values[0]
		}
		return score, hit
	}, nil
}

// functions builds FunctionsScoreQuery.
func (q *queries) functions(m *query) (matcher, error) {
	var fq functionsQuery
	if err := unmarshal(m.Query, &fq); err != nil {
		return nil, badQuery(m)
	}
	q.scored = true
	inner, err := q.always(fq.Query)
	if err != nil {
		return nil, err
	}
	var list []scoring
	for i := range fq.Functions {
		one, err := q.function(m, &fq.Functions[i])
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return func(d *document) (float64, bool) {
		score, hit := inner(d)
		if !hit {
			return 0, false
		}
		var scores []float64
		for _, f := range list {
			if one, ok := f(d); ok {
				if scores = append(scores, one); fq.Mode == scoreFirst {
					break
				}
			}
		}
		if len(scores) > 0 {
			made := joinScores(fq.Mode, scores)
			if fq.Max != nil {
				made = min(made, float64(*fq.Max))
			}
			score = combine(fq.Combine, score, made)
		}
		return score, fq.Min == nil || score >= float64(*fq.Min)
	}, nil
}

// function builds one of the functions of FunctionsScoreQuery.
func (q *queries) function(m *query, sf *scoreFunction) (scoring, error) {
	filter, err := q.always(sf.Filter)
	if err != nil {
		return nil, err
	}
	made := func(*document) (float64, bool) { return 1, true }
	switch {
	case sf.Factor != nil:
		made, err = q.factor(sf.Factor)
	case sf.Random != nil:
		made = func(*document) (float64, bool) { return rand.Float64(), true }
	case sf.Decay != nil:
		made, err = q.decay(m, sf.Decay)
	}
	if err != nil {
		return nil, err
	}
	weight := 1.0
	if sf.Weight != nil {
		weight = float64(*sf.Weight)
	}
	return func(d *document) (float64, bool) {
		if _, hit := filter(d); !hit {
			return 0, false
		}
		score, ok := made(d)
		return score * weight, ok && !math.IsNaN(score) && !math.IsInf(score, 0)
	}, nil
}

// factor makes a score of a field's value.
func (q *queries) factor(ff *factorFunction) (scoring, error) {
	f, err := q.field(ff.Field)
	if err != nil {
		return nil, err
	}
	by := 1.0
	if ff.Factor != nil {
		by = float64(*ff.Factor)
	}
	log := func(base func(float64) float64, plus float64) func(float64) float64 {
		return func(x float64) float64 { return base(x + plus) }
	}
	modifiers := [...]func(float64) float64{
		2: log(math.Log10, 0), 3: log(math.Log10, 1), 4: log(math.Log10, 2),
		5: log(math.Log, 0), 6: log(math.Log, 1), 7: log(math.Log, 2),
		8: func(x float64) float64 { return x * x }, 9: math.Sqrt, 10: func(x float64) float64 { return 1 / x },
	}
	modify := func(x float64) float64 { return x }
	if n := int(ff.Modifier); n > 1 && n < len(modifiers) {
		modify = modifiers[n]
	}
	return func(d *document) (float64, bool) {
		values := numbers(d.values(f))
		if len(values) == 0 {
			if ff.Missing == nil {
				return 0, false
			}
			values = []float64{*ff.Missing}
		}
		return modify(values[0] * by), true
	}, nil
}

// decay makes a score that falls with the distance of a field's value from an origin.
func (q *queries) decay(m *query, df *decayFunction) (scoring, error) {
	f, err := q.field(df.Field)
	if err != nil {
		return nil, err
	}
	var scale, offset float64
	var away func([]table.Value) []float64
	from := func(origin float64) func([]table.Value) []float64 {
		return func(values []table.Value) (out []float64) {
			for _, x := range numbers(values) {
				out = append(out, math.Abs(x-origin))
			}
			return out
		}
	}
	switch df.Kind {
	case decayGeo:
		var p decayGeoParam
		err = unmarshal(df.Param, &p)
		origin, ok := parsePoint(p.Origin)
		if f.Type != fieldGeo || !ok {
			return nil, badQuery(m)
		}
		scale, offset = p.Scale, p.Offset
		away = func(values []table.Value) []float64 { return numbers(distances(values, []point{origin})) }
	case decayNumeric:
		var p decayNumericParam
		err = unmarshal(df.Param, &p)
		scale, offset, away = p.Scale, p.Offset, from(p.Origin)
	case decayDate:
		var p decayDateParam
		err = unmarshal(df.Param, &p)
		at := table.Value{Type: table.String, Str: p.Text}
		if p.Long != nil {
			at = table.Value{Type: table.Int, Int: *p.Long}
		}
		at = f.coerce(at)
		if at.Type != table.Int {
			return nil, badQuery(m)
		}
		scale, offset = float64(p.Scale.duration().Milliseconds()), float64(p.Offset.duration().Milliseconds())
		away = from(float64(at.Int))
	default:
		return nil, badQuery(m)
	}
	left := 0.5 // of the score at the distance scale
	if df.Decay != nil {
		left = *df.Decay
	}
	if err != nil || !(scale > 0) || !(offset >= 0) || !(left > 0 && left < 1) {
		return nil, badQuery(m)
	}
	var fall func(x float64) float64
	switch df.Math {
	case decayGauss:
		fall = func(x float64) float64 { return math.Exp(math.Log(left) * (x / scale) * (x / scale)) }
	case decayExp:
		fall = func(x float64) float64 { return math.Exp(math.Log(left) * x / scale) }
	case decayLinear:
		fall = func(x float64) float64 { return max(0, 1-x*(1-left)/scale) }
	default:
		return nil, badQuery(m)
	}
	return func(d *document) (float64, bool) {
		all := away(d.values(f))
		if len(all) == 0 {
			return 0, false
		}
		x := slices.Min(all) // MVM_MIN, and unless told otherwise
		switch df.Mode {
		case 1:
			x = slices.Max(all)
		case 3:
			x = joinScores(scoreSum, all)
		case 4:
			x = joinScores(scoreAvg, all)
		}
		return fall(max(0, x-offset)), true
	}, nil
}

// numbers are the numeric values among some.
func numbers(values []table.Value) []float64 {
	var out []float64
	for _, v := range values {
		switch v.Type {
		case table.Int:
			out = append(out, float64(v.Int))
		case table.Float:
			out = append(out, v.Float)
		}
	}
	return out
}

// joinScores makes one of several scores, of which there is at least one.
func joinScores(mode int32, scores []float64) float64 {
	sum, product := 0.0, 1.0
	for _, s := range scores {
		sum += s
		product *= s
	}
	switch mode {
	case scoreAvg:
		return sum / float64(len(scores))
	case scoreMax:
		return slices.Max(scores)
	case scoreSum:
		return sum
	case scoreMin:
		return slices.Min(scores)
	case scoreFirst:
		return scores[0]
	}
	return product
}

func nestedScore(mode int32, scores []float64) float64 {
	if len(scores) == 0 {
		return 0
	}
	switch mode {
	case nestedAvg:
		return joinScores(scoreAvg, scores)
	case nestedMax:
		return joinScores(scoreMax, scores)
	case nestedTotal:
		return joinScores(scoreSum, scores)
	case nestedMin:
		return joinScores(scoreMin, scores)
	}
	return 0
}

// combine joins the score of a query with what its functions made.
func combine(mode int32, query, made float64) float64 {
	switch mode {
	case combineAvg:
		return (query + made) / 2
	case combineMax:
		return max(query, made)
	case combineSum:
		return query + made
	case combineMin:
		return min(query, made)
	case combineReplace:
		return made
	}
	return query * made
}

// finite is x, or what comes next to it among the finite numbers.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return max(-math.MaxFloat64, min(x, math.MaxFloat64))
}
