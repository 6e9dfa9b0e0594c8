package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestRefusals: a file that is absent, or holds no certificate, is named.
func TestRefusals(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{empty, empty + ".absent"} {
		_, err := Config("configure target x", path)
		if stream.KindOf(err) != stream.Usage || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "setting ca") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if c, err := Config("configure target x", ""); err != nil || c.RootCAs != nil {
		t.Errorf("without a file: %v, %v", c, err)
	}
}
