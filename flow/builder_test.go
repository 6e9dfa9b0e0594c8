package flow

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// meaning is all that tells one flow from another, without positions.
func meaning(t *testing.T, f *Flow) string {
	t.Helper()
	d, err := json.Marshal(f.Declaration())
	if err != nil {
		t.Fatal(err)
	}
	said, _, _ := strings.Cut(describe(f), "warning ")
	text := fmt.Sprintln(string(d), said, f.Program.Logic(), memos(f), f.Kafka.Brokers, f.Kafka.Partitions, f.Kafka.Access.Values, f.Standbys, f.State, len(f.Warnings))
	for _, s := range f.Sources {
		text += fmt.Sprintln(s.Name, s.Kind, s.Settings.Values, s.Fields)
	}
	for _, target := range f.Targets {
		text += fmt.Sprintln(target.Name, target.Kind, target.Config.Settings.Values)
		for _, table := range target.Config.Tables {
			text += fmt.Sprintln(table.Table, table.Settings.Values, target.Where[table.Table.Name] != nil)
		}
	}
	return text
}

// TestExportLoadsToTheSame: load, export, load.
func TestExportLoadsToTheSame(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.good.yaml")
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			f, err := parseFile(t, path)
			if err != nil {
				t.Fatal(err)
			}
			text := f.YAML()
			again, err := Parse(filepath.Base(path), text, testRegistry())
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if got, want := meaning(t, again), meaning(t, f); got != want {
				t.Errorf("got\n%s\nwant\n%s\nof\n%s", got, want, text)
			}
			if string(again.YAML()) != string(text) {
				t.Errorf("the form is not canonical; got\n%s\nthen\n%s", text, again.YAML())
			}
		})
	}
}

// built gives a builder what a file says.
func built(root *tree) *Builder {
	b := new(Builder)
	for _, e := range root.entries {
		switch e.key {
		case "flow", "kafka", "standbys", "state", "retry":
			b.add(e.key, "", inGo(e.value))
			continue
		}
		if e.value.shape != shapeMapping {
			b.add(e.key, "", inGo(e.value))
			continue
		}
		for _, named := range e.value.entries {
			b.add(e.key, named.key, inGo(named.value))
		}
	}
	return b
}

// inGo is what one writes in Go for a part of a file.
func inGo(t *tree) any {
	switch t.shape {
	case shapeNull:
		return nil
	case shapeBool:
		return t.text == "true"
	case shapeInt:
		if n, err := strconv.ParseInt(t.text, 10, 64); err == nil {
			return n
		}
	case shapeDouble:
		if f, err := strconv.ParseFloat(t.text, 64); err == nil {
			return f
		}
	case shapeList:
		items := make([]any, len(t.items))
		for i, item := range t.items {
			items[i] = inGo(item)
		}
		return items
	case shapeMapping:
		m := Map{}
		for _, e := range t.entries {
			m[e.key] = inGo(e.value)
		}
		return m
	}
	return t.text
}

// TestBuiltFlows: a flow in Go is the flow of the file, and has its faults in the same words.
func TestBuiltFlows(t *testing.T) {
	paths, _ := filepath.Glob("testdata/*.yaml")
	compared := 0
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := readFile(path)
			if err != nil {
				t.Fatal(err)
			}
			faults := &faultList{}
			root := readTree(filepath.Base(path), src, faults)
			if len(faults.list) > 0 || root == nil || root.shape != shapeMapping {
				return // it has faults of YAML, which Go can't have
			}
			f, fileErr := parseFile(t, path)
			b, goErr := built(root).Load(".", "", testRegistry())
			compared++
			if (fileErr == nil) != (goErr == nil) {
				t.Fatalf("the file: %v\nin Go: %v", fileErr, goErr)
			}
			if fileErr == nil {
				if got, want := meaning(t, b), meaning(t, f); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if string(b.YAML()) != string(f.YAML()) {
					t.Errorf("got\n%s\nwant\n%s", b.YAML(), f.YAML())
				}
				return
			}
			if got, want := said(goErr), said(fileErr); !slices.Equal(got, want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	if compared < 20 {
		t.Errorf("%d flows were compared", compared)
	}
}

var lineNumber = regexp.MustCompile(`at line \d+`)

// said are the faults in order of their words, without positions.
func said(err error) (all []string) {
	for _, f := range AsFaults(err) {
		all = append(all, lineNumber.ReplaceAllString(f.Message+" ("+f.Suggestion+")", ""))
	}
	slices.Sort(all)
	return all
}

// handbookInGo is handbook, which a test for fingerprints has as a file.
func handbookInGo() *Builder {
	return New("handbook").
		Source("page", Map{"files": Map{"root": "./docs"}, "where": `page.ext == "md"`}).
		Model("small", Map{"provider": "openai", "base_url": "http://localhost:1/v1", "model": "nomic", "dimensions": 4, "batch": int64(64)}).
		Node("body", Map{"op": "parse.markdown", "in": "page.content"}).
		Node("chunks", Map{"op": "split.markdown", "in": "body", "max_tokens": 256, "each": "chunk"}).
		Node("input", Map{"op": "expr", "in": `body.title + "\n" + chunk.text`}).
		Node("vector", Map{"op": "embed", "in": "input", "model": "small"}).
		Table("chunks", Map{"for": "chunk", "where": "body.meta.draft.or(false) == false", "key": "chunk.id",
			"columns": Map{"path": "page.path", "embedding": "vector"}}).
		Target("local", Map{"sqlite": Map{"path": "handbook.db"}, "tables": []string{"chunks"}})
}

func TestBuilder(t *testing.T) {
	b := handbookInGo()
	for range 2 { // as often as one likes
		f, err := b.Load(".", "", testRegistry())
		if err != nil {
			t.Fatal(err)
		}
		if got, want := meaning(t, f), meaning(t, mustParse(t, handbook)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestFaultsOfABuilder(t *testing.T) {
	_, file, line, _ := runtime.Caller(0)
	b := handbookInGo().Kafka(Map{"brokers": "localhost"}).Standbys(9)
	b.Node("more", Map{"op": "expr", "in": "bod.title"})
	b.Node("more", Map{"op": "expr", "in": "body.title"})
	b.Table("odd", Map{"columns": Map{"a": time.Second, "b": struct{}{}, "c": "\xff"}})
	_, err := b.Load(".", "", testRegistry())
	want := map[int][]string{
		1: {"`brokers` must be a list, not a string (write it in brackets: [a, b])", "`standbys` must be between 0 and 3, not 9"},
		2: {"`in` of node more: unknown name \"bod\": did you mean \"body\"?", "node more is not used by any table"},
		3: {`"more" is declared twice; the first is at line ` + strconv.Itoa(line+2) + " (keep one of them)"},
		4: {"a flow can't hold a struct {} (use what flow.Map lists)", `"\xff" is not UTF-8`, "column a of table odd: "},
	}
	for offset, texts := range want {
		for _, text := range texts {
			if at := fmt.Sprintf("%s:%d:1: %s", file, line+offset, text); !strings.Contains(fmt.Sprint(err), at) {
				t.Errorf("no %q in\n%v", at, err)
			}
		}
	}
}

func TestOverlayOfABuilder(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "prod.yaml")
	if err := os.WriteFile(path, []byte("kafka: { brokers: [\"kafka:9092\"] }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := handbookInGo()
	f, err := b.Load(dir, path, testRegistry())
	if err != nil || len(f.Kafka.Brokers) != 1 || !strings.Contains(string(f.YAML()), "kafka:\n  brokers: ['kafka:9092']\n") {
		t.Errorf("%v", err)
	}
	if f, err = b.Load(dir, "", testRegistry()); err != nil || len(f.Kafka.Brokers) != 0 {
		t.Errorf("the overlay stays: %v", err)
	}
}

// TestQuotedText: whatever a text is, YAML reads it as itself.
func TestQuotedText(t *testing.T) {
	read := func(text string) (*tree, error) {
		faults := &faultList{}
		root := readTree("x", []byte(quotedText("k "+text)+": ["+quotedText(text)+", "+quotedText(text)+"]\n"), faults)
		return root, faults.err()
	}
	check := func(text string) error {
		root, err := read(text)
		if err != nil {
			return err
		}
		if len(root.entries) != 1 || root.entries[0].key != "k "+text || len(root.entries[0].value.items) != 2 {
			return fmt.Errorf("%q is read as %+v", text, root)
		}
		for _, item := range root.entries[0].value.items {
			if item.shape != shapeString || item.text != text || item.masked {
				return fmt.Errorf("%q is read as %s %q", text, item.shape, item.text)
			}
		}
		return nil
	}
	for _, text := range []string{"", " ", "a", "true", "Null", "~", "1", "-1", "0x1f", "1e3", ".inf", ".", "...", "---", "- a", "a: b", "a #b", "#a", "&a", "*a", "!a",
		"'", "''", `"`, `\`, `a\nb`, "a\nb", "\ta", "a ", "é", "\u00a0", "\u0085", "\ufeff", "\x7f", "🙂", "{a}", "[a", "a,b", "<<", "=", "%a", "@a", "`a`", "|", ">", "a\r\nb", "2001-01-01", "12:30"} {
		if err := check(text); err != nil {
			t.Error(err)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		if err := check(rapid.String().Draw(r, "text")); err != nil {
			r.Fatal(err)
		}
	})
}
