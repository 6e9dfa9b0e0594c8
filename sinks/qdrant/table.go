package qdrant

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

// Keys of a payload that are not columns.
const (
	documentKey  = "_document"
	keyKey       = "_key"
	versionKey   = "_version"
	epochKey     = "_epoch"
	partitionKey = "_partition"
	deletedKey   = "_deleted"
	atKey        = "_at"
	lineageKey   = "_lineage"
	exactKey     = "_exact"
)

var ownKeys = []string{documentKey, keyKey, versionKey, epochKey, partitionKey, deletedKey, atKey, lineageKey, exactKey}

// maxName is in bytes, as escaped: of a collection's name the server's own limit, of a vector's what leaves room for the
// name of its directory.
const (
	maxCollection = 255
	maxVector     = 200
	maxDims       = 65_535
)

// table is one table of the flow as this target keeps it. It is immutable.
type table struct {
	guard.Table
	collection   string
	distance     qdrant.Distance
	hnsw         *qdrant.HnswConfigDiff
	quantization string
	indexes      map[string]qdrant.FieldType // by column
}

var distances = map[string]qdrant.Distance{"": qdrant.Distance_Cosine, "cosine": qdrant.Distance_Cosine,
	"dot": qdrant.Distance_Dot, "euclid": qdrant.Distance_Euclid, "manhattan": qdrant.Distance_Manhattan}

func newTable(prefix string, declared stream.TargetTable) (*table, error) {
	set := declared.Settings
	t := &table{Table: guard.Table{Table: declared.Table, As: declared.As(), Front: declared.Front}, distance: distances[set.String("distance")],
		quantization: set.String("quantization"), indexes: map[string]qdrant.FieldType{}}
	t.collection = prefix + escaped(t.As)
	switch {
	case t.As == bookkeeping:
		return nil, refused(t, "the collection %s is for bookkeeping; choose another name by the setting `table`", bookkeeping)
	case len(t.collection) > maxCollection || !utf8.ValidString(t.collection):
		return nil, refused(t, "the name of its collection, %.80q, is longer than Qdrant's %d bytes or no UTF-8; choose another by the setting `table`",
			t.collection, maxCollection)
	}
	if m, ef := set.Int("hnsw_m"), set.Int("hnsw_ef_construct"); m > 0 || ef > 0 {
		t.hnsw = &qdrant.HnswConfigDiff{M: positive(m), EfConstruct: positive(ef)}
	}
	for _, c := range t.Columns {
		if err := t.check(c); err != nil {
			return nil, err
		}
	}
	for _, name := range set.Strings("indexes") {
		kind, err := t.fieldType(name)
		if err != nil {
			return nil, err
		}
		t.indexes[name] = kind
	}
	t.Layout = fmt.Sprintf("%s hnsw(%d, %d) %s %q", t.distance, t.hnsw.GetM(), t.hnsw.GetEfConstruct(), t.quantization, slices.Sorted(maps.Keys(t.indexes)))
	return t, nil
}

func refused(t *table, format string, args ...any) error {
	return stream.Errorf(stream.Usage, configuring, "table %s: "+format, append([]any{t.Name}, args...)...)
}

func positive(n int) *uint64 {
	if n < 1 {
		return nil
	}
	return qdrant.PtrOf(uint64(n))
}

// check refuses a column that Qdrant can't hold.
func (t *table) check(c stream.Field) error {
	switch {
	case slices.Contains(ownKeys, c.Name) || c.Name == "" || !utf8.ValidString(c.Name):
		return refused(t, "a column can't be named %q, which has a meaning of its own in this target; choose another name", c.Name)
	case !isVector(c):
		return nil
	case len(escaped(c.Name)) > maxVector:
		return refused(t, "column %.80s: the name of a vector may have %d bytes; choose another name", c.Name, maxVector)
	case c.Type.Kind == stream.Vector && c.Type.Element == stream.I8:
		return refused(t, "column %s is a %s: Qdrant has no signed bytes; use f32 or f16 vectors, or leave the column out of this target", c.Name, c.Type)
	case c.Type.Kind != stream.Sparse && (c.Type.Dims < 1 || c.Type.Dims > maxDims):
		return refused(t, "column %s is a %s: Qdrant needs to know the dimensions, 1 to %d", c.Name, c.Type, maxDims)
	}
	return nil
}

// isVector says whether the column is a named vector of the point, rather than payload.
func isVector(c stream.Field) bool {
	return c.Type.Kind.IsVector()
}

// plainPath is what needs no quotes in Qdrant's paths.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

var fieldTypes = map[stream.Kind]qdrant.FieldType{stream.Bool: qdrant.FieldType_FieldTypeBool, stream.Int: qdrant.FieldType_FieldTypeInteger,
	stream.Double: qdrant.FieldType_FieldTypeFloat, stream.String: qdrant.FieldType_FieldTypeKeyword,
	stream.Timestamp: qdrant.FieldType_FieldTypeDatetime}

// fieldType is the kind of payload index for a column.
func (t *table) fieldType(column string) (qdrant.FieldType, error) {
	i := slices.IndexFunc(t.Columns, func(c stream.Field) bool { return c.Name == column })
	if i < 0 {
		return 0, refused(t, "no index for column %s: the table has no such column", column)
	}
	kind, ok := fieldTypes[t.Columns[i].Type.Kind]
	if !ok || !plainPath.MatchString(column) {
		return 0, refused(t, "no index for column %s, a %s: Qdrant indexes bool, int, double, string and timestamp whose names hold letters, digits, _ and -",
			column, t.Columns[i].Type)
	}
	return kind, nil
}

// escaped writes what names of collections and vectors can't hold as %XX; other names stay as they are.
func escaped(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`<>:"/\|?*%`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// unescaped undoes escaped.
func unescaped(name string) string {
	plain, err := url.PathUnescape(name)
	if err != nil {
		return name
	}
	return plain
}
