package tablestore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// teahouse is a table of three texts with a search index that shows them.
func teahouse(t *testing.T) *client {
	c := newServer(t, nil).operator("inst")
	c.createTable("t", nil, anyText)
	text := func(name string) fieldSchema { return fieldSchema{Name: name, Type: fieldText, Highlighting: true} }
	tea := text("tea")
	tea.Analyzer = "max_word"
	fuzzy := text("fuzzy")
	fuzzy.Analyzer = "fuzzy"
	lines := text("lines")
	lines.Array = true
	schema := indexSchema{Fields: []fieldSchema{
		text("street"), tea, fuzzy, lines, {Name: "plain", Type: fieldText}, {Name: "id", Type: fieldKeyword},
		{Name: "parts", Type: fieldNested, Fields: []fieldSchema{
			text("name"), {Name: "n", Type: fieldLong}, {Name: "deep", Type: fieldNested, Fields: []fieldSchema{text("name")}},
		}},
	}}
	c.do("CreateSearchIndex", &createSearchIndexRequest{Table: "t", Index: "books", Schema: marshal(&schema)}, nil)
	for id, cells := range map[string][]cell{
		"a": {textCell("street", "Dengcai <em>Street</em>, Hangzhou & Dengcai"), textCell("tea", "菊花茶是一款大部分人都适合的经典花茶"), textCell("fuzzy", "PhoneBook"), textCell("plain", "dengcai")},
		"b": {textCell("street", strings.Repeat("far ", 30)+"dengcai "+strings.Repeat("near dengcai ", 10)), textCell("lines", `["one dengcai","two","dengcai three"]`)},
		"c": {textCell("parts", `[{"name":"xihu lake","n":1,"deep":[{"name":"no"},{"name":"xihu"}]},{"name":"lake","n":2},{"name":"xihu xihu","n":3},{"name":"old xihu","n":4},{"name":"xihu","n":5}]`)},
	} {
		c.do("PutRow", put(ignore, wireRow{Key: []cell{textCell("id", id)}, Cells: cells}), nil)
	}
	return c
}

// hits are the keys of a search's hits with what it tells of them.
func (c *client) hits(q searchQuery) (text string) {
	c.t.Helper()
	var resp searchResponse
	c.do("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&q)}, &resp)
	for i, b := range resp.Rows {
		text += c.rows(b)[0].Key[0].Value.Str
		if len(resp.Hits) > 0 {
			text += showHit(resp.Hits[i])
		}
	}
	return text
}

func showHit(h searchHit) (text string) {
	if h.Highlight != nil {
		for _, f := range h.Highlight.Fields {
			text += fmt.Sprintf(" %s=%s", f.Name, strings.Join(f.Fragments, "|"))
		}
	}
	for _, inner := range h.Inner {
		text += " " + inner.Path + "{"
		for _, h := range inner.Hits {
			text += fmt.Sprint(*h.Offset, showHit(h), ";")
		}
		text += "}"
	}
	return text
}

func match(field, text string) query {
	return queryOf(queryMatch, &textQuery{Field: field, Text: text})
}

func TestHighlightsShowWhatWasFound(t *testing.T) {
	t.Parallel()
	c := teahouse(t)
	on := func(p highlightParameter) *highlightMessage {
		return &highlightMessage{Parameters: []highlightParameter{p}}
	}
	text := func(kind int32, field, value string) query {
		return queryOf(kind, &fieldQuery{field, [][]byte{[]byte(value)}})
	}
	a := term("id", textValue("a"))
	only := func(q query) query { return queryOf(queryBool, &boolQuery{Filter: []query{a}, Should: []query{q}}) }
	street := highlightParameter{Field: "street"}
	for _, tc := range []struct {
		name string
		q    query
		m    *highlightMessage
		want string
	}{
		{"every word", only(match("street", "dengcai")), on(street), "a street=<em>Dengcai</em> <em>Street</em>, Hangzhou & <em>Dengcai</em>"},
		{"in HTML", only(match("street", "hangzhou street")), &highlightMessage{[]highlightParameter{{Field: "street", Pre: new("<b>"), Post: new("</b>")}}, encodeHTML},
			"a street=Dengcai &lt;em&gt;<b>Street</b>&lt;&#x2F;em&gt;, <b>Hangzhou</b> &amp; Dengcai"},
		{"of a phrase", only(queryOf(queryPhrase, &textQuery{Field: "street", Text: "em hangzhou"})), on(street), "a street=Dengcai <em>Street</<em>em>, Hangzhou</em> & Dengcai"},
		{"of a phrase with a word between", only(queryOf(queryPhrase, &textQuery{Field: "street", Text: "street hangzhou", Operator: 1})), on(street), "a street=Dengcai <em><em>Street</em>, Hangzhou</em> & Dengcai"},
		{"of a prefix", only(text(queryPrefix, "street", "hang")), on(street), "a street=Dengcai <em>Street</em>, <em>Hangzhou</em> & Dengcai"},
		{"of a pattern", only(text(queryWildcard, "street", "*zh?u")), on(street), "a street=Dengcai <em>Street</em>, <em>Hangzhou</em> & Dengcai"},
		{"of a term", only(term("street", textValue("hangzhou"))), on(street), "a street=Dengcai <em>Street</em>, <em>Hangzhou</em> & Dengcai"},
		{"of ideographs", match("tea", "花茶"), on(highlightParameter{Field: "tea", Size: new(int32(18)), Pre: new("<b>"), Post: new("</b>")}), "a tea=菊<b>花茶</b>是一款大部分人都适合的经典<b>花茶</b>"},
		{"of ideographs that overlap", match("tea", "菊花茶"), on(highlightParameter{Field: "tea", Size: new(int32(4))}), "a tea=<em>菊花茶</em>是"},
		{"of any letters", match("fuzzy", "neb"), on(highlightParameter{Field: "fuzzy"}), "a fuzzy=Pho<em>neB</em>ook"},
		{"not what no hit has", queryOf(queryBool, &boolQuery{Must: []query{match("street", "far")}, MustNot: []query{match("street", "hangzhou near2")}}), on(highlightParameter{Field: "street", Size: new(int32(7))}), "b street=<em>far</em> <em>far</em>"},
		{"of fragments in order", match("lines", "dengcai"), on(highlightParameter{Field: "lines", Count: new(int32(2))}), "b lines=one <em>dengcai</em>|<em>dengcai</em> three"},
		{"of the best fragment", queryOf(queryBool, &boolQuery{Must: []query{match("street", "near")}, Should: []query{match("street", "dengcai")}}),
			on(highlightParameter{Field: "street", Size: new(int32(27)), Order: orderByScore}), "b street=<em>near</em> <em>dengcai</em> <em>near</em> <em>dengcai</em> <em>near</em>"},
		{"of a field where nothing was found", match("street", "hangzhou"), on(highlightParameter{Field: "tea"}), "a"},
	} {
		if diff := cmp.Diff(tc.want, c.hits(searchQuery{Query: &tc.q, Highlight: tc.m})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	for _, field := range []string{"plain", "none", "id"} {
		q := searchQuery{Query: &a, Highlight: on(highlightParameter{Field: field})}
		want := invalid("highlighting is not supported for field[%s]", field)
		if diff := cmp.Diff(want, c.try("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&q)}, nil)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestInnerHitsAreTheElementsThatMatch(t *testing.T) {
	t.Parallel()
	c := teahouse(t)
	nested := func(inner *innerMessage) searchQuery {
		q := queryOf(queryNested, &nestedQuery{Path: "parts", Query: match("parts.name", "xihu"), Inner: inner})
		return searchQuery{Query: &q}
	}
	sorted := func(s sorter) *sortMessage { return &sortMessage{[]sorter{s}} }
	shown := &highlightMessage{Parameters: []highlightParameter{{Field: "parts.name"}}}
	deep := queryOf(queryNested, &nestedQuery{Path: "parts", Inner: &innerMessage{Sort: sorted(sorter{Doc: &orderOnly{}})}, Query: queryOf(queryNested, &nestedQuery{
		Path: "parts.deep", Query: match("parts.deep.name", "xihu"), Inner: &innerMessage{Highlight: &highlightMessage{Parameters: []highlightParameter{{Field: "parts.deep.name"}}}},
	})})
	for _, tc := range []struct {
		name string
		q    searchQuery
		want string
	}{
		{"the best three", nested(&innerMessage{}), "c parts{2;0;3;}"},
		{"shown", nested(&innerMessage{Limit: new(int32(2)), Highlight: shown}), "c parts{2 parts.name=<em>xihu</em> <em>xihu</em>;0 parts.name=<em>xihu</em> lake;}"},
		{"in order", nested(&innerMessage{Limit: new(int32(100)), Sort: sorted(sorter{Doc: &orderOnly{}})}), "c parts{0;2;3;4;}"},
		{"in reverse order", nested(&innerMessage{Limit: new(int32(2)), Offset: 1, Sort: sorted(sorter{Doc: &orderOnly{1}})}), "c parts{3;2;}"},
		{"by a field", nested(&innerMessage{Limit: new(int32(2)), Sort: sorted(sorter{Field: &fieldSort{Field: "parts.n", Order: 1}})}), "c parts{4;3;}"},
		{"none", nested(&innerMessage{Limit: new(int32(0))}), "c parts{}"},
		{"within inner hits", searchQuery{Query: &deep}, "c parts{0 parts.deep{1 parts.deep.name=<em>xihu</em>;};}"},
		{"not asked for", nested(nil), "c"},
	} {
		if diff := cmp.Diff(tc.want, c.hits(tc.q)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
	bad := nested(&innerMessage{Limit: new(int32(101))})
	want := invalid("limit of inner_hits must be in range [0, 100] and offset not less than 0")
	if diff := cmp.Diff(want, c.try("Search", &searchRequest{Table: "t", Index: "books", Query: marshal(&bad)}, nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
