package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// Whatever happens to the files, and wherever a publication is cut short, the next complete pass leaves the topic equal
// to the directory.
func TestTopicEqualsDirectory(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPlace(t)
		names := rapid.SampledFrom([]string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a"})
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			change(p, names.Draw(rt, "name"), names.Draw(rt, "other"), rapid.IntRange(0, 6).Draw(rt, "change"))
			switch rapid.IntRange(0, 3).Draw(rt, "pass") {
			case 0:
				p.cut(rapid.Bool().Draw(rt, "durable"))
			case 1:
				p.scan()
			}
		}
		p.scan()
		if got, want := p.topic.String(), text(p.content()); got != want {
			rt.Fatalf("topic holds %q, the directory %q", got, want)
		}
		if again := p.scan(); again != "" {
			rt.Fatalf("the next pass published %s", again)
		}
	})
}

// change makes one change; one that the file system refuses changes nothing.
func change(p *place, name, other string, what int) {
	path := p.at(name)
	switch what {
	case 0:
		_ = os.RemoveAll(path)
	case 1:
		_ = os.Rename(path, p.at(other))
	case 2:
		_ = os.MkdirAll(path, 0o755)
	default: // few contents of one length, so that files go back to earlier ones
		_ = os.MkdirAll(filepath.Dir(path), 0o755)
		_ = os.WriteFile(path, []byte{'A' + byte(what)}, 0o600)
	}
}

// cut makes a pass whose publication fails, after the events became durable or before.
func (p *place) cut(durable bool) {
	p.topic.fail = func(events []Event) error {
		for _, e := range events {
			if durable {
				p.topic.take(e)
			}
		}
		return errors.New("cut short")
	}
	_, _ = p.watcher().Scan(p.Context())
	p.topic.fail = nil
	p.topic.taken()
}

func (p *place) content() map[string]string {
	files := map[string]string{}
	p.must(fs.WalkDir(os.DirFS(p.root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p.at(name))
		files[name] = string(b)
		return err
	}))
	return files
}
