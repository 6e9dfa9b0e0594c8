package stream

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
)

// Operator is the code behind a node: a pure function of its inputs and settings. Apply returns one output per input, in
// order. It keeps ctx's deadline, is safe for concurrent use, and never changes its inputs. Inputs are never null: the
// engine answers null for null. When only some inputs fail it returns a *BatchError; any other error means all failed.
type Operator interface {
	Apply(ctx context.Context, inputs []Value) ([]Value, error)
}

// Batcher is an Operator that wants several inputs in one call, at most BatchSize of them (≥ 1).
type Batcher interface{ BatchSize() int }

// Concurrent is an Operator whose calls run at the same time up to a number of its own (≥ 1).
type Concurrent interface{ Concurrency() int }

// Instructed is an Operator that sends a text of its own along with each input, such as a prompt.
type Instructed interface{ Told() string }

// SettingKind is the type of a setting in the flow file.
type SettingKind uint8

// Setting kinds.
const (
	SettingString SettingKind = iota
	SettingInt
	SettingDouble
	SettingBool
	SettingDuration // "30s"
	SettingStrings  // list of strings
	SettingSecret   // reference: env:NAME or file:/path; a written-out value is a fault
	SettingURL      // URL, or a reference to one; a written-out password is a fault
	SettingModel    // name of an entry of `models`
	SettingPath     // file path relative to the flow file; its contents are what counts
	SettingType     // type of a value: a text such as list(string), a mapping of field to type, or [T] for a list
	SettingMap      // mapping of any depth, kept as it is written
	SettingSecrets  // mapping of a name to a reference to a secret
)

// Setting declares one setting of an operator, a provider, a source or a sink: parsing, checks, JSON Schema and
// reference pages all follow from it.
type Setting struct {
	Name     string
	Kind     SettingKind
	Required bool
	Default  Value    // null: no default
	Enum     []string // allowed strings; nil: any
	Min, Max int64    // for ints, when Max > Min
	Output   bool     // it can change the output, so it is part of logic fingerprints and memo keys
	Doc      string   // one sentence, shown in the reference
}

// Settings are the checked settings of one use: every required one present, defaults filled in, nothing unknown.
type Settings struct {
	// Values is a map by setting name: Int, Double, Bool, String, List of String, or a Map; durations as Int nanoseconds,
	// types as their texts.
	Values Value
	Types  map[string]Type // by setting name, those of kind SettingType
	Model  *Model          // with a SettingModel
	Dir    string          // directory of the flow file, for SettingPath
	// Files are contents of files by their path as it is written: of those that belong to the flow's logic. Others are read.
	Files map[string][]byte
	Log   *slog.Logger // of the process; nil: none
}

// String returns a string setting, "" when absent.
func (s Settings) String(name string) string { return s.Values.Field(name).Str() }

// Path returns a path setting, which is relative to the folder of the flow file; "" when absent.
func (s Settings) Path(name string) string { return PathIn(s.Dir, s.String(name)) }

// PathIn is a path that is relative to a folder, unless it is absolute or "".
func PathIn(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// File returns the contents of a path setting that belongs to the logic.
func (s Settings) File(name string) ([]byte, error) {
	if contents, ok := s.Files[s.String(name)]; ok {
		return contents, nil
	}
	return os.ReadFile(s.Path(name))
}

// Int returns an int setting, 0 when absent.
func (s Settings) Int(name string) int { return int(s.Values.Field(name).Int()) }

// Bool returns a bool setting, false when absent.
func (s Settings) Bool(name string) bool { return s.Values.Field(name).Bool() }

// Secret returns a secret or URL setting, the zero Secret when absent.
func (s Settings) Secret(name string) Secret { return SecretRef(s.String(name)) }

// Strings returns a list-of-strings setting.
func (s Settings) Strings(name string) []string {
	l := s.Values.Field(name)
	out := make([]string, l.Len())
	for i := range out {
		out[i] = l.At(i).Str()
	}
	return out
}

// Secrets returns a mapping of names to secrets, nil when absent.
func (s Settings) Secrets(name string) map[string]Secret {
	var out map[string]Secret
	for _, e := range s.Values.Field(name).Entries() {
		if out == nil {
			out = map[string]Secret{}
		}
		out[e.Key] = SecretRef(e.Value.Str())
	}
	return out
}

// OperatorSpec declares an operator: its name in flow files, what it accepts, its settings and its constructor.
type OperatorSpec struct {
	Name     string // e.g. "split.markdown"
	Version  int    // raised whenever an output changes for any input
	Doc      string // one paragraph for the reference
	Settings []Setting
	Costly   bool // its results are worth storing (models, HTTP, exec); others run again
	// Output checks the input's type and settings and returns the output's type. An error says what is accepted.
	Output func(in Type, s Settings) (Type, error)
	// New does no I/O, but for reading files that settings name.
	New func(s Settings) (Operator, error)
}

// ProviderSpec declares a provider of models, e.g. "openai". Its models give vectors (Dimensions and New), or answers (Ask);
// what they don't give is nil.
type ProviderSpec struct {
	Name     string
	Doc      string
	Settings []Setting // of an entry of `models`, beside `provider`
	// Dimensions returns the size of the vectors, from settings alone.
	Dimensions func(s Settings) (int, error)
	// New returns an operator from strings to f32 vectors of that size. It does no I/O.
	New func(s Settings) (Operator, error)
	// Ask returns what answers a question about texts. It does no I/O.
	Ask func(s Settings, q Question) (Answerer, error)
}

// Question is what a model is asked about each text.
type Question struct {
	Prompt string // what to do with the text
	Schema []byte // JSON Schema of the answer, an object
	Closed bool   // no object of the schema has a field that may be left out
}

// Answerer is a model that was told a question. It is safe for concurrent use.
type Answerer interface {
	Concurrent
	// Answer returns what the model says of a text: JSON, if it keeps to the question. It makes one attempt and keeps ctx's deadline.
	Answer(ctx context.Context, text string) ([]byte, error)
}

// Model is a checked entry of `models`.
type Model struct {
	Name     string
	Provider *ProviderSpec
	Settings Settings
}
