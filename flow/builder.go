package flow

import (
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Map is a mapping of a flow file in Go. Values are strings, bools, ints, int64s, float64s, time.Durations, lists ([]string,
// []any), further Maps, and nil.
type Map map[string]any

// Builder declares a flow in Go, in the words of the flow file: each method adds an entry to the section of its name, with the
// body that the file would have there. What it loads is what a file of the same declaration gives, with the same fingerprints
// and the same faults, at the lines of Go that made the entries. It is not safe for concurrent use.
type Builder struct{ parts []part }

// part is an entry, in the order of the calls.
type part struct {
	section string
	name    string // "": the section is no mapping of names
	at      place
	value   any
}

// New begins a flow of this name.
func New(name string) *Builder { return new(Builder).add("flow", "", name) }

// Kafka says how brokers are reached, and how many partitions the flow's own topics have.
func (b *Builder) Kafka(settings Map) *Builder { return b.add("kafka", "", settings) }

// Standbys says how many replicas follow each partition beside its owner.
func (b *Builder) Standbys(n int) *Builder { return b.add("standbys", "", n) }

// State says how the state is kept, e.g. Map{"memo_retention": 720 * time.Hour}.
func (b *Builder) State(settings Map) *Builder { return b.add("state", "", settings) }

// Retry says how often the evaluation of a document may fail before it is given up, e.g. Map{"attempts": 20}.
func (b *Builder) Retry(settings Map) *Builder { return b.add("retry", "", settings) }

// Source adds a source, e.g. "page", Map{"files": Map{"root": "./docs"}}.
func (b *Builder) Source(name string, body Map) *Builder { return b.add("sources", name, body) }

// Model adds a model, e.g. "small", Map{"provider": "hash"}.
func (b *Builder) Model(name string, body Map) *Builder { return b.add("models", name, body) }

// Node adds a node, e.g. "body", Map{"op": "parse.markdown", "in": "page.content"}.
func (b *Builder) Node(name string, body Map) *Builder { return b.add("nodes", name, body) }

// Table adds a table, e.g. "pages", Map{"columns": Map{"title": "body.title"}}.
func (b *Builder) Table(name string, body Map) *Builder { return b.add("tables", name, body) }

// Target adds a target, e.g. "local", Map{"sqlite": Map{"path": "pages.db"}, "tables": []string{"pages"}}.
func (b *Builder) Target(name string, body Map) *Builder { return b.add("targets", name, body) }

// add notes an entry with the place that called the exported method.
func (b *Builder) add(section, name string, value any) *Builder {
	at := place{column: 1}
	_, at.file, at.line, _ = runtime.Caller(2)
	b.parts = append(b.parts, part{section, name, at, value})
	return b
}

// Load checks the flow as the func Load does. Paths in settings are relative to dir.
func (b *Builder) Load(dir, overlay string, r *Registry) (*Flow, error) {
	over, err := readOverlay(overlay)
	if err != nil {
		return nil, err
	}
	c := newChecker(dir, r)
	return c.check(b.tree(c.faultList), overlay, over)
}

// tree is what reading the flow's file would give.
func (b *Builder) tree(faults *faultList) *tree {
	w := &treeMaker{faults, &source{masked: map[place]bool{}}}
	root := w.mapping(b.parts[0].at)
	for _, p := range b.parts {
		value := w.tree(p.at, p.value)
		if p.name == "" {
			w.enter(root, entry{p.section, p.at, value})
			continue
		}
		names := root.get(p.section)
		if names == nil {
			names = w.mapping(p.at)
			root.put(entry{p.section, p.at, names})
		}
		w.enter(names, entry{p.name, p.at, value})
	}
	return root
}

// treeMaker makes trees of Go's values. Their scalars have no text in a file, so that a formula's fault is where it was declared.
type treeMaker struct {
	*faultList
	source *source
}

func (w *treeMaker) mapping(at place) *tree {
	return &tree{at: at, begin: at, source: w.source, shape: shapeMapping}
}

// enter adds an entry to a mapping that does not have its key.
func (w *treeMaker) enter(t *tree, e entry) {
	for _, before := range t.entries {
		if before.key == e.key {
			w.twice(e, before.at)
			return
		}
	}
	t.entries = append(t.entries, e)
}

func (w *treeMaker) tree(at place, v any) *tree {
	t := &tree{at: at, begin: at, source: w.source}
	switch v := v.(type) {
	case nil:
	case string:
		w.text(t, v)
	case bool:
		t.shape, t.text = shapeBool, strconv.FormatBool(v)
	case int:
		t.shape, t.text = shapeInt, strconv.Itoa(v)
	case int64:
		t.shape, t.text = shapeInt, strconv.FormatInt(v, 10)
	case float64:
		w.double(t, v)
	case time.Duration:
		t.shape, t.text = shapeString, v.String()
	case Map:
		t.shape = shapeMapping
		for _, key := range sortedKeys(v) {
			t.entries = append(t.entries, entry{key, at, w.tree(at, v[key])})
		}
	case []string:
		t.shape = shapeList
		for _, item := range v {
			t.items = append(t.items, w.tree(at, item))
		}
	case []any:
		t.shape = shapeList
		for _, item := range v {
			t.items = append(t.items, w.tree(at, item))
		}
	default:
		t.masked = true
		w.add(at, "use what flow.Map lists", "a flow can't hold a %T", v)
	}
	return t
}

func (w *treeMaker) text(t *tree, text string) {
	t.shape, t.text = shapeString, text
	if !utf8.ValidString(text) {
		t.masked = true
		w.add(t.at, "", "%q is not UTF-8", text)
	}
}

func (w *treeMaker) double(t *tree, f float64) {
	t.shape, t.text = shapeDouble, strconv.FormatFloat(f, 'f', -1, 64)
	switch {
	case math.IsInf(f, 0), math.IsNaN(f):
		t.masked = true
		w.add(t.at, "", "a flow can't hold the number %v", f)
	case !strings.Contains(t.text, "."):
		t.text += ".0"
	}
}
