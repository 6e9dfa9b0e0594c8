package statestore

import (
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

var update = flag.Bool("update", false, "write the golden files anew (only before a release has written them)")

// TestGoldenCheckpoint: checkpoints and identities that were ever written are read, and are written in the same form.
func TestGoldenCheckpoint(t *testing.T) {
	want := Checkpoint{TopicID: "6f9c2cf0-7a1b-4b5e-9d3a-1c2d3e4f5a6b", Applied: 1 << 40, Format: 1, Input: 43, Generation: 2,
		Revision: stream.FingerprintBytes([]byte("logic")), Clock: 1795342363624347000}
	written, err := stream.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	held, err := hex.DecodeString(goldenText(t, "checkpoint.hex", hex.EncodeToString(written)))
	if err != nil {
		t.Fatal(err)
	}
	var got Checkpoint
	if err := stream.Unmarshal(held, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
}

func TestGoldenIdentity(t *testing.T) {
	dir, i := t.TempDir(), Identity{"handbook", 3}
	if err := i.ensure(dir); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil {
		t.Fatal(err)
	}
	held := goldenText(t, identityFile, strings.TrimSpace(string(written)))
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte(held), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := i.ensure(dir); err != nil {
		t.Error(err)
	}
}

// goldenText compares a line with the one that was written first, and returns that one.
func goldenText(t *testing.T, name, written string) string {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, []byte(written+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.TrimSpace(string(held)); text != written {
		t.Errorf("%s: %s is written, it was %s: earlier stores would not be read", name, written, text)
	}
	return strings.TrimSpace(string(held))
}
