package stream

import (
	"encoding/hex"
	"math"
	"math/big"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Kind says which of the value kinds of a flow a Value or a Type is.
type Kind uint8

// The kinds. Dynamic is a Type only: "known at run time"; of a Value it is the kind of stand-ins.
const (
	Null Kind = iota
	Bool
	Int
	Double
	Decimal
	String
	Bytes
	Timestamp
	List
	Map
	Vector
	Sparse
	MultiVector
	Dynamic
)

var kindNames = [...]string{"null", "bool", "int", "double", "decimal", "string", "bytes", "timestamp", "list", "map",
	"vector", "sparse", "multivector", "dyn"}

// String gives the kind's name as flow files and messages write it.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

// IsVector reports whether values of the kind are embeddings, dense, sparse or several in one.
func (k Kind) IsVector() bool { return k == Vector || k == Sparse || k == MultiVector }

// Value is one immutable, typed value. The zero Value is null. Values of equal content have equal canonical encodings
// (AppendValue) and so equal fingerprints.
type Value struct {
	kind Kind
	elem Element // element type of a Vector
	n    uint64  // bool, int, double bits, timestamp in ns since 1970 UTC, dimensions, decimal scale
	s    string  // string, bytes, raw little-endian vector elements, decimal digits (unscaled, base 10)
	c    *compound
}

type compound struct {
	keys  []string // sorted, for maps
	items []Value
}

// BoolOf returns a bool.
func BoolOf(b bool) Value {
	if b {
		return Value{kind: Bool, n: 1}
	}
	return Value{kind: Bool}
}

// IntOf returns a signed 64-bit integer.
func IntOf(i int64) Value { return Value{kind: Int, n: uint64(i)} }

// DoubleOf returns a double; every NaN becomes the same NaN.
func DoubleOf(f float64) Value {
	if math.IsNaN(f) {
		f = math.NaN()
	}
	return Value{kind: Double, n: math.Float64bits(f)}
}

// StringOf returns a string.
func StringOf(s string) Value { return Value{kind: String, s: s} }

// BytesOf returns bytes; b is copied.
func BytesOf(b []byte) Value { return Value{kind: Bytes, s: string(b)} }

// The instants that a Timestamp can hold: 64-bit nanoseconds since 1970.
var (
	MinTime = time.Unix(0, math.MinInt64).UTC() // in the year 1677
	MaxTime = time.Unix(0, math.MaxInt64).UTC() // in the year 2262
)

// TimestampOf returns an instant, in nanoseconds and UTC. One before MinTime or after MaxTime becomes that bound: whoever
// reads instants from outside compares with the bounds first, and refuses what lies beyond.
func TimestampOf(t time.Time) Value {
	switch {
	case t.Before(MinTime):
		t = MinTime
	case t.After(MaxTime):
		t = MaxTime
	}
	return Value{kind: Timestamp, n: uint64(t.UnixNano())}
}

// DecimalOf returns unscaled × 10^-scale exactly; scale is kept (1.50 is not 1.5 as text, though equal as a number).
func DecimalOf(unscaled *big.Int, scale int) Value {
	return Value{kind: Decimal, n: uint64(int64(scale)), s: unscaled.String()}
}

// ListOf returns a list that takes over items.
func ListOf(items ...Value) Value { return Value{kind: List, c: &compound{items: items}} }

// StandIn returns what stands for a value that nobody has computed yet, in evaluations that foresee what others will do.
// Equal fingerprints stand for equal values. A stand-in lies in no other value, and is never stored.
func StandIn(of Fingerprint) Value { return Value{kind: Dynamic, s: string(of[:])} }

// StandsIn returns the fingerprint that StandIn was given; ok is false for every other value.
func (v Value) StandsIn() (of Fingerprint, ok bool) {
	if v.kind != Dynamic {
		return of, false
	}
	return Fingerprint([]byte(v.s)), true
}

// Entry is one key of a map with its value.
type Entry struct {
	Key   string
	Value Value
}

// MapOf returns a map of the entries; of equal keys the last wins. Entries whose value is null are kept.
func MapOf(entries ...Entry) Value {
	byKey := func(a, b Entry) int { return strings.Compare(a.Key, b.Key) }
	if !slices.IsSortedFunc(entries, byKey) {
		entries = slices.Clone(entries)
		slices.SortStableFunc(entries, byKey)
	}
	c := &compound{keys: make([]string, 0, len(entries)), items: make([]Value, 0, len(entries))}
	for _, e := range entries {
		if n := len(c.keys); n > 0 && c.keys[n-1] == e.Key {
			c.items[n-1] = e.Value
			continue
		}
		c.keys, c.items = append(c.keys, e.Key), append(c.items, e.Value)
	}
	return Value{kind: Map, c: c}
}

// SortedMap returns a map of keys, which are sorted and distinct, and their values. It takes over values, and keys as far as
// that nobody may change them: maps may share them.
func SortedMap(keys []string, values []Value) Value {
	return Value{kind: Map, c: &compound{keys: keys, items: values}}
}

// Kind returns the value's kind.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null.
func (v Value) IsNull() bool { return v.kind == Null }

// Bool returns a Bool's content, else false.
func (v Value) Bool() bool { return v.kind == Bool && v.n == 1 }

// Int returns an Int's content, else 0.
func (v Value) Int() int64 {
	if v.kind != Int {
		return 0
	}
	return int64(v.n)
}

// Double returns a Double's content, else 0.
func (v Value) Double() float64 {
	if v.kind != Double {
		return 0
	}
	return math.Float64frombits(v.n)
}

// Str returns the content of a String or of Bytes, else "".
func (v Value) Str() string {
	if v.kind == String || v.kind == Bytes {
		return v.s
	}
	return ""
}

// Time returns a Timestamp's content in UTC, else the zero time.
func (v Value) Time() time.Time {
	if v.kind != Timestamp {
		return time.Time{}
	}
	return time.Unix(0, int64(v.n)).UTC()
}

// Decimal returns a Decimal's unscaled number and scale, else nil.
func (v Value) Decimal() (unscaled *big.Int, scale int) {
	if v.kind != Decimal {
		return nil, 0
	}
	u, _ := new(big.Int).SetString(v.s, 10)
	return u, int(int64(v.n))
}

// Scale returns a Decimal's scale, else 0.
func (v Value) Scale() int {
	if v.kind != Decimal {
		return 0
	}
	return int(int64(v.n))
}

// Decimal64 returns a Decimal whose unscaled number fits into 64 bits; ok is false for any other value.
func (v Value) Decimal64() (unscaled int64, scale int, ok bool) {
	if v.kind != Decimal {
		return 0, 0, false
	}
	n, err := strconv.ParseInt(v.s, 10, 64)
	return n, int(int64(v.n)), err == nil
}

// Len returns the number of items of a list or map, the bytes of a string or bytes, else 0.
func (v Value) Len() int {
	switch {
	case v.c != nil:
		return len(v.c.items)
	case v.kind == String || v.kind == Bytes:
		return len(v.s)
	}
	return 0
}

// At returns item i of a list, or the value of the i-th key (in key order) of a map.
func (v Value) At(i int) Value { return v.c.items[i] }

// KeyAt returns the i-th key of a map, in key order.
func (v Value) KeyAt(i int) string { return v.c.keys[i] }

// Get returns the value of a map's key; null and false when v is no map or has no such key.
func (v Value) Get(key string) (Value, bool) {
	if v.kind != Map {
		return Value{}, false
	}
	i := sort.SearchStrings(v.c.keys, key)
	if i == len(v.c.keys) || v.c.keys[i] != key {
		return Value{}, false
	}
	return v.c.items[i], true
}

// Field is Get without the second result: a missing field equals null.
func (v Value) Field(key string) Value {
	f, _ := v.Get(key)
	return f
}

// Entries returns a map's entries in key order.
func (v Value) Entries() []Entry {
	if v.kind != Map {
		return nil
	}
	out := make([]Entry, len(v.c.keys))
	for i, k := range v.c.keys {
		out[i] = Entry{k, v.c.items[i]}
	}
	return out
}

// Equal reports whether both values have the same canonical encoding.
func (v Value) Equal(o Value) bool {
	if v.kind != o.kind || v.n != o.n || v.s != o.s || v.elem != o.elem || v.Len() != o.Len() {
		return false
	}
	for i := 0; v.c != nil && i < len(v.c.items); i++ {
		if v.c.keys != nil && v.c.keys[i] != o.c.keys[i] || !v.c.items[i].Equal(o.c.items[i]) {
			return false
		}
	}
	return true
}

// String renders v for people: JSON-like, long vectors abbreviated. It is no encoding.
func (v Value) String() string {
	switch v.kind {
	case Null:
		return "null"
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case Decimal:
		return decimalText(v.s, int(int64(v.n)))
	case String:
		return strconv.Quote(v.s)
	case Bytes:
		return "0x" + hex.EncodeToString([]byte(v.s))
	case Timestamp:
		return v.Time().Format(time.RFC3339Nano)
	case List, Map:
		return v.compoundString()
	}
	return v.vectorString()
}

func (v Value) compoundString() string {
	var b strings.Builder
	b.WriteByte("[{"[v.kind-List])
	for i := range v.Len() {
		if i > 0 {
			b.WriteString(", ")
		}
		if v.kind == Map {
			b.WriteString(strconv.Quote(v.KeyAt(i)) + ": ")
		}
		b.WriteString(v.At(i).String())
	}
	b.WriteByte("]}"[v.kind-List])
	return b.String()
}

// DecimalText renders a Decimal as plain digits, e.g. "-12.50"; "" for other kinds.
func (v Value) DecimalText() string {
	if v.kind != Decimal {
		return ""
	}
	return decimalText(v.s, int(int64(v.n)))
}

func decimalText(digits string, scale int) string {
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	if scale <= 0 {
		if digits == "0" {
			return "0"
		}
		return sign + digits + strings.Repeat("0", -scale)
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
}

// ParseDecimal reads plain decimal digits such as "-12.50", keeping the scale written. ok is false for anything else.
func ParseDecimal(text string) (v Value, ok bool) {
	whole, frac, _ := strings.Cut(text, ".")
	if digits, ok := shortDigits(whole + frac); ok && !strings.HasPrefix(frac, "-") {
		return Value{kind: Decimal, n: uint64(len(frac)), s: digits}, true
	}
	u, ok := new(big.Int).SetString(whole+frac, 10)
	if !ok || strings.ContainsAny(text, "_+ ") || strings.HasPrefix(frac, "-") {
		return Value{}, false
	}
	return DecimalOf(u, len(frac)), true
}

// shortDigits writes up to 18 digits, of which a minus may come first, as a big.Int would; ok is false for any other text.
func shortDigits(text string) (_ string, ok bool) {
	digits := strings.TrimPrefix(text, "-")
	if len(digits) == 0 || len(digits) > 18 {
		return "", false
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return "", false
		}
	}
	if digits[0] != '0' {
		return text, true
	}
	if digits = strings.TrimLeft(digits, "0"); digits == "" {
		return "0", true
	}
	return text[:len(text)-len(strings.TrimPrefix(text, "-"))] + digits, true
}
