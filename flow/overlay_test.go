package flow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func loadWith(t *testing.T, overlay string) (*Flow, error) {
	t.Helper()
	dir := t.TempDir()
	path, over := filepath.Join(dir, "flow.yaml"), filepath.Join(dir, "prod.yaml")
	for p, text := range map[string]string{path: handbook, over: overlay} {
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Load(path, over, testRegistry())
}

func TestOverlayMergesEndPoints(t *testing.T) {
	base := mustParse(t, handbook)
	f, err := loadWith(t, `
kafka: { brokers: ["a:1", "b:2"], partitions: 3 }
standbys: 2
state: { memo_retention: 720h }
models: { small: { base_url: "https://models/v1", api_key: "env:KEY", batch: 8, timeout: 5s } }
targets:
  local: { postgres: { url: "env:DB" } }
  more:  { sqlite: { path: more.db }, tables: { chunks: {} } }
`)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Kafka.Brokers) != 2 || f.Kafka.Partitions != 3 || f.Standbys != 2 || f.State.MemoRetention != 720*time.Hour {
		t.Errorf("kafka %+v, %d standbys, %+v", f.Kafka, f.Standbys, f.State)
	}
	if len(f.Targets) != 2 || f.Targets[0].Kind != "postgres" || len(f.Targets[0].Config.Tables) != 1 || f.Targets[1].Name != "more" {
		t.Errorf("targets %+v", f.Targets)
	}
	if f.Program.Logic() != base.Program.Logic() {
		t.Error("an overlay changed the logic")
	}
	for _, s := range f.Program.steps {
		if m := s.set.Model; m != nil && (m.Settings.Int("batch") != 8 || m.Settings.String("model") != "nomic") {
			t.Errorf("model settings %v", m.Settings.Values)
		}
	}
}

func TestOverlayRefusesLogic(t *testing.T) {
	_, err := loadWith(t, `nodes: { a: { op: expr, in: page.path } }
models:
  small: { model: other, dimensions: 8, provider: hash }
  new: { provider: hash }
target: {}
targets: { local: { sqlite: { paht: x } } }
`)
	var got []string
	for _, f := range AsFaults(err) {
		f.File = filepath.Base(f.File)
		got = append(got, f.String())
	}
	want := []string{
		"prod.yaml:1:1: an overlay can't change `nodes`: it merges kafka, models' end points and targets (change the flow itself)",
		"prod.yaml:3:12: an overlay can't change `model` of model small: results depend on it (change the flow itself)",
		"prod.yaml:3:26: an overlay can't change `dimensions` of model small: results depend on it (change the flow itself)",
		"prod.yaml:3:41: an overlay can't change `provider` of model small: results depend on it (change the flow itself)",
		"prod.yaml:4:3: the flow has no model \"new\" for the overlay to change (declare it in the flow)",
		"prod.yaml:5:1: an overlay has no key \"target\" (did you mean targets?)",
		"prod.yaml:6:31: sqlite of target local has no key \"paht\" (did you mean path?)",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
