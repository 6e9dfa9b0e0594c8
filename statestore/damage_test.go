package statestore

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// harm is what is done to one file of a closed store.
type harm struct {
	name string
	do   func(path string, b []byte) error
}

// harms are done to every kind of file.
var harms = []harm{
	{"missing", func(path string, _ []byte) error { return os.Remove(path) }},
	{"empty", func(path string, _ []byte) error { return os.Truncate(path, 0) }},
	{"cut in the middle", func(path string, b []byte) error { return os.Truncate(path, int64(len(b)/2)) }},
	{"cut near the end", func(path string, b []byte) error { return os.Truncate(path, int64(max(0, len(b)-3))) }},
	{"a byte changed at the start", flip(func(int) int { return 1 })},
	{"a byte changed in the middle", flip(func(n int) int { return n / 2 })},
	{"a byte changed near the end", flip(func(n int) int { return n - 2 })},
	{"a page of zeros", func(path string, b []byte) error {
		at := len(b) / 2
		copy(b[at:min(len(b), at+4096)], make([]byte, 4096))
		return os.WriteFile(path, b, 0o600)
	}},
	{"garbage", func(path string, b []byte) error {
		return os.WriteFile(path, bytes.Repeat([]byte{0xa5}, len(b)), 0o600)
	}},
	{"garbage behind", func(path string, b []byte) error {
		return os.WriteFile(path, append(b, bytes.Repeat([]byte{0xa5}, 100)...), 0o600)
	}},
	{"not to be read", func(path string, _ []byte) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) }},
}

func flip(place func(int) int) func(string, []byte) error {
	return func(path string, b []byte) error {
		if at := place(len(b)); at >= 0 && at < len(b) {
			b[at] ^= 0x40
		}
		return os.WriteFile(path, b, 0o600)
	}
}

// TestDamage harms every file of a store in every way (F23). Either the store says that it is damaged, when it is opened
// or when it is read, or it holds exactly what it held, or what it held at an earlier checkpoint. It never answers wrong,
// and nothing ends the process.
func TestDamage(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "p3")
	states := filledWhole(t, whole)
	files, err := os.ReadDir(filepath.Join(whole, dataDir))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		for _, h := range harms {
			t.Run(f.Name()+" "+h.name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "p3")
				if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(dir, dataDir, f.Name())
				b, err := os.ReadFile(path)
				if err := errors.Join(err, h.do(path, b)); err != nil {
					t.Fatal(err)
				}
				outcome, err := answer(dir, states)
				if err != nil {
					t.Error(err)
				}
				t.Log(outcome)
			})
		}
	}
}

// filledWhole writes a store with tables, a log of values and an unflushed log, and returns a digest of its state by
// checkpoint.
func filledWhole(t *testing.T, dir string) map[int64]string {
	s := openAt(t, dir)
	states := map[int64]string{}
	for n := int64(1); n <= 4; n++ {
		var entries []Entry
		for i := range 300 {
			entries = append(entries, put(fmt.Sprintf("k%03d", i), strings.Repeat(fmt.Sprint(n, "/", i, " "), 200)))
		}
		entries = append(entries, put("large", strings.Repeat(fmt.Sprint(n), 400<<10)))
		apply(t, s, Checkpoint{Applied: n}, entries...)
		d, err := digest(s)
		if err != nil {
			t.Fatal(err)
		}
		states[n] = d
	}
	closeStore(t, s)
	return states
}

func digest(s *Store) (string, error) {
	h := sha256.New()
	err := s.Scan(nil, nil, func(k, v []byte) (bool, error) {
		fmt.Fprintf(h, "%s=%s\n", k, v)
		return true, nil
	})
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// answer opens and reads a harmed store; an error is an answer that is wrong.
func answer(dir string, states map[int64]string) (outcome string, wrong error) {
	s, err := Open(dir, Identity{"handbook", 3}, slog.New(slog.DiscardHandler))
	if err != nil {
		if stream.KindOf(err) != stream.Internal {
			return "", fmt.Errorf("it is refused, but not as damaged: %w", err)
		}
		return "refused when opened: " + err.Error(), Wipe(dir)
	}
	defer s.Close()
	c, ok, err := s.Checkpoint()
	if err != nil {
		return "", fmt.Errorf("read the checkpoint: %w", err)
	}
	got, err := digest(s)
	switch {
	case err != nil:
		return "refused when read: " + err.Error(), wipedNext(dir, s, err)
	case !ok && got != fmt.Sprintf("%x", sha256.New().Sum(nil)):
		return "", errors.New("no checkpoint, but entries")
	case !ok:
		return "empty", nil
	case got != states[c.Applied]:
		return "", fmt.Errorf("the state is not that of its checkpoint %d", c.Applied)
	}
	return fmt.Sprint("whole, at checkpoint ", c.Applied), nil
}

// wipedNext: a store that was found damaged when it was read is a new one when it is opened next.
func wipedNext(dir string, s *Store, err error) error {
	if stream.KindOf(err) != stream.Internal {
		return fmt.Errorf("it is refused, but not as damaged: %w", err)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(dir, Identity{"handbook", 3}, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	defer s.Close()
	if _, ok, err := s.Checkpoint(); ok || err != nil {
		return fmt.Errorf("it is opened again as it was (checkpoint %t, %w)", ok, err)
	}
	return nil
}
