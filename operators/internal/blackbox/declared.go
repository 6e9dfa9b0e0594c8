// Package blackbox is what operators outside of the process share: what a flow file declares of one, and the JSON of its
// requests and answers.
//
// It upholds invariant 7 for code that nobody can look into: its declared version, what it returns, and the settings that
// it is told are its logic; where it runs, and how, is not. A value that isn't of the declared type fails its own element.
package blackbox

import (
	"fmt"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Settings declares what all of them have.
func Settings() []stream.Setting {
	return []stream.Setting{
		{Name: "returns", Kind: stream.SettingType, Required: true, Output: true,
			Doc: "Type of a result: `string`, `{text: string, score: double}`, `[{name: string}]` for a list."},
		{Name: "version", Kind: stream.SettingString, Required: true, Output: true,
			Doc: "Version of the code: another one computes everything anew, the same one nothing."},
		{Name: "settings", Kind: stream.SettingMap, Output: true, Doc: "What the code is told besides its inputs."},
		{Name: "batch", Kind: stream.SettingInt, Default: stream.IntOf(16), Min: 1, Max: 1024, Doc: "Most inputs in one request."},
		{Name: "deadline", Kind: stream.SettingDuration, Default: stream.IntOf(int64(30 * time.Second)),
			Doc: "Longest wait for a request's answer."},
	}
}

// Declared is what a flow file says of one.
type Declared struct {
	Op       string // begins errors
	Version  string
	Returns  stream.Type
	Settings stream.Value // a map; null: none
	Batch    int
	Deadline time.Duration
}

// Of reads settings. Errors have kind Usage.
func Of(op string, s stream.Settings) (Declared, error) {
	d := Declared{Op: op, Version: s.String("version"), Returns: s.Types["returns"], Settings: s.Values.Field("settings"),
		Batch: max(1, s.Int("batch")), Deadline: time.Duration(s.Int("deadline"))}
	switch {
	case d.Version == "":
		return d, stream.Errorf(stream.Usage, op, "version is empty; name the version of the code, and change it whenever its results change")
	case d.Deadline <= 0:
		return d, stream.Errorf(stream.Usage, op, "deadline must be above zero")
	}
	return d, nil
}

// Output is the type of results, for inputs that JSON can hold.
func Output(in stream.Type, s stream.Settings) (stream.Type, error) {
	if t, found := unwritable(in); found {
		return stream.Type{}, fmt.Errorf("the input holds a %s, which has no form in JSON", t)
	}
	return s.Types["returns"], nil
}

// unwritable finds a type within t that JSON can't hold.
func unwritable(t stream.Type) (stream.Type, bool) {
	if t.Kind.IsVector() && (t.Kind != stream.Vector || t.Element != stream.F32) {
		return t, true
	}
	if t.Elem != nil {
		return unwritable(*t.Elem)
	}
	for _, f := range t.Fields {
		if found, ok := unwritable(f.Type); ok {
			return found, true
		}
	}
	return stream.Type{}, false
}
