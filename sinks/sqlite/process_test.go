package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// childPath names the environment variable that turns the test binary into a process that writes the file it names.
const childPath = "FRESHET_TEST_SQLITE_CHILD"

var counted = []stream.TargetTable{{Table: stream.Table{Name: "counted", Columns: []stream.Field{{Name: "n", Type: stream.TypeInt}}}}}

// TestKilledWriter kills a process in the middle of its writes, over and over: while it lives nobody else may write, and
// afterwards the rows are exactly those below the next offset, with nothing that was acknowledged lost.
func TestKilledWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	for range 4 {
		acknowledged := killAfter(t, path, 40)
		s := openCounted(t, path)
		a, err := s.Assign(t.Context(), 0, stream.Origin{})
		if err != nil {
			t.Fatal(err)
		}
		if a.Next < acknowledged {
			t.Fatalf("next offset %d, but %d was acknowledged", a.Next, acknowledged)
		}
		checkCounted(t, s, a.Next)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter runs a writer, tries to open its file, kills it after so many batches, and returns the last offset it
// reported.
func killAfter(t *testing.T, path string, batches int) int64 {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childPath+"="+path)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	last := readOffsets(t, lines, batches/2, 0)
	refusedWhileOwned(t, path, child.Process.Pid)
	last = readOffsets(t, lines, batches/2, last)
	_ = child.Process.Kill()
	for lines.Scan() { // what it still managed to say
		_, _ = fmt.Sscan(lines.Text(), &last)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = child.Wait()
	return last
}

func readOffsets(t *testing.T, lines *bufio.Scanner, count int, last int64) int64 {
	t.Helper()
	for range count {
		if !lines.Scan() {
			t.Fatalf("the writing process ended by itself: %v", lines.Err())
		}
		if _, err := fmt.Sscan(lines.Text(), &last); err != nil {
			t.Fatal(err)
		}
	}
	return last
}

func refusedWhileOwned(t *testing.T, path string, pid int) {
	t.Helper()
	sink, err := newAt(path, counted)
	if err != nil {
		t.Fatal(err)
	}
	_, err = sink.Open(t.Context(), "f", "local")
	if stream.KindOf(err) != stream.Usage || err == nil {
		t.Fatalf("a second owner: %v", err)
	}
	for _, part := range []string{path, fmt.Sprint(pid)} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the message %q does not name %s", err, part)
		}
	}
}

func openCounted(t *testing.T, path string) stream.Sink {
	t.Helper()
	s, err := newAt(path, counted)
	if err == nil {
		_, err = s.Open(t.Context(), "f", "local")
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkCounted(t *testing.T, s stream.Sink, next int64) {
	t.Helper()
	rows := int64(0)
	err := s.(stream.Reader).ReadRows(t.Context(), "counted", func(r stream.RowWrite) error {
		rows++
		if r.Columns[0].Int() != r.Version.Offset || r.Version.Offset >= next {
			return fmt.Errorf("row %v holds %v", r.RowID, r.Columns[0])
		}
		return nil
	})
	if err != nil || rows != next {
		t.Fatalf("%d rows below offset %d: %v", rows, next, err)
	}
}

// writeUntilKilled writes batches of seven rows, one row an offset, and prints each offset that was acknowledged.
func writeUntilKilled(path string) int {
	if err := writeForever(path); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}

func writeForever(path string) error {
	ctx := context.Background()
	s, err := newAt(path, counted)
	if err != nil {
		return err
	}
	if _, err := s.Open(ctx, "f", "local"); err != nil {
		return err
	}
	a, err := s.Assign(ctx, 0, stream.Origin{})
	for err == nil {
		b := stream.Batch{From: a.Next, To: a.Next + 7}
		for n := b.From; n < b.To; n++ {
			id := stream.RowID{Table: "counted", Document: fmt.Sprint(n)}
			b.Units = append(b.Units, stream.Unit{Document: id.Document, Rows: []stream.RowWrite{
				{RowID: id, Version: stream.Version{Offset: n}, Columns: []stream.Value{stream.IntOf(n)}}}})
		}
		if err = s.Apply(ctx, b); err == nil {
			a.Next = b.To
			_, err = fmt.Println(a.Next)
		}
	}
	return err
}
