package cfn

import (
	"fmt"
	"strings"
)

// Suggest is the hint for a word that should be one of known; "" when nothing helps.
func Suggest(word string, known []string) string { return suggest(word, known) }

func suggest(word string, known []string) string {
	if n := Nearest(word, known); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	if len(known) == 0 || len(known) > 30 {
		return ""
	}
	return "known are: " + strings.Join(known, ", ")
}

// Nearest is the one of known that word was probably meant to be; "" when none is like it.
func Nearest(word string, known []string) string {
	best, at := "", len(word)/3+2
	if len(word) > 200 {
		return ""
	}
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return k
		}
		if d := distance(strings.ToLower(word), strings.ToLower(k)); d < at && len(k) < 200 {
			best, at = k, d
		}
	}
	return best
}

// distance counts the letters to add, drop or change between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Close reports whether two words differ by two letters at most.
func Close(a, b string) bool { return distance(a, b) <= 2 }
