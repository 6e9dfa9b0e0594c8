package stream_test

import (
	"path/filepath"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

// TestSettingsPath: relative to the folder of the flow file, unless it is absolute or absent.
func TestSettingsPath(t *testing.T) {
	absolute := filepath.Join(t.TempDir(), "ca.pem")
	for given, want := range map[string]string{"": "", "ca.pem": filepath.Join("flows", "ca.pem"), absolute: absolute} {
		s := stream.Settings{Dir: "flows", Values: stream.MapOf(stream.Entry{Key: "ca", Value: stream.StringOf(given)})}
		if got := s.Path("ca"); got != want {
			t.Errorf("ca %q lies at %q, want %q", given, got, want)
		}
	}
}
