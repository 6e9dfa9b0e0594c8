package blackbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/freshet-dev/freshet/stream"
)

// Result is what an answer says of one input: a value, or why there is none.
type Result struct {
	Value json.RawMessage `json:"value"`
	Error *Failure        `json:"error"`
}

// Failure is why an input has no value.
type Failure struct {
	Kind       string  `json:"kind"` // invalid, transient or throttled
	Message    string  `json:"message"`
	RetryAfter float64 `json:"retry_after"` // seconds; 0: not said
}

// ErrForm marks an answer that is none: its form is wrong, whatever the inputs were.
var ErrForm = errors.New("it is no answer of the protocol")

var kinds = map[string]stream.ErrorKind{"invalid": stream.Invalid, "transient": stream.Transient, "throttled": stream.Throttled}

// longestWait bounds what an answer may ask to wait, so that no code can stop a flow for good.
const longestWait = 24 * time.Hour

// Read returns the values of n results, and as a *stream.BatchError which inputs failed. secrets are hidden in messages.
// An answer of another form is an ErrForm.
func (d Declared) Read(results []Result, n int, secrets []string) ([]stream.Value, error) {
	if len(results) != n {
		return nil, fmt.Errorf("%w: %d results for %d inputs", ErrForm, len(results), n)
	}
	values, failed := make([]stream.Value, n), map[int]error{}
	for i, r := range results {
		switch {
		case (r.Value == nil) == (r.Error == nil):
			return nil, fmt.Errorf("%w: result %d has neither a value nor an error, or both", ErrForm, i)
		case r.Error != nil:
			kind, known := kinds[r.Error.Kind]
			if !known {
				return nil, fmt.Errorf("%w: result %d has an error of kind %.40q; invalid, transient and throttled are known", ErrForm, i, r.Error.Kind)
			}
			failed[i] = &stream.Error{Op: d.Op, Kind: kind, RetryAfter: r.Error.wait(),
				Err: fmt.Errorf("it says %s%s", r.Error.Kind, stream.Explanation(strings.NewReader(r.Error.Message), secrets...))}
		default:
			var err error
			if values[i], err = valueOf(r.Value, d.Returns); err != nil {
				failed[i] = stream.Errorf(stream.Invalid, d.Op, "its result is not what `returns` declares: %w", err)
			}
		}
	}
	if len(failed) > 0 {
		return values, &stream.BatchError{Failed: failed}
	}
	return values, nil
}

func (f *Failure) wait() time.Duration {
	if !(f.RetryAfter > 0) {
		return 0
	}
	return time.Duration(min(f.RetryAfter, longestWait.Seconds()) * float64(time.Second))
}

// Spread puts what a request with the inputs at gave back to where they stood among n, beside those that failed before.
func Spread(values []stream.Value, err error, at []int, failed map[int]error, n int) ([]stream.Value, error) {
	var some *stream.BatchError
	if err != nil && !errors.As(err, &some) {
		if len(failed) == 0 {
			return nil, err
		}
		some = &stream.BatchError{Failed: map[int]error{}}
		for i := range at {
			some.Failed[i] = err
		}
	}
	out := make([]stream.Value, n)
	for i, v := range values {
		out[at[i]] = v
	}
	if some != nil {
		for i, err := range some.Failed {
			failed[at[i]] = err
		}
	}
	if len(failed) > 0 {
		return out, &stream.BatchError{Failed: failed}
	}
	return out, nil
}

func valueOf(raw []byte, t stream.Type) (stream.Value, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var x any
	if err := dec.Decode(&x); err != nil {
		return stream.Value{}, err
	}
	return Value(x, t, "it")
}
