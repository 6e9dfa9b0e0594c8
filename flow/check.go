package flow

import (
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// Flow is a checked flow.
type Flow struct {
	Name     string
	Kafka    Kafka
	Standbys int // replicas that follow each partition beside its owner
	State    State
	Attempts int // failed rounds of evaluation after which a document is given up; 0: as many as the engine says
	Sources  []Source
	Targets  []Target // in the order of the file
	Warnings []Fault  // what is allowed, but probably not meant
	Program  *Program
	declared *tree
	files    map[string][]byte
}

// Files are the contents of the files that the flow names and that belong to its logic, such as prompts, by path as it is written. They are
// not to be changed.
func (f *Flow) Files() map[string][]byte { return f.files }

// Kafka is what the flow file says of the brokers.
type Kafka struct {
	Brokers    []string        // host:port; empty: not said
	Partitions int             // of the flow's own topics; 0: not said
	Access     stream.Settings // how brokers are reached, by the registry's KafkaSpec
}

// Source is a checked source.
type Source struct {
	Name     string
	Kind     string // name of its SourceSpec, e.g. "files"
	Spec     stream.SourceSpec
	Settings stream.Settings
	Fields   []stream.Field // as declared by `fields:`, in order of name; nil: not declared
	Topic    string
	// ID gives a document's name within the source from the key of its record, as `id:` declares it; "" names none. Safe
	// for concurrent use; an error has kind Invalid. Nil: the key's text is the name.
	ID func(key stream.Value) (string, error)
}

// Intake reports whether the flow reads its sources through an intake: it has several, or an ID formula.
func (f *Flow) Intake() bool {
	return len(f.Sources) > 1 || slices.ContainsFunc(f.Sources, func(s Source) bool { return s.ID != nil })
}

// Target is a checked target.
type Target struct {
	Name   string
	Kind   string // name of its SinkSpec, e.g. "sqlite"
	Spec   stream.SinkSpec
	Config stream.SinkConfig
	// Where says, by table, whether the target keeps a row, given its columns in the table's order. A table without a
	// condition has no entry. Safe for concurrent use; an error has kind Invalid.
	Where map[string]func(columns []stream.Value) (bool, error)
}

// checker holds what is known of a flow file while it is checked.
type checker struct {
	*faultList
	warnings faultList
	registry *Registry
	dir      string            // of the flow file, for paths in settings
	files    map[string][]byte // that are not to be read, by path as it is written
	flow     *Flow

	names   map[string]*name
	root    *scope
	scopes  []*scope
	models  map[string]*modelEntry
	dynamic *formula.Env // with every name, all of dynamic type

	sources []*sourceEntry
	steps   []*step
	tables  []*table
}

// Load reads and checks a flow file, and merges an overlay into it when overlay isn't "". A file that can't be read is a
// *stream.Error of kind Usage; faults in a file are a *Faults.
func Load(path, overlay string, r *Registry) (*Flow, error) {
	src, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return LoadText(path, src, nil, overlay, r)
}

// readOverlay reads an overlay; nothing for "".
func readOverlay(path string) ([]byte, error) {
	if path == "" {
		return nil, nil
	}
	return readFile(path)
}

func readFile(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &stream.Error{Op: "read flow file", Kind: stream.Usage, Err: err}
	}
	return b, nil
}

// Parse checks a flow from memory. name stands for the file's path in faults and for finding paths in settings. Faults are
// a *Faults.
func Parse(name string, src []byte, r *Registry) (*Flow, error) {
	return check(name, src, nil, "", nil, r)
}

// LoadText checks a flow from memory, and merges an overlay's file into it when overlay isn't "". files are Files of the flow as it was;
// what it names besides is read. Name and faults are as Parse and Load have them.
func LoadText(name string, src []byte, files map[string][]byte, overlay string, r *Registry) (*Flow, error) {
	over, err := readOverlay(overlay)
	if err != nil {
		return nil, err
	}
	return check(name, src, files, overlay, over, r)
}

func check(path string, src []byte, files map[string][]byte, overlay string, over []byte, r *Registry) (*Flow, error) {
	c := newChecker(filepath.Dir(path), r)
	c.files = files
	return c.check(readTree(path, src, c.faultList), overlay, over)
}

func newChecker(dir string, r *Registry) *checker {
	c := &checker{faultList: &faultList{}, registry: r, dir: dir, flow: &Flow{files: map[string][]byte{}},
		names: map[string]*name{}, models: map[string]*modelEntry{}, root: &scope{}}
	c.scopes = []*scope{c.root}
	return c
}

// check checks a flow's tree, nil after faults that leave nothing of it, with an overlay when its name isn't "".
func (c *checker) check(root *tree, overlay string, over []byte) (*Flow, error) {
	if root != nil && overlay != "" {
		c.overlay(root, readTree(overlay, over, c.faultList))
	}
	if root != nil && c.isMapping(root, "a flow file") {
		c.file(root)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	c.warnings.list.sort()
	c.flow.Warnings, c.flow.declared = c.warnings.list, root
	c.flow.Program = c.program()
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.flow, nil
}

var flowKeys = []string{"flow", "kafka", "standbys", "state", "retry", "sources", "models", "nodes", "tables", "targets"}

// file checks the parts in the order in which they build on each other.
func (c *checker) file(root *tree) {
	c.known(root, "a flow file", laterFlowKeys, flowKeys...)
	c.flowName(root)
	c.kafka(root.get("kafka"))
	c.standbys(root.get("standbys"))
	c.state(root.get("state"))
	c.retry(root.get("retry"))
	c.modelEntries(root.get("models"))
	c.sourceEntries(root)
	c.nodeNames(root.get("nodes"))
	if !c.dynamicNames(root) {
		return
	}
	c.formulas(root)
	c.order()
	c.types()
	c.tableTypes()
	if len(root.source.masked) == 0 { // else what would use a name may not be readable
		c.unused()
	}
	c.targets(root.get("targets"))
	c.intakeNames(root.get("targets"))
}

func (c *checker) flowName(root *tree) {
	t := root.get("flow")
	if t == nil {
		c.add(root.at, "write `flow: NAME` at the top", "the flow has no name")
		return
	}
	if name, ok := c.text(t, "`flow`"); ok && c.matches(t.at, "a flow", name, topicPart, topicRule) {
		c.flow.Name = name
	}
}

func (c *checker) kafka(t *tree) {
	if t == nil || !c.isMapping(t, "`kafka`") {
		return
	}
	spec := c.registry.Kafka
	var ok bool
	if c.flow.Kafka.Access, ok = c.settings(t, "`kafka`", spec.Settings, laterKafkaKeys, "brokers", "partitions"); ok && spec.Check != nil {
		if err := spec.Check(c.flow.Kafka.Access); err != nil {
			c.add(t.at, "", "`kafka`: %v", err)
		}
	}
	if b := t.get("brokers"); b != nil {
		c.flow.Kafka.Brokers, _ = c.strings(b, "`brokers`")
	}
	if p := t.get("partitions"); p != nil {
		n, _ := c.integer(p, "`partitions`", 1, 1024)
		c.flow.Kafka.Partitions = int(n)
	}
}

// maxStandbys is how many replicas may follow a partition: more cost disk and reads, and help nobody.
const maxStandbys = 3

func (c *checker) standbys(t *tree) {
	if t != nil {
		n, _ := c.integer(t, "`standbys`", 0, maxStandbys)
		c.flow.Standbys = int(n)
	}
}

// maxAttempts is some six weeks of rests of an hour.
const maxAttempts = 1000

func (c *checker) retry(t *tree) {
	if t == nil || !c.isMapping(t, "`retry`") {
		return
	}
	c.known(t, "`retry`", nil, "attempts")
	if n := t.get("attempts"); n != nil {
		most, _ := c.integer(n, "`attempts` of `retry`", 1, maxAttempts)
		c.flow.Attempts = int(most)
	}
}

// dynamicNames prepares the environment in which formulas are compiled first.
func (c *checker) dynamicNames(root *tree) bool {
	c.names["record"] = &name{ident: "record", kind: recordName, scope: c.root, typ: recordType(), from: anySource}
	var vars []formula.Var
	for _, ident := range sortedKeys(c.names) {
		vars = append(vars, formula.Var{Name: ident, Type: stream.TypeDynamic})
	}
	env, err := formula.NewEnv(vars)
	if err != nil {
		c.add(root.at, "", "prepare formulas: %v", err)
		return false
	}
	c.dynamic = env
	return true
}

// AsFaults returns the faults in err's chain, nil when there are none.
func AsFaults(err error) Faults {
	var f *Faults
	if errors.As(err, &f) {
		return *f
	}
	return nil
}
