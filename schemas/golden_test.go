package schemas_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

var update = flag.Bool("update", false, "write testdata/golden anew (only for formats that were never released)")

// golden compares what is written today with the persisted bytes, and returns those for reading.
func golden(t *testing.T, name string, written []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, written, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(held, written) {
		t.Errorf("%s: what is written changed: raise the format's version", name)
	}
	return held
}

func TestGoldenRow(t *testing.T) {
	table, row, lineage := everyKind()
	r := ok(schemas.EncodeRow(table, row, "page/a.md", jsonOf(lineage), 2, 3))
	r.Value, r.Key = golden(t, "row.avro", r.Value), golden(t, "row.key", r.Key)
	var headers strings.Builder
	for _, h := range r.Headers {
		headers.WriteString(h.Key + ": " + string(h.Value) + "\n")
	}
	golden(t, "row.headers", []byte(headers.String()))
	w, _, _, err := schemas.DecodeRow(&r, map[string]stream.Table{"chunks": table})
	if err != nil || !stream.ListOf(w.Columns...).Equal(stream.ListOf(row.Columns...)) {
		t.Error(w, err)
	}
	if id, err := schemas.ParseRowKey(r.Key); err != nil || id != w.RowID {
		t.Error(id, err)
	}
}

func TestGoldenProgress(t *testing.T) {
	want := schemas.Progress{Generation: 2, Revision: stream.FingerprintBytes([]byte("logic")), Input: map[string]int64{"shop.public.docs": 43},
		Watermark: 1795342363624347000, Counts: schemas.Counts{Applied: 1, Noop: 2, Superseded: 3, Pending: 4, Quarantined: 5, Other: 6}, Reevaluated: true}
	for revision, file := range []string{"progress.cbor", "progress-declared.cbor"} {
		want.Declared = int64(revision)
		r := ok(schemas.EncodeProgress(want))
		r.Value = golden(t, file, r.Value)
		if got, err := schemas.DecodeProgress(&r); err != nil || !reflect.DeepEqual(got, want) || !schemas.IsProgress(&r) {
			t.Errorf("%+v %v", got, err)
		}
	}
}

func TestGoldenCommit(t *testing.T) {
	want := schemas.CommitMeta{TopicID: "6f9c2cf0-7a1b-4b5e-9d3a-1c2d3e4f5a6b", Progress: 1 << 40, Generation: 1023, Revision: stream.FingerprintBytes([]byte("logic"))}
	text := golden(t, "commit.txt", []byte(ok(schemas.EncodeCommit(want))))
	if got, err := schemas.DecodeCommit(string(text)); err != nil || got != want || len(text) > 200 {
		t.Errorf("%+v %v", got, err)
	}
}

func TestGoldenMeta(t *testing.T) {
	generation := schemas.Generation{Generation: 2, Created: 1795342363624347000, ResetEnds: map[int32]int64{0: 7, 11: 1 << 40}}
	topics := schemas.Topics{Generation: 2, Topics: map[string]schemas.Topic{"handbook.rows": {ID: "6f9c2cf0-7a1b-4b5e-9d3a-1c2d3e4f5a6b", Partitions: 8},
		"shop.public.docs": {ID: "0f9c2cf0-7a1b-4b5e-9d3a-1c2d3e4f5a6c", Partitions: 12}}}
	declaration := schemas.Declaration{Revision: 5, Created: 1795342363624347000, Body: []byte("declared")}
	r := ok(schemas.EncodeGeneration(generation))
	r.Value = golden(t, "generation.cbor", r.Value)
	if got, err := schemas.DecodeMeta(&r); err != nil || !reflect.DeepEqual(got, schemas.Meta{Generation: &generation}) {
		t.Errorf("%+v %v", got, err)
	}
	both := ok(schemas.EncodeDeclaration(declaration))
	past, present := both[0], both[1]
	present.Value = golden(t, "declaration.cbor", present.Value)
	if got, err := schemas.DecodeMeta(&present); err != nil || !reflect.DeepEqual(got, schemas.Meta{Declaration: &declaration}) {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := schemas.DecodeMeta(&past); err != nil || string(past.Key) != "declaration/5" || !reflect.DeepEqual(got, schemas.Meta{Past: &declaration}) {
		t.Errorf("%s: %+v %v", past.Key, got, err)
	}
	declaration.Text = []byte("flow: handbook")
	present = ok(schemas.EncodeDeclaration(declaration))[1]
	present.Value = golden(t, "declaration-text.cbor", present.Value)
	if got, err := schemas.DecodeMeta(&present); err != nil || !reflect.DeepEqual(got, schemas.Meta{Declaration: &declaration}) {
		t.Errorf("%+v %v", got, err)
	}
	declaration.Editions = []stream.Edition{{Table: "chunks", Now: 5, Other: 2, Shown: 2}, {Table: "pages", Now: 1, Shown: 1}}
	present = ok(schemas.EncodeDeclaration(declaration))[1]
	present.Value = golden(t, "declaration-editions.cbor", present.Value)
	if got, err := schemas.DecodeMeta(&present); err != nil || !reflect.DeepEqual(got, schemas.Meta{Declaration: &declaration}) {
		t.Errorf("%+v %v", got, err)
	}
	declaration.Files = map[string][]byte{"facts.txt": []byte("List them."), "a/b.json": []byte("{}")}
	present = ok(schemas.EncodeDeclaration(declaration))[1]
	present.Value = golden(t, "declaration-files.cbor", present.Value)
	if got, err := schemas.DecodeMeta(&present); err != nil || !reflect.DeepEqual(got, schemas.Meta{Declaration: &declaration}) {
		t.Errorf("%+v %v", got, err)
	}
	backfill := schemas.Backfill{Paused: true, Rate: 2.5}
	r = ok(schemas.EncodeBackfill(backfill))
	r.Value = golden(t, "backfill.cbor", r.Value)
	if got, err := schemas.DecodeMeta(&r); err != nil || !reflect.DeepEqual(got, schemas.Meta{Backfill: &backfill}) {
		t.Errorf("%+v %v", got, err)
	}
	r = ok(schemas.EncodeTopics(topics))
	r.Value = golden(t, "topics.cbor", r.Value)
	if got, err := schemas.DecodeMeta(&r); err != nil || !reflect.DeepEqual(got, schemas.Meta{Topics: &topics}) {
		t.Errorf("%+v %v", got, err)
	}
}

func describe(r stream.Record) []byte {
	text := "key " + string(r.Key) + "\n"
	for _, h := range r.Headers {
		text += h.Key + ": " + string(h.Value) + "\n"
	}
	if r.Value == nil {
		return []byte(text + "null\n")
	}
	return []byte(text + "value " + string(r.Value) + "\n")
}

func TestUnknownFormats(t *testing.T) {
	future := ok(stream.Marshal(map[int]int{0: 99}))
	_, err := schemas.DecodeProgress(&stream.Record{Key: []byte(schemas.ProgressKey), Value: future})
	_, err2 := schemas.DecodeMeta(&stream.Record{Key: []byte(schemas.GenerationKey), Value: future})
	_, err3 := schemas.DecodeMeta(&stream.Record{Key: []byte(schemas.DeclarationKey), Value: future})
	_, err4 := schemas.DecodeCommit("2|x|1|1|00")
	for i, err := range []error{err, err2, err3, err4} {
		if stream.KindOf(err) != stream.Usage {
			t.Errorf("%d: %v", i, err)
		}
	}
	if m, err := schemas.DecodeMeta(&stream.Record{Key: []byte("later")}); err != nil || m != (schemas.Meta{}) {
		t.Error(m, err)
	}
}

func TestMalformedCommit(t *testing.T) {
	for _, text := range []string{"", "x", "1|t|a|1|00", "1|t|1|1|00", "1|t|1|1|zz", "1|t|1|1"} {
		if _, err := schemas.DecodeCommit(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	if _, err := schemas.EncodeCommit(schemas.CommitMeta{TopicID: strings.Repeat("x", 200)}); err == nil {
		t.Error("a long topic ID was written")
	}
}

func FuzzState(f *testing.F) {
	f.Add(ok(schemas.EncodeProgress(schemas.Progress{Input: map[string]int64{"t": 1}})).Value, "1|t|1|1|00")
	f.Fuzz(func(_ *testing.T, value []byte, text string) {
		for _, key := range []string{schemas.ProgressKey, schemas.GenerationKey, schemas.DeclarationKey, schemas.TopicsKey} {
			r := stream.Record{Key: []byte(key), Value: value}
			_, _ = schemas.DecodeProgress(&r)
			_, _ = schemas.DecodeMeta(&r)
		}
		_, _ = schemas.DecodeCommit(text)
	})
}
