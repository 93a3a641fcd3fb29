package measure

import (
	"bytes"
	"fmt"
	"math"
)

// Curve is how a cost grows with n.
type Curve struct {
	Name string
	Of   string // what n counts
	Unit string
	At   []int
	Take func(n int) (float64, error)
}

// Growth is a measured Curve. Exponent is k where the cost fits a·nᵏ best: 1 is proportional, 0 independent.
type Growth struct {
	Name     string  `json:"name"`
	Of       string  `json:"of"`
	Unit     string  `json:"unit"`
	Points   []Point `json:"points"`
	Exponent float64 `json:"exponent"`
}

// Point is one measurement.
type Point struct {
	X float64 `json:"x"`
	Y float64 `json:"y"`
}

// draw measures three times at every n, in turns, and fits the medians.
func (c *Curve) draw() (*Growth, error) {
	g := &Growth{Name: c.Name, Of: c.Of, Unit: c.Unit}
	ys := make([][]float64, len(c.At))
	for range 3 {
		for i, n := range c.At {
			y, err := c.Take(n)
			if err != nil {
				return nil, fmt.Errorf("at %d: %w", n, err)
			}
			ys[i] = append(ys[i], y)
		}
	}
	for i, n := range c.At {
		g.Points = append(g.Points, Point{float64(n), Median(ys[i])})
	}
	g.Exponent = exponent(g.Points)
	return g, nil
}

// exponent is the slope of the straight line through the points' logarithms, by least squares.
func exponent(points []Point) float64 {
	var sx, sy, sxx, sxy float64
	for _, p := range points {
		x, y := math.Log(p.X), math.Log(p.Y)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	n := float64(len(points))
	return (n*sxy - sx*sy) / (n*sxx - sx*sx)
}

func (g *Growth) line() string {
	s := fmt.Sprintf("%-44s cost ∝ %s^%.2f:", g.Name, g.Of, g.Exponent)
	for _, p := range g.Points {
		s += fmt.Sprintf("  %s→%s", figure(p.X), figure(p.Y))
	}
	return s + " " + g.Unit
}

var colors = []string{"#0b6e99", "#c4554d", "#448361", "#9065b0", "#cb912f"}

// picture draws curves into one SVG, both axes logarithmic; every curve is by its own first figure.
func picture(curves []Growth) []byte {
	const w, h, left, right, top, bottom = 760.0, 360.0, 60.0, 300.0, 20.0, 40.0
	lx, hx, ly, hy := math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, g := range curves {
		for _, p := range g.Points {
			lx, hx = min(lx, p.X), max(hx, p.X)
			ly, hy = min(ly, p.Y/g.Points[0].Y), max(hy, p.Y/g.Points[0].Y)
		}
	}
	lx, hx = math.Floor(math.Log10(lx)), math.Ceil(math.Log10(hx))
	ly, hy = math.Floor(math.Log10(ly)), math.Ceil(math.Log10(hy)+1e-9)
	if hy == ly {
		hy++
	}
	x := func(v float64) float64 { return left + (math.Log10(v)-lx)/(hx-lx)*(w-left-right) }
	y := func(v float64) float64 { return h - bottom - (math.Log10(v)-ly)/(hy-ly)*(h-top-bottom) }
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="11"><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", w, h)
	for e := lx; e <= hx; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<path d="M%.1f %gV%g" stroke="#ddd"/><text x="%.1f" y="%g" text-anchor="middle">10^%g</text>`+"\n", x(v), top, h-bottom, x(v), h-bottom+16, e)
	}
	for e := ly; e <= hy; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<path d="M%g %.1fH%g" stroke="#ddd"/><text x="%g" y="%.1f" text-anchor="end">× %g</text>`+"\n", left, y(v), w-right, left-6, y(v)+4, v)
	}
	for i, g := range curves {
		c := colors[i%len(colors)]
		d := ""
		for j, p := range g.Points {
			d += fmt.Sprintf("%c%.1f %.1f", "ML"[min(j, 1)], x(p.X), y(p.Y/g.Points[0].Y))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`, x(p.X), y(p.Y/g.Points[0].Y), c)
		}
		ty := top + 14 + 34*float64(i)
		fmt.Fprintf(&b, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/><text x="%g" y="%g" fill="%s">%s: n^%.2f</text><text x="%g" y="%g" fill="#777">n = %s; %s %s at first</text>`+"\n",
			d, c, w-right+14, ty, c, g.Name, g.Exponent, w-right+14, ty+14, g.Of, figure(g.Points[0].Y), g.Unit)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
