package qdrant_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	client "github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/sinks/qdrant"
	"github.com/freshet-dev/freshet/stream"
)

var origin = stream.Origin{Flow: "f", Target: "t", TopicID: "topic", Generation: 1}

var notes = stream.Table{Name: "notes", Columns: []stream.Field{
	{Name: "text", Type: stream.TypeString}, {Name: "vector", Type: stream.VectorType(stream.F32, 2).OrNull()}}}

// writer holds partition 0 of a target with one table.
type writer struct {
	*testing.T
	sink  stream.Sink
	table stream.Table
	next  int64
}

func (p place) writer(t *testing.T, table stream.Table, settings ...stream.Entry) *writer {
	t.Helper()
	sink, err := p.sink([]stream.TargetTable{{Table: table, Settings: stream.Settings{Values: stream.MapOf(settings...)}}})
	must(t, err)
	t.Cleanup(func() { must(t, sink.Close()) })
	_, err = sink.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	_, err = sink.Assign(t.Context(), 0, origin)
	must(t, err)
	must(t, sink.Adopt(t.Context(), 0, origin, 0))
	return &writer{t, sink, table, 0}
}

// put applies one row, or its deletion without columns.
func (w *writer) put(document string, columns ...stream.Value) {
	w.Helper()
	r := stream.RowWrite{RowID: stream.RowID{Table: w.table.Name, Document: document}, Version: stream.Version{Generation: 1, Offset: w.next},
		Columns: columns, Delete: columns == nil, Lineage: []byte("{}")}
	must(w, w.sink.Apply(w.Context(), stream.Batch{From: w.next, To: w.next + 1, Units: []stream.Unit{{Document: document, Rows: []stream.RowWrite{r}}}}))
	w.next++
}

func note(text string) []stream.Value {
	return []stream.Value{stream.StringOf(text), stream.VectorOf([]float32{3, 4})}
}

func (w *writer) apply(document, text string) { w.put(document, note(text)...) }

func (w *writer) batch(document, text string) stream.Batch {
	r := stream.RowWrite{RowID: stream.RowID{Table: w.table.Name, Document: document}, Version: stream.Version{Generation: 1, Offset: w.next},
		Columns: note(text), Lineage: []byte("{}")}
	return stream.Batch{From: w.next, To: w.next + 1, Units: []stream.Unit{{Document: document, Rows: []stream.RowWrite{r}}}}
}

func (w *writer) rows() (rows []stream.RowWrite) {
	w.Helper()
	must(w, w.sink.(stream.Reader).ReadRows(w.Context(), w.table.Name, func(r stream.RowWrite) error {
		rows = append(rows, r)
		return nil
	}))
	return rows
}

// holds compares the target with "document=text@offset"s.
func (w *writer) holds(want ...string) {
	w.Helper()
	var got []string
	for _, r := range w.rows() {
		got = append(got, fmt.Sprintf("%s=%s@%d", r.Document, r.Columns[0].Str(), r.Version.Offset))
	}
	if !slices.Equal(got, want) {
		w.Errorf("the target holds %q, want %q", got, want)
	}
}

// TestTombstone looks with a client of its own at what a deletion leaves: a point with the version and without vectors,
// which no search shows, and to which an older write loses.
func TestTombstone(t *testing.T) {
	p := newPlace(t)
	w := p.writer(t, notes)
	w.apply("a", "one")
	if held := p.find(t, stream.RowID{Table: "notes", Document: "a"}); held.GetPayload()["_deleted"] != nil {
		t.Errorf("a row has the payload %v, but only tombstones have _deleted", held.GetPayload())
	}
	w.put("a")
	held := p.find(t, stream.RowID{Table: "notes", Document: "a"})
	if !held.GetPayload()["_deleted"].GetBoolValue() || held.GetPayload()["text"] != nil || len(held.GetVectors().GetVectors().GetVectors()) > 0 {
		t.Fatalf("a deletion leaves %v", held)
	}
	if want := (stream.Version{Generation: 1, Offset: 1}).Pack(); held.GetPayload()["_version"].GetIntegerValue() != want {
		t.Errorf("the tombstone has the version %v, want %d", held.GetPayload()["_version"], want)
	}
	hits, err := w.sink.(stream.Searcher).Search(t.Context(), "notes", "vector", stream.VectorOf([]float32{3, 4}), 10)
	must(t, err)
	if len(hits) > 0 {
		t.Errorf("a search shows what was deleted: %v", hits)
	}
	must(t, w.sink.Adopt(t.Context(), 0, origin, 0))
	w.next = 0
	w.apply("a", "an older write")
	w.holds()
}

// TestVectors: every kind of vector comes back as it was written, for each distance, and an edit by hand shows.
func TestVectors(t *testing.T) {
	half, err := stream.RawVectorOf(stream.F16, []byte{0x00, 0x3c, 0x01, 0x00, 0xff, 0xfb})
	must(t, err)
	sparse, err := stream.SparseOf([]uint32{3, 70_000}, []float32{0.1, -2})
	must(t, err)
	none, err := stream.SparseOf(nil, nil)
	must(t, err)
	multi, err := stream.MultiVectorOf(2, []float32{3, 4, 0.1, 0.2})
	must(t, err)
	table := stream.Table{Name: "many", Columns: []stream.Field{
		{Name: "dense", Type: stream.VectorType(stream.F32, 2).OrNull()}, {Name: "half/ü", Type: stream.VectorType(stream.F16, 3).OrNull()},
		{Name: "late", Type: stream.Type{Kind: stream.MultiVector, Dims: 2, Nullable: true}},
		{Name: "sparse", Type: stream.Type{Kind: stream.Sparse, Nullable: true}}}}
	for _, distance := range []string{"cosine", "dot", "euclid", "manhattan"} {
		t.Run(distance, func(t *testing.T) {
			p := newPlace(t)
			w := p.writer(t, table, stream.Entry{Key: "distance", Value: stream.StringOf(distance)})
			rows := [][]stream.Value{{stream.VectorOf([]float32{3, 4}), half, multi, sparse}, {{}, {}, {}, none},
				{stream.VectorOf([]float32{0, 0}), {}, {}, {}}}
			for n, columns := range rows {
				w.put(string(rune('a'+n)), columns...)
			}
			for n, r := range w.rows() {
				for i, v := range r.Columns {
					if !v.Equal(rows[n][i]) {
						t.Errorf("row %s column %s: got %v, want %v", r.Document, table.Columns[i].Name, v, rows[n][i])
					}
				}
			}
			_, err := p.client.UpdateVectors(t.Context(), &client.UpdatePointVectors{CollectionName: p.prefix + "many", Wait: client.PtrOf(true),
				Points: []*client.PointVectors{{Id: p.find(t, stream.RowID{Table: "many", Document: "a"}).GetId(),
					Vectors: client.NewVectorsMap(map[string]*client.Vector{"dense": client.NewVector(4, 3)})}}})
			must(t, err)
			if got := w.rows()[0].Columns[0]; got.Equal(rows[0][0]) {
				t.Error("a vector that was edited by hand reads as it was written")
			}
		})
	}
}

// TestUnitVectors: vectors of length 1, as models give them, lie in Qdrant once, and come back bit by bit, also with the error that
// single precision makes in their length.
func TestUnitVectors(t *testing.T) {
	for _, dims := range []int{3, 256, 1536} {
		table := stream.Table{Name: "units", Columns: []stream.Field{{Name: "v", Type: stream.VectorType(stream.F32, dims)}}}
		p := newPlace(t)
		w := p.writer(t, table)
		random, written := rand.New(rand.NewPCG(1, uint64(dims))), map[string]stream.Value{}
		for n := range 40 {
			document, v := fmt.Sprintf("%02d", n), unit(random, dims)
			v[0] *= 1 + float32(n)*1e-6 // from some length on there are two copies
			written[document] = stream.VectorOf(v)
			w.put(document, written[document])
		}
		for _, r := range w.rows() {
			if !r.Columns[0].Equal(written[r.Document]) {
				t.Errorf("%d dimensions: vector %s comes back as another one", dims, r.Document)
			}
		}
		if p.find(t, stream.RowID{Table: "units", Document: "00"}).GetPayload()["_exact"] != nil {
			t.Errorf("%d dimensions: a vector of length 1 has a second copy", dims)
		}
	}
}

func unit(random *rand.Rand, dims int) []float32 {
	v, square := make([]float32, dims), 0.0
	for i := range v {
		v[i] = float32(random.NormFloat64())
		square += float64(v[i]) * float64(v[i])
	}
	for i := range v {
		v[i] /= float32(math.Sqrt(square))
	}
	return v
}

// TestDoubles: those that Qdrant reads back with another last bit, and what JSON can't hold, come back as they were.
func TestDoubles(t *testing.T) {
	table := stream.Table{Name: "doubles", Columns: []stream.Field{{Name: "all", Type: stream.ListType(stream.TypeDouble)}, {Name: "one", Type: stream.TypeDouble}}}
	w := newPlace(t).writer(t, table)
	var all []stream.Value
	for n := 1.0; n < 400; n++ {
		all = append(all, stream.DoubleOf(n/7*1e-30), stream.DoubleOf(n*n/13), stream.DoubleOf(n/100), stream.DoubleOf(n*1e300))
	}
	w.put("a", stream.ListOf(all...), stream.DoubleOf(1e23/7))
	got := w.rows()[0].Columns
	if !got[0].Equal(stream.ListOf(all...)) || !got[1].Equal(stream.DoubleOf(1e23/7)) {
		t.Error("doubles did not come back as they were written")
	}
}

// TestCollection: settings arrive at the server, and another setting is another table.
func TestCollection(t *testing.T) {
	p := newPlace(t)
	settings := []stream.Entry{{Key: "distance", Value: stream.StringOf("dot")}, {Key: "hnsw_m", Value: stream.IntOf(24)},
		{Key: "quantization", Value: stream.StringOf("scalar")}, {Key: "indexes", Value: stream.ListOf(stream.StringOf("text"))}}
	w := p.writer(t, notes, settings...)
	w.apply("a", "one")
	info, err := p.client.GetCollectionInfo(t.Context(), p.prefix+"notes")
	must(t, err)
	if d := info.GetConfig().GetParams().GetVectorsConfig().GetParamsMap().GetMap()["vector"]; d.GetDistance() != client.Distance_Dot || d.GetSize() != 2 {
		t.Errorf("the collection has the vector %v", d)
	}
	if k := info.GetPayloadSchema()["text"].GetDataType(); k != client.PayloadSchemaType_Keyword {
		t.Errorf("the index of text is of kind %v", k)
	}
	other, err := p.sink([]stream.TargetTable{{Table: notes}})
	must(t, err)
	defer other.Close()
	changed, err := other.Open(t.Context(), origin.Flow, origin.Target)
	must(t, err)
	if !slices.Equal(changed, []string{"notes"}) {
		t.Errorf("with another distance, open says that %q changed", changed)
	}
}

// TestRefusals: what Qdrant can't hold is one error that says so, before anything is sent.
func TestRefusals(t *testing.T) {
	of := func(name string, kind stream.Type) stream.Table {
		return stream.Table{Name: "t", Columns: []stream.Field{{Name: name, Type: kind}}}
	}
	for want, c := range map[string]struct {
		url      string
		table    stream.Table
		settings []stream.Entry
	}{
		"setting url is missing":           {url: "-"},
		"signed bytes":                     {table: of("v", stream.VectorType(stream.I8, 3))},
		"know the dimensions":              {table: of("v", stream.VectorType(stream.F32, 0))},
		"a meaning of its own":             {table: of("_version", stream.TypeInt)},
		"is for bookkeeping":               {table: stream.Table{Name: "_freshet"}},
		"longer than Qdrant's 255 bytes":   {table: stream.Table{Name: strings.Repeat("n", 256)}},
		"the table has no such column":     {table: of("a", stream.TypeInt), settings: indexes("b")},
		"Qdrant indexes bool, int, double": {table: of("a", stream.TypeBytes), settings: indexes("a")},
	} {
		p := place{url: "http://127.0.0.1:1"}
		if c.url != "" {
			p.url = ""
		}
		_, err := p.sink([]stream.TargetTable{{Table: c.table, Settings: stream.Settings{Values: stream.MapOf(c.settings...)}}})
		if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	for _, url := range []string{"grpc://host:6334", "http://user:pass-word@host", "http://host/path", "https://", "http://ho st"} {
		sink, err := place{url: url}.sink(nil)
		must(t, err)
		_, err = sink.Open(t.Context(), "f", "t")
		if stream.KindOf(err) != stream.Usage || strings.Contains(err.Error(), "pass-word") {
			t.Errorf("opening %s gives %v", url, err)
		}
	}
	if g := qdrant.Spec().Guarantees; g.Transactional || g.AtomicDocuments {
		t.Errorf("Qdrant has no transactions, but the guarantees are %+v", g)
	}
}

func indexes(columns ...string) []stream.Entry {
	var list []stream.Value
	for _, c := range columns {
		list = append(list, stream.StringOf(c))
	}
	return []stream.Entry{{Key: "indexes", Value: stream.ListOf(list...)}}
}
