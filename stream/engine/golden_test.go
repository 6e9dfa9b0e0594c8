package engine_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/statestore"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

var update = flag.Bool("update", false, "write the golden state of the newest format anew (only before a release has written it)")

// goldenState is the state, entry by entry, that format n writes; goldenMeaning is what it says. Files of older formats
// stay: today's code reads every one.
func goldenState(n int) string   { return fmt.Sprintf("testdata/golden/state-%d.entries", n) }
func goldenMeaning(n int) string { return fmt.Sprintf("testdata/golden/state-%d.txt", n) }

// goldenWrites lead to a state that has entries of every kind: documents that are live, pending and quarantined, with
// inputs in the header and in parts, with few rows and with many; memos in use and out of use; rejected records.
var goldenWrites = []write{
	{"few", "title=Few body=red note=kept"},
	{"many", "title=Many body=a,b,c,d,e,red"},
	{"large", "title=Large body=blue note=" + strings.Repeat("0123456789", 500)},
	{"wrong", "title=Right body=green"},
	{"wrong", "title=wrong body=green"},
	{"unread", "?id"},
	{"was", "title=Was body=out"},
	{"was", "-"},
	{"x", "?"},
	{"slow", "title=Early body=red"},
	{"slow", "title=Slow body=slow"},
	{"x", "!heartbeat"},
}

func writeGoldenState(t *testing.T, s *scene, p *part) {
	for _, w := range goldenWrites { // one by one, so that the state does not depend on which finishes first
		s.must(t, p, w)
	}
	tx, err := s.begin(p, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	tx.MarkPass(3)
	out, err := tx.Finish()
	if err == nil {
		err = p.store.Apply(out.Entries, stream.Checkpoint{})
	}
	if err != nil {
		t.Fatal(err)
	}
	tx.Commit()
}

// TestGoldenStateIsWritten: what is written today is what the newest format says, to the byte.
func TestGoldenStateIsWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene, p *part) {
		writeGoldenState(t, s, p)
		meaning, err := s.meaning(p)
		if err != nil {
			t.Fatal(err)
		}
		for path, got := range map[string]string{goldenState(engine.FormatVersion): listed(p.store), goldenMeaning(engine.FormatVersion): meaning} {
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			held, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(held) != got {
				t.Errorf("%s: what is written changed: raise FormatVersion, keep the file, and add one of the new format; now:\n%.4000s", path, got)
			}
		}
	})
}

// TestGoldenStatesAreRead: every format that was ever written is read, work goes on from it, and nothing is done again.
func TestGoldenStatesAreRead(t *testing.T) {
	for n := 1; n <= engine.FormatVersion; n++ {
		t.Run(strconv.Itoa(n), func(t *testing.T) { readGolden(t, n, goldenState(n), false) })
	}
	t.Run("1 without contents", func(t *testing.T) { readGolden(t, 1, "testdata/golden/state-1-uncounted.entries", true) })
}

// readGolden goes on from a state; uncounted says that whoever wrote it did not count what it consists of.
func readGolden(t *testing.T, n int, path string, uncounted bool) {
	inBubble(t, func(t *testing.T, s *scene, _ *part) {
		p := &part{id: 1, store: statestore.NewMemory(), rows: map[stream.RowID]string{}, unsized: uncounted}
		s.parts[1] = p
		if err := p.store.Apply(readEntries(t, path), stream.Checkpoint{Format: n}); err != nil {
			t.Fatal(err)
		}
		if err := s.open(p, false); err != nil {
			t.Fatal(err)
		}
		if stats, err := engine.ReadStats(p.store); err != nil || (stats.Contents == nil) != uncounted {
			t.Errorf("the store says %+v (%v)", stats.Contents, err)
		}
		if stats, err := engine.ReadStats(statestore.NewMemory()); err != nil || stats.Contents == nil {
			t.Errorf("an empty store says %+v (%v)", stats.Contents, err)
		}
		if err := checkContents(p); err != nil {
			t.Fatal(err)
		}
		goOn(t, s, p, goldenMeaning(n))
		if out := s.raw(t, p, write{"few", "-"}); out.Stats.Contents.Unused.Count != 2 {
			t.Errorf("%+v", out.Stats.Contents)
		}
		if err := checkContents(p); err != nil {
			t.Fatal(err)
		}
	})
}

func goOn(t *testing.T, s *scene, p *part, meaning string) {
	want, err := os.ReadFile(meaning)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.meaning(p)
	if err != nil || got != string(want) {
		t.Fatalf("the state is read as (error %v)\n%s\nwant\n%s", err, got, want)
	}
	last := map[string]write{}
	for _, w := range goldenWrites {
		if w.key != "x" && w.key != "unread" {
			last[w.key] = w
		}
	}
	delete(last, "was")
	for _, key := range sortedKeys(last) {
		if out := s.raw(t, p, last[key]); out.Counts.Noop != 1 || len(out.Rows) != 0 {
			t.Errorf("%s again: %s, %d rows; want a no-op", key, outcomes(out.Counts), len(out.Rows))
		}
	}
	if n := s.op.calls(); n != 1 {
		t.Errorf("%d words were computed; want only that of the pending document", n)
	}
	s.op.release("slow")
	if out := s.raw(t, p); len(out.Rows) != 3 || out.Stats.Pending != 0 {
		t.Errorf("the pending document gave %d rows, want 3 (a page, a word, a word deleted); %d are pending", len(out.Rows), out.Stats.Pending)
	}
	out := s.raw(t, p, write{"many", "title=Many body=a,b,c,d,e,blue"}, write{"wrong", "title=Right body=green"}, write{"large", "-"})
	if got := out.Counts; len(out.Rows) != 4 || got.Deleted != 1 || got.Applied != 3 || s.op.calls() != 1 || out.Stats.Quarantined != 1 {
		t.Errorf("changes gave %d rows, %s, %d words computed, %+v; want one word replaced by a memo's, two rows deleted, one document revived",
			len(out.Rows), outcomes(got), s.op.calls(), out.Stats)
	}
}

// raw does one transaction on a state whose past the scene does not know.
func (s *scene) raw(t *testing.T, p *part, writes ...write) *engine.Output {
	t.Helper()
	if err := s.catchUp(p); err != nil {
		t.Fatal(err)
	}
	tx, err := s.begin(p, writes, 16)
	if err != nil {
		t.Fatal(err)
	}
	out, err := tx.Finish()
	if err == nil {
		err = p.store.Apply(out.Entries, stream.Checkpoint{})
	}
	if err != nil {
		t.Fatal(err)
	}
	tx.Commit()
	p.next += int64(len(writes))
	return out
}

// meaning is all that the engine says of a state.
func (s *scene) meaning(p *part) (string, error) {
	docs, err := p.documents()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, id := range sortedKeys(docs) {
		h := docs[id]
		in, err := engine.ReadInput(p.store, h)
		if err != nil {
			return "", err
		}
		rows, err := engine.EmittedRows(p.store, id)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s is %s, position %+v, %d parts, %d bytes, %d memos, open %d, %q, failed %+v\n  input %.200s\n  rows %v\n", id, h.Status,
			h.Position, h.Parts, h.InputBytes, h.Memos, h.Open, h.Reason, h.Failed, in, rows)
	}
	refused, err := rejected(p)
	stats := p.engine.Stats()
	stats.Contents = nil // see checkContents
	fmt.Fprintf(&b, "%sstatistics %+v\npass marked %d, %d memos\n", refused, stats, p.engine.PassMarked(), p.count('m'))
	return b.String(), err
}

// listed is a store's entries, a line each: kind, key, value.
func listed(s *statestore.Memory) string {
	var b strings.Builder
	for line := range bytes.Lines(dump(s)) {
		key, value, _ := strings.Cut(strings.TrimSpace(string(line)), "=")
		raw, _ := hex.DecodeString(key)
		fmt.Fprintf(&b, "%c %s %s\n", raw[0], key, value)
	}
	return b.String()
}

func readEntries(t *testing.T, path string) (entries []stream.StateEntry) {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := append(strings.Split(lines.Text(), " "), "") // a value may be empty
		key, err1 := hex.DecodeString(fields[1])
		value, err2 := hex.DecodeString(fields[2])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		entries = append(entries, stream.StateEntry{Key: key, Value: value})
	}
	return entries
}

// TestEveryKindOfEntryHasAGolden: a new kind of entry comes into the golden state with the code that writes it.
func TestEveryKindOfEntryHasAGolden(t *testing.T) {
	held := map[byte]bool{}
	for _, e := range readEntries(t, goldenState(engine.FormatVersion)) {
		held[e.Key[0]] = true
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), "state.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "key") {
			return true
		}
		kind, _, _, err := strconv.UnquoteChar(strings.Trim(spec.Values[0].(*ast.BasicLit).Value, "'"), '\'')
		if found++; err != nil || !held[byte(kind)] {
			t.Errorf("%s (%c): no entry of this kind is in %s (%v)", spec.Names[0].Name, kind, goldenState(engine.FormatVersion), err)
		}
		return true
	})
	if found < 10 {
		t.Errorf("%d kinds of entries found in state.go, there were 10", found)
	}
}
