package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// several are the options of a process that runs more flows than one.
func (o *options) several(more []string) ([]*options, error) {
	_, port, _ := strings.Cut(o.listen, ":")
	if o.dataDir != "" || o.targets != nil || port != "" && port != "0" {
		return nil, usagef("--data-dir, --targets and a port in --listen are one flow's; leave them out, or run each flow in a process of its own")
	}
	all, by := []*options{}, map[string]string{}
	for _, file := range append([]string{o.flowFile}, more...) {
		one := *o
		one.flowFile = file
		one.registry.Log = o.log
		f, err := one.load()
		if err != nil {
			return nil, err
		}
		if other, taken := by[f.Name]; taken {
			return nil, usagef("%s and %s declare flow %s both; a process runs a flow once", other, file, f.Name)
		}
		by[f.Name] = file
		all = append(all, &one)
	}
	return all, nil
}

// runFlows runs flows side by side until all have ended, or one fails, which ends the others. What they print comes in their order.
func runFlows(ctx context.Context, all []*options, once, asJSON bool, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	texts, failed := make([]bytes.Buffer, len(all)), make([]error, len(all))
	var group sync.WaitGroup
	for i, o := range all {
		group.Go(func() {
			failed[i] = runFlow(ctx, o, once, asJSON, &texts[i])
			if e := (*exit)(nil); failed[i] != nil && !(errors.As(failed[i], &e) && e.code == exitQuarantined) {
				cancel()
			}
		})
	}
	group.Wait()
	var first error
	for i := range all {
		if first == nil {
			first = failed[i]
		}
		if _, err := texts[i].WriteTo(out); err != nil && first == nil {
			first = err
		}
	}
	return first
}
