package flow

import (
	"slices"

	"github.com/freshet-dev/freshet/stream"
)

// sourceEntry is a source of the flow while it is checked and when it runs.
type sourceEntry struct {
	Source
	at    place
	name  *name
	where *expression
	id    *expression
	body  *tree
	index int
	paths [][]string // fields of its documents that formulas read, none a part of another
}

// set is the set with this source alone.
func (s *sourceEntry) set() sourceSet { return 1 << s.index }

// modelEntry is an entry of `models`; model is nil after a fault.
type modelEntry struct {
	at    place
	model *stream.Model
	used  bool
}

func (c *checker) modelEntries(t *tree) {
	if t == nil || !c.isMapping(t, "`models`") {
		return
	}
	for _, e := range t.entries {
		m := &modelEntry{at: e.at}
		c.models[e.key] = m
		if c.isMapping(e.value, "model "+e.key) {
			m.model = c.model(e)
		}
	}
}

// price is a setting of every model.
var price = stream.Setting{Name: "price", Kind: stream.SettingDouble, Doc: "Price of a million input tokens, in any currency; freshet plan multiplies with it."}

// rate is a setting of every model.
var rate = stream.Setting{Name: "rate", Kind: stream.SettingDouble, Doc: "Most requests in a second, of all replicas together: each takes as much of it as it has of the flow's partitions, and halves that when the server throttles it."}

// modelSettings are those of an entry of `models`, beside `provider`.
func modelSettings(p stream.ProviderSpec) []stream.Setting {
	return append(slices.Clip(p.Settings), price, rate)
}

func (c *checker) model(e entry) *stream.Model {
	what := "model " + e.key
	p := e.value.get("provider")
	if p == nil {
		c.add(e.at, "known: "+joined(sortedKeys(c.registry.Providers)), "%s needs a `provider`", what)
		return nil
	}
	kind, ok := c.text(p, "`provider` of "+what)
	if !ok {
		return nil
	}
	spec, ok := c.registry.Providers[kind]
	if !ok {
		c.add(p.at, didYouMean(kind, sortedKeys(c.registry.Providers)), "there is no provider %q", kind)
		return nil
	}
	s, ok := c.settings(e.value, what, modelSettings(spec), nil, "provider")
	if !ok {
		return nil
	}
	if s.Values.Field(price.Name).Double() < 0 {
		c.add(e.value.get(price.Name).at, "", "`%s` of %s can't be below 0", price.Name, what)
	}
	if written := e.value.get(rate.Name); written != nil && s.Values.Field(rate.Name).Double() <= 0 {
		c.add(written.at, "leave it out for no limit", "`%s` of %s must be above 0", rate.Name, what)
	}
	if spec.Dimensions != nil {
		if _, err := spec.Dimensions(s); err != nil {
			c.add(e.at, "", "%s: %v", what, err)
			return nil
		}
	}
	return &stream.Model{Name: e.key, Provider: &spec, Settings: s}
}

func (c *checker) sourceEntries(root *tree) {
	t := root.get("sources")
	if t == nil {
		c.add(root.at, "write `sources: { page: { files: { root: ./docs } } }`", "the flow has no `sources`")
		return
	}
	if !c.isMapping(t, "`sources`") {
		return
	}
	if len(t.entries) == 0 {
		c.add(t.at, "", "the flow needs a source")
	}
	for i, e := range t.entries {
		if i == maxSources {
			c.add(e.at, "", "a flow has at most %d sources", maxSources)
			break
		}
		s := &sourceEntry{Source: Source{Name: e.key}, at: e.at, body: e.value, index: i}
		c.sources = append(c.sources, s)
		c.sourceEntry(s, e)
	}
}

func (c *checker) sourceEntry(s *sourceEntry, e entry) {
	s.name = c.declare(&name{ident: e.key, at: e.at, kind: sourceName, scope: c.root, typ: stream.TypeDynamic, from: s.set()})
	if !c.isMapping(e.value, "source "+e.key) {
		return
	}
	what := "source " + e.key
	s.Fields = c.fields(e.value.get("fields"))
	kind, ok := c.kindKey(e, what, "kind of source", sortedKeys(c.registry.Sources), laterSources, laterSourceKeys, "fields", "where", "id")
	if !ok || !c.isMapping(kind.value, kind.key+" of "+what) {
		return
	}
	s.Kind, s.Spec = kind.key, c.registry.Sources[kind.key]
	if s.Settings, ok = c.settings(kind.value, kind.key+" of "+what, s.Spec.Settings, laterSourceSettings); ok {
		c.sourceType(s)
	}
}

func (c *checker) sourceType(s *sourceEntry) {
	typ, err := s.Spec.Type(s.Settings, s.Fields)
	if err != nil {
		at := s.at
		if f := s.body.get("fields"); f != nil {
			at = f.at
		}
		c.add(at, "", "source %s: %v", s.Name, err)
		return
	}
	s.name.typ = typ
	s.Topic = s.Spec.Topic(c.flow.Name, s.Name, s.Settings)
	for _, own := range []string{"intake", "rows", "changelog", "meta"} {
		if s.Topic == c.flow.Name+"."+own {
			c.add(s.at, "choose another name for the flow", "source %s reads topic %s, which is one of the flow's own", s.Name, s.Topic)
		}
	}
	for _, other := range c.sources[:s.index] {
		if other.Topic == s.Topic {
			c.add(s.at, "keep one of them", "source %s reads topic %s, as source %s does", s.Name, s.Topic, other.Name)
		}
	}
}

// kindKey finds the one key of a source or target that names its kind, and faults all keys that mean nothing.
func (c *checker) kindKey(e entry, what, noun string, kinds []string, later map[string]bool, laterKeys map[string]string, besides ...string) (entry, bool) {
	var found []entry
	refused := false
	for _, k := range e.value.entries {
		switch {
		case slices.Contains(kinds, k.key):
			found = append(found, k)
		case later[k.key]:
			refused = true
			c.add(k.at, "known: "+joined(kinds), "%s: the %s %q isn't built yet", what, noun, k.key)
		case laterKeys[k.key] != "" || slices.Contains(besides, k.key):
		default:
			refused = true
		}
	}
	names := append(slices.Clone(kinds), besides...)
	c.known(e.value, what, laterKeys, append(names, sortedKeys(later)...)...)
	if len(found) == 0 && !refused {
		c.add(e.at, "known: "+joined(kinds), "%s needs a %s", what, noun)
	}
	if len(found) > 1 {
		c.add(found[1].at, "keep one of them", "%s has two kinds, %s and %s", what, found[0].key, found[1].key)
	}
	if len(found) != 1 {
		return entry{}, false
	}
	return found[0], true
}
