package files

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

func TestScanPublishesDifferencesOnly(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "A")
	p.write("sub/deep/b.md", "B")
	p.write("empty", "")
	p.expect("first", p.scan(), "put a.md, put empty, put sub/deep/b.md")
	p.expect("second", p.scan(), "")
	p.age()
	p.expect("third", p.scan(), "")
	p.write("a.md", "A2")
	p.must(os.RemoveAll(p.at("sub")))
	p.write("c.md", "C")
	p.expect("changes", p.scan(), "delete sub/deep/b.md, put a.md, put c.md")
	p.must(os.Chtimes(p.at("a.md"), time.Now(), time.Now()))
	p.expect("touch", p.scan(), "")
	p.rename("c.md", "d.md")
	p.expect("rename", p.scan(), "delete c.md, put d.md")
	p.expect("files", p.topic.String(), "a.md=A2 d.md=C empty=")
}

// F32: content changes while size and mtime stay.
func TestScanSeesAnEditThatKeepsSizeAndTime(t *testing.T) {
	for name, age := range map[string]bool{"read long after the write": true, "read in the same tick": false} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			old := time.Unix(1_700_000_000, 0)
			edit := func(content string) {
				p.write("a.md", content)
				p.must(os.Chtimes(p.at("a.md"), old, old))
			}
			edit("one")
			p.scan()
			if age {
				p.age()
			}
			edit("two")
			p.expect("edit", p.scan(), "put a.md")
		})
	}
}

func TestStampSettlesWithTime(t *testing.T) {
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(-d).UnixNano() }
	for _, tt := range []struct {
		name string
		s    stamp
		want bool
	}{
		{"old", stamp{Modified: at(time.Hour), Changed: at(time.Minute)}, true},
		{"just written", stamp{Modified: at(0), Changed: at(0)}, false},
		{"just written, mtime set back", stamp{Modified: at(time.Hour), Changed: at(time.Second)}, false},
		{"mtime ahead", stamp{Modified: at(-time.Hour), Changed: at(time.Hour)}, false},
		{"no ctime", stamp{Modified: at(time.Hour)}, false},
	} {
		if got := tt.s.settled(now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

func TestGlobs(t *testing.T) {
	p := newPlace(t)
	for _, path := range []string{"a.md", "a.txt", "docs/b.md", "docs/draft/c.md", "docs/x.draft.md", "node_modules/d.md", ".freshet/e.md", "docs/.freshet/f.md", ".hidden.md"} {
		p.write(path, "")
	}
	p.options.Include = []string{"**/*.md"}
	p.options.Exclude = []string{"**/node_modules/**", "docs/draft/**", "**/*.draft.md"}
	p.expect("globs", p.scan(), "put .hidden.md, put a.md, put docs/b.md")
	p.options.Exclude = append(p.options.Exclude, "docs/*")
	p.expect("a new exclusion", p.scan(), "delete docs/b.md")
	p.options.Include, p.options.Exclude = nil, []string{"**/*.md"}
	p.expect("another choice", p.scan(), "delete .hidden.md, delete a.md, put a.txt")
}

func TestSymlinks(t *testing.T) {
	p := newPlace(t)
	outside := t.TempDir()
	p.must(os.WriteFile(outside+"/secret", []byte("S"), 0o600))
	p.write("real/a.md", "A")
	p.write("real/sub/b.md", "B")
	for name, target := range map[string]string{
		"file.md":       "real/a.md",           // inside
		"absolute.md":   p.at("real/a.md"),     // inside, by an absolute path
		"dir":           "real/sub",            // inside
		"out":           outside,               // leads out
		"secret":        outside + "/secret",   // leads out
		"climbing":      "../../../etc/passwd", // leads out
		"dangling":      "nowhere",
		"self":          "self",
		"real/loop":     ".",
		"real/sub/up":   "..",
		"real/sub/root": "../..",
	} {
		p.must(os.Symlink(target, p.at(name)))
	}
	p.scan()
	p.expect("files", p.topic.String(), "absolute.md=A dir/b.md=B file.md=A real/a.md=A real/sub/b.md=B")
	p.must(os.Remove(p.at("real/a.md")))
	p.expect("target gone", p.scan(), "delete absolute.md, delete file.md, delete real/a.md")
}

func TestRefusals(t *testing.T) {
	p := newPlace(t)
	p.options.MaxBytes = 3
	p.open = func(root *os.Root, real string) (*os.File, error) {
		if real == "locked" {
			return nil, &fs.PathError{Op: "open", Path: real, Err: fs.ErrPermission}
		}
		return openFile(root, real)
	}
	p.write("big", "1234")
	p.write("fits", "123")
	p.write("locked", "1")
	p.write("caf\xe9", "1")
	p.expect("first", p.scan(), "put fits, refuse big, refuse caf%E9, refuse locked")
	p.expect("files", p.topic.String(), "big=!4 bytes, more than max_bytes (3): make it smaller or exclude it "+
		"caf%E9=!the name is no UTF-8: rename the file fits=123 "+
		"locked=!can't be read (permission denied): allow reading or exclude it")
	p.age()
	p.expect("second", p.scan(), "")
	p.open = openFile
	p.write("big", "12")
	p.must(os.Remove(p.at("caf\xe9")))
	p.expect("healed", p.scan(), "delete caf%E9, put big, put locked")
}

func TestNamesKeepTheirBytes(t *testing.T) {
	p := newPlace(t)
	p.write("caf\u00e9", "composed")
	p.write("cafe\u0301", "decomposed")
	p.scan()
	p.expect("files", p.topic.String(), "cafe\u0301=decomposed caf\u00e9=composed")
}

func TestUnreadableDirectoryKeepsItsFiles(t *testing.T) {
	p := newPlace(t)
	p.write("sub/deep/a.md", "A")
	p.write("b.md", "B")
	p.scan()
	p.open = func(root *os.Root, real string) (*os.File, error) {
		if real == "sub" {
			return nil, &fs.PathError{Op: "open", Path: real, Err: fs.ErrPermission}
		}
		return openFile(root, real)
	}
	p.must(os.Remove(p.at("b.md")))
	p.expect("unreadable", p.scan(), "delete b.md")
	p.open = openFile
	p.expect("readable", p.scan(), "")
}

func TestRootFaultsAreTheUsersToMend(t *testing.T) {
	p := newPlace(t)
	p.write("file", "")
	for what, root := range map[string]string{"absent": p.root + "/none", "a file": p.at("file")} {
		p.options.Root = root
		_, err := p.watcher().Scan(t.Context())
		if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), root) {
			t.Errorf("%s: %v", what, err)
		}
		if err := p.watcher().Run(t.Context()); stream.KindOf(err) != stream.Usage {
			t.Errorf("%s, run: %v", what, err)
		}
	}
}

func TestOptionsReportEveryFault(t *testing.T) {
	_, err := New(Options{Include: []string{"[", "/abs"}, Rescan: -1}, newTopic(), slog.New(slog.DiscardHandler))
	if stream.KindOf(err) != stream.Usage {
		t.Fatal(err)
	}
	for _, part := range []string{"root is empty", "index", "rescan", `"["`, `"/abs"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in: %v", part, err)
		}
	}
}

func TestKnownPathsThatAreGoneAreDeleted(t *testing.T) {
	p := newPlace(t)
	p.write("a.md", "A")
	p.write("b.md", "B")
	p.scan()
	p.must(os.Remove(p.options.IndexPath), os.Remove(p.at("b.md")))
	p.options.Known = func(context.Context) ([]string, error) { return []string{"a.md", "b.md"}, nil }
	p.expect("after the loss", p.scan(), "delete b.md, put a.md")
	p.options.Identity = "another topic"
	p.options.Known = nil
	p.expect("another topic", p.scan(), "put a.md")
}

// F31 for files, and Invariant 1: a crash after the publication, then the old content again.
func TestInterruptedPublicationIsRepeated(t *testing.T) {
	crash := errors.New("crash")
	p := newPlace(t)
	p.write("a.md", "A")
	p.scan()
	p.age()
	p.topic.fail = func(events []Event) error { // all is durable, but we do not live to hear of it
		for _, e := range events {
			p.topic.take(e)
		}
		return crash
	}
	p.write("a.md", "B")
	p.write("new.md", "N")
	if _, err := p.watcher().Scan(t.Context()); !errors.Is(err, crash) {
		t.Fatal(err)
	}
	p.topic.fail = nil
	p.write("a.md", "A")
	p.must(os.Remove(p.at("new.md")))
	p.topic.taken()
	p.expect("after the crash", p.scan(), "delete new.md, put a.md")
	p.expect("files", p.topic.String(), "a.md=A")
}
