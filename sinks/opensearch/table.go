package opensearch

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// bookkeeping is the alias of guard's documents, after the prefix.
const bookkeeping = "freshet"

// Limits of OpenSearch, in bytes but for dimensions.
const (
	maxIndex = 255
	maxID    = 512
	maxTerm  = 32_766
	maxDims  = 16_000
)

// column is a column and the name of its field.
type column struct {
	stream.Field
	field string
}

// table is one table of the flow as this target keeps it. It is immutable.
type table struct {
	guard.Table
	index, alias     string
	columns          []column
	shards, replicas int
	keywords         []string
	analyzer         string
	space            string
	m, construction  int // of HNSW; 0: the plugin's default
}

func newTable(prefix string, declared stream.TargetTable) (*table, error) {
	set := declared.Settings
	t := &table{Table: guard.Table{Table: declared.Table, As: declared.As(), Front: declared.Front}, shards: set.Int("shards"), replicas: 1, keywords: set.Strings("keywords"),
		analyzer: set.String("analyzer"), space: set.String("space_type"), m: set.Int("hnsw_m"), construction: set.Int("hnsw_ef_construction")}
	if n, given := set.Values.Get("replicas"); given {
		t.replicas = int(n.Int())
	}
	if t.space == "" {
		t.space = cosine
	}
	t.alias = prefix + escaped(t.As)
	t.index = indexOf(t.alias)
	switch {
	case t.As == bookkeeping || t.Front == bookkeeping:
		return nil, refused(t, "the index %s is for bookkeeping; choose another name by the setting `table`", bookkeeping)
	case len(t.index) > maxIndex || t.As == "":
		return nil, refused(t, "the name of its index, %.80q, is empty or longer than OpenSearch's %d bytes; choose another by the setting `table`", t.As, maxIndex)
	}
	for _, c := range t.Columns {
		if err := t.check(c); err != nil {
			return nil, err
		}
		t.columns = append(t.columns, column{c, escapedField(c.Name)})
	}
	for _, name := range t.keywords {
		i := slices.IndexFunc(t.Columns, func(c stream.Field) bool { return c.Name == name })
		if i < 0 || t.Columns[i].Type.Kind != stream.String {
			return nil, refused(t, "setting keywords: %s is not one of its string columns", name)
		}
	}
	t.Layout = fmt.Sprintf("shards(%d) keywords%q analyzer(%s) %s hnsw(%d, %d)", t.shards, slices.Sorted(slices.Values(t.keywords)), t.analyzer, t.space, t.m, t.construction)
	return t, nil
}

func refused(t *table, format string, args ...any) error {
	return stream.Errorf(stream.Usage, configuring, "table %s: "+format, append([]any{t.Name}, args...)...)
}

// check refuses a column that OpenSearch can't hold.
func (t *table) check(c stream.Field) error {
	switch kind := c.Type.Kind; {
	case c.Name == "" || !utf8.ValidString(c.Name):
		return refused(t, "a column can't be named %q; choose another name", c.Name)
	case kind == stream.Sparse || kind == stream.MultiVector:
		return refused(t, "column %s is a %s, of which OpenSearch makes no index; leave the column out of this target", c.Name, c.Type)
	case kind == stream.Vector && (c.Type.Dims < 1 || c.Type.Dims > maxDims):
		return refused(t, "column %s is a %s: OpenSearch needs to know the dimensions, 1 to %d", c.Name, c.Type, maxDims)
	}
	return nil
}

func (t *table) hasVectors() bool {
	return slices.ContainsFunc(t.Columns, func(c stream.Field) bool { return c.Type.Kind == stream.Vector })
}

// indexOf names the index behind an alias. An escaped name has no tilde, so no alias is another table's index.
func indexOf(alias string) string { return alias + "~1" }

// escaped writes what an index can't be named, capitals among it, as %xx.
func escaped(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || i > 0 && (c == '-' || c == '_' || c == '.')
		if plain {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// escapedField writes points, which would part a field's name, percent signs, and a first underscore, which the server's own
// fields have, as %XX. So no column is another's field or `_freshet`.
func escapedField(name string) string {
	name = fieldEscapes.Replace(name)
	if strings.HasPrefix(name, "_") {
		name = "%5F" + name[1:]
	}
	return name
}

var (
	fieldEscapes = strings.NewReplacer("%", "%25", ".", "%2E")
	rowEscapes   = strings.NewReplacer("%", "%25", ":", "%3A")
)

// rowID is a row's document ID: people can read it, and no two rows share one. One that is empty or too long is "#" and a hash instead; a
// document's own first # is written %23.
func rowID(document, key string) string {
	id := rowEscapes.Replace(document)
	if strings.HasPrefix(id, "#") {
		id = "%23" + id[1:]
	}
	if key != "" {
		id += ":" + key
	}
	if id != "" && len(id) <= maxID {
		return id
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s,%s", len(document), document, key))
	return "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}
