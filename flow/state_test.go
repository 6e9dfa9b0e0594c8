package flow

import (
	"strings"
	"testing"
	"time"
)

func TestRetention(t *testing.T) {
	for said, want := range map[string]time.Duration{
		"":                                    168 * time.Hour,
		"state: {}\n":                         168 * time.Hour,
		"state: { memo_retention: 1m }\n":     time.Minute,
		"state: { memo_retention: 24h30m }\n": 24*time.Hour + 30*time.Minute,
		"state:\n  memo_retention: forever\n": 0,
		"state: { memo_retention: \"forever\" }\n": 0,
	} {
		if f := mustParse(t, said+handbook); f.State.MemoRetention != want {
			t.Errorf("%q: %s, want %s", said, f.State.MemoRetention, want)
		}
		if f := mustParse(t, string(mustParse(t, said+handbook).YAML())); f.State.MemoRetention != want {
			t.Errorf("%q, exported: %s, want %s", said, f.State.MemoRetention, want)
		}
	}
	if f := mustParse(t, "state: { rollback_retention: 1s }\n"+handbook); f.State != (State{defaultRetention, time.Second}) {
		t.Errorf("with a rollback_retention: %+v", f.State)
	}
	if _, err := Parse("flow.yaml", []byte("state: { rollback_retention: 10ms }\n"+handbook), testRegistry()); err == nil ||
		!strings.Contains(err.Error(), "`rollback_retention` of `state` must be at least 1s, not 10ms") {
		t.Errorf("a rollback_retention of 10ms: %v", err)
	}
	for said, want := range map[string]string{
		"59s":  "`memo_retention` of `state` must be at least 1m0s, not 59s (write a longer one, or forever)",
		"0":    "`memo_retention` of `state` must be a string",
		"-1h":  "`memo_retention` of `state` must be a duration, not \"-1h\" (write e.g. 30s, 5m or 168h)",
		"ever": "`memo_retention` of `state` must be a duration, not \"ever\"",
	} {
		_, err := Parse("flow.yaml", []byte("state: { memo_retention: "+said+" }\n"+handbook), testRegistry())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", said, err, want)
		}
	}
}
