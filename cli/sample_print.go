package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/pmezard/go-difflib/difflib"

	"github.com/freshet-dev/freshet/stream"
)

// How much of a text's diff is shown.
const (
	diffLines  = 20  // at most
	diffWidth  = 120 // runes of a line
	diffBefore = 20  // runes of a line before the first that differs
)

// textDiff compares two texts line by line: removed lines after "-", added ones after "+", each run with a line around it. What is long is cut.
func textDiff(old, now string) string {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	var lines []string
	for i, group := range difflib.NewMatcher(a, b).GetGroupedOpCodes(1) {
		if i > 0 {
			lines = append(lines, "  …")
		}
		for _, op := range group {
			lines = append(lines, diffOf(op.Tag, a[op.I1:op.I2], b[op.J1:op.J2])...)
		}
	}
	if more := len(lines) - diffLines; more > 1 {
		lines = append(lines[:diffLines:diffLines], fmt.Sprintf("  … and %d lines more", more))
	}
	return strings.Join(lines, "\n")
}

// diffOf is one run of lines. Lines that take the place of others are cut where the pair begins to differ.
func diffOf(tag byte, a, b []string) (out []string) {
	if tag == 'e' {
		for _, line := range a {
			out = append(out, "  "+cutLine(line, 0))
		}
		return out
	}
	starts := make([]int, max(len(a), len(b)))
	for i := range min(len(a), len(b)) {
		starts[i] = max(0, alike(a[i], b[i])-diffBefore)
	}
	for i, line := range a {
		out = append(out, "- "+cutLine(line, starts[i]))
	}
	for i, line := range b {
		out = append(out, "+ "+cutLine(line, starts[i]))
	}
	return out
}

// alike is how many runes two lines begin with alike.
func alike(a, b string) (n int) {
	y := []rune(b)
	for _, r := range []rune(a) {
		if n == len(y) || y[n] != r {
			return n
		}
		n++
	}
	return n
}

// cutLine shows a line from a rune on, and all of one that is short.
func cutLine(line string, from int) string {
	r := []rune(line)
	if len(r) <= diffWidth {
		return line
	}
	text := r[min(from, len(r)):]
	end := ""
	if len(text) > diffWidth {
		text, end = text[:diffWidth], "…"
	}
	if from > 0 {
		return "…" + string(text) + end
	}
	return string(text) + end
}

func (d sampledDocument) print(out io.Writer) {
	fmt.Fprintf(out, "document %s\n", d.Document)
	if d.Refused != "" {
		fmt.Fprintf(out, "  would be quarantined, and keep its rows: %s\n", d.Refused)
		return
	}
	if d.Moved {
		fmt.Fprintln(out, "  it changed meanwhile: rows are compared with what is written now")
	}
	for _, r := range d.Rows {
		fmt.Fprintf(out, "  row of %s, key %q: %s\n", r.Table, r.Key, r.Change)
		for _, name := range sortedKeys(r.Columns) {
			r.Columns[name].print(out, name)
		}
	}
	for _, table := range sortedKeys(d.Same) {
		fmt.Fprintf(out, "  rows of %s as they are: %d\n", table, d.Same[table])
	}
}

func (c sampledColumn) print(out io.Writer, name string) {
	switch {
	case c.Old == nil:
		fmt.Fprintf(out, "    %s: + %s\n", name, brief(c.New.Value))
	case c.New == nil:
		fmt.Fprintf(out, "    %s: - %s\n", name, brief(c.Old.Value))
	case c.Diff != "":
		fmt.Fprintf(out, "    %s:\n      %s\n", name, strings.ReplaceAll(c.Diff, "\n", "\n      "))
	case c.Cosine != nil:
		fmt.Fprintf(out, "    %s: cosine %.4f\n", name, *c.Cosine)
	case c.Old.Kind() == stream.Vector && c.New.Kind() == stream.Vector && c.Old.Dims() != c.New.Dims():
		fmt.Fprintf(out, "    %s: other dimensions, %d → %d\n", name, c.Old.Dims(), c.New.Dims())
	default:
		fmt.Fprintf(out, "    %s: %s → %s\n", name, brief(c.Old.Value), brief(c.New.Value))
	}
}

// sum prints the counts of rows, and how far vectors are apart.
func (s *sampled) sum(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "sampled\tadded\tchanged\tremoved\tas they are\t")
	for _, name := range sortedKeys(s.Tables) {
		t := s.Tables[name]
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t\n", name, t.Added, t.Changed, t.Removed, t.Same)
	}
	_ = table.Flush() // as every print to out
	if len(s.Vectors) == 0 {
		return
	}
	fmt.Fprintln(table, "vectors\tdiffer\tmean cosine\tleast\t")
	for _, name := range sortedKeys(s.Vectors) {
		v := s.Vectors[name]
		fmt.Fprintf(table, "%s\t%d\t%.4f\t%.4f\t\n", name, v.Count, v.Mean, v.Least)
	}
	_ = table.Flush()
}
