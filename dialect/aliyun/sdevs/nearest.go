package sdevs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// nearest is the candidate most like word, "" when none is like it.
func nearest(word string, candidates []string) string {
	word = strings.ToLower(word)
	limit := max(2, len(word)/3) + 1
	best, at := "", limit
	for _, c := range candidates {
		low := strings.ToLower(c)
		d := distance(word, low, limit)
		if d == limit && len(word) > 3 && len(c) > 3 && (strings.Contains(low, word) || strings.Contains(word, low)) {
			d = limit - 1 // one within the other is better than nothing
		}
		if d < at {
			best, at = c, d
		}
	}
	return best
}

// distance is how many letters have to be changed, added or dropped; limit or more is all the same.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 200 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return min(row[len(b)], limit)
}

// suggest is the hint for a word that should be one of known.
func suggest(word string, known []string) string {
	if n := nearest(word, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(known) == 0 || len(known) > 12 {
		return ""
	}
	return "known are: " + strings.Join(known, ", ")
}

// nearFile is the hint for a file or folder (relative to the template) that is not there.
func (r *reading) nearFile(rel string) string {
	rel = filepath.Clean(rel)
	parent, missing := filepath.Split(filepath.Join(r.in.Dir, rel))
	for {
		if info, err := os.Stat(parent); err == nil && info.IsDir() {
			break
		}
		up := filepath.Dir(filepath.Clean(parent))
		if up == filepath.Clean(parent) {
			return ""
		}
		missing, parent = filepath.Base(filepath.Clean(parent)), up
	}
	entries, err := os.ReadDir(parent)
	if err != nil || len(entries) > 10_000 {
		return ""
	}
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != "node_modules" {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	n := nearest(missing, names)
	if n == "" {
		n = nearest(filepath.Base(rel), names)
	}
	if n == "" {
		return "paths are relative to the folder of the template"
	}
	near := filepath.Join(parent, n)
	if back, err := filepath.Rel(r.in.Dir, near); err == nil {
		near = back
	}
	return fmt.Sprintf("the nearest is %q", "./"+filepath.ToSlash(near))
}
