// Package exec is the operator exec: programs of the user's own, in any language, as workers that read requests and write
// answers, one JSON object a line (docs/operators/exec.md).
//
// It upholds:
//   - A worker that breaks the protocol, is too slow, too large or gone is ended, with its process group, and another one
//     is started; its inputs are tried again apart from each other, and none is lost.
//   - A worker of another version than the flow file declares computes nothing (invariant 7).
//   - No worker outlives the process. Secrets come into a worker's environment only, and into no error and no log.
package exec

import (
	"context"
	"sync"
	"time"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/stream"
)

// Spec declares exec. Nodes of equal settings share workers.
func Spec() stream.OperatorSpec {
	shared := &pools{byKey: map[stream.Fingerprint]*pool{}}
	return stream.OperatorSpec{
		Name:    "exec",
		Version: 1,
		Doc: "Runs a program of your own, in Python or any language, as workers beside the process: batches of inputs go in and results " +
			"come out as lines of JSON. Results are kept and reused for equal inputs.",
		Settings: append([]stream.Setting{
			{Name: "command", Kind: stream.SettingStrings, Required: true,
				Doc: "Program and its arguments, run without a shell in the folder of the flow file."},
		}, append(blackbox.Settings(),
			stream.Setting{Name: "workers", Kind: stream.SettingInt, Default: stream.IntOf(2), Min: 1, Max: 256, Doc: "Processes that run at a time."},
			stream.Setting{Name: "memory", Kind: stream.SettingInt, Min: 16, Max: 1 << 20,
				Doc: "Most address space of a worker, in MiB; on Linux only."},
			stream.Setting{Name: "startup", Kind: stream.SettingDuration, Default: stream.IntOf(int64(time.Minute)),
				Doc: "Longest wait for a new worker's first line."},
			stream.Setting{Name: "env", Kind: stream.SettingSecrets,
				Doc: "Variables of the workers' environment besides PATH, HOME, LANG and TMPDIR."},
		)...),
		Costly: true,
		Output: blackbox.Output,
		New:    shared.operator,
	}
}

// operator is one node's share of a pool.
type operator struct {
	blackbox.Declared
	pool  *pool
	close func() error
}

// operator implements OperatorSpec.New.
func (ps *pools) operator(s stream.Settings) (stream.Operator, error) {
	d, err := blackbox.Of("run "+shown(s.Strings("command")), s)
	if err != nil {
		return nil, err
	}
	c, err := commandOf(d.Op, s)
	if err != nil {
		return nil, err
	}
	key := stream.FingerprintOf(stream.ListOf(s.Values, stream.StringOf(s.Dir)))
	p := ps.join(key, d, c, s.Int("workers"))
	return &operator{d, p, sync.OnceValue(func() error { ps.leave(key, p); return nil })}, nil
}

// BatchSize implements stream.Batcher.
func (o *operator) BatchSize() int { return o.Batch }

// Concurrency implements stream.Concurrent.
func (o *operator) Concurrency() int { return cap(o.pool.slots) }

// Apply implements stream.Operator: one request, and one attempt, for all inputs.
func (o *operator) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	items, at, failed := o.Items(inputs)
	var values []stream.Value
	var err error
	if len(at) > 0 {
		values, err = o.pool.ask(ctx, items, len(at))
	}
	return blackbox.Spread(values, err, at, failed, len(inputs))
}

// Close ends the workers when no other node has them.
func (o *operator) Close() error { return o.close() }
