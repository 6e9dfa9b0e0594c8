package upgrade

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"modernc.org/sqlite"
)

// report is what `dev --once --json` prints, as far as this test looks.
type report struct {
	Documents, Deleted, Quarantined int
	Nodes                           map[string]struct{ Computed, Reused int }
	Tables                          map[string]struct{ Upserts, Deletes, Rows int }
}

// TestKeptDirectories: the whole data directory of an earlier `freshet dev`, which was killed by SIGKILL and so holds
// Badger's tables and logs, the broker's segments, the watcher's index and the SQLite target with its write-ahead log, is
// read by today's. Nothing is computed or written again, and what changes afterwards ends where a fresh build ends.
//
// testdata/kept-N.tar.gz was made by a run with --once; then, while dev ran, gone.md was deleted and short.md got a line;
// then kill -9. broken.md is no UTF-8, so it is quarantined.
func TestKeptDirectories(t *testing.T) {
	archives, err := filepath.Glob("testdata/kept-*.tar.gz")
	if err != nil || len(archives) == 0 {
		t.Fatal("no kept directory", err)
	}
	bin := today(t)
	for _, archive := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(archive), ".tar.gz"), func(t *testing.T) {
			dir := t.TempDir()
			unpack(t, archive, dir)
			readKept(t, bin, dir)
		})
	}
}

func readKept(t *testing.T, bin, dir string) {
	first := devOnce(t, bin, dir, 3)
	if v := first.Nodes["vector"]; first.Documents != 0 || first.Deleted != 0 || v.Computed != 0 || first.Quarantined != 1 {
		t.Errorf("reading it evaluated something again, or lost the quarantined page: %+v", first)
	}
	for table, rows := range map[string]int{"pages": 2, "chunks": 66} {
		if c := first.Tables[table]; c.Rows != rows || c.Upserts != 0 || c.Deletes != 0 {
			t.Errorf("table %s: %+v, want %d rows and nothing written", table, c, rows)
		}
	}

	// One section of a page whose input lies in parts; a page goes; one that could not be read can now.
	edit(t, filepath.Join(dir, "pages", "long.md"), "tells of water", "sings of water")
	if err := os.Remove(filepath.Join(dir, "pages", "short.md")); err != nil {
		t.Fatal(err)
	}
	edit(t, filepath.Join(dir, "pages", "broken.md"), "\xff\xfe", "now")
	second := devOnce(t, bin, dir, 0)
	if v := second.Nodes["vector"]; v.Computed != 2 || v.Reused != 64 || second.Deleted != 1 || second.Quarantined != 0 {
		t.Errorf("after three edits: %+v; want one section and one new page computed, the rest taken from the kept memos", second)
	}
	fresh := t.TempDir()
	if err := errors.Join(os.CopyFS(filepath.Join(fresh, "pages"), os.DirFS(filepath.Join(dir, "pages"))), copyFile(dir, fresh, "kept.yaml")); err != nil {
		t.Fatal(err)
	}
	devOnce(t, bin, fresh, 0)
	for table, columns := range map[string]string{"pages": "title, parts", "chunks": "path, text, hex(embedding)"} {
		got, want := rows(t, dir, table, columns), rows(t, fresh, table, columns)
		if len(want) == 0 || !slices.Equal(got, want) {
			t.Errorf("table %s holds %d rows that differ from the %d of a fresh build:\n%.600v\n%.600v", table, len(got), len(want), got, want)
		}
	}
}

func devOnce(t *testing.T, bin, dir string, code int) (r report) {
	t.Helper()
	p := start(t, "dev", bin, dir, nil, "dev", "-f", "kept.yaml", "--once", "--json")
	p.wait(code)
	if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
		t.Fatalf("%v in %s", err, p.stdout.String())
	}
	if strings.Contains(p.log.String(), "wiped") || strings.Contains(p.log.String(), "can't be read") {
		t.Errorf("the kept state was not continued:\n%s", p.log.String())
	}
	return r
}

// edit replaces the first occurrence.
func edit(t *testing.T, path, old, now string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%s has no %q (%v)", path, old, err)
	}
	if err := os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(now), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

func copyFile(from, to, name string) error {
	b, err := os.ReadFile(filepath.Join(from, name))
	return errors.Join(err, os.WriteFile(filepath.Join(to, name), b, 0o644))
}

// readOnly opens a SQLite file as any other program does.
type readOnly struct{ path string }

func (r readOnly) Connect(context.Context) (driver.Conn, error) {
	return r.Driver().Open("file:" + r.path + "?mode=ro&_pragma=busy_timeout(10000)")
}

func (readOnly) Driver() driver.Driver { return &sqlite.Driver{} }

// rows reads a SQLite table, a row a line, sorted.
func rows(t *testing.T, dir, table, columns string) (lines []string) {
	t.Helper()
	db := sql.OpenDB(readOnly{filepath.Join(dir, "kept.db")})
	defer db.Close()
	found, err := db.QueryContext(t.Context(), fmt.Sprintf("select concat_ws(' | ', _document, _key, %s) from %s", columns, table))
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	for found.Next() {
		var line string
		if err := found.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// unpack writes the archive's files; Badger's logs are mostly holes, and stay so.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	packed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := tar.NewReader(packed)
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		path := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(h.Name, "/")))
		switch {
		case err != nil:
		case h.Typeflag == tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		default:
			err = writeSparse(path, files)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// writeSparse leaves blocks of zeros out.
func writeSparse(path string, from io.Reader) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, err := io.ReadFull(from, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := f.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return f.Truncate(at)
		}
		if err != nil {
			return err
		}
	}
}
