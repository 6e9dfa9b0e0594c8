package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// foreseen is a book that foresees as it evaluates.
type foreseen struct{ *book }

func (f foreseen) Foresee(ctx context.Context, d stream.Document, calls stream.Calls) (stream.Foreseen, error) {
	rows, err := f.Evaluate(ctx, d, calls)
	known := make([]bool, len(rows))
	for i, r := range rows {
		known[i] = !slices.ContainsFunc(r.Columns, func(v stream.Value) bool { _, stands := v.StandsIn(); return stands })
	}
	return stream.Foreseen{Rows: rows, Known: known}, err
}

// later is the scene's program with another logic, whose words are shouted by other rules.
func (s *scene) later() foreseen {
	b := newBook(2, s.op)
	b.shout.Memo = stream.FingerprintBytes([]byte("shout again"))
	return foreseen{b}
}

// TestChoose: a sample is spread over the documents' fingerprints, whatever partition they are in, and the same each time.
func TestChoose(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		q, err := s.part(1)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for i := range 9 {
			s.must(t, []*part{p, q}[i%2], write{fmt.Sprint(i), "title=A"})
			ids = append(ids, "book/"+fmt.Sprint(i))
		}
		slices.SortFunc(ids, func(a, b string) int {
			x, y := stream.FingerprintBytes([]byte(a)), stream.FingerprintBytes([]byte(b))
			return slices.Compare(x[:], y[:])
		})
		for n, want := range map[int][]string{1: {ids[0]}, 3: {ids[0], ids[3], ids[6]}, 4: {ids[0], ids[2], ids[4], ids[6]}, 20: ids} {
			if got := s.samples(t, s.later(), n); !slices.Equal(documentsOf(got), want) {
				t.Errorf("%d: got %v, want %v", n, documentsOf(got), want)
			}
		}
		if got := s.samples(t, foreseen{s.program}, 5); len(got) > 0 {
			t.Errorf("of documents that the program evaluated: %v", documentsOf(got))
		}
	})
}

func (s *scene) sample(t *testing.T, program foreseen, n int) *engine.Sample {
	t.Helper()
	stores := map[int32]engine.Store{}
	for id, p := range s.parts {
		stores[id] = p.store
	}
	chosen, err := engine.Choose(t.Context(), program, stores, n)
	if err != nil {
		t.Fatal(err)
	}
	return chosen
}

func (s *scene) samples(t *testing.T, program foreseen, n int) []engine.Sampled {
	t.Helper()
	got, err := s.sample(t, program, n).Evaluate(s.ctx, maxRecord, engine.Events{})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func documentsOf(all []engine.Sampled) (ids []string) {
	for _, d := range all {
		ids = append(ids, d.Document)
	}
	return ids
}

// TestSample: it gives the rows that the next run writes, computes what was foreseen once, uses what any partition holds, says which documents
// would be quarantined, and leaves no trace.
func TestSample(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		q, err := s.part(1)
		if err != nil {
			t.Fatal(err)
		}
		s.must(t, p, write{"a", "title=A body=x,y"}, write{"large", "title=" + strings.Repeat("l", maxRecord/2)})
		s.must(t, q, write{"b", "title=wrong body=y"}, write{"c", "title=C body=y,z"})
		before := [2]string{contents(t, p), contents(t, q)}

		later := s.later()
		sample := s.sample(t, later, 10)
		f, err := sample.Foresee(t.Context(), func(_ *stream.Node, v stream.Value) (int64, error) { return int64(len(v.Str())), nil })
		if n := f.Nodes["shout"]; err != nil || int(f.Documents) != sample.Of || !n.Costly {
			t.Errorf("foreseen: %+v, %v", f, err)
		}
		s.op.seen = map[string]int{}
		got, err := sample.Evaluate(s.ctx, maxRecord/2, engine.Events{})
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(s.op.seen)); n == 0 || n != f.Nodes["shout"].Computed {
			t.Errorf("computed %v, foreseen %+v", s.op.seen, f.Nodes["shout"])
		}
		for word, n := range s.op.seen {
			if n != 1 {
				t.Errorf("%s was computed %d times", word, n)
			}
		}
		for _, d := range got {
			if refused := d.Refused != nil; refused != (d.Document == "book/large" || d.Document == "book/b") || refused && stream.KindOf(d.Refused) != stream.Invalid {
				t.Errorf("document %s: %v", d.Document, d.Refused)
			}
		}
		if after := [2]string{contents(t, p), contents(t, q)}; after != before {
			t.Error("the sample left something in the state")
		}
		s.op.seen = map[string]int{}
		if s.samples(t, foreseen{newBook(2, s.op)}, 10); len(s.op.seen) > 0 {
			t.Errorf("%v are held, and were computed", s.op.seen)
		}

		s.program = later.book
		if err := errors.Join(s.restart(true), s.drain(p, 50), s.drain(q, 50)); err != nil {
			t.Fatal(err)
		}
		for _, d := range got {
			var want []string
			for _, r := range d.Rows {
				want = append(want, strings.TrimSpace(r.Table+" "+r.Key)+"="+r.Columns[0].String())
			}
			if held := s.parts[d.Partition].table(d.Document); d.Refused == nil && held != strings.Join(want, " ") {
				t.Errorf("document %s: sampled %s, written %s", d.Document, want, held)
			}
		}
	})
}

// contents are a store's entries as text.
func contents(t *testing.T, p *part) string {
	t.Helper()
	var b strings.Builder
	if err := p.store.Scan(nil, nil, func(k, v []byte) (bool, error) {
		fmt.Fprintf(&b, "%x %x\n", k, v)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
