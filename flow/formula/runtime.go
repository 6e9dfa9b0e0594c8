package formula

import (
	"sort"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// selectField is x.field: null for an absent key and for anything selected from null.
func selectField(x, field ref.Val) ref.Val {
	switch x := x.(type) {
	case types.Null:
		return x
	case traits.Mapper:
		v, found := x.Find(field)
		if found {
			return v
		}
		return types.NullValue
	}
	return types.NewErr("can't select %q: the value is a %s, not a map", field.Value(), typeName(x))
}

// hasField is has(x.field): whether the key is there, also when its value is null.
func hasField(x, field ref.Val) ref.Val {
	switch x := x.(type) {
	case types.Null:
		return types.False
	case traits.Mapper:
		_, found := x.Find(field)
		return types.Bool(found)
	}
	return types.NewErr("can't look for %q: the value is a %s, not a map", field.Value(), typeName(x))
}

// index is x[key]: null for an absent key of a map and for anything in null, an error outside a list.
func index(x, key ref.Val) ref.Val {
	switch x := x.(type) {
	case types.Null:
		return x
	case traits.Mapper:
		if !isKey(key) {
			return types.NewErr("a map can't be indexed with a %s", typeName(key))
		}
		if v, found := x.Find(key); found {
			return v
		}
		return types.NullValue
	case traits.Lister:
		return indexList(x, key)
	}
	return types.NewErr("can't index a %s: it is neither list nor map", typeName(x))
}

func indexList(l traits.Lister, key ref.Val) ref.Val {
	i, err := types.GetOrError(key)
	if err != nil {
		return types.NewErr("a list can't be indexed with a %s", typeName(key))
	}
	if n := l.Size().(types.Int); i < 0 || types.Int(i) >= n {
		return types.NewErr("list index %d is out of range: the list has %d items", i, n)
	}
	return l.Get(types.Int(i))
}

// contains is "x in collection"; nothing is in null.
func contains(x, collection ref.Val) ref.Val {
	switch c := collection.(type) {
	case types.Null:
		return types.False
	case traits.Mapper:
		return types.Bool(isKey(x) && c.Contains(x) == types.True)
	case traits.Lister:
		return c.Contains(x)
	}
	return types.NewErr("\"in\" needs a list or a map, not a %s", typeName(collection))
}

// orDefault is x.or(d).
func orDefault(x, d ref.Val) ref.Val {
	if x == types.NullValue {
		return d
	}
	return x
}

// asMap hands a map with known fields on as a map of any keys.
func asMap(x ref.Val) ref.Val { return x }

// literalKey guards the keys that a formula gives to a map: other kinds could not be hashed.
func literalKey(key ref.Val) ref.Val {
	if isKey(key) {
		return key
	}
	return types.NewErr("a %s can't be the key of a map: use a string", typeName(key))
}

func isKey(x ref.Val) bool {
	switch x.(type) {
	case types.String, types.Int, types.Uint, types.Bool, types.Double:
		return true
	}
	return false
}

// ordered prepares x for iteration: the maps that formulas make are Go maps, and would iterate in random order.
func ordered(x ref.Val) ref.Val {
	switch x := x.(type) {
	case mapping, traits.Lister:
		return x
	case traits.Mapper:
		return inKeyOrder(x)
	case types.Null:
		return types.NewErr("can't iterate over null: give a default with .or([])")
	}
	return types.NewErr("can't iterate over a %s: it is neither list nor map", typeName(x))
}

// sortedMap iterates over a map in the order of keys.
type sortedMap struct {
	traits.Mapper
	keys []ref.Val
}

func inKeyOrder(m traits.Mapper) ref.Val {
	s := &sortedMap{Mapper: m}
	for it := m.Iterator(); it.HasNext() == types.True; {
		s.keys = append(s.keys, it.Next())
	}
	sort.Slice(s.keys, func(i, j int) bool { return keyLess(s.keys[i], s.keys[j]) })
	return s
}

// Iterator implements traits.Iterable.
func (s *sortedMap) Iterator() traits.Iterator {
	return &iterator{n: len(s.keys), at: func(i int) ref.Val { return s.keys[i] }}
}

// keyLess orders keys by value, keys of different types by the type's name.
func keyLess(a, b ref.Val) bool {
	if ta, tb := a.Type().TypeName(), b.Type().TypeName(); ta != tb {
		return ta < tb
	}
	c, ok := a.(traits.Comparer)
	return ok && c.Compare(b) == types.IntNegOne
}
