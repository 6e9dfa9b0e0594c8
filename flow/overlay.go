package flow

import "slices"

// overlay merges an overlay's tree into the flow's: brokers, end points of models, targets. Whatever could change logic is
// a fault, so that one flow means the same wherever it runs.
func (c *checker) overlay(base, over *tree) {
	if over == nil || !c.isMapping(over, "an overlay") || base.shape != shapeMapping {
		return
	}
	for _, e := range over.entries {
		if e.key == "standbys" { // how many machines there are is the deployment's affair
			base.put(e)
			continue
		}
		if !c.overlayKey(e) || !c.isMapping(e.value, "`"+e.key+"`") {
			continue
		}
		under := base.get(e.key)
		switch {
		case e.key == "models":
			c.overlayModels(under, e.value)
		case under == nil || under.shape != shapeMapping:
			base.put(e)
		case e.key == "targets":
			c.overlayTargets(under, e.value)
		default:
			under.merge(e.value)
		}
	}
}

func (c *checker) overlayKey(e entry) bool {
	merged := []string{"kafka", "models", "targets", "standbys", "state"}
	switch {
	case slices.Contains(merged, e.key):
		return true
	case slices.Contains(flowKeys, e.key):
		c.add(e.at, "change the flow itself", "an overlay can't change `%s`: it merges kafka, models' end points and targets", e.key)
	default:
		c.add(e.at, didYouMean(e.key, merged), "an overlay has no key %q", e.key)
	}
	return false
}

// overlayModels merges settings that can't change a model's results: base_url, api_key, batch, timeout ...
func (c *checker) overlayModels(base, over *tree) {
	for _, e := range over.entries {
		var under *tree
		if base != nil {
			under = base.get(e.key)
		}
		if under == nil {
			c.add(e.at, "declare it in the flow", "the flow has no model %q for the overlay to change", e.key)
			continue
		}
		if under.shape == shapeMapping && c.isMapping(e.value, "model "+e.key) && c.endPointOnly(e, under) {
			under.merge(e.value)
		}
	}
}

func (c *checker) endPointOnly(model entry, under *tree) bool {
	outputs := []string{"provider"}
	if p := under.get("provider"); p != nil {
		for _, s := range c.registry.Providers[p.text].Settings {
			if s.Output {
				outputs = append(outputs, s.Name)
			}
		}
	}
	ok := true
	for _, e := range model.value.entries {
		if slices.Contains(outputs, e.key) {
			ok = false
			c.add(e.at, "change the flow itself", "an overlay can't change `%s` of model %s: results depend on it", e.key, model.key)
		}
	}
	return ok
}

// overlayTargets adds targets and changes those of the same name: settings merge when the kind stays, a new kind replaces
// the old one with its settings, and `tables` replace those of the flow when given.
func (c *checker) overlayTargets(base, over *tree) {
	for _, e := range over.entries {
		under := base.get(e.key)
		if under == nil || under.shape != shapeMapping || e.value.shape != shapeMapping {
			base.put(e)
			continue
		}
		for _, part := range e.value.entries {
			was := under.get(part.key)
			switch {
			case part.key == "tables" || part.value.shape != shapeMapping:
				under.put(part)
			case was != nil && was.shape == shapeMapping:
				was.merge(part.value)
			default:
				under.keepOnly("tables")
				under.put(part)
			}
		}
	}
}

// put sets a key of a mapping.
func (t *tree) put(e entry) {
	for i := range t.entries {
		if t.entries[i].key == e.key {
			t.entries[i] = e
			return
		}
	}
	t.entries = append(t.entries, e)
}

func (t *tree) merge(over *tree) {
	for _, e := range over.entries {
		t.put(e)
	}
}

func (t *tree) keepOnly(key string) {
	t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return e.key != key })
}
