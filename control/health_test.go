package control

import (
	"slices"
	"testing"
	"time"
)

func TestPulse(t *testing.T) {
	var p pulse
	now := time.Unix(1000, 0)
	for i, tt := range []struct {
		after time.Duration
		ticks map[string]int64
		stuck []string
	}{
		{0, map[string]int64{"processor": 1, "local": 1}, nil},
		{29 * time.Second, map[string]int64{"processor": 1, "local": 2}, nil},
		{30 * time.Second, map[string]int64{"processor": 1, "local": 2}, []string{"processor"}},
		{31 * time.Second, map[string]int64{"processor": 2, "local": 2}, nil},
		{time.Hour, map[string]int64{"processor": 3, "local": 3}, nil}, // nobody asked for long: it moved meanwhile
		{2 * time.Hour, map[string]int64{"processor": 4, "late": 1}, nil},
	} {
		if got := p.check(tt.ticks, now.Add(tt.after)); !slices.Equal(got, tt.stuck) {
			t.Errorf("step %d: stuck are %v, want %v", i, got, tt.stuck)
		}
	}
}
