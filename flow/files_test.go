package flow

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/freshet-dev/freshet/stream"
)

const toldFlow = `flow: told
sources: { page: { files: { root: . } } }
nodes:
  said: { op: tell, in: page.content, prompt: told.txt }
tables:
  said: { columns: { text: said } }
`

// told is a registry with an operator that a file tells what to do.
func told() *Registry {
	r := testRegistry()
	r.Operators["tell"] = stream.OperatorSpec{Name: "tell", Version: 1,
		Settings: []stream.Setting{{Name: "prompt", Kind: stream.SettingPath, Required: true, Output: true}},
		Output:   func(in stream.Type, _ stream.Settings) (stream.Type, error) { return in, nil },
		New: func(s stream.Settings) (stream.Operator, error) {
			_, err := s.File("prompt")
			return each(nil), err
		}}
	return r
}

// TestFilesBelongToTheLogic: what a file says counts, not its name; a flow that was recorded needs no file.
func TestFilesBelongToTheLogic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flow.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	load := func(text string, files map[string][]byte) *Flow {
		t.Helper()
		f, err := LoadText(path, []byte(text), files, "", told())
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	write("told.txt", "one")
	write("other.txt", "one")
	one := load(toldFlow, nil)
	if other := load(strings.Replace(toldFlow, "told.txt", "other.txt", 1), nil); other.Program.Logic() != one.Program.Logic() {
		t.Error("another name with the same contents is another logic")
	}
	write("told.txt", "two")
	if two := load(toldFlow, nil); two.Program.Logic() == one.Program.Logic() || string(two.Files()["told.txt"]) != "two" {
		t.Error("other contents count as the same logic")
	}
	if err := os.Remove(filepath.Join(filepath.Dir(path), "told.txt")); err != nil {
		t.Fatal(err)
	}
	if recorded := load(toldFlow, one.Files()); recorded.Program.Logic() != one.Program.Logic() {
		t.Error("the recorded contents come to another logic")
	}
	if _, err := LoadText(path, []byte(toldFlow), nil, "", told()); err == nil || !strings.Contains(err.Error(), "told.txt") {
		t.Errorf("a file that is not there: %v", err)
	}
	write("told.txt", strings.Repeat("x", mostFiles+1))
	if _, err := LoadText(path, []byte(toldFlow), nil, "", told()); err == nil || !strings.Contains(err.Error(), "at most 524288 are allowed") {
		t.Errorf("a large file: %v", err)
	}
}
