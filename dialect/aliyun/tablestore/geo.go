package tablestore

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/sluicehq/sluice/table"
)

const earthRadius = 6371008.7714 // meters

// point is a place on earth, in degrees.
type point struct{ lat, lon float64 }

// parsePoint reads "lat,lon".
func parsePoint(text string) (point, bool) {
	lat, lon, ok := strings.Cut(text, ",")
	y, errY := strconv.ParseFloat(strings.TrimSpace(lat), 64)
	x, errX := strconv.ParseFloat(strings.TrimSpace(lon), 64)
	// Written so that NaN is out of range.
	ok = ok && errY == nil && errX == nil && math.Abs(y) <= 90 && math.Abs(x) <= 180
	return point{y, x}, ok
}

// distance is the length of the arc between two points, in meters.
func (p point) distance(o point) float64 {
	rad := func(degrees float64) float64 { return degrees * math.Pi / 180 }
	sin2 := func(x float64) float64 { return math.Sin(x/2) * math.Sin(x/2) }
	h := sin2(rad(o.lat-p.lat)) + math.Cos(rad(p.lat))*math.Cos(rad(o.lat))*sin2(rad(o.lon-p.lon))
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// within reports whether the point is in a polygon of at least three corners.
func (p point) within(corners []point) bool {
	in := false
	for i, a := range corners {
		b := corners[(i+len(corners)-1)%len(corners)]
		if (a.lat > p.lat) != (b.lat > p.lat) && p.lon < (b.lon-a.lon)*(p.lat-a.lat)/(b.lat-a.lat)+a.lon {
			in = !in
		}
	}
	return in
}

// parsePoints reads the points of a query.
func parsePoints(texts []string) ([]point, error) {
	var list []point
	for _, text := range texts {
		p, ok := parsePoint(text)
		if !ok {
			return nil, invalid("geo point [%s] is invalid", text)
		}
		list = append(list, p)
	}
	return list, nil
}

// geoField finds a field of points.
func (q *queries) geoField(name string) (*field, error) {
	f, err := q.field(name)
	if err == nil && f.Type != fieldGeo {
		err = invalid("field [%s] is not a geo point", name)
	}
	return f, err
}

// geo builds the queries on points.
func (q *queries) geo(m *query) (matcher, error) {
	var fits func(point) bool
	var name string
	switch m.Type {
	case queryGeoDistance:
		var g geoDistanceQuery
		if err := unmarshal(m.Query, &g); err != nil || !(g.Distance >= 0) {
			return nil, badQuery(m)
		}
		center, err := parsePoints([]string{g.Center})
		if err != nil {
			return nil, err
		}
		name, fits = g.Field, func(p point) bool { return p.distance(center[0]) <= g.Distance }
	default:
		var g geoQuery
		if err := unmarshal(m.Query, &g); err != nil {
			return nil, badQuery(m)
		}
		box := m.Type == queryGeoBox
		if box {
			g.Points = append(g.Points, g.BottomRight)
		}
		corners, err := parsePoints(g.Points)
		switch {
		case err != nil:
			return nil, err
		case box && (len(corners) != 2 || corners[0].lat < corners[1].lat), !box && len(corners) < 3:
			return nil, badQuery(m)
		}
		name, fits = g.Field, func(p point) bool { return p.within(corners) }
		if box {
			fits = func(p point) bool {
				top, bottom := corners[0], corners[1]
				right, left := p.lon >= top.lon, p.lon <= bottom.lon
				// A box whose left side is east of its right one spans the date line.
				return p.lat <= top.lat && p.lat >= bottom.lat && (right && left || top.lon > bottom.lon && (right || left))
			}
		}
	}
	f, err := q.geoField(name)
	if err != nil {
		return nil, err
	}
	return anyOf(f, func(v table.Value) bool {
		p, ok := parsePoint(v.Str)
		return ok && fits(p.stored())
	}), nil
}

// stored is the point as the cloud's index keeps it: in steps of 2^-32 of the whole way, rounded down.
// It decides on which side of an edge a point is that lies on it.
func (p point) stored() point {
	down := func(x, whole float64) float64 { return math.Floor(x/whole*(1<<32)) / (1 << 32) * whole }
	return point{down(p.lat, 180), down(p.lon, 360)}
}

// distances are those between each value and the nearest of some points.
func distances(values []table.Value, from []point) []table.Value {
	var out []table.Value
	for _, v := range values {
		if p, ok := parsePoint(v.Str); ok {
			nearest := slices.MinFunc(from, func(a, b point) int {
				if a.distance(p) < b.distance(p) {
					return -1
				}
				return 1
			})
			out = append(out, table.Value{Type: table.Float, Float: nearest.distance(p)})
		}
	}
	return out
}

const geohashDigits = "0123456789bcdefghjkmnpqrstuvwxyz"

// geohash names the cell of a grid that the point is in.
func (p point) geohash(digits int) string {
	name := make([]byte, digits)
	lo, hi := point{-90, -180}, point{90, 180}
	for i := range name {
		digit := 0
		for bit := range 5 {
			value, low, high := p.lat, &lo.lat, &hi.lat
			if (5*i+bit)%2 == 0 {
				value, low, high = p.lon, &lo.lon, &hi.lon
			}
			digit <<= 1
			if middle := (*low + *high) / 2; value >= middle {
				digit |= 1
				*low = middle
			} else {
				*high = middle
			}
		}
		name[i] = geohashDigits[digit]
	}
	return string(name)
}

// cellOf finds two corners of a cell that geohash named.
func cellOf(name string) (topLeft, bottomRight point) {
	lo, hi := point{-90, -180}, point{90, 180}
	for i := range 5 * len(name) {
		low, high := &lo.lat, &hi.lat
		if i%2 == 0 {
			low, high = &lo.lon, &hi.lon
		}
		digit := strings.IndexByte(geohashDigits, name[i/5])
		if digit>>(4-i%5)&1 == 1 {
			*low = (*low + *high) / 2
		} else {
			*high = (*low + *high) / 2
		}
	}
	return point{hi.lat, lo.lon}, point{lo.lat, hi.lon}
}
