package history_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/freshet-dev/freshet/internal/history"
	"github.com/freshet-dev/freshet/stream"
)

const recording = `{"commit":"c1","ts":100,"path":"a.md","op":"upsert","text":"one"}
{"commit":"c1","ts":100,"path":"b.md","op":"upsert","text":""}
{"commit":"c2","ts":160,"path":"a.md","op":"delete"}
`

// show is a history as text.
func show(t *testing.T, r history.Reader) string {
	t.Helper()
	defer r.Close()
	var out []string
	for {
		c, err := r.Next()
		if err == io.EOF {
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("after the end: %v", err)
			}
			return strings.Join(out, "\n")
		}
		if err != nil {
			t.Fatal(err)
		}
		text := c.Time.Format(time.TimeOnly)
		for _, e := range c.Edits {
			if text += " " + e.Path; e.Delete {
				text += " gone"
			} else {
				text += "=" + string(e.Content)
			}
		}
		out = append(out, text)
	}
}

func TestCorpus(t *testing.T) {
	const want = "00:01:40 a.md=one b.md=\n00:02:40 a.md gone"
	plain := filepath.Join(t.TempDir(), "history.ndjson")
	write(t, plain, recording)
	zipped := plain + ".gz"
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(recording))
	_ = z.Close()
	write(t, zipped, b.String())
	for _, name := range []string{plain, zipped} {
		r, err := history.OpenCorpus(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := show(t, r); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBadCorpus(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no JSON":      {"{", "edit 1: unexpected EOF"},
		"no commit":    {`{"path":"a"}`, "edit 1: it lacks commit or path"},
		"unknown op":   {`{"commit":"c","path":"a","op":"move"}`, `edit 1: its op is "move"`},
		"no text":      {`{"commit":"c","path":"a","op":"upsert"}`, "edit 1: it is an upsert without text"},
		"twice":        {`{"commit":"c","path":"a","op":"delete"}` + "\n" + `{"commit":"c","path":"a","op":"delete"}`, "commit c edits a twice"},
		"second line":  {`{"commit":"c","path":"a","op":"delete"}` + "\n[]", "edit 2: "},
		"says how":     {"1", `a history is lines of {"commit"`},
		"not a number": {`{"commit":"c","path":"a","op":"delete","ts":"now"}`, "edit 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.ndjson")
			write(t, path, c.text)
			r, err := history.OpenCorpus(path)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for err == nil {
				_, err = r.Next()
			}
			if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q, want %q", err, c.want)
			}
		})
	}
	for _, name := range []string{"absent", "corpus_test.go.gz"} {
		if _, err := history.OpenCorpus(filepath.Join(t.TempDir(), name)); stream.KindOf(err) != stream.Usage {
			t.Errorf("%s: %v", name, err)
		}
	}
}
