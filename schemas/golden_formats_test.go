package schemas_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// formats names the golden files of everything that this package encodes, by the function that does.
var formats = map[string][]string{
	"EncodeRow":         {"row.avro", "row.key", "row.headers"},
	"EncodeDelete":      {"delete.txt"},
	"RowKey":            {"row.key"},
	"JSON":              {"lineage.json"}, // Lineage.JSON
	"EncodeProgress":    {"progress.cbor", "progress-declared.cbor"},
	"EncodeCommit":      {"commit.txt"},
	"EncodeGeneration":  {"generation.cbor"},
	"EncodeDeclaration": {"declaration.cbor", "declaration-text.cbor", "declaration-editions.cbor", "declaration-files.cbor"},
	"EncodeBackfill":    {"backfill.cbor"},
	"EncodeTopics":      {"topics.cbor"},
	"EncodeMark":        {"mark.txt"},
	"EncodeFile":        {"file.txt", "file-delete.txt", "file-refused.txt"},
	"EncodeIntake":      {"intake.avro", "intake.key"},
}

// TestEveryFormatHasAGolden: whoever adds an encoding adds its golden bytes, and no golden is left unread.
func TestEveryFormatHasAGolden(t *testing.T) {
	for _, name := range encoders(t) {
		if len(formats[name]) == 0 {
			t.Errorf("%s has no golden file: add its bytes to testdata/golden, a test that reads them, and a line to formats", name)
		}
	}
	listed := map[string]bool{}
	for _, files := range formats {
		for _, f := range files {
			listed[f] = true
			if _, err := os.Stat(filepath.Join("testdata", "golden", f)); err != nil {
				t.Error(err)
			}
		}
	}
	held, err := fs.ReadDir(os.DirFS("testdata"), "golden")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range held {
		if !listed[f.Name()] {
			t.Errorf("testdata/golden/%s belongs to no format", f.Name())
		}
	}
}

// encoders are the exported functions and methods that make persisted bytes.
func encoders(t *testing.T) (names []string) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && (strings.HasPrefix(fn.Name.Name, "Encode") || formats[fn.Name.Name] != nil) {
				names = append(names, fn.Name.Name)
			}
		}
	}
	if len(names) < len(formats) {
		t.Errorf("found only %d encoders: %v", len(names), names)
	}
	return names
}

func TestGoldenDelete(t *testing.T) {
	want := stream.RowID{Table: "chunks", Document: "page/a.md", Key: "k,1"}
	r := parsed(golden(t, "delete.txt", describe(schemas.EncodeDelete(want, 1, 2))))
	table, _, _ := everyKind()
	w, i, n, err := schemas.DecodeRow(&r, map[string]stream.Table{"chunks": table})
	if err != nil || !w.Delete || w.RowID != want || i != 1 || n != 2 {
		t.Errorf("%+v %d/%d %v", w, i, n, err)
	}
}

func TestGoldenLineage(t *testing.T) {
	_, _, lineage := everyKind()
	golden(t, "lineage.json", jsonOf(lineage))
}

func TestGoldenMark(t *testing.T) {
	r := parsed(golden(t, "mark.txt", describe(schemas.EncodeMark(schemas.MarkGenerationPass, 7))))
	if name, generation, ok := schemas.DecodeMark(&r); !ok || name != schemas.MarkGenerationPass || generation != 7 {
		t.Errorf("%s %d %t", name, generation, ok)
	}
}

func TestGoldenFiles(t *testing.T) {
	const modified = 1795342363624347000
	for name, event := range map[string]schemas.FileEvent{
		"file.txt":         {Source: "page", Path: "a/b.md", Content: []byte("# x"), Size: 3, Modified: modified},
		"file-delete.txt":  {Source: "page", Path: "a/b.md", Op: schemas.FileDelete},
		"file-refused.txt": {Source: "page", Path: "a/b.md", Op: schemas.FileRefused, Size: 1 << 30, Modified: modified, Reason: "too large"},
	} {
		r := parsed(golden(t, name, describe(schemas.EncodeFile(event))))
		c, err := schemas.NewFiles("page").Decode(&r)
		refused := event.Op == schemas.FileRefused
		if c.Document != "page/a/b.md" || (c.Op == stream.Delete) != (event.Op == schemas.FileDelete) || (stream.KindOf(err) == stream.Invalid) != refused || !refused && err != nil {
			t.Errorf("%s: %+v %v", name, c, err)
		}
		if event.Op == schemas.FilePut && (string(c.Image) != "# x" || c.Position.Time != modified || c.Position.Source != "3@1795342363624347000") {
			t.Errorf("%s: image %q of %+v", name, c.Image, c.Position)
		}
	}
}

// parsed undoes describe.
func parsed(text []byte) (r stream.Record) {
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch {
		case i == 0:
			r.Key = []byte(value)
		case name == "null":
		case name == "value":
			r.Value = []byte(value)
		default:
			r.Headers = append(r.Headers, stream.Header{Key: strings.TrimSuffix(name, ":"), Value: []byte(value)})
		}
	}
	return r
}
