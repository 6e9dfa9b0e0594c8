package flow

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// Declaration is what a later start compares its flow file with. It encodes as CBOR and as JSON; fingerprints are
// hexadecimal text. Parts are in order of name.
type Declaration struct {
	Logic   string          `json:"logic"`
	Nodes   []Part          `json:"nodes"`
	Tables  []Part          `json:"tables"`
	Source  Part            `json:"source"`            // of a flow that reads its one source directly
	Sources []Part          `json:"sources,omitempty"` // of a flow with an intake; Own is the ID formula's, "" without one
	Targets []TargetSummary `json:"targets"`
}

// Part is a source, node or table of a declaration. Logic covers everything it depends on, whatever the names; Own only
// what is written at the part itself, names included: it tells what changed from what only lies below a change.
type Part struct {
	Name  string `json:"name"`
	Logic string `json:"logic"`
	Own   string `json:"own"`
	Rolls bool   `json:"rolls,omitempty"` // a table that rolls out blue-green
}

// TargetSummary is a target with the tables it keeps.
type TargetSummary struct {
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`
	Tables []string `json:"tables"`
}

// Declaration summarises the flow for later comparison.
func (f *Flow) Declaration() Declaration {
	p := f.Program
	named := p.byName()
	d := Declaration{Logic: p.text.String()}
	for _, s := range p.bySourceName() {
		part := Part{Name: s.Name}
		if logic, err := s.logic(p.names); err == nil { // read already when the flow was checked
			part.Logic, part.Own = logic.String(), logic.String()
		}
		if !f.Intake() {
			d.Source = part
			break
		}
		if part.Own = ""; s.id != nil {
			part.Own = digest(s.id.canonical(p.names)).String()
		}
		d.Sources = append(d.Sources, part)
	}
	for _, s := range p.steps {
		d.Nodes = append(d.Nodes, Part{Name: s.name.ident, Logic: s.name.logic.String(), Own: s.logic(named).String()})
	}
	for _, t := range p.tables {
		d.Tables = append(d.Tables, Part{t.ident, t.logic(p.names).String(), t.ownLogic(named).String(), t.rolls})
	}
	for _, t := range f.Targets {
		summary := TargetSummary{Name: t.Name, Kind: t.Kind}
		for _, tab := range t.Config.Tables {
			name := tab.Table.Name
			if _, held := p.holding(name); held != nil {
				name = held.ident
			}
			summary.Tables = append(summary.Tables, name)
		}
		slices.Sort(summary.Tables)
		summary.Tables = slices.Compact(summary.Tables)
		d.Targets = append(d.Targets, summary)
	}
	slices.SortFunc(d.Nodes, byName)
	slices.SortFunc(d.Targets, func(a, b TargetSummary) int { return compare(a.Name, b.Name) })
	return d
}

func byName(a, b Part) int { return compare(a.Name, b.Name) }

func compare(a, b string) int { return slices.Compare([]byte(a), []byte(b)) }

// byName are the program's names, each identified by its text alone.
func (p *Program) byName() map[string]*name {
	named := make(map[string]*name, len(p.names))
	for ident := range p.names {
		named[ident] = &name{ident: ident, logic: stream.FingerprintBytes([]byte(ident))}
	}
	return named
}

// ownLogic is logic with the table's scope identified by its element's name.
func (t *table) ownLogic(named map[string]*name) stream.Fingerprint {
	own := *t
	own.scope = &scope{}
	if t.scope.element != nil {
		own.scope.element = named[t.scope.element.ident]
	}
	return own.logic(named)
}

// Changed names the source, nodes and tables whose logic changed since old, were added or removed; nothing when the same
// rows would come out. What lies only downstream of a change, or was only renamed, is not named.
func (d Declaration) Changed(old Declaration) []string {
	if d.Logic == old.Logic {
		return nil
	}
	var changes []string
	if d.Source.Logic != old.Source.Logic {
		changes = append(changes, "source "+d.Source.Name+" changed")
	}
	changes = append(changes, changedSources(d.Sources, old.Sources)...)
	changes = append(changes, changedParts("node", d.Nodes, old.Nodes)...)
	changes = append(changes, changedParts("table", d.Tables, old.Tables)...)
	if len(changes) == 0 {
		changes = append(changes, "the language of formulas changed")
	}
	return changes
}

// ChangedTargets says which targets were added or removed since old, and of which the tables did.
func (d Declaration) ChangedTargets(old Declaration) []string {
	changes := []string{}
	for _, t := range d.Targets {
		at := slices.IndexFunc(old.Targets, func(o TargetSummary) bool { return o.Name == t.Name })
		if at < 0 || old.Targets[at].Kind != t.Kind {
			changes = append(changes, "target "+t.Name+" added: all rows of its tables are written to it; nothing is computed for it")
			continue
		}
		for _, table := range t.Tables {
			if !slices.Contains(old.Targets[at].Tables, table) {
				changes = append(changes, "target "+t.Name+" gets table "+table)
			}
		}
		for _, table := range old.Targets[at].Tables {
			if !slices.Contains(t.Tables, table) {
				changes = append(changes, "target "+t.Name+" no longer keeps table "+table+", which stays there as it is")
			}
		}
	}
	for _, o := range old.Targets {
		if !slices.ContainsFunc(d.Targets, func(t TargetSummary) bool { return t.Name == o.Name }) {
			changes = append(changes, "target "+o.Name+" removed: what it holds stays there as it is")
		}
	}
	return changes
}

func changedSources(now, old []Part) []string {
	var changes []string
	before, after := partsBy(old), partsBy(now)
	for _, p := range now {
		switch was, known := before.name[p.Name]; {
		case !known:
			changes = append(changes, "source "+p.Name+" added")
		case was.Logic != p.Logic:
			changes = append(changes, "source "+p.Name+" changed")
		}
	}
	for _, p := range old {
		if _, known := after.name[p.Name]; !known {
			changes = append(changes, "source "+p.Name+" removed")
		}
	}
	return changes
}

// Renamed names the sources whose ID formula changed since old, or of which the only one, that is read directly, goes by another
// name: what was processed of them has other IDs now.
func (d Declaration) Renamed(old Declaration) []string {
	var names []string
	if d.Source.Name != old.Source.Name && d.Source.Name != "" && old.Source.Name != "" {
		names = append(names, d.Source.Name)
	}
	before := partsBy(old.Sources)
	for _, p := range d.Sources {
		if was, known := before.name[p.Name]; known && was.Own != p.Own {
			names = append(names, p.Name)
		}
	}
	return names
}

func changedParts(noun string, now, old []Part) []string {
	var changes []string
	before, after := partsBy(old), partsBy(now)
	for _, p := range now {
		was, known := before.name[p.Name]
		switch {
		case before.logic[p.Logic] && (known || noun == "node"):
		case !known:
			changes = append(changes, noun+" "+p.Name+" added")
		case was.Own != p.Own:
			changes = append(changes, noun+" "+p.Name+" changed")
		}
	}
	for _, p := range old {
		if _, known := after.name[p.Name]; !known && !(noun == "node" && after.logic[p.Logic]) {
			changes = append(changes, noun+" "+p.Name+" removed")
		}
	}
	return changes
}

type partIndex struct {
	name  map[string]Part
	logic map[string]bool
}

func partsBy(parts []Part) partIndex {
	x := partIndex{map[string]Part{}, map[string]bool{}}
	for _, p := range parts {
		x.name[p.Name], x.logic[p.Logic] = p, true
	}
	return x
}
