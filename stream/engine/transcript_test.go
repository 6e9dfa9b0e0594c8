package engine_test

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/engine"
)

// Transcripts record the durable steps of scenarios, in order. Commands:
//
//	commit [backlog=n]       one transaction with a line "KEY TEXT" per record; prints what it wrote and counted
//	abort                    the same, dropped
//	release word=W           lets a slow word be computed
//	restart [reevaluate]     a crash: only what was committed is left
//	program version=n [no-words] [metadata]   the same with another program; the backlog is found
//	state                    documents with their status, input and rows
//	rejected                 records that name no document
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *scene, p *part) {
				s.op.batch = 1 // a slow word holds up no other
				datadriven.RunTest(t, f, func(t *testing.T, d *datadriven.TestData) string {
					out, err := s.command(t, p, d)
					if err != nil {
						out += "error (" + stream.KindOf(err).String() + "): " + err.Error() + "\n"
					}
					return out
				})
			})
		})
	}
}

func (s *scene) command(t *testing.T, p *part, d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "commit":
		n := 0
		d.MaybeScanArgs(t, "backlog", &n)
		if err := s.catchUp(p); err != nil {
			return "", err
		}
		out, err := s.commit(p, writesOf(d.Input), n)
		return told(out), err
	case "abort":
		return "", s.abort(p, writesOf(d.Input), d.HasArg("backlog"))
	case "release":
		s.op.release(d.CmdArgs[0].Vals[0])
	case "restart":
		return "", s.restart(d.HasArg("reevaluate"))
	case "program":
		version := 1
		d.MaybeScanArgs(t, "version", &version)
		s.program = newBook(version, s.op)
		s.program.noWords, s.program.metadata = d.HasArg("no-words"), d.HasArg("metadata")
		err := s.restart(true)
		return fmt.Sprintf("backlog: %d\n", p.engine.Backlog()), err
	case "state":
		return s.state(p)
	case "rejected":
		return rejected(p)
	default:
		return "", fmt.Errorf("unknown command %s", d.Cmd)
	}
	return "", nil
}

// catchUp lets what runs, or ran before a crash, finish as far as it can, so that transcripts do not depend on chance.
func (s *scene) catchUp(p *part) error {
	err := p.engine.Resume(s.ctx, s.ev, 1<<20)
	<-time.After(s.budget)
	return err
}

func writesOf(input string) []write {
	var out []write
	for line := range strings.Lines(input) {
		key, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		text = strings.ReplaceAll(text, "LONG", strings.Repeat("x", maxRecord))
		out = append(out, write{key, text})
	}
	return out
}

// told writes what a transaction wrote: row records in order, entries by kind, outcomes.
func told(out *engine.Output) string {
	if out == nil {
		return ""
	}
	var b strings.Builder
	tables := map[string]stream.Table{}
	for _, t := range newBook(1, nil).Tables() {
		tables[t.Name] = t
	}
	sort.SliceStable(out.Rows, func(i, j int) bool { // documents come in the order in which they finished
		_, a, _, _, _ := schemas.RowHeader(&out.Rows[i])
		_, b, _, _, _ := schemas.RowHeader(&out.Rows[j])
		return a < b
	})
	for i := range out.Rows {
		w, at, n, err := schemas.DecodeRow(&out.Rows[i], tables)
		if err != nil {
			return err.Error()
		}
		fmt.Fprintf(&b, "row %d/%d %s %s", at, n, w.Document, strings.TrimSpace(w.Table+" "+w.Key))
		if w.Delete {
			b.WriteString(" deleted\n")
			continue
		}
		fmt.Fprintf(&b, " = %s\n", w.Columns[0])
	}
	fmt.Fprintf(&b, "entries:%s\n", kinds(out.Entries))
	b.WriteString(outcomes(out.Counts))
	if s := out.Stats; s.Pending+s.Quarantined+s.Rejected > 0 {
		fmt.Fprintf(&b, "in all: %d documents, %d pending, %d quarantined, %d rejected\n", s.Documents, s.Pending, s.Quarantined, s.Rejected)
	}
	return b.String()
}

var kindNames = map[byte]string{'h': "header", 'i': "input", 'r': "row", 'e': "reference", 'm': "memo", 'u': "use", 'p': "pending",
	'q': "rejected", 's': "statistics"}

func kinds(entries []stream.StateEntry) string {
	put, gone := map[string]int{}, map[string]int{}
	for _, e := range entries {
		if name := kindNames[e.Key[0]]; e.Value == nil {
			gone[name]++
		} else {
			put[name]++
		}
	}
	out := ""
	for _, k := range sortedKeys(put) {
		out += fmt.Sprintf(" %s+%d", k, put[k])
	}
	for _, k := range sortedKeys(gone) {
		out += fmt.Sprintf(" %s-%d", k, gone[k])
	}
	return out
}

func outcomes(c engine.Counts) string {
	out := "outcomes:"
	for _, x := range []struct {
		name string
		n    int64
	}{{"applied", c.Applied}, {"noop", c.Noop}, {"superseded", c.Superseded}, {"quarantined", c.Quarantined}, {"evaluated", c.Evaluated}, {"deleted", c.Deleted}} {
		if x.n != 0 {
			out += fmt.Sprintf(" %s=%d", x.name, x.n)
		}
	}
	for _, k := range sortedKeys(c.Other) {
		out += fmt.Sprintf(" %s=%d", k, c.Other[k])
	}
	return out + "\n"
}

func (s *scene) state(p *part) (string, error) {
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
		fmt.Fprintf(&b, "%s is %s, of offset %d: %s\n", id, h.Status, h.Position.Offset, in)
		if h.Reason != "" {
			fmt.Fprintf(&b, "  reason: %.90s\n", h.Reason)
		}
		if h.Failed != nil {
			fmt.Fprintf(&b, "  refused: offset %d\n", h.Failed.Offset)
		}
		if rows := p.table(id); rows != "" {
			fmt.Fprintf(&b, "  rows: %s\n", rows)
		}
	}
	fmt.Fprintf(&b, "words computed: %d\n", s.op.calls())
	return b.String(), nil
}

func rejected(p *part) (string, error) {
	var lines []string
	err := engine.RejectedRecords(p.store, func(r engine.Rejected) error {
		lines = append(lines, fmt.Sprintf("offset %d, key %s, value %s: %s\n", r.Position.Offset, r.Key, r.Value, r.Reason))
		return nil
	})
	sort.Strings(lines)
	return strings.Join(lines, ""), err
}
