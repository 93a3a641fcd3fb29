package deploy

import (
	"regexp"
	"strings"
)

// always are names that are never part of an app's code: versions, our data folder, the tools' own.
var always = map[string]bool{".git": true, ".sluice": true, ".s": true, ".DS_Store": true}

// ignore decides by gitignore patterns which files of a folder are left out. The last pattern that
// matches wins; a folder that is left out is not looked into.
type ignore []ignoreRule

type ignoreRule struct {
	re      *regexp.Regexp
	negate  bool
	dirOnly bool
}

// newIgnore reads patterns. One that is no pattern matches nothing, as in git.
func newIgnore(patterns []string) ignore {
	var ig ignore
	for _, p := range patterns {
		p = strings.TrimSuffix(p, "\r")
		if !strings.HasSuffix(p, `\ `) {
			p = strings.TrimRight(p, " \t")
		}
		if p == "" || p[0] == '#' || len(p) > 1024 {
			continue
		}
		var r ignoreRule
		if p[0] == '!' {
			r.negate, p = true, p[1:]
		}
		if strings.HasSuffix(p, "/") {
			r.dirOnly, p = true, strings.TrimRight(p, "/")
		}
		if p == "" {
			continue
		}
		re, err := regexp.Compile(globRegexp(p))
		if err != nil {
			continue
		}
		r.re = re
		ig = append(ig, r)
	}
	return ig
}

// globRegexp translates one pattern. A slash anywhere but at the end ties it to the top folder.
func globRegexp(p string) string {
	var b strings.Builder
	b.WriteString("^")
	if !strings.Contains(p, "/") {
		b.WriteString("(?:.*/)?")
	}
	p = strings.TrimPrefix(p, "/")
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case strings.HasPrefix(p[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(p[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(p[i+1:], ']')
			if end < 1 {
				b.WriteString(`\[`)
				continue
			}
			set := p[i+1 : i+1+end]
			b.WriteString("[" + strings.ReplaceAll(strings.Replace(set, "!", "^", min(1, strings.Index(set, "!")+1)), `\`, `\\`) + "]")
			i += end + 1
		case c == '\\' && i+1 < len(p):
			i++
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(p[i : i+1]))
		}
	}
	b.WriteString("$")
	return b.String()
}

// skip reports whether rel (with slashes) is left out.
func (ig ignore) skip(rel string, dir bool) bool {
	if always[rel[strings.LastIndexByte(rel, '/')+1:]] {
		return true
	}
	out := false
	for _, r := range ig {
		if (dir || !r.dirOnly) && r.re.MatchString(rel) {
			out = !r.negate
		}
	}
	return out
}
