// Package remote is the operator http: a service of the user's own that computes, in any language (docs/operators/http.md).
//
// It upholds: one attempt per call, because the engine repeats, slows down and splits batches by the class of the error; a
// token is sent to the configured host only, and is never part of an error; a service that says another version than the
// flow file computes nothing (invariant 7).
package remote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/freshet-dev/freshet/operators/internal/blackbox"
	"github.com/freshet-dev/freshet/operators/internal/post"
	"github.com/freshet-dev/freshet/stream"
	"github.com/freshet-dev/freshet/stream/trust"
)

// Spec declares http.
func Spec() stream.OperatorSpec {
	return stream.OperatorSpec{
		Name:    "http",
		Version: 1,
		Doc: "Asks an HTTP service of your own: batches of inputs are posted as JSON, and results come back. Results are kept and reused " +
			"for equal inputs.",
		Settings: append([]stream.Setting{
			{Name: "url", Kind: stream.SettingURL, Required: true, Doc: "Where requests are posted."},
		}, append(blackbox.Settings(),
			stream.Setting{Name: "token", Kind: stream.SettingSecret, Doc: "Sent as bearer token; none is sent without it."},
			stream.Setting{Name: "headers", Kind: stream.SettingSecrets, Doc: "Further headers to send, by name."},
			trust.Setting(),
		)...),
		Costly: true,
		Output: blackbox.Output,
		New:    open,
	}
}

// maxAnswer is in bytes.
const maxAnswer = 64 << 20

// operator asks one service. Its connections are kept and shared by concurrent calls.
type operator struct {
	blackbox.Declared
	connect func() (*post.Service, error) // at the first use
}

func open(s stream.Settings) (stream.Operator, error) {
	d, err := blackbox.Of("ask a service", s)
	if err != nil {
		return nil, err
	}
	return &operator{d, sync.OnceValues(func() (*post.Service, error) {
		config, err := trust.Config(d.Op, s.Path("ca"))
		if err != nil {
			return nil, err
		}
		return &post.Service{Client: post.NewClient(config), URL: s.Secret("url"), Token: s.Secret("token"), Headers: s.Secrets("headers"),
			For: "results", URLSetting: "url", TokenSetting: "token", Suspecting: true}, nil
	})}, nil
}

// BatchSize implements stream.Batcher.
func (o *operator) BatchSize() int { return o.Batch }

// Apply implements stream.Operator: one request, and one attempt, for all inputs.
func (o *operator) Apply(ctx context.Context, inputs []stream.Value) ([]stream.Value, error) {
	items, at, failed := o.Items(inputs)
	var values []stream.Value
	var err error
	if len(at) > 0 {
		values, err = o.ask(ctx, items, len(at))
	}
	return blackbox.Spread(values, err, at, failed, len(inputs))
}

func (o *operator) ask(ctx context.Context, items []byte, n int) ([]stream.Value, error) {
	service, err := o.connect()
	if err != nil {
		return nil, err
	}
	body, err := o.request(items)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Deadline)
	defer cancel()
	raw, secrets, err := service.JSON(ctx, body, maxAnswer)
	if err != nil {
		return nil, err
	}
	return o.read(raw, n, secrets)
}

func (o *operator) request(items []byte) ([]byte, error) {
	told, err := o.Told()
	if err != nil {
		return nil, err
	}
	version, err := json.Marshal(o.Version)
	if err != nil {
		return nil, stream.Errorf(stream.Usage, o.Op, "version: %w", err)
	}
	return fmt.Appendf(nil, `{"version":%s,"returns":%s,"settings":%s,"items":%s}`, version, blackbox.Shape(o.Returns), told, items), nil
}

// answer is what a service says.
type answer struct {
	Version *string           `json:"version"` // of its code; may be left out
	Results []blackbox.Result `json:"results"`
}

func (o *operator) read(raw []byte, n int, secrets []string) ([]stream.Value, error) {
	var a answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, stream.Errorf(stream.Usage, o.Op, "the answer is no JSON of results (check url): %w", err)
	}
	if a.Version != nil && *a.Version != o.Version {
		return nil, stream.Errorf(stream.Usage, o.Op, "the service has version %.40q, the flow file version %q; make both the same", *a.Version, o.Version)
	}
	values, err := o.Read(a.Results, n, secrets)
	if errors.Is(err, blackbox.ErrForm) {
		return nil, stream.Errorf(stream.Usage, o.Op, "%w (check url)", err)
	}
	return values, err
}
