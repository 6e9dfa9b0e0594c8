package statestore

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

func tryOpen(dir string, i Identity) error {
	s, err := Open(dir, i, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return s.Close()
}

func TestOpenRefusesForeignDirectories(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	closeStore(t, openAt(t, dir))
	for _, i := range []Identity{{"handbook", 4}, {"other", 3}} {
		err := tryOpen(dir, i)
		if !errors.Is(err, ErrForeign) || stream.KindOf(err) != stream.Usage {
			t.Errorf("open as %s: %v", i, err)
		}
	}
	closeStore(t, openAt(t, dir))

	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"open": tryOpen(full, Identity{"handbook", 3}), "wipe": Wipe(full)} {
		if !errors.Is(err, ErrForeign) {
			t.Errorf("%s a directory of other files: %v", what, err)
		}
	}
}

func TestOpenRefusesASecondOwner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	s := openAt(t, dir)
	for what, err := range map[string]error{"open": tryOpen(dir, Identity{"handbook", 3}), "wipe": Wipe(dir)} {
		if !errors.Is(err, ErrLocked) || stream.KindOf(err) != stream.Usage {
			t.Errorf("%s an open directory: %v", what, err)
		}
	}
	closeStore(t, s)
	closeStore(t, openAt(t, dir))
}

func TestOpenNamesUnreadableData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	s := openAt(t, dir)
	apply(t, s, Checkpoint{Applied: 1}, put("a", "1"))
	closeStore(t, s)
	manifest := filepath.Join(dir, dataDir, "MANIFEST")
	if err := os.WriteFile(manifest, []byte("not a manifest"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := tryOpen(dir, Identity{"handbook", 3}); err == nil || stream.KindOf(err) != stream.Internal {
		t.Fatalf("open of unreadable data: %v", err)
	}
	if err := Wipe(dir); err != nil {
		t.Fatal(err)
	}
	closeStore(t, openAt(t, dir))
}

// A wipe that was cut short anywhere never leaves a part of the old state to be opened.
func TestOpenFinishesAWipe(t *testing.T) {
	cuts := map[string]func(dir string) error{
		"not begun": func(string) error { return nil },
		"sentinel":  func(dir string) error { return writeFile(filepath.Join(dir, wipingFile), nil) },
		"moved":     func(dir string) error { return os.Rename(dir, wiped(dir)) },
		"half deleted": func(dir string) error {
			return errors.Join(os.Rename(dir, wiped(dir)), os.Remove(filepath.Join(wiped(dir), identityFile)))
		},
		"done, repeated": Wipe,
	}
	for name, cut := range cuts {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "p3")
			s := openAt(t, dir)
			apply(t, s, Checkpoint{Applied: 1}, put("a", "1"))
			closeStore(t, s)
			if err := cut(dir); err != nil {
				t.Fatal(err)
			}
			if name == "not begun" || name == "done, repeated" {
				if err := Wipe(dir); err != nil {
					t.Fatal(err)
				}
			}
			s = openAt(t, dir)
			defer closeStore(t, s)
			if got := scan(t, s, "", ""); got != "" {
				t.Errorf("state after the wipe: %q", got)
			}
			if _, ok, _ := s.Checkpoint(); ok {
				t.Error("a checkpoint outlived the wipe")
			}
			if _, err := os.Stat(wiped(dir)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("wiped files are still there: %v", err)
			}
		})
	}
}

func TestLargeValues(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "p3"))
	defer closeStore(t, s)
	large := bytes.Repeat([]byte("large"), 1<<20)
	apply(t, s, Checkpoint{Applied: 1}, Entry{Key: []byte("a"), Value: large}, Entry{Key: []byte("b"), Value: large[:1<<20-1]}, Entry{Key: []byte("c"), Value: large[:1<<20]})
	for key, want := range map[string]int{"a": 5 << 20, "b": 1<<20 - 1, "c": 1 << 20} {
		if v, _, err := s.Get([]byte(key)); len(v) != want || err != nil {
			t.Errorf("%s has %d bytes, want %d (error %v)", key, len(v), want, err)
		}
	}
}

const childDir = "FRESHET_TEST_STATE_DIR"

// TestChild is the process that TestKillDuringApply kills: batch after batch, each of several pieces.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("runs in a process of its own, started by TestKillDuringApply")
	}
	s := openAt(t, dir)
	c, _, _ := s.Checkpoint()
	for n := c.Applied + 1; ; n++ {
		s.beforePiece = func(piece int) error {
			fmt.Printf("at %d.%d\n", n, piece)
			return nil
		}
		apply(t, s, Checkpoint{Applied: n}, batch(byte(n))...)
	}
}

// Invariant 2, by kill -9: every key is of the checkpoint's batch or of the next one, whose pieces are in order.
func TestKillDuringApply(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "p3")
	for round := range 3 {
		killAfter(t, dir, 3+4*round)
		s := openAt(t, dir)
		c, _, err := s.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		newer := true
		for i, e := range batch(byte(c.Applied)) {
			v, ok, err := s.Get(e.Key)
			if err != nil || !ok && c.Applied > 0 {
				t.Fatalf("round %d, %s: found %v, error %v", round, e.Key, ok, err)
			}
			next := ok && bytes.Equal(v, bytes.Repeat([]byte{byte(c.Applied + 1)}, len(e.Value)))
			if ok && !next && !bytes.Equal(v, e.Value) || next && !newer {
				t.Fatalf("round %d: checkpoint %d, but key %d is of batch %d", round, c.Applied, i, v[0])
			}
			newer = next
		}
		closeStore(t, s)
	}
}

// killAfter runs the child and kills it when it begins its n-th piece.
func killAfter(t *testing.T, dir string, n int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range n {
		if !lines.Scan() {
			t.Error("the child ended by itself")
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
}

// TestEmptyLogs: a kill between the creation of a log and its first extension leaves an empty file; the state opens all
// the same, with what was applied.
func TestEmptyLogs(t *testing.T) {
	dir := t.TempDir()
	id := Identity{Flow: "f", Partition: 1}
	s, err := Open(dir, id, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, Checkpoint{Applied: 7}, Entry{Key: []byte("a"), Value: []byte("1")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		if err := os.WriteFile(filepath.Join(dir, dataDir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Open(dir, id, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if v, ok, err := s.Get([]byte("a")); err != nil || !ok || string(v) != "1" {
		t.Errorf("got %q, %t, %v", v, ok, err)
	}
}

// TestPeek: a closed store tells how far it is without being opened; one that is wiped, or never was, tells nothing.
func TestPeek(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "1")
	if _, ok := Peek(dir); ok {
		t.Error("a store that never was tells something")
	}
	s, err := Open(dir, Identity{Flow: "f", Partition: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, s, Checkpoint{TopicID: "t", Applied: 7})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, ok := Peek(dir); !ok || c.Applied != 7 || c.TopicID != "t" {
		t.Errorf("told %+v, %t", c, ok)
	}
	if err := Wipe(dir); err != nil {
		t.Fatal(err)
	}
	if _, ok := Peek(dir); ok {
		t.Error("a wiped store tells something")
	}
}
