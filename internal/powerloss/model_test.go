package powerloss

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestDiskKeepsFilesApart removes a file that is durable and makes another one, which gets the removed one's number on file
// systems that give numbers again. No loss may leave the old content under the new name, nor the new content under the old one.
func TestDiskKeepsFilesApart(t *testing.T) {
	dir := t.TempDir()
	before, after := filepath.Join(dir, "00001.mem"), filepath.Join(dir, "00002.mem")
	if err := os.WriteFile(before, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := newDisk(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	if err := errors.Join(os.Remove(before), os.WriteFile(after, []byte("new"), 0o600), d.look()); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		to := filepath.Join(t.TempDir(), fmt.Sprint(n))
		if err := d.cut(to, loss(n)%losses, random); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(to, "00001.mem")); err == nil && string(b) != "old" && string(b) != "" {
			t.Errorf("%s: the removed file came back with %q", loss(n)%losses, b)
		}
		if b, err := os.ReadFile(filepath.Join(to, "00002.mem")); err == nil && string(b) != "new" && string(b) != "" && string(b) != "\x00\x00\x00" {
			t.Errorf("%s: the new file has %q", loss(n)%losses, b)
		}
	}
}
