package redis

import (
	"context"
	_ "embed" // the scripts
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/freshet-dev/freshet/sinks/guard"
	"github.com/freshet-dev/freshet/stream"
)

var _ guard.Store = (*store)(nil)

// The scripts. Their first line has the server refuse one before it begins, rather than in its middle, when memory is out.
var (
	//go:embed write.lua
	writeSource string
	//go:embed swap.lua
	swapSource string
	//go:embed collect.lua
	collectSource string
	//go:embed header.lua
	headerSource string

	writeScript   = rueidis.NewLuaScript(writeSource)
	swapScript    = rueidis.NewLuaScript(swapSource)
	collectScript = rueidis.NewLuaScript(collectSource)
	headerScript  = rueidis.NewLuaScript(headerSource)
)

// run has the server run a script, within the limit of a request. One that the server has forgotten is sent again.
func (s *store) run(ctx context.Context, doing string, script *rueidis.Lua, keys, args []string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	n, err := script.Exec(ctx, s.client, keys, args).AsInt64()
	return n, s.classed(doing, err)
}

func (s *store) table(name string) (*table, error) {
	if t := s.tables[name]; t != nil {
		return t, nil
	}
	return nil, stream.Errorf(stream.Internal, "redis", "table %q is not one of this target's", name)
}

// What the script returns instead of a number of rows.
const (
	fenced  = -1
	unready = -2
	absent  = -3
)

// Put writes items by one script: all of them, or, when the place has moved on, none. See guard.Rows.
func (s *store) Put(ctx context.Context, name string, items []guard.Item) error {
	const doing = "redis: write rows"
	t, err := s.table(name)
	if err != nil || len(items) == 0 {
		return err
	}
	keys, args := []string{t.header, s.books(), t.gone, t.goneAt}, []string{items[0].Place.Key, number(items[0].Place.Sequence)}
	for _, i := range items {
		id := rowID(i.Document, i.Key)
		var fields []string
		if !i.Delete {
			fields = t.fields(i)
		}
		keys = append(keys, t.rows+id)
		args = append(args, id, number(i.Version.Pack()), number(i.Over.Pack()), number(i.Bound.Pack()), number(i.Epoch),
			number(int64(i.Partition)), number(i.At.UnixMilli()), strconv.Itoa(len(fields)))
		args = append(args, fields...)
	}
	n, err := s.run(ctx, "write rows", writeScript, keys, args)
	switch {
	case err != nil:
		return err
	case n == fenced: // Invariant 4.
		return stream.Errorf(stream.Fenced, doing, "another writer took the partition, or the server has forgotten it")
	case n == unready:
		return stream.Errorf(stream.Transient, doing, "table %q is made anew by another process", name)
	case n == absent:
		return stream.Errorf(stream.Usage, doing, "table %q is gone: the server lost its data, or somebody removed it; start again to have it made and rebuilt", name)
	}
	return nil
}

// tombstones that are looked at in one request.
const tombstonePage = 500

// Collect removes tombstones, oldest first. One that was replaced meanwhile stays. See guard.Rows.
func (s *store) Collect(ctx context.Context, name string, in guard.Range, before time.Time) error {
	t, err := s.table(name)
	if err != nil {
		return err
	}
	for kept := int64(0); ; {
		ids, err := s.do(ctx, s.client.B().Zrangebyscore().Key(t.goneAt).Min("-inf").Max("("+number(before.UnixMilli())).
			Limit(kept, tombstonePage).Build()).AsStrSlice()
		if err != nil || len(ids) == 0 {
			return s.classed("look for tombstones", err)
		}
		removed, err := s.collect(ctx, t, in, ids)
		if err != nil {
			return err
		}
		kept += int64(len(ids)) - removed
	}
}

func (s *store) collect(ctx context.Context, t *table, in guard.Range, ids []string) (removed int64, err error) {
	held, err := s.do(ctx, s.client.B().Hmget().Key(t.gone).Field(ids...).Build()).ToArray()
	if err != nil {
		return 0, s.classed("read tombstones", err)
	}
	var old []string
	for n, h := range held {
		text, err := h.ToString()
		if rueidis.IsRedisNil(err) {
			continue // it was replaced just now
		}
		if err != nil {
			return 0, s.classed("read tombstones", err)
		}
		i, err := tombstoneOf(text)
		if err != nil {
			return 0, stream.Errorf(stream.Internal, "redis: read tombstones", "%s of %s: %w", ids[n], t.gone, err)
		}
		if in.Has(i) {
			old = append(old, ids[n], text)
		}
	}
	if len(old) == 0 {
		return 0, nil
	}
	return s.run(ctx, "remove tombstones", collectScript, []string{t.gone, t.goneAt}, old)
}

func tombstoneOf(text string) (i guard.Item, err error) {
	var version int64
	_, err = fmt.Fscanf(strings.NewReader(text), "%d %d %d", &version, &i.Epoch, &i.Partition)
	i.Version, i.Delete = stream.Unpack(version), true
	return i, err
}
