package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/freshet-dev/freshet/control"
	"github.com/freshet-dev/freshet/flow"
	"github.com/freshet-dev/freshet/schemas"
	"github.com/freshet-dev/freshet/stream"
)

// newTry is `freshet try`.
func newTry(c *common) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "try -f FLOW FILE|ID",
		Short: "Evaluate one document and print the value of every node; nothing is written",
		Long: "Evaluate one document and print the value of every node and the rows that would come out. A file is read as the " +
			"flow's source would read it; an ID takes the stored input of that document. Models are really called, and nothing is " +
			"written or remembered.",
		Args: exactly(1, "which document? name a file, or a document's ID such as page/intro.md"),
	}
	find := c.siteFlags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		a, err := find()
		if err != nil {
			return err
		}
		defer a.closeOperators()
		d, err := a.documentToTry(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		trace, failed := a.flow.Program.Trace(cmd.Context(), d, directly{})
		t := a.trialOf(d, trace, failed)
		if asJSON {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(t)
		} else {
			t.print(cmd.OutOrStdout())
		}
		if err == nil && failed != nil {
			return &exit{code: exitFailed} // said already
		}
		return err
	}
	return cmd
}

// documentToTry is a file as the source would read it, or a stored document.
func (a *app) documentToTry(ctx context.Context, arg string) (stream.Document, error) {
	if files := a.filesSources(); len(files) > 0 && exists(arg) {
		return a.readFile(a.sourceOfFile(files, arg), arg)
	}
	d, err := a.documentNamed(arg)
	if err != nil {
		return d, err
	}
	d.Input, err = a.storedInput(ctx, d.ID)
	return d, err
}

// documentNamed takes an ID with its source's name before it, or without where there is one source.
func (a *app) documentNamed(arg string) (stream.Document, error) {
	for _, s := range a.flow.Sources {
		if strings.HasPrefix(arg, s.Name+"/") {
			return stream.Document{ID: arg, Source: s.Name}, nil
		}
	}
	if len(a.flow.Sources) > 1 {
		var names []string
		for _, s := range a.flow.Sources {
			names = append(names, s.Name)
		}
		return stream.Document{}, usagef("%s names no file and no document; a document's ID begins with its source's name, one of: %s", arg, strings.Join(names, ", "))
	}
	only := a.flow.Sources[0].Name
	return stream.Document{ID: only + "/" + arg, Source: only}, nil
}

// sourceOfFile is the source below whose root a file lies; of one outside of all roots, the first.
func (a *app) sourceOfFile(files []flow.Source, path string) flow.Source {
	for _, s := range files {
		if _, below := a.belowRoot(s, path); below {
			return s
		}
	}
	return files[0]
}

// readFile gives a file the ID and the fields that the watcher and the decoder would.
func (a *app) readFile(source flow.Source, path string) (d stream.Document, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return d, usagef("%v", err)
	}
	below, _ := a.belowRoot(source, path)
	e := schemas.FileEvent{Source: source.Name, Path: below, Content: content, Size: int64(len(content))}
	info, err := os.Stat(path)
	if err != nil {
		return d, usagef("%v", err)
	}
	e.Modified = info.ModTime().UnixNano()
	r := schemas.EncodeFile(e)
	r.Topic, r.Timestamp = source.Topic, info.ModTime()
	dec, _ := decoder(source)
	change, err := dec.Decode(&r)
	if err != nil {
		return d, err
	}
	fields, _, err := dec.Fields(&change)
	if a.flow.Program.ReadsRecord() {
		fields = stream.MapOf(append(fields.Entries(), stream.Entry{Key: "record", Value: metadata(&r)})...)
	}
	return stream.Document{ID: change.Document, Source: source.Name, Input: fields}, err
}

// belowRoot is the path that the watcher of a source would give a file; of one outside of the root, its name.
func (a *app) belowRoot(source flow.Source, path string) (below string, inside bool) {
	root := source.Settings.String("root")
	if !filepath.IsAbs(root) {
		root = filepath.Join(filepath.Dir(a.flowFile), root)
	}
	root, err := filepath.Abs(root)
	if err == nil {
		path, err = filepath.Abs(path)
	}
	below, relErr := filepath.Rel(root, path)
	if errors.Join(err, relErr) != nil || !filepath.IsLocal(below) {
		return filepath.Base(path), false
	}
	return filepath.ToSlash(below), true
}

// metadata is what formulas read of a record.
func metadata(r *stream.Record) stream.Value {
	var headers []stream.Entry
	for _, h := range r.Headers {
		headers = append(headers, stream.Entry{Key: h.Key, Value: stream.StringOf(string(h.Value))})
	}
	return stream.MapOf(stream.Entry{Key: "key", Value: stream.StringOf(string(r.Key))},
		stream.Entry{Key: "headers", Value: stream.MapOf(headers...)},
		stream.Entry{Key: "timestamp", Value: stream.TimestampOf(r.Timestamp)})
}

// storedInput finds the input of a document in any process, or in the local state.
func (a *app) storedInput(ctx context.Context, id string) (v stream.Value, err error) {
	err = a.look(ctx, func(running []*control.Client, unreachable []string, local localStores) error {
		for _, c := range running {
			if v, err = c.Input(ctx, id); !errors.Is(err, control.ErrNotHere) {
				return err
			}
		}
		if len(running) > 0 {
			return unknownDocument(id, unreachable)
		}
		d, found, err := control.FindDocument(local, id)
		if err == nil && !found {
			err = unknownDocument(id, nil)
		}
		v = d.Input.Value
		return err
	})
	return v, err
}

// directly calls operators as they are: no memos, no other documents, one attempt.
type directly struct{}

// Computed implements stream.Calls.
func (directly) Computed(string, int) {}

// Call implements stream.Calls.
func (directly) Call(ctx context.Context, n *stream.Node, inputs []stream.Value) ([]stream.Value, error) {
	size := len(inputs)
	if b, ok := n.Operator.(stream.Batcher); ok {
		size = max(1, b.BatchSize())
	}
	out := make([]stream.Value, 0, len(inputs))
	for len(inputs) > 0 {
		batch := inputs[:min(size, len(inputs))]
		got, err := n.Operator.Apply(ctx, batch)
		if err != nil {
			return nil, firstFailure(err)
		}
		out, inputs = append(out, got...), inputs[len(batch):]
	}
	return out, nil
}

// firstFailure is the first failure of a batch.
func firstFailure(err error) error {
	var some *stream.BatchError
	if errors.As(err, &some) {
		for _, i := range sortedKeys(some.Failed) {
			return some.Failed[i]
		}
	}
	return err
}

// trial is what `try` prints.
type trial struct {
	Document string        `json:"document"`
	Kept     bool          `json:"kept"` // false: the source's `where` leaves it out
	Input    control.Value `json:"input"`
	Nodes    []triedNode   `json:"nodes"` // in order of evaluation
	Rows     []triedRow    `json:"rows"`
	Error    string        `json:"error,omitempty"` // why the evaluation ended early
}

type triedNode struct {
	Node    string          `json:"node"`
	Op      string          `json:"op"`
	Element string          `json:"element,omitempty"` // it has a value for each of these
	Ran     bool            `json:"ran"`
	Values  []control.Value `json:"values"`
}

type triedRow struct {
	Table   string                   `json:"table"`
	Key     string                   `json:"key"`
	Columns map[string]control.Value `json:"columns"`
}

func (a *app) trialOf(d stream.Document, trace flow.Trace, failed error) trial {
	t := trial{Document: d.ID, Kept: trace.Kept, Input: control.Value{Value: d.Input}, Nodes: []triedNode{}, Rows: []triedRow{}}
	for _, n := range trace.Nodes {
		node := triedNode{Node: n.Node, Op: n.Operator, Element: n.Element, Ran: n.Ran, Values: []control.Value{}}
		for _, v := range n.Values {
			node.Values = append(node.Values, control.Value{Value: v})
		}
		t.Nodes = append(t.Nodes, node)
	}
	tables := map[string]stream.Table{}
	for _, table := range a.flow.Program.Tables() {
		tables[table.Name] = table
	}
	for _, r := range trace.Rows {
		row := triedRow{Table: r.Table, Key: r.Key, Columns: map[string]control.Value{}}
		for i, c := range tables[r.Table].Columns {
			row.Columns[c.Name] = control.Value{Value: r.Columns[i]}
		}
		t.Rows = append(t.Rows, row)
	}
	if failed != nil {
		t.Error = failed.Error()
	}
	return t
}

// shownElements is how many elements of a node people are shown.
const shownElements = 3

func (t trial) print(out io.Writer) {
	fmt.Fprintf(out, "document %s\n", t.Document)
	for _, f := range t.Input.Entries() {
		fmt.Fprintf(out, "  %s = %s\n", f.Key, brief(f.Value))
	}
	if !t.Kept {
		fmt.Fprintln(out, "`where` of the source leaves it out: it has no rows")
		return
	}
	for _, n := range t.Nodes {
		n.print(out)
	}
	for _, r := range t.Rows {
		fmt.Fprintf(out, "row of %s, key %q\n", r.Table, r.Key)
		for _, c := range sortedKeys(r.Columns) {
			fmt.Fprintf(out, "  %s = %s\n", c, brief(r.Columns[c].Value))
		}
	}
	if t.Error != "" {
		fmt.Fprintln(out, "failed:", t.Error)
	} else {
		fmt.Fprintf(out, "%d rows\n", len(t.Rows))
	}
}

func (n triedNode) print(out io.Writer) {
	switch {
	case !n.Ran:
		fmt.Fprintf(out, "node %s (%s): not run\n", n.Node, n.Op)
	case n.Element == "" && len(n.Values) == 1:
		fmt.Fprintf(out, "node %s (%s) = %s\n", n.Node, n.Op, brief(n.Values[0].Value))
	default:
		fmt.Fprintf(out, "node %s (%s), for each of %d %s\n", n.Node, n.Op, len(n.Values), n.Element)
		for i, v := range n.Values[:min(len(n.Values), shownElements)] {
			fmt.Fprintf(out, "  %d: %s\n", i, brief(v.Value))
		}
		if more := len(n.Values) - shownElements; more > 0 {
			fmt.Fprintf(out, "  and %d more\n", more)
		}
	}
}
