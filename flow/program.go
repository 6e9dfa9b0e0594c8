package flow

import (
	"cmp"
	"errors"
	"io"
	"slices"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// Program is a checked flow, ready to evaluate documents. It implements stream.Program.
type Program struct {
	flow    string
	sources []*sourceEntry
	names   map[string]*name
	scopes  []*scope
	steps   []*step
	tables  []*table
	logic   stream.Fingerprint
	record  bool               // formulas read the record's metadata
	feeds   [][]int            // by step: the tables that depend on it
	early   [][]*step          // waves needed to decide which rows are kept
	late    [][]*step          // the other waves
	text    stream.Fingerprint // logic of the flow file alone, without editions
	rolled  bool               // some tables are editions
	beside  []*Program         // what makes other editions of them
}

var _ stream.Program = (*Program)(nil)

// program builds what runs. It faults operators that can't be made from their settings.
func (c *checker) program() *Program {
	p := &Program{flow: c.flow.Name, sources: c.sources, names: c.names, scopes: c.scopes, steps: c.steps, tables: c.tables}
	for _, s := range p.steps {
		if s.op != expr {
			c.operate(s)
		}
	}
	if err := p.identities(); err != nil {
		c.add(p.sources[0].at, "", "identify the flow's logic: %v", err)
	}
	p.reads()
	for _, s := range p.sources {
		c.flow.Sources = append(c.flow.Sources, s.Source)
		if _, taken := s.name.typ.FieldType("record"); taken && p.record && s.Fields != nil {
			c.add(s.at, "leave one of them out", "formulas read `record`, the record's metadata, but source %s has a field of that name", s.Name)
		}
	}
	p.plan()
	return p
}

func (c *checker) operate(s *step) {
	op, err := s.spec.New(s.set)
	if err != nil {
		c.add(s.name.at, "", "%s: %v", s.what(), err)
		return
	}
	settings, err := outputSettings(s.spec.Settings, s.set)
	if err != nil {
		c.add(s.name.at, "", "%s: %v", s.what(), err)
	}
	s.node = &stream.Node{
		Name: s.name.ident, Operator: op, Costly: s.spec.Costly,
		Memo:    digest(text("memo"), text(s.spec.Name), number(s.spec.Version), settings),
		Lineage: s.lineage(),
	}
	if m := s.set.Model; m != nil {
		s.node.Price = m.Settings.Values.Field(price.Name).Double()
		s.node.Rate, s.node.Limit = m.Settings.Values.Field(rate.Name).Double(), "model "+m.Name
	}
}

func (s *step) lineage() stream.NodeLineage {
	l := stream.NodeLineage{Node: s.called(), Operator: s.op, Version: s.spec.Version}
	if s.op == expr {
		l.Version = formula.Version
	}
	if m := s.set.Model; m != nil {
		if l.Model = m.Settings.String("model"); l.Model == "" {
			l.Model = m.Provider.Name
		}
	}
	return l
}

// source is the source of a document; nil when the flow doesn't have it.
func (p *Program) source(d stream.Document) *sourceEntry {
	if d.Source == "" && len(p.sources) == 1 {
		return p.sources[0]
	}
	for _, s := range p.sources {
		if s.Name == d.Source {
			return s
		}
	}
	return nil
}

// HasSource reports whether the flow has a source of this name: documents of others are no longer its own.
func (p *Program) HasSource(name string) bool { return p.source(stream.Document{Source: name}) != nil }

// formulas are all formulas that read sources.
func (p *Program) formulas() []*expression {
	var all []*expression
	for _, s := range p.sources {
		all = append(all, s.where)
	}
	for _, s := range p.steps {
		all = append(all, s.formulas()...)
	}
	for _, t := range p.tables {
		all = append(all, t.formulas()...)
	}
	return slices.DeleteFunc(all, func(x *expression) bool { return x == nil || x.formula == nil })
}

// reads collects the paths of the input that formulas read, without those that lie within others.
func (p *Program) reads() {
	for _, s := range p.sources {
		var paths [][]string
		for _, x := range p.formulas() {
			for _, r := range x.formula.Refs() {
				switch n := p.names[r.Name]; {
				case n == s.name:
					paths = append(paths, r.Path)
				case n.kind == recordName:
					p.record = true
					paths = append(paths, append([]string{"record"}, r.Path...))
				}
			}
		}
		s.paths = outermost(paths)
	}
}

func outermost(paths [][]string) (out [][]string) {
	slices.SortFunc(paths, slices.Compare)
	for _, path := range paths {
		if last := len(out) - 1; last < 0 || !within(path, out[last]) {
			out = append(out, path)
		}
	}
	return out
}

func within(path, outer []string) bool {
	return len(path) >= len(outer) && slices.Equal(path[:len(outer)], outer)
}

// plan divides the steps into waves: first those that conditions of tables read, which decide what else is needed.
func (p *Program) plan() {
	p.feeds = make([][]int, len(p.steps))
	for i, t := range p.tables {
		for _, s := range stepsBehind(t.scope, t.formulas()...) {
			p.feeds[s.index] = append(p.feeds[s.index], i)
		}
		if t.where != nil {
			for _, s := range stepsBehind(t.where.scope, t.where) {
				s.early = true
			}
		}
	}
	for _, s := range p.steps {
		waves := &p.late
		if s.early {
			waves = &p.early
		}
		for len(*waves) <= s.wave {
			*waves = append(*waves, nil)
		}
		(*waves)[s.wave] = append((*waves)[s.wave], s)
	}
}

// stepsBehind are the steps that a scope and formulas depend on, in order of evaluation.
func stepsBehind(in *scope, formulas ...*expression) []*step {
	found := map[*step]bool{}
	var visit func(n *name)
	visit = func(n *name) {
		if n.step == nil || found[n.step] {
			return
		}
		found[n.step] = true
		for _, r := range n.step.reads() {
			visit(r)
		}
	}
	if in.element != nil {
		visit(in.element)
	}
	for _, x := range formulas {
		for _, n := range x.names() {
			visit(n)
		}
	}
	var steps []*step
	for s := range found {
		steps = append(steps, s)
	}
	slices.SortFunc(steps, func(a, b *step) int { return a.index - b.index })
	return steps
}

// Flow implements stream.Program.
func (p *Program) Flow() string { return p.flow }

// Logic implements stream.Program.
func (p *Program) Logic() stream.Fingerprint { return p.logic }

// ReadsRecord implements stream.Program.
func (p *Program) ReadsRecord() bool {
	return p.record || slices.ContainsFunc(p.beside, (*Program).ReadsRecord)
}

// ReadSet implements stream.Program. A missing field and a null one count as different, which at worst evaluates once
// more.
func (p *Program) ReadSet(d stream.Document) stream.Fingerprint {
	var few [32]stream.Value
	parts := few[:0]
	var paths [][]string
	if s := p.source(d); s != nil {
		paths = s.paths
	}
	for _, path := range paths {
		v, found := d.Input, true
		for _, field := range path {
			if v, found = v.Get(field); !found {
				break
			}
		}
		parts = append(parts, stream.BoolOf(found), v)
	}
	for _, old := range p.beside {
		parts = append(parts, finger(old.ReadSet(d)))
	}
	return digest(parts...)
}

// Tables implements stream.Program.
func (p *Program) Tables() []stream.Table {
	tables := make([]stream.Table, len(p.tables))
	for i, t := range p.tables {
		tables[i] = t.declared()
	}
	for _, old := range p.beside {
		tables = append(tables, old.Tables()...)
	}
	slices.SortFunc(tables, func(a, b stream.Table) int { return compare(a.Name, b.Name) })
	return tables
}

// TableLineage implements stream.Program; nil for a table that isn't declared.
func (p *Program) TableLineage(table string) []stream.NodeLineage {
	_, t := p.holding(table)
	if t == nil {
		return nil
	}
	var lineage []stream.NodeLineage
	for _, s := range stepsBehind(t.scope, t.formulas()...) {
		lineage = append(lineage, s.lineage())
	}
	return lineage
}

// Several reports whether the flow has several sources.
func (p *Program) Several() bool { return len(p.sources) > 1 }

// SourceLineage is TableLineage for the rows of documents of one source: nodes that run for others only are not on their
// path.
func (p *Program) SourceLineage(table, source string) []stream.NodeLineage {
	in, t := p.holding(table)
	if t == nil {
		return nil
	}
	var lineage []stream.NodeLineage
	for _, s := range stepsBehind(t.scope, t.formulas()...) {
		if s.from.has(in.source(stream.Document{Source: source})) {
			lineage = append(lineage, s.lineage())
		}
	}
	return lineage
}

// Nodes implements stream.Program.
func (p *Program) Nodes() []string {
	names := make([]string, len(p.steps))
	for i, s := range p.steps {
		names[i] = s.called()
	}
	for _, old := range p.beside {
		names = append(names, slices.DeleteFunc(old.Nodes(), func(n string) bool { return slices.Contains(names, n) })...)
	}
	return names
}

// Close ends what operators keep, such as their processes. Nothing is evaluated after it.
func (p *Program) Close() error {
	var failed error
	for _, s := range p.steps {
		if s.node == nil {
			continue
		}
		own := cmp.Or(s.borrowed, s.node)
		if c, ok := own.Operator.(io.Closer); ok {
			failed = errors.Join(failed, c.Close())
		}
	}
	for _, old := range p.beside {
		failed = errors.Join(failed, old.Close())
	}
	return failed
}
