package embedded

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// closedFile is in a data directory whose broker was closed, and in none whose process was killed.
const closedFile = "closed"

// opened reports whether the broker of a data directory was closed, and forgets it: from now on it is not.
func opened(dir string) (closed bool, err error) {
	err = os.Remove(filepath.Join(dir, closedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// endUnfinished writes the markers that a killed broker could not write. kfake drops what was in open transactions when it
// starts, but leaves it without a marker: who reads committed records up to the end of such a partition waits for ever, and
// after another kill the records count as part of the producer's next transaction. It also writes a transaction's markers one after the other: a
// transaction that has a commit marker in one partition is committed in all. kfake has dropped these records by now; again says that
// they come back when it reads the directory once more.
func (b *Broker) endUnfinished(ctx context.Context) (again bool, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...))
	if err != nil {
		return false, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	starts, err := adm.ListStartOffsets(ctx)
	if err != nil {
		return false, err
	}
	ends, err := adm.ListEndOffsets(ctx)
	if err != nil {
		return false, err
	}
	if err := errors.Join(starts.Error(), ends.Error()); err != nil {
		return false, err
	}
	unfinished, err := b.unfinished(ctx, starts, ends)
	if err != nil || len(unfinished) == 0 {
		return false, err
	}
	answers, err := adm.WriteTxnMarkers(ctx, unfinished...)
	answers.EachPartition(func(p kadm.TxnMarkersPartitionResponse) {
		if p.Err != nil {
			err = errors.Join(err, fmt.Errorf("%s/%d: %w", p.Topic, p.Partition, p.Err))
		}
	})
	return slices.ContainsFunc(unfinished, func(m kadm.TxnMarkers) bool { return m.Commit }), err
}

// forgetOffsets deletes what groups have committed.
func (b *Broker) forgetOffsets(ctx context.Context, groups []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...))
	if err != nil {
		return err
	}
	defer cl.Close()
	answers, err := kadm.NewClient(cl).DeleteGroups(ctx, groups...)
	for _, a := range answers {
		if !errors.Is(a.Err, kerr.GroupIDNotFound) {
			err = errors.Join(err, a.Err)
		}
	}
	return err
}

// forgetSnapshots has kfake read the partitions of a directory whole: what it noted beside them says that records are dropped.
func forgetSnapshots(dir string) error {
	all, err := filepath.Glob(filepath.Join(dir, "partitions", "*", "snapshot.json"))
	for _, name := range all {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// place is one partition of a topic.
type place struct {
	topic     string
	partition int32
}

// unfinished reads all partitions and returns a marker for each producer that has records after its last one.
func (b *Broker) unfinished(ctx context.Context, starts, ends kadm.ListedOffsets) ([]kadm.TxnMarkers, error) {
	from := map[string]map[int32]kgo.Offset{}
	last := map[place]int64{} // of partitions that are not read to their end yet
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if start.Offset >= end.Offset {
			return
		}
		if from[end.Topic] == nil {
			from[end.Topic] = map[int32]kgo.Offset{}
		}
		from[end.Topic][end.Partition] = kgo.NewOffset().At(start.Offset)
		last[place{end.Topic, end.Partition}] = end.Offset - 1
	})
	if len(last) == 0 {
		return nil, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addresses()...), kgo.ConsumePartitions(from), kgo.KeepControlRecords(),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	open := map[place]map[int64]int16{} // the producers of open transactions, with their epochs
	committed := map[transaction]bool{}
	for len(last) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			at := place{r.Topic, r.Partition}
			switch {
			case r.Attrs.IsControl():
				delete(open[at], r.ProducerID)
				if isCommit(r) {
					committed[transaction{r.ProducerID, r.ProducerEpoch}] = true
				}
			case r.Attrs.IsTransactional():
				if open[at] == nil {
					open[at] = map[int64]int16{}
				}
				open[at][r.ProducerID] = r.ProducerEpoch
			}
			if r.Offset == last[at] {
				delete(last, at)
			}
		})
	}
	return markers(open, committed), nil
}

// transaction is one by its producer, whose epoch rises with each.
type transaction struct {
	producer int64
	epoch    int16
}

// isCommit reports whether a control record commits: its key is a version and a type, of two bytes each, and the type 1.
func isCommit(r *kgo.Record) bool {
	return len(r.Key) >= 4 && binary.BigEndian.Uint16(r.Key[2:]) == 1
}

// markers end what is open.
func markers(open map[place]map[int64]int16, committed map[transaction]bool) (out []kadm.TxnMarkers) {
	for at, producers := range open {
		for id, epoch := range producers {
			where := kadm.TopicsSet{}
			where.Add(at.topic, at.partition)
			out = append(out, kadm.TxnMarkers{ProducerID: id, ProducerEpoch: epoch, Commit: committed[transaction{id, epoch}], Topics: where})
		}
	}
	return out
}
