package flow

import (
	"slices"

	"github.com/freshet-dev/freshet/flow/formula"
	"github.com/freshet-dev/freshet/stream"
)

// outputSettings is the part of settings that can change an output: of a path its contents, of a model its provider and
// the provider's own such settings. Names of models, URLs, keys, batch sizes and rates are not in it.
func outputSettings(specs []stream.Setting, s stream.Settings) (stream.Value, error) {
	var entries []stream.Entry
	for _, spec := range specs {
		v := s.Values.Field(spec.Name)
		switch {
		case spec.Kind == stream.SettingModel && s.Model != nil:
			model, err := outputSettings(s.Model.Provider.Settings, s.Model.Settings)
			if err != nil {
				return stream.Value{}, err
			}
			v = stream.ListOf(stream.StringOf(s.Model.Provider.Name), model)
		case !spec.Output:
			continue
		case spec.Kind == stream.SettingPath && v.Str() != "":
			contents, err := s.File(spec.Name)
			if err != nil {
				return stream.Value{}, err
			}
			v = stream.BytesOf(contents)
		}
		entries = append(entries, stream.Entry{Key: spec.Name, Value: v})
	}
	return stream.MapOf(entries...), nil
}

func digest(parts ...stream.Value) stream.Fingerprint {
	return stream.FingerprintOfList(parts...)
}

func text(s string) stream.Value                  { return stream.StringOf(s) }
func number(n int) stream.Value                   { return stream.IntOf(int64(n)) }
func finger(f stream.Fingerprint) stream.Value    { return stream.BytesOf(f[:]) }
func fingers(f []stream.Fingerprint) stream.Value { return list(f, finger) }

func list[T any](items []T, value func(T) stream.Value) stream.Value {
	out := make([]stream.Value, len(items))
	for i := range items {
		out[i] = value(items[i])
	}
	return stream.ListOf(out...)
}

// logic identifies the step's whole logic: its own, and through its formulas that of everything it reads.
// Invariant 7: references count by what they stand for, so that names don't matter.
func (s *step) logic(names map[string]*name) stream.Fingerprint {
	memo := stream.Fingerprint{}
	if s.node != nil {
		memo = s.node.Memo
	}
	return digest(text("node"), text(s.op), finger(memo), s.canonicalInput(names), s.when.canonical(names))
}

// canonicalInput is the meaning of the step's input; with `in_by_source`, of all branches.
func (s *step) canonicalInput(names map[string]*name) stream.Value {
	if s.by == nil {
		return s.in.canonical(names)
	}
	return list(s.by, func(b branch) stream.Value {
		return stream.ListOf(text(b.source.Name), b.in.canonical(names))
	})
}

// logic identifies everything that can change the table's rows. The order of columns doesn't: they are sorted by name.
func (t *table) logic(names map[string]*name) stream.Fingerprint {
	scope := stream.Value{}
	if t.scope.element != nil {
		scope = finger(t.scope.element.logic)
	}
	columns := list(t.columns, func(c column) stream.Value {
		if t.shared != nil {
			return stream.ListOf(text(c.ident), text(c.value.typ().String()), c.value.canonical(names), text(t.shared[c.ident].rule.String()))
		}
		return stream.ListOf(text(c.ident), text(c.value.typ().String()), c.value.canonical(names))
	})
	return digest(text("table"), text(t.ident), scope, t.where.canonical(names), t.key.canonical(names), columns)
}

// logic identifies what the source's documents look like.
func (s *sourceEntry) logic(names map[string]*name) (stream.Fingerprint, error) {
	settings, err := outputSettings(s.Spec.Settings, s.Settings)
	fields := list(s.Fields, func(f stream.Field) stream.Value {
		return stream.ListOf(text(f.Name), text(f.Type.String()))
	})
	if s.id != nil {
		return digest(text("source"), text(s.Kind), settings, fields, s.where.canonical(names), s.id.canonical(names)), err
	}
	return digest(text("source"), text(s.Kind), settings, fields, s.where.canonical(names)), err
}

// sourceLogic identifies what the documents of all sources look like. The name of the only one doesn't matter.
func (p *Program) sourceLogic() (stream.Fingerprint, error) {
	if len(p.sources) == 1 {
		return p.sources[0].logic(p.names)
	}
	var all []stream.Value
	for _, s := range p.bySourceName() {
		logic, err := s.logic(p.names)
		if err != nil {
			return stream.Fingerprint{}, err
		}
		all = append(all, text(s.Name), finger(logic))
	}
	return digest(all...), nil
}

func (p *Program) bySourceName() []*sourceEntry {
	return slices.SortedFunc(slices.Values(p.sources), func(a, b *sourceEntry) int { return compare(a.Name, b.Name) })
}

// identities gives every name and the program their fingerprints, in order of evaluation.
func (p *Program) identities() error {
	for ident, n := range p.names {
		if n.kind == sourceName || n.kind == recordName {
			n.logic = stream.FingerprintBytes([]byte(n.kind.String()))
		}
		if n.kind == sourceName && len(p.sources) > 1 {
			n.logic = digest(text(n.kind.String()), text(n.ident))
		}
		p.names[ident] = n
	}
	var nodes, tables []stream.Fingerprint
	for _, s := range p.steps {
		s.name.logic = s.logic(p.names)
		nodes = append(nodes, s.name.logic)
		if s.elem != nil {
			s.elem.logic = digest(text("element"), finger(s.name.logic))
		}
	}
	for _, t := range p.tables {
		tables = append(tables, t.logic(p.names))
	}
	slices.SortFunc(nodes, func(a, b stream.Fingerprint) int { return slices.Compare(a[:], b[:]) })
	source, err := p.sourceLogic()
	p.logic = digest(text("flow"), number(formula.Version), finger(source), fingers(nodes), fingers(tables))
	p.text = p.logic
	return err
}
