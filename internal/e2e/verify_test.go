package e2e

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/qdrant/go-client/qdrant"

	"github.com/freshet-dev/freshet/internal/testenv"
)

// outcome is the object that verify --json prints: these keys and no others.
type outcome struct {
	Target                 string
	Rows, Unjudged, Behind int
	Differences            struct{ Missing, Extra, Column, Vector, Version int }
	Seconds                float64
	Found                  []struct {
		Kind, Table, Document, Key, Column, Held, Expected string
		Partition                                          int32
	}
	Repair *struct {
		Partitions []int32
		Left       struct{ Missing, Extra, Column, Vector, Version int }
		Unjudged   int
	}
}

// verify compares a target with the rows topic, and demands the exit code.
func (p *project) verify(code int, target string, flags ...string) (o outcome) {
	p.t.Helper()
	c := p.command("verify", append([]string{target, "--json"}, flags...)...)
	c.exits(code)
	dec := json.NewDecoder(strings.NewReader(c.stdout.String()))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		p.t.Fatalf("the outcome: %v\n%s", err, c.stdout.String())
	}
	return o
}

// clean demands that a target of so many rows is what the rows topic says.
func (p *project) clean(target string, rows int) {
	p.t.Helper()
	if o := p.verify(0, target); o.Rows != rows || o.Unjudged != 0 || o.Behind != 0 || len(o.Found) > 0 {
		p.t.Errorf("got %+v, want %d rows without a difference", o, rows)
	}
}

// finds demands what verify finds, as "kind document column".
func (p *project) finds(target string, want ...string) {
	p.t.Helper()
	var got []string
	o := p.verify(4, target)
	for _, d := range o.Found {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", d.Kind, d.Document, d.Column)))
	}
	if slices.Sort(got); !slices.Equal(got, want) || o.Unjudged != 0 {
		p.t.Errorf("it found %q, want %q; in all %+v", got, want, o)
	}
}

// partitions are those with differences, in order.
func (p *project) partitions(target string) (all []int32) {
	p.t.Helper()
	for _, d := range p.verify(4, target).Found {
		all = append(all, d.Partition)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// repairs demands that what verify finds is repaired, by building those partitions anew, none named: all.
func (p *project) repairs(target string, found int, partitions ...int32) {
	p.t.Helper()
	o := p.verify(0, target, "--repair")
	if len(o.Found) != found || o.Repair == nil || !slices.Equal(o.Repair.Partitions, partitions) || o.Repair.Unjudged != 0 {
		p.t.Errorf("it found %d differences, want %d; the repair: %+v, want partitions %v", len(o.Found), found, o.Repair, partitions)
	}
}

// alterable opens a SQLite file as a person does who means to repair it.
type alterable struct{ readOnly }

func (a alterable) Connect(context.Context) (driver.Conn, error) {
	return a.Driver().Open((&url.URL{Scheme: "file", Opaque: a.path, RawQuery: "_pragma=busy_timeout(10000)"}).String())
}

// TestVerify: nothing is found in a SQLite file that nobody touched; then each kind of difference is planted, found and
// repaired.
func TestVerify(t *testing.T) {
	p := newProject(t, pageFlow).pages()
	p.write("docs/ponds.md", "# Ponds\n\nFrogs.\n")
	p.write("docs/wells.md", "# Wells\n\nDeep.\n")
	p.devOnce()
	p.clean("local", 5+9)
	p.write("docs/wells.md", "# Wells\n\nDeeper.\n")
	p.devOnce()
	p.clean("local", 5+9)

	db := sql.OpenDB(alterable{readOnly{filepath.Join(p.dir, "out.db")}})
	for _, q := range []string{
		`delete from pages where _document = 'page/lakes.md'`,
		`insert into pages (_document, _key, _version, _partition, path) select 'page/none.md', '', _version, _partition, 'none.md' from pages limit 1`,
		`update pages set title = 'Torrents' where _document = 'page/rivers.md'`,
		`update chunks set vector = zeroblob(length(vector)) where _document = 'page/ponds.md'`,
		`update chunks set text = 'Shallow.', _version = _version - 1 where _document = 'page/wells.md'`,
	} {
		r, err := db.ExecContext(t.Context(), q)
		if err != nil {
			t.Fatalf("%s: %v", q, err)
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			t.Fatalf("%s: %d rows, %v", q, n, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.finds("local", "column page/rivers.md title", "extra page/none.md", "missing page/lakes.md", "vector page/ponds.md vector", "version page/wells.md")
	p.repairs("local", 5)
	p.clean("local", 5+9)
}

// TestVerifyPostgres: the same beside a replica that delivers. Where no row is one too many, only partitions with
// differences are built anew.
func TestVerifyPostgres(t *testing.T) {
	n := newNotes(t, testenv.SharedKafka(t), testenv.SharedPostgres(t).NewDatabase(t))
	for _, id := range []string{"1", "2", "3", "4"} {
		n.say(id, "note "+id)
	}
	p := n.run()
	for _, id := range []string{"1", "2", "3", "4"} {
		n.shows(p, id, "note "+id)
	}
	n.clean("db", 4)
	conn, err := pgx.Connect(t.Context(), n.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	for _, q := range []string{
		`delete from e2e.notes where _document = 'note/1'`,
		`update e2e.notes set text = 'edited' where _document = 'note/2'`,
		`update e2e.notes set _version = _version - 1 where _document = 'note/3'`,
		`update e2e.notes set _document = 'note/none' where _document = 'note/4'`,
	} {
		if tag, err := conn.Exec(t.Context(), q); err != nil || tag.RowsAffected() != 1 {
			t.Fatalf("%s: %s, %v", q, tag, err)
		}
	}
	n.finds("db", "column note/2 text", "extra note/none", "missing note/1", "missing note/4", "version note/3")
	n.repairs("db", 5)
	n.clean("db", 4)
	if _, err := conn.Exec(t.Context(), `update e2e.notes set text = 'edited' where _document = 'note/2'`); err != nil {
		t.Fatal(err)
	}
	n.repairs("db", 1, n.partitions("db")...)
	n.clean("db", 4)
	p.stop()
	p.exits(0)
}

// TestVerifyQdrant: the same of a target without transactions.
func TestVerifyQdrant(t *testing.T) {
	server := testenv.Qdrant(t, testenv.QdrantOptions{})
	p := newProject(t, qdrantFlow)
	p.env = []string{"QDRANT_URL=" + server.URL()}
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		p.write("docs/"+name+".md", "Herons fish at dawn, says "+name+".")
	}
	p.devOnce()
	p.clean("search", 5)
	client := qdrantClient(t, server.URL())
	id := func(document string) *qdrant.PointId {
		points, err := client.Scroll(t.Context(), &qdrant.ScrollPoints{CollectionName: "kept",
			Filter: &qdrant.Filter{Must: []*qdrant.Condition{qdrant.NewMatch("_document", document)}}})
		if err != nil || len(points) != 1 {
			t.Fatalf("%d points of document %s, %v", len(points), document, err)
		}
		return points[0].Id
	}
	wait := qdrant.PtrOf(true)
	if _, err := client.Delete(t.Context(), &qdrant.DeletePoints{CollectionName: "kept", Wait: wait, Points: qdrant.NewPointsSelector(id("page/a.md"))}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.SetPayload(t.Context(), &qdrant.SetPayloadPoints{CollectionName: "kept", Wait: wait,
		PointsSelector: qdrant.NewPointsSelector(id("page/b.md")), Payload: map[string]*qdrant.Value{"text": qdrant.NewValueString("edited")}}); err != nil {
		t.Fatal(err)
	}
	turned := make([]float32, 256)
	turned[0] = 1
	if _, err := client.UpdateVectors(t.Context(), &qdrant.UpdatePointVectors{CollectionName: "kept", Wait: wait, Points: []*qdrant.PointVectors{{Id: id("page/c.md"),
		Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{"embedding": qdrant.NewVectorDense(turned)})}}}); err != nil {
		t.Fatal(err)
	}
	p.finds("search", "column page/b.md text", "missing page/a.md", "vector page/c.md embedding")
	p.repairs("search", 3, p.partitions("search")...)
	p.clean("search", 5)

	held, err := client.Get(t.Context(), &qdrant.GetPoints{CollectionName: "kept", Ids: []*qdrant.PointId{id("page/d.md")}, WithPayload: qdrant.NewWithPayload(true)})
	if err != nil || len(held) != 1 {
		t.Fatalf("%d points, %v", len(held), err)
	}
	older := qdrant.NewValueInt(held[0].Payload["_version"].GetIntegerValue() - 1)
	if _, err := client.SetPayload(t.Context(), &qdrant.SetPayloadPoints{CollectionName: "kept", Wait: wait,
		PointsSelector: qdrant.NewPointsSelector(id("page/d.md")), Payload: map[string]*qdrant.Value{"_version": older}}); err != nil {
		t.Fatal(err)
	}
	stranger := held[0].Payload
	stranger["_document"] = qdrant.NewValueString("page/none.md")
	if _, err := client.Upsert(t.Context(), &qdrant.UpsertPoints{CollectionName: "kept", Wait: wait, Points: []*qdrant.PointStruct{{
		Id: qdrant.NewID("9c1d4ad8-6a5c-4a1f-8d0a-7f5b54fbd601"), Payload: stranger,
		Vectors: qdrant.NewVectorsMap(map[string]*qdrant.Vector{"embedding": qdrant.NewVectorDense(turned)})}}}); err != nil {
		t.Fatal(err)
	}
	p.finds("search", "extra page/none.md", "version page/d.md")
	p.repairs("search", 2)
	p.clean("search", 5)
}
